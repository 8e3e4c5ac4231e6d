//! A failure as a person reads it: what failed, the execution as a table with a column for each
//! process, where each process stands, and the command that runs this execution again.

use super::outcome::Outcome;
use super::output::say;
use crate::Step;
use comfy_table::Table;

/// Prints all of it; nothing, of a model that did not fail.
pub fn print(outcome: &Outcome) {
    say(format_args!("\n{}: {}", outcome.name, outcome.verdict()));
    let Some(failed) = &outcome.failed else {
        return;
    };
    let failure = &failed.failure;
    say(format_args!("  {}", failure.message));
    if failure.steps.is_empty() {
        return;
    }
    say(format_args!("\n{}:", failed.found()));
    say(format_args!("{}", table(&failure.steps).trim_fmt()));
    let named = |number: &str| {
        failure
            .steps
            .iter()
            .any(|step| step.action.contains(number))
    };
    let words = failure.words.iter().enumerate();
    let words = words.filter(|(number, _)| {
        named(&format!("word {number}:")) || named(&format!("cell {number}:"))
    });
    words.for_each(|(_, word)| say(format_args!("  word or cell {word}")));
    say(format_args!("\nAt the end:"));
    let standing = failure.standing.iter();
    standing.for_each(|line| say(format_args!("  {line}")));
    if let Some(command) = &outcome.replay {
        say(format_args!(
            "\nThis execution again, and no other:\n  {command}"
        ));
    }
    if let Some(page) = &outcome.page {
        say(format_args!(
            "As a picture, to step through: {}",
            page.display()
        ));
    }
}

fn table(steps: &[Step]) -> Table {
    let processes = steps.iter().filter_map(|step| step.process).max();
    let columns = processes.map_or(0, |last| last + 1);
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    let names = (0..columns).map(|process| format!("process {process}"));
    table.set_header(
        ["#".to_owned()]
            .into_iter()
            .chain(names)
            .chain(["source".to_owned()]),
    );
    let mut asleep = vec![false; columns];
    for run in fold(steps) {
        let step = &steps[run.first];
        if let (Some(process), Some(sleeps)) = (step.process, step.sleeps) {
            asleep[process] = sleeps;
        }
        let is_setup = steps[..run.first].iter().all(|step| step.process.is_none());
        let cell = |process: usize| match step.process {
            Some(actor) if actor == process && run.times > 1 => {
                format!("{} ({} times)", step.action, run.times)
            }
            Some(actor) if actor == process => step.action.clone(),
            None if process == 0 && is_setup => format!("(setup) {}", step.action),
            None if process == 0 => format!("(afterwards) {}", step.action),
            _ if asleep[process] => "z z z".to_owned(),
            _ => String::new(),
        };
        let number = (run.first + 1).to_string();
        let source = step.site.clone();
        table.add_row(
            [number]
                .into_iter()
                .chain((0..columns).map(cell))
                .chain([source]),
        );
    }
    table
}

/// A step, and how often it is done in a row.
struct Run {
    first: usize,
    times: usize,
}

/// Folds what one process does again and again.
fn fold(steps: &[Step]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if steps[run.first] == *step => run.times += 1,
            _ => runs.push(Run {
                first: index,
                times: 1,
            }),
        }
    }
    runs
}
