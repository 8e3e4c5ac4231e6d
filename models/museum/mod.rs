//! The museum: bugs that were published, small and faithful, and each one mended beside it.
//!
//! A bug is caught in the form that is named, and its mended form holds in every execution. What
//! differs between the two is a constant of the type, so that nothing else can.

mod classics;
mod condvars;
mod deaths;
mod glibc;
mod locks;
mod once;
mod queues;
mod semaphores;
mod sleepers;

use interlatch::ShmSafe;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::AcqRel;
use interlatch_check::Scenario;
use interlatch_check::{Expectation, FailureKind, Model};

pub fn models() -> Vec<Model> {
    [
        classics::models(),
        condvars::models(),
        deaths::models(),
        glibc::models(),
        locks::models(),
        once::models(),
        queues::models(),
        semaphores::models(),
        sleepers::models(),
    ]
    .concat()
}

/// A bug, and the same without it.
fn exhibit<B: ShmSafe + 'static, M: ShmSafe + 'static>(
    name: &str,
    kind: FailureKind,
    broken: fn() -> Scenario<B>,
    mended: fn() -> Scenario<M>,
) -> Vec<Model> {
    vec![
        Model::broken(name, kind, broken).named(format!("museum/{name}")),
        Model::new("museum", mended).named(format!("museum/{name}, mended")),
    ]
}

/// The mended form is too large to be explored whole.
fn swept(exhibit: Vec<Model>) -> Vec<Model> {
    let sweep = |model: Model| match model.expectation {
        Expectation::Holds => model.bounded(3),
        Expectation::Fails(_) => model,
    };
    exhibit.into_iter().map(sweep).collect()
}

/// The newest value of a word, read in a step that loom sees. Where the bug is a plain load, the
/// exhibit has a plain load.
#[track_caller]
fn look(word: &AtomicU32) -> u32 {
    word.fetch_add(0, AcqRel)
}
