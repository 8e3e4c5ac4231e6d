//! The engine that runs models: loom under `--cfg loom`, and otherwise real threads. Only this file
//! chooses between the two engines.

mod setup;
pub(crate) use setup::{Setup, Site};

#[cfg(not(loom))]
mod stress;
#[cfg(not(loom))]
pub use stress::{IS_EXHAUSTIVE, explore, run_once};
#[cfg(not(loom))]
pub(crate) use stress::{describe_failure, prepare, record, replay, run, sites};

#[cfg(loom)]
mod describe;
#[cfg(loom)]
mod explore;
#[cfg(loom)]
mod graphs;
#[cfg(loom)]
mod leaks;
#[cfg(loom)]
mod prepare;
#[cfg(loom)]
mod relations;
#[cfg(loom)]
mod replay;
#[cfg(loom)]
pub use explore::{IS_EXHAUSTIVE, explore, run_once};
#[cfg(loom)]
pub use graphs::outcomes;
#[cfg(loom)]
pub(crate) use {
    describe::describe_failure,
    explore::run,
    prepare::{prepare, sites},
    replay::{record, replay},
};
