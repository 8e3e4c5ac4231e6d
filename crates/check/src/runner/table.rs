//! Prints the results as a table or as JSON.

use super::cli::{Engine, Options};
use super::failure_text;
use super::litmus::LitmusResult;
use super::outcome::Outcome;
use super::output::print_line;
use crate::Verdict;
use comfy_table::Table;
use serde_json::json;

/// Prints the failures, the table and the remarks.
pub fn print(results: &[Outcome], options: &Options) {
    let is_shown =
        |result: &&Outcome| !result.passed() || options.explain && result.failure.is_some();
    results
        .iter()
        .filter(is_shown)
        .for_each(failure_text::print);
    if results.is_empty() {
        return;
    }
    if options.engine == Engine::Ours {
        print_line(format_args!(
            "Models in interlatch-engine: every execution."
        ));
    } else if crate::IS_EXHAUSTIVE {
        print_line(format_args!(
            "Models under loom: every execution, or every execution up to a preemption bound."
        ));
    } else {
        print_line(format_args!(
            "Models as a short stress test on threads, which proves little. To explore all:"
        ));
        print_line(format_args!(
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
    print_line(format_args!("{}", table.trim_fmt()));
    print_remarks(results);
    if crate::IS_EXHAUSTIVE {
        print_line(format_args!("{ALSO_EXPLORED}"));
    }
}

/// A text that explains what models explore in addition to the interleavings.
const ALSO_EXPLORED: &str = "\
    Explored besides the interleavings: which waiter is woken; a timeout at any step; with crash\n\
    points, the death of a process before each of its steps; and what the name of a model allows\n\
    to each process: interrupted waits, waits that spin or not, a refused membarrier(2).";

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
            print_line(format_args!("{}: {remark}", result.name));
        }
    }
}

/// Prints the names of all failed models and tests again, for readers who start at the end of the
/// output.
fn print_failed(results: &[Outcome], observed: &[LitmusResult]) {
    let tests = observed.iter().filter(|observed| !observed.passed());
    let models = results.iter().filter(|result| !result.passed());
    tests
        .map(LitmusResult::name)
        .chain(models.map(|result| result.name.as_str()))
        .for_each(|name| print_line(format_args!("FAILED: {name}")));
}

/// Prints the totals of the run. The last line has the format of libtest.
///
/// `all` is the number of models and tests, including those that the filters exclude.
pub fn print_totals(results: &[Outcome], observed: &[LitmusResult], all: usize) {
    let passed = results
        .iter()
        .filter(|result| result.passed() && !result.skipped)
        .count();
    let passed_litmus = observed.iter().filter(|observed| observed.passed()).count();
    let failed =
        results.iter().filter(|result| !result.passed()).count() + observed.len() - passed_litmus;
    let skipped = results.iter().filter(|result| result.skipped).count();
    let caught = results
        .iter()
        .filter(|result| result.passed() && result.failure.is_some())
        .count();
    let executions: u64 = results.iter().map(Outcome::executions).sum();
    print_failed(results, observed);
    print_line(format_args!(
        "{executions} executions; {caught} known bugs caught; {passed_litmus} litmus tests passed"
    ));
    let exhibits = |fixed: bool| {
        let exhibit = |result: &&Outcome| {
            result.name.starts_with("museum/") && result.name.ends_with(", fixed") == fixed
        };
        let passed = |result: &&Outcome| result.passed() && !result.skipped;
        results.iter().filter(exhibit).filter(passed).count()
    };
    if crate::IS_EXHAUSTIVE {
        print_verdicts(results);
    }
    if crate::IS_EXHAUSTIVE && exhibits(true) > 0 {
        print_line(format_args!(
            "museum: {} bugs caught, {} fixed forms hold",
            exhibits(false),
            exhibits(true)
        ));
    }
    let filtered = all - results.len() - observed.len();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let passed = passed + passed_litmus;
    print_line(format_args!(
        "test result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; \
         {filtered} filtered out"
    ));
}

/// Prints how far the models without a known bug were explored.
fn print_verdicts(results: &[Outcome]) {
    let holds = results.iter().filter(|result| result.expected.is_none());
    let holds: Vec<&Verdict> = holds
        .filter(|result| result.passed())
        .filter_map(|result| Some(&result.conclusion()?.verdict))
        .collect();
    let count = |matches: fn(&Verdict) -> bool| holds.iter().filter(|each| matches(each)).count();
    print_line(format_args!(
        "models that hold: {} exhaustive, {} exhaustive over contracts, {} bounded",
        count(|verdict| matches!(verdict, Verdict::Exhaustive)),
        count(|verdict| matches!(verdict, Verdict::ExhaustiveOver(_))),
        count(|verdict| matches!(verdict, Verdict::Bounded(_))),
    ));
}

/// Prints the outcomes as JSON, one object per line.
pub fn print_json(results: &[Outcome]) {
    for result in results {
        let (executions, seconds) = result.cost();
        let line = json!({
            "model": result.name,
            "processes": result.processes,
            "verdict": result.verdict(),
            "passed": result.passed(),
            "crash_points": result.crash_points(),
            "executions": executions,
            "seconds": seconds,
            "explorations": result.explorations,
            "failure": result.failure,
        });
        print_line(format_args!("{line}"));
    }
}
