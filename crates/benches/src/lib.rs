//! What the benchmarks share: subjects that take turns, and a table of how they compare.
//!
//! A [`Comparison`] is of several [`Subject`]s that do the same work. Each has a crew of workers, processes or
//! the threads of one, which are there from the beginning and sleep while it is not their turn. In each
//! round each subject works for some milliseconds, and a cache line is sent to and fro between two cores:
//! a machine that changes its speed, or the way between its cores, changes it for all of a round. So what
//! is judged is the ratio of two subjects in one round, its median and its spread.
//!
//! To add a subject: make its object (`shared` or `ours`), and hand [`Subject::new`] a function for each worker.

mod afterwards;
pub mod channel;
mod comparison;
mod crew;
mod goal;
mod line;
pub mod lock;
mod page;
mod place;
mod pthread;
mod results;
mod statistics;
mod table;
pub mod turns;
mod work;

pub use afterwards::Afterwards;
pub use comparison::{Comparison, Length, Measure, Session};
pub use crew::{Home, Padded, Round, Subject, Tally, Worker};
pub use goal::{Goal, at_least, at_most};
pub use line::Line;
pub use place::{leak, ours, shared};
pub use pthread::{PosixSemaphore, PthreadCondvar, PthreadMutex, SysVHandle, SysVSemaphores};
pub use statistics::with_criterion;
pub use work::{Section, cores, trips};
