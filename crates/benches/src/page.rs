//! Creates the page with all results and charts, as one self-contained file.

use super::goal::{Spread, Verdict};
use super::results::{JudgedClaim, Measured, Outcome, Program, folder};
use super::table;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// The style sheet: that of the models' pages, with additions for the charts of this page.
const STYLE: &str = concat!(
    include_str!("../../check/src/runner/assets/style.css"),
    include_str!("page.css")
);
/// The width of a chart; `HEIGHT` is its height.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 18.0;
const MARGIN: f64 = 8.0;

/// Creates the page. Also creates a text file in the same folder, with a table of all claims.
pub fn draw(programs: &[Program]) -> Result<PathBuf> {
    let mut page = String::from("<!doctype html>\n<html lang=en><meta charset=utf-8>\n");
    write!(
        page,
        "<title>interlatch, measured</title>\n<style>{STYLE}</style>\n"
    )?;
    write!(
        page,
        "<header><h1>interlatch, measured</h1>{}</header>\n<main>",
        machine()
    )?;
    goals(&mut page, programs)?;
    let mut text = String::new();
    for program in programs {
        writeln!(page, "<h2 id={0}>{0}</h2>", escape(&program.name))?;
        for outcome in &program.outcomes {
            comparison(&mut page, outcome)?;
        }
        write!(
            text,
            "{}\n{}\n\n",
            program.name,
            table::claims(&program.outcomes)
        )?;
    }
    page.push_str("</main></html>\n");
    let file = folder().join("bench.html");
    fs::write(&file, page).with_context(|| format!("writing {}", file.display()))?;
    fs::write(file.with_extension("txt"), text)?;
    Ok(file)
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or("").trim_start_matches(['\t', ' ', ':']);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "<p class=faint>{} cores, {}, Linux {}. A dot is the median, its line the middle 80 % of the rounds. \
 Ratios compare the same round. Filled dots are subjects of interlatch.</p>",
        super::cores(),
        escape(model),
        escape(kernel.trim())
    )
}

/// Writes the table of goals to the page.
fn goals(page: &mut String, programs: &[Program]) -> Result<()> {
    page.push_str(
        "<h2>Goals</h2>\n<table><tr><th>comparison<th>ours<th>peer<th>ratio<th><th>goal<th>\n",
    );
    for program in programs {
        for outcome in &program.outcomes {
            for judged in outcome
                .judged()
                .iter()
                .filter(|judged| judged.goal.is_some())
            {
                goal(
                    page,
                    &format!("{}: {}", program.name, outcome.title),
                    judged,
                )?;
            }
        }
    }
    page.push_str("</table>\n");
    Ok(())
}

fn goal(page: &mut String, title: &str, judged: &JudgedClaim<'_>) -> Result<()> {
    let class = match judged.verdict {
        Some(Verdict::Reached) => "good",
        Some(Verdict::NotReached) => "bad",
        Some(Verdict::TooNoisy) | None => "partly",
    };
    let goal = judged.goal.map_or(String::new(), |goal| goal.to_string());
    let bound = judged.goal.map(|goal| goal.bound());
    let ratios = judged.ratios;
    let scale = Scale::around([ratios.low, ratios.high, bound.unwrap_or(1.0), 1.0]);
    writeln!(
        page,
        "<tr><td>{}<td>{}<td>{}<td class=number>{}<td>{}<td>{goal}<td><span class='badge {class}'>{}</span>",
        escape(title),
        escape(&judged.ours.name),
        escape(table::peer(judged)),
        table::ratio(ratios.middle),
        picture(scale, ratios, true, bound),
        table::remark(judged),
    )?;
    Ok(())
}

fn comparison(page: &mut String, outcome: &Outcome) -> Result<()> {
    let line = table::line(outcome);
    writeln!(
        page,
        "<h3>{}<span class=faint>{}</span></h3>",
        escape(&outcome.title),
        escape(&line)
    )?;
    page.push_str("<table><tr><th>subject<th>median<th><th>80 % of the rounds<th>other\n");
    let spreads = || outcome.measured.iter().map(Measured::spread);
    let scale = Scale::around(spreads().flat_map(|spread| [spread.low, spread.high]));
    for measured in &outcome.measured {
        subject(page, outcome, measured, scale)?;
    }
    page.push_str("</table>\n<details><summary>ratios</summary>");
    page.push_str("<table><tr><th>ours<th>peer<th>ratio<th>80 % of the rounds<th>goal<th>\n");
    for judged in outcome.judged() {
        writeln!(
            page,
            "<tr><td>{}<td>{}<td class=number>{}<td>{} to {}<td>{}<td>{}",
            escape(&judged.ours.name),
            escape(table::peer(&judged)),
            table::ratio(judged.ratios.middle),
            table::ratio(judged.ratios.low),
            table::ratio(judged.ratios.high),
            judged.goal.map_or(String::new(), |goal| goal.to_string()),
            table::remark(&judged),
        )?;
    }
    page.push_str("</table></details>\n");
    Ok(())
}

fn subject(page: &mut String, outcome: &Outcome, measured: &Measured, scale: Scale) -> Result<()> {
    let spread = measured.spread();
    let show = |value| table::show(outcome.measure, value);
    writeln!(
        page,
        "<tr><td>{}<td class=number>{}<td>{}<td>{} to {}<td>{}",
        escape(&measured.name),
        show(spread.middle),
        picture(scale, spread, measured.is_ours, None),
        show(spread.low),
        show(spread.high),
        escape(&table::besides(measured)),
    )?;
    Ok(())
}

/// A logarithmic axis. Equal ratios have equal widths on this axis.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Creates an axis from the smallest value to the largest value. The axis covers a range of at
    /// least 10 %.
    fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let values = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let high = high.max(low * 1.1);
        Self { low, high }
    }

    fn place(self, value: f64) -> f64 {
        let part = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        MARGIN + part * (WIDTH - 2.0 * MARGIN)
    }
}

/// Draws a chart: a dot at the median, a line over the spread, and a mark at the goal.
fn picture(scale: Scale, spread: Spread, is_ours: bool, goal: Option<f64>) -> String {
    let [low, middle, high] =
        [spread.low, spread.middle, spread.high].map(|value| scale.place(value));
    let class = if is_ours { "ours" } else { "peer" };
    let half = HEIGHT / 2.0;
    let goal = goal.map_or(String::new(), |goal| {
        let at = scale.place(goal);
        format!(
            "<line class=goal x1={at:.1} y1=1 x2={at:.1} y2={}></line>",
            HEIGHT - 1.0
        )
    });
    format!(
        "<svg width={WIDTH} height={HEIGHT} class={class}>{goal}\
         <line x1={low:.1} y1={half} x2={high:.1} y2={half}></line>\
         <circle cx={middle:.1} cy={half} r=4></circle></svg>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
