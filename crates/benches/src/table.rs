//! Formats the results as text tables.

use super::comparison::Measure;
use super::results::{JudgedClaim, Measured, Outcome};
use comfy_table::Table;

/// Returns a table with the results of each subject.
pub fn figures(outcome: &Outcome) -> String {
    let mut table = Table::new();
    table.set_header(["subject", "median", "80 % of the rounds", "other"]);
    for measured in &outcome.measured {
        let spread = measured.spread();
        table.add_row([
            measured.name.clone(),
            show(outcome.measure, spread.middle),
            format!(
                "{} to {}",
                show(outcome.measure, spread.low),
                show(outcome.measure, spread.high)
            ),
            besides(measured),
        ]);
    }
    format!("\n{}{}\n{table}", outcome.title, line(outcome))
}

/// Returns the transfer time of the cache line as text.
pub fn line(outcome: &Outcome) -> String {
    outcome.line().map_or(String::new(), |line| {
        format!(
            " (a cache line from core to core: {:.0} ns, {:.0} to {:.0})",
            line.middle, line.low, line.high
        )
    })
}

/// Returns a table with one row for each claim.
pub fn claims(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table.set_header([
        "comparison",
        "ours",
        "peer",
        "ours is",
        "peer is",
        "ratio",
        "80 %",
        "goal",
        "",
    ]);
    for outcome in outcomes {
        for judged in outcome.judged() {
            table.add_row([
                outcome.title.clone(),
                judged.ours.name.clone(),
                peer(&judged).into(),
                figure(outcome, judged.ours),
                peer_figure(outcome, &judged),
                ratio(judged.ratios.middle),
                format!(
                    "{} to {}",
                    ratio(judged.ratios.low),
                    ratio(judged.ratios.high)
                ),
                judged.goal.map_or(String::new(), |goal| goal.to_string()),
                remark(&judged).into(),
            ]);
        }
    }
    table.to_string()
}

pub fn peer<'a>(judged: &JudgedClaim<'a>) -> &'a str {
    judged
        .peer
        .map_or("fair share (smallest share)", |peer| &peer.name)
}

pub fn peer_figure(outcome: &Outcome, judged: &JudgedClaim<'_>) -> String {
    judged
        .peer
        .map_or(String::new(), |peer| figure(outcome, peer))
}

/// Returns the median as text. For a throughput, the text also shows the handoffs: a lock that one
/// worker acquires repeatedly has a high throughput but few handoffs.
fn figure(outcome: &Outcome, measured: &Measured) -> String {
    let figure = show(outcome.measure, measured.spread().middle);
    match measured.handoffs() {
        Some(handoffs) => format!("{figure} ({} handoffs)", per_second(handoffs)),
        None => figure,
    }
}

/// Returns the verdict on a claim. Without a goal, returns a note if the ratios are noisy.
pub fn remark(judged: &JudgedClaim<'_>) -> &'static str {
    match judged.verdict {
        Some(verdict) => verdict.name(),
        None if judged.is_noisy => "(noisy)",
        None => "",
    }
}

pub fn ratio(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.3}")
    } else {
        format!("{ratio:.1}")
    }
}

/// Returns a subject's other results as text: the 99th percentile, the handoffs and the fairness.
pub fn besides(measured: &Measured) -> String {
    let p99 = measured
        .p99()
        .map(|p99| format!("p99 {}", nanoseconds(p99)));
    let handoffs = measured.handoffs();
    let handoffs = handoffs.map(|handoffs| format!("{} handoffs", per_second(handoffs)));
    let second = measured.fairness.map(|fairness| {
        format!(
            "shares of {:.2} to {:.2} of a fair one",
            fairness.min_share, fairness.max_share
        )
    });
    let all: Vec<String> = [p99, handoffs, second].into_iter().flatten().collect();
    all.join("; ")
}

pub fn show(measure: Measure, value: f64) -> String {
    match measure {
        Measure::PerSecond => per_second(value),
        Measure::Nanoseconds | Measure::Median => nanoseconds(value),
    }
}

fn nanoseconds(value: f64) -> String {
    match value {
        ..100.0 => format!("{value:.2} ns"),
        ..10_000.0 => format!("{value:.0} ns"),
        ..10_000_000.0 => format!("{:.1} µs", value / 1e3),
        _ => format!("{:.1} ms", value / 1e6),
    }
}

fn per_second(value: f64) -> String {
    match value {
        ..1e4 => format!("{value:.0}/s"),
        ..1e6 => format!("{:.1}k/s", value / 1e3),
        _ => format!("{:.2}M/s", value / 1e6),
    }
}
