//! The results, for a person and for a program.

use super::cli::Options;
use super::failure;
use super::litmus::Observed;
use super::outcome::Outcome;
use super::output::say;
use comfy_table::Table;
use serde_json::json;

/// Failures whole, then the table, then a line with the totals.
pub fn print(results: &[Outcome], options: &Options) {
    let is_shown =
        |result: &&Outcome| !result.is_good() || options.explain && result.failed.is_some();
    results.iter().filter(is_shown).for_each(failure::print);
    if results.is_empty() {
        return;
    }
    if crate::IS_EXHAUSTIVE {
        say(format_args!(
            "Models under loom: every execution, or every one up to a number of preemptions."
        ));
    } else {
        say(format_args!(
            "Models as a short stress test with threads. This proves little; for all executions:"
        ));
        say(format_args!(
            "  RUSTFLAGS=\"--cfg loom\" cargo test --release --test models"
        ));
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "model",
        "processes",
        "verdict",
        "crash points",
        "executions",
        "per second",
        "seconds",
    ]);
    for result in results {
        table.add_row(row(result));
    }
    say(format_args!("{}", table.trim_fmt()));
    print_remarks(results);
    if crate::IS_EXHAUSTIVE {
        say(format_args!("{NOT_EXPLORED}"));
    }
}

/// What no verdict of the table speaks of.
const NOT_EXPLORED: &str = "Explored besides all orders: which waiter is woken; time running out at \
    any step; in models called interrupted,\na wait that ends for no reason at any step; where crash points are counted, the death of a process \
    before each of its steps.";

fn row(result: &Outcome) -> [String; 7] {
    let (executions, seconds) = result.cost();
    let rate = if seconds > 0.0 {
        format!("{:.0}", executions as f64 / seconds)
    } else {
        "-".into()
    };
    [
        result.name.clone(),
        result.processes.to_string(),
        result.verdict(),
        match result.crash_points() {
            0 => String::new(),
            points => points.to_string(),
        },
        executions.to_string(),
        rate,
        format!("{seconds:.2}"),
    ]
}

fn print_remarks(results: &[Outcome]) {
    for result in results {
        for remark in result
            .conclusion()
            .map(|conclusion| &conclusion.remarks)
            .into_iter()
            .flatten()
        {
            say(format_args!("{}: {remark}", result.name));
        }
    }
}

/// The names of what failed once more, for who reads the end first.
fn print_failed(results: &[Outcome], observed: &[Observed]) {
    let tests = observed.iter().filter(|observed| !observed.is_good());
    let models = results.iter().filter(|result| !result.is_good());
    tests
        .map(Observed::name)
        .chain(models.map(|result| result.name.as_str()))
        .for_each(|name| say(format_args!("FAILED: {name}")));
}

/// The closing lines, the last one as libtest would print it; there are that many in `all`.
pub fn print_totals(results: &[Outcome], observed: &[Observed], all: usize) {
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
    let executions: u64 = results.iter().map(Outcome::executions).sum();
    print_failed(results, observed);
    say(format_args!(
        "{executions} executions; {caught} known bugs caught; {as_pinned} litmus tests as pinned"
    ));
    let exhibits = |mended: bool| {
        let exhibit = |result: &&Outcome| {
            result.name.starts_with("museum/") && result.name.ends_with(", mended") == mended
        };
        let good = |result: &&Outcome| result.is_good() && !result.skipped;
        results.iter().filter(exhibit).filter(good).count()
    };
    if crate::IS_EXHAUSTIVE && exhibits(true) > 0 {
        say(format_args!(
            "museum: {} caught, {} mended",
            exhibits(false),
            exhibits(true)
        ));
    }
    let filtered = all - results.len() - observed.len();
    let (word, passed) = (if bad == 0 { "ok" } else { "FAILED" }, good + as_pinned);
    say(format_args!(
        "test result: {word}. {passed} passed; {bad} failed; {skipped} ignored; 0 measured; {filtered} filtered out"
    ));
}

/// One object a line.
pub fn print_json(results: &[Outcome]) {
    for result in results {
        let (executions, seconds) = result.cost();
        let line = json!({
            "model": result.name,
            "processes": result.processes,
            "verdict": result.verdict(),
            "good": result.is_good(),
            "crash_points": result.crash_points(),
            "executions": executions,
            "seconds": seconds,
            "explored": result.explored,
            "failed": result.failed,
        });
        say(format_args!("{line}"));
    }
}
