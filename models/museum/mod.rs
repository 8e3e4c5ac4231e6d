//! The museum: published bugs as small, faithful models, each with its fix.
//!
//! The checker must find each bug, and the fixed form must hold in every execution. The two forms
//! differ only in a constant of their type.

mod classics;
mod condvars;
mod deaths;
mod glibc;
mod locks;
mod lost_wakeups;
mod once;
mod queues;
mod semaphores;

use interlatch::ShmSafe;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::AcqRel;
use interlatch_check::{Expectation, FailureKind, Model, Scenario};

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
        lost_wakeups::models(),
    ]
    .concat()
}

/// Returns the models of a bug and of its fixed form.
fn exhibit<B: ShmSafe + 'static, F: ShmSafe + 'static>(
    name: &str,
    kind: FailureKind,
    broken: fn() -> Scenario<B>,
    fixed: fn() -> Scenario<F>,
) -> Vec<Model> {
    vec![
        Model::broken(name, kind, broken).named(format!("museum/{name}")),
        Model::new("museum", fixed).named(format!("museum/{name}, fixed")),
    ]
}

/// Explores the fixed form only by preemption bounds, up to a bound of at least 3.
fn bounded(exhibit: Vec<Model>) -> Vec<Model> {
    bounded_by(3, exhibit)
}

/// Explores the fixed form only by preemption bounds, up to a bound of at least `preemptions`.
fn bounded_by(preemptions: usize, exhibit: Vec<Model>) -> Vec<Model> {
    let bound = |model: Model| match model.expectation {
        Expectation::Holds => model.bounded(preemptions),
        Expectation::Fails(_) => model,
    };
    exhibit.into_iter().map(bound).collect()
}

/// Loads the latest value of a word in a step that loom explores.
///
/// An exhibit whose bug is a plain load uses a plain load instead.
#[track_caller]
fn load_latest(word: &AtomicU32) -> u32 {
    word.fetch_add(0, AcqRel)
}
