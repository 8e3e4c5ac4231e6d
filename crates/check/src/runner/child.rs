//! One model in a process of its own: a failing model may bring its process down.

use super::cli::Options;
use super::report::{Failed, Report, send};
use crate::{Bound, Expectation, FailureKind, Limits, Model, Verdict};
use std::any::Any;
use std::cell::Cell;
use std::panic::{Location, PanicHookInfo};
use std::process::{ExitCode, exit};
use std::time::{Duration, Instant};

thread_local! {
    static PREEMPTIONS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Explores the model and reports each step; the first failure ends the process.
pub fn main(models: &[Model], name: &str, options: &Options) -> ExitCode {
    let Some(model) = models.iter().find(|model| model.name == name) else {
        eprintln!("no model is called {name:?}");
        return ExitCode::FAILURE;
    };
    super::weaken::prepare(options);
    #[cfg(loom)]
    match options.stock {
        true => interlatch::platform::model::stacks::disable_reuse(),
        false => interlatch::platform::model::unwinding::enable(),
    }
    std::panic::set_hook(Box::new(report_failure));
    match (&options.record, &options.replay) {
        (Some(file), _) => {
            let (bound, deaths) = (options.bound, &options.deaths);
            crate::record(model, bound, deaths, options.execution, file);
        }
        (_, Some(file)) => crate::replay(model, &options.deaths, file),
        _ => explore(model, options),
    }
    if options.sites {
        super::weaken::report_sites();
    }
    ExitCode::SUCCESS
}

fn report_failure(panic: &PanicHookInfo<'_>) {
    let message = text_of(panic.payload());
    // Of the others, the place is one of the engine's or ours, and says nothing of the model.
    let is_the_models = FailureKind::of_message(message) == FailureKind::WrongResult;
    let message = match panic.location() {
        Some(place) if is_the_models && is_of_the_engine(place) => {
            format!("{}: {message} ({place})", FailureKind::Engine)
        }
        Some(place) if is_the_models => format!("{message} ({place})"),
        _ => message.to_owned(),
    };
    send(&Report::Failed(Failed {
        failure: crate::describe_failure(&message),
        preemptions: PREEMPTIONS.get(),
    }));
    // Unwinding would run destructors in the middle of an execution.
    exit(1);
}

/// Whether an assertion there is one of loom's about itself. One that it knows to fail is in the
/// search for the stores that a load may read: two of them may come to have the same age.
fn is_of_the_engine(place: &Location<'_>) -> bool {
    let file = place.file();
    file.contains("loom-") && file.contains("/src/rt/")
}

/// What a panic says.
pub(super) fn text_of(thrown: &dyn Any) -> &str {
    let owned = thrown.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| thrown.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

/// Few preemptions first: a failure is then found in its shortest form.
fn explore(model: &Model, options: &Options) {
    if !crate::IS_EXHAUSTIVE {
        step(model, None, Duration::from_millis(100));
        return;
    }
    let begin = Instant::now();
    let left = |seconds| Duration::from_secs(seconds).saturating_sub(begin.elapsed());
    let is_capped = options.preemptions.is_some() && model.expectation == Expectation::Holds;
    let (needed, most) = match options.bound_of(model) {
        Bound::None => (FIRST_BOUNDS, FIRST_BOUNDS),
        Bound::Sweep { at_least } if is_capped => (at_least, at_least),
        Bound::Sweep { at_least } => (at_least, usize::from(u8::MAX)),
    };
    for preemptions in 0..=most {
        let step_begin = Instant::now();
        let is_needed = preemptions <= needed;
        let seconds = if is_needed {
            options.seconds
        } else {
            options.sweep_seconds
        };
        let verdict = step(model, Some(preemptions), left(seconds));
        // The next bound takes longer by a factor; it is not begun if it cannot be finished.
        let next = step_begin.elapsed() * GROWTH;
        let affordable = preemptions < needed || next <= left(options.sweep_seconds);
        if verdict == Verdict::Truncated || !affordable {
            break;
        }
    }
    if options.bound_of(model) == Bound::None {
        step(model, None, left(options.seconds));
    }
}

/// Before everything, these bounds.
const FIRST_BOUNDS: usize = 2;

/// About how much longer the next bound takes.
const GROWTH: u32 = 6;

fn step(model: &Model, preemptions: Option<usize>, time: Duration) -> Verdict {
    PREEMPTIONS.set(preemptions);
    let explored = crate::explore(model, Limits { preemptions, time });
    let verdict = explored.verdict.clone();
    send(&Report::Explored(explored));
    verdict
}
