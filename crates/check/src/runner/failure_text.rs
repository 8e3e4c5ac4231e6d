//! Prints a failure as text: the message, the execution as a table with one column per process, the
//! final state of each process, and the command that replays the execution.

use super::outcome::Outcome;
use super::output::print_line;
use crate::Step;
use comfy_table::Table;

/// Prints a model's name and verdict. If the model failed, also prints the failure.
pub fn print(outcome: &Outcome) {
    print_line(format_args!("\n{}: {}", outcome.name, outcome.verdict()));
    let Some(report) = &outcome.failure else {
        return;
    };
    let failure = &report.failure;
    print_line(format_args!("  {}", failure.message));
    if failure.steps.is_empty() {
        return;
    }
    print_line(format_args!("\n{}:", report.found()));
    print_line(format_args!("{}", table(&failure.steps).trim_fmt()));
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
    words.for_each(|(_, word)| print_line(format_args!("  word or cell {word}")));
    print_line(format_args!("\nFinal state:"));
    let states = failure.process_states.iter();
    states.for_each(|line| print_line(format_args!("  {line}")));
    if let Some(command) = &outcome.replay {
        print_line(format_args!("\nTo replay this execution:\n  {command}"));
    }
    if let Some(page) = &outcome.page {
        print_line(format_args!("Interactive page: {}", page.display()));
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
    for group in fold(steps) {
        let step = &steps[group.first];
        if let (Some(process), Some(sleeps)) = (step.process, step.sleeps) {
            asleep[process] = sleeps;
        }
        let is_setup = steps[..group.first]
            .iter()
            .all(|step| step.process.is_none());
        let cell = |process: usize| match step.process {
            Some(actor) if actor == process && group.times > 1 => {
                format!("{} ({} times)", step.action, group.times)
            }
            Some(actor) if actor == process => step.action.clone(),
            None if process == 0 && is_setup => format!("(setup) {}", step.action),
            None if process == 0 => format!("(verification) {}", step.action),
            _ if asleep[process] => "(asleep)".to_owned(),
            _ => String::new(),
        };
        let number = (group.first + 1).to_string();
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

/// A step, with the number of times that it is repeated consecutively.
struct Repeated {
    first: usize,
    times: usize,
}

/// Groups consecutive repetitions of the same step.
fn fold(steps: &[Step]) -> Vec<Repeated> {
    let mut groups: Vec<Repeated> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if steps[group.first] == *step => group.times += 1,
            _ => groups.push(Repeated {
                first: index,
                times: 1,
            }),
        }
    }
    groups
}
