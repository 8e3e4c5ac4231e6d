//! Model checking of synchronization primitives that are written on `interlatch::platform`.

mod engine;
mod failure;
mod model;
pub mod runner;
mod scenario;
mod verdict;

pub use engine::{IS_EXHAUSTIVE, explore, run_once};
pub use failure::{Death, Failure, FailureKind, ParseDeathError, ReadsFrom, Step};
pub use model::{Bound, Expectation, Exploration, Limits, Model};
pub use scenario::{Participant, RaceCell, Scenario, Stage};
pub use verdict::Verdict;
