//! Explores one model in a child process, because a failing model may abort its process.

use super::cli::{Engine, Options};
use super::report::{FailureReport, Report, send};
use crate::engine::{self, Setup};
use crate::{Bound, FailureKind, Limits, Model, Verdict};
use std::any::Any;
use std::cell::Cell;
use std::panic::{Location, PanicHookInfo};
use std::process::{ExitCode, exit};
use std::time::{Duration, Instant};

thread_local! {
    static PREEMPTIONS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Explores a model and reports each exploration. At the first failure, the process ends.
pub fn main(models: &[Model], name: &str, options: &Options) -> ExitCode {
    let Some(model) = models.iter().find(|model| model.name == name) else {
        eprintln!("no model has the name {name:?}");
        return ExitCode::FAILURE;
    };
    let setup = Setup {
        weaken_site: options.weaken_site.as_deref(),
        collect_sites: options.sites,
        stock: options.stock,
        ours: options.engine_of(model) == Engine::Ours,
    };
    if let Err(error) = engine::prepare(&setup) {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    std::panic::set_hook(Box::new(report_failure));
    match (&options.record, &options.replay) {
        (Some(file), _) => {
            let (bound, deaths) = (options.bound, &options.deaths);
            engine::record(model, bound, deaths, options.execution, file);
        }
        (_, Some(file)) => engine::replay(model, &options.deaths, file),
        _ => explore(model, options),
    }
    if options.sites {
        send(&Report::Sites(engine::sites()));
    }
    ExitCode::SUCCESS
}

fn report_failure(panic: &PanicHookInfo<'_>) {
    let message = panic_message(panic.payload());
    // All other kinds of failures are panics in the engine or in this crate. The location of such a
    // panic says nothing about the model.
    let is_of_model = FailureKind::from_message(message) == FailureKind::WrongResult;
    let message = match panic.location() {
        Some(location) if is_of_model && is_in_engine(location) => {
            format!("{}: {message} ({location})", FailureKind::Engine)
        }
        Some(location) if is_of_model => format!("{message} ({location})"),
        _ => message.to_owned(),
    };
    send(&Report::Failure(FailureReport {
        failure: engine::describe_failure(&message),
        preemptions: PREEMPTIONS.get(),
    }));
    // The process exits here, because unwinding would run destructors in the middle of an
    // execution.
    exit(1);
}

/// Returns whether a panic comes from loom's own code.
///
/// One assertion in loom is known to fail: when loom searches for the stores that a load may read,
/// it assumes that no two stores have the same age.
fn is_in_engine(location: &Location<'_>) -> bool {
    let file = location.file();
    file.contains("loom-") && file.contains("/src/rt/")
}

/// Returns the message of a panic.
pub(super) fn panic_message(payload: &dyn Any) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

/// Explores a model with increasing preemption bounds. The first failure therefore has the fewest
/// possible preemptions.
fn explore(model: &Model, options: &Options) {
    if !crate::IS_EXHAUSTIVE {
        let time = Duration::from_millis(options.stress_milliseconds);
        explore_bound(model, None, time);
        return;
    }
    let begin = Instant::now();
    let left = |seconds| Duration::from_secs(seconds).saturating_sub(begin.elapsed());
    if options.engine_of(model) == Engine::Ours {
        explore_bound(model, None, left(options.seconds));
        return;
    }
    let (needed, max) = match options.bound_of(model) {
        Bound::None => (FIRST_BOUNDS, FIRST_BOUNDS),
        Bound::UpTo(at_most) => (at_most, at_most),
        Bound::Sweep { at_least } => (at_least, usize::from(u8::MAX)),
    };
    for preemptions in 0..=max {
        let bound_begin = Instant::now();
        let is_needed = preemptions <= needed;
        let seconds = if is_needed {
            options.seconds
        } else {
            options.sweep_seconds
        };
        let verdict = explore_bound(model, Some(preemptions), left(seconds));
        // The exploration stops before a bound that cannot finish in the remaining time.
        let next = bound_begin.elapsed() * BOUND_GROWTH;
        let affordable = preemptions < needed || next <= left(options.sweep_seconds);
        if verdict == Verdict::Truncated || !affordable {
            break;
        }
    }
    if options.bound_of(model) == Bound::None {
        explore_bound(model, None, left(options.seconds));
    }
}

/// The highest preemption bound to explore before exploring all executions.
const FIRST_BOUNDS: usize = 2;

/// The estimated ratio between the exploration times of two consecutive preemption bounds.
const BOUND_GROWTH: u32 = 6;

fn explore_bound(model: &Model, preemptions: Option<usize>, time: Duration) -> Verdict {
    PREEMPTIONS.set(preemptions);
    let explored = crate::explore(model, Limits { preemptions, time });
    let verdict = explored.verdict.clone();
    send(&Report::Explored(explored));
    verdict
}
