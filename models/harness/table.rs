//! The results, for a person and for a program.

use super::cli::Options;
use super::engine::Observed;
use super::run::Result;
use super::{failure, replay};
use comfy_table::Table;
use interlatch::check;
use serde_json::json;

/// Failures whole, then the table, then a line with the totals.
pub fn print(results: &[Result], options: &Options) {
    for result in results {
        match &result.failed {
            Some(failed) if options.explain || !result.is_good() => {
                let replay = replay::record(result, options.seconds);
                failure::print(&result.name, &result.verdict(), failed, replay.as_deref());
            }
            None if !result.is_good() => println!("\n{}: {}", result.name, result.verdict()),
            _ => {}
        }
    }
    if results.is_empty() {
        return;
    }
    if check::IS_EXHAUSTIVE {
        println!("Models under loom: every execution, or every one up to a number of preemptions.");
    } else {
        println!(
            "Models as a short stress test with threads. This proves little; for all executions:"
        );
        println!("  RUSTFLAGS=\"--cfg loom\" cargo test --release --test models");
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "model",
        "processes",
        "verdict",
        "executions",
        "per second",
        "seconds",
    ]);
    for result in results {
        table.add_row(row(result));
    }
    println!("{}", table.trim_fmt());
    print_remarks(results);
    if check::IS_EXHAUSTIVE {
        println!("{NOT_EXPLORED}");
    }
}

/// What no verdict of the table speaks of.
const NOT_EXPLORED: &str = "Explored besides all orders: which waiter is woken; time running out at \
    any step; in models called interrupted,\na wait that ends for no reason at any step. Not explored: \
    the death of a process.";

fn row(result: &Result) -> [String; 6] {
    let (executions, seconds) = cost(result);
    let rate = if seconds > 0.0 {
        format!("{:.0}", executions as f64 / seconds)
    } else {
        "-".into()
    };
    [
        result.name.clone(),
        result.processes.to_string(),
        result.verdict(),
        executions.to_string(),
        rate,
        format!("{seconds:.2}"),
    ]
}

/// The executions and seconds of the exploration that the verdict is about; of a failure, all until
/// it was found.
fn cost(result: &Result) -> (u64, f64) {
    let all = result.explored.iter();
    match (&result.failed, result.conclusion()) {
        (Some(failed), _) => (
            all.clone().map(|step| step.executions).sum::<u64>() + failed.executions,
            all.fold(0.0, |sum, step| sum + step.seconds),
        ),
        (None, Some(conclusion)) => (conclusion.executions, conclusion.seconds),
        (None, None) => (0, 0.0),
    }
}

fn print_remarks(results: &[Result]) {
    for result in results {
        for remark in result
            .conclusion()
            .map(|conclusion| &conclusion.remarks)
            .into_iter()
            .flatten()
        {
            println!("{}: {remark}", result.name);
        }
    }
}

/// The closing lines, the last one as libtest would print it; there are that many in `all`.
pub fn print_totals(results: &[Result], observed: &[Observed], all: usize) {
    let good = results
        .iter()
        .filter(|result| result.is_good() && !result.skipped)
        .count();
    let as_pinned = observed
        .iter()
        .filter(|observed| observed.is_good())
        .count();
    let bad =
        results.iter().filter(|result| !result.is_good()).count() + observed.len() - as_pinned;
    let skipped = results.iter().filter(|result| result.skipped).count();
    let caught = results
        .iter()
        .filter(|result| result.is_good() && result.failed.is_some())
        .count();
    let executions: u64 = results
        .iter()
        .flat_map(|result| &result.explored)
        .map(|step| step.executions)
        .sum();
    println!(
        "{executions} executions; {caught} known bugs caught; {as_pinned} litmus tests as pinned"
    );
    let exhibits = |mended: bool| {
        let exhibit = |result: &&Result| {
            result.name.starts_with("museum/") && result.name.ends_with(", mended") == mended
        };
        let good = |result: &&Result| result.is_good() && !result.skipped;
        results.iter().filter(exhibit).filter(good).count()
    };
    if check::IS_EXHAUSTIVE && exhibits(true) > 0 {
        println!(
            "museum: {} caught, {} mended",
            exhibits(false),
            exhibits(true)
        );
    }
    let filtered = all - results.len() - observed.len();
    let (word, passed) = (if bad == 0 { "ok" } else { "FAILED" }, good + as_pinned);
    println!(
        "test result: {word}. {passed} passed; {bad} failed; {skipped} ignored; 0 measured; {filtered} filtered out"
    );
}

/// One object a line.
pub fn print_json(results: &[Result]) {
    for result in results {
        let (executions, seconds) = cost(result);
        let line = json!({
            "model": result.name,
            "processes": result.processes,
            "verdict": result.verdict(),
            "good": result.is_good(),
            "executions": executions,
            "seconds": seconds,
            "explored": result.explored,
            "failed": result.failed,
        });
        println!("{line}");
    }
}
