//! Model checking of synchronization primitives that are written on `interlatch::platform`.
//!
//! A [`Scenario`] is a shared state and participants that run at the same time. [`Model`] says what
//! is checked and how far; [`explore`] runs it: under `--cfg loom` through every execution, without
//! it as a short stress test with threads. The [`Verdict`] never claims more than was explored.
//! [`runner::Runner`] turns a list of models into a command line program.

mod failure;
mod model;
pub mod runner;
mod scenario;
#[cfg(not(loom))]
mod stress;
mod verdict;

#[cfg(loom)]
mod exhaustive;
#[cfg(loom)]
mod memory;
#[cfg(loom)]
mod relations;
#[cfg(loom)]
pub use exhaustive::{describe_failure, explore, record, replay, run_once};
#[cfg(not(loom))]
pub use stress::{describe_failure, explore, record, replay, run_once};

pub use failure::{Death, Failure, FailureKind, Source, Step};
pub use model::{Bound, Expectation, Exploration, Limits, Model};
pub use scenario::{Participant, RaceCell, Scenario, Stage};
pub use verdict::Verdict;

/// Whether this build explores every execution (`--cfg loom`), or only stresses threads.
pub const IS_EXHAUSTIVE: bool = cfg!(loom);
