//! Records and replays one execution of a model.

use super::explore::{loom_builder, set_planned_deaths};
use crate::{Death, Model};
use interlatch::platform::model::world;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Repeats the exploration up to the failing execution. Then saves the state from which [`replay`]
/// runs this execution again.
pub(crate) fn record(
    model: &Model,
    preemptions: Option<usize>,
    deaths: &[Death],
    execution: u64,
    file: &Path,
) {
    set_planned_deaths(deaths);
    let mut builder = loom_builder(preemptions);
    builder.checkpoint_file = Some(file.to_owned());
    builder.checkpoint_interval = execution as usize;
    let model = model.clone();
    world::begin_exploration();
    builder.check(move || model.execute());
}

/// Runs the execution that [`record`] has saved.
///
/// # Panics
/// Panics if the execution fails, which is the expected result. Also panics if the file belongs to
/// another model or to an older version of the source.
pub(crate) fn replay(model: &Model, deaths: &[Death], file: &Path) {
    set_planned_deaths(deaths);
    let mut builder = loom_builder(None);
    builder.checkpoint_file = Some(file.to_owned());
    builder.checkpoint_interval = usize::MAX;
    run_first(model, builder);
}

/// Runs only the first execution of an exploration.
pub(super) fn run_first(model: &Model, builder: loom::model::Builder) {
    /// The panic payload that ends the exploration at the start of the second execution. The
    /// payload bypasses the panic hook.
    struct FirstExecutionEnded;
    let model = model.clone();
    world::begin_exploration();
    let first = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            if world::executions() > 0 {
                resume_unwind(Box::new(FirstExecutionEnded));
            }
            model.execute();
        });
    }));
    match first {
        Err(payload) if !payload.is::<FirstExecutionEnded>() => resume_unwind(payload),
        _ => {}
    }
}
