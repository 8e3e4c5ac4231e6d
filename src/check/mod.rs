//! The checking toolkit that models call.
//!
//! [`Model`] says what is checked and how far; [`explore`] runs it, under loom through every
//! execution, without loom as a short stress test with threads; [`Verdict`] says what that is
//! worth, and never more. With the feature `runner`, `runner::Runner` makes a program of models.

mod failure;
mod model;
#[cfg(feature = "runner")]
pub mod runner;
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
pub use verdict::Verdict;

/// Whether this build explores every execution (`--cfg loom`), or only stresses threads.
pub const IS_EXHAUSTIVE: bool = cfg!(loom);
