//! The benchmark harness: it runs several subjects alternately and compares them in tables.
//!
//! A [`Comparison`] has several [`Subject`]s that do the same work. Each subject has a group of
//! workers. The workers are processes, or threads of one process. They start once and sleep while
//! other subjects run.
//!
//! In each round, every subject works for a short time. The harness also measures how long a cache
//! line takes between two cores. If the machine's speed or this time changes between rounds, the
//! change affects all subjects of a round equally. So the harness computes the ratio of the
//! results of two subjects within each round. It then judges the median and the spread of these
//! ratios.
//!
//! # Adding a subject
//! Create the object with [`shared`] or [`create_in_region`], then pass a function for each worker
//! to [`Subject::new`].

mod cache_line;
pub mod channel;
mod cleanup;
mod comparison;
mod goal;
pub mod lock;
mod memory;
mod page;
mod pthread;
mod results;
pub mod round_trips;
mod statistics;
mod table;
mod work;
mod workers;

pub use cache_line::CacheLine;
pub use cleanup::CleanupProcess;
pub use comparison::{Comparison, Length, Measure, Session};
pub use goal::{Goal, at_least, at_most};
pub use memory::{create_in_region, leak, shared};
pub use pthread::{PosixSemaphore, PthreadCondvar, PthreadMutex, SysVHandle, SysVSemaphores};
pub use statistics::with_criterion;
pub use work::{Section, cores, time_trips};
pub use workers::{Padded, Round, Subject, Tally, Worker, WorkerKind};
