//! A stateless model checker for programs whose processes share memory.
//!
//! [`explore`] runs a small concurrent program once for every execution that the memory model
//! allows: every value that each load may return, every order of the writes to each word, and
//! every result of each choice. It finds failed assertions, data races and deadlocks.
//!
//! ```
//! use interlatch_engine::{AtomicBool, Limits, RaceCell, explore};
//! use std::rc::Rc;
//! use std::sync::atomic::Ordering::{Acquire, Release};
//!
//! let report = explore(Limits::default(), |model| {
//!     let message = Rc::new((AtomicBool::new(false), RaceCell::new(0)));
//!     let receiver = message.clone();
//!     model.process(move || {
//!         message.1.with_mut(|data| *data = 42);
//!         message.0.store(true, Release);
//!     });
//!     model.process(move || {
//!         if receiver.0.load(Acquire) {
//!             receiver.1.with(|data| assert_eq!(*data, 42));
//!         }
//!     });
//! });
//! assert_eq!(report.assert_exhaustive().executions, 2);
//! ```
//!
//! With `Relaxed` in place of `Release`, the exploration fails: the two accesses to the data race.
//!
//! # Memory model
//! The memory model is RC11, which corrects C++11 where it was too weak or too strong (Lahav,
//! Vafeiadis, Kang, Hur, Dreyer: "Repairing Sequential Consistency in C/C++11", PLDI 2017), with
//! the release sequences of C++20, which Rust has. An execution is a graph of events with the
//! relations *reads-from* and *modification order*. RC11 forbids a load to read from a store that
//! depends on it, also where a compiler could cause that.
//!
//! # How it works
//! The explorer uses TruSt (Kokologiannakis, Marmanis, Gladstein, Vafeiadis: "Truly Stateless,
//! Optimal Dynamic Partial Order Reduction", POPL 2022). It adds one event after the other to a
//! graph. If an event can be added in several ways, it pushes the other graphs on a stack. A new
//! write is also offered to the reads that are in the graph already. Each consistent graph is
//! explored once, and the memory does not grow with the number of graphs.
//!
//! A depth-first search finds a bug of a large model late, because it varies the end of the first
//! execution for a long time. So after the first [`GRAPHS_BEFORE_SAMPLES`] graphs, the explorer
//! runs [`Limits::samples`] *random executions*. Each makes one graph: it draws the process that
//! runs, the source of each load, the position of each store, and the result of each choice. A
//! random execution is one that the exploration would reach too, so if it fails, the model fails.
//! If none fails, the verdict depends on the exploration alone. [`sample_with`] runs only random
//! executions.
//!
//! The processes are coroutines of one thread. To continue a graph from the stack, the explorer
//! starts the model again, and answers the operations from the graph. So a model must be
//! deterministic: its operations may depend only on the values that it reads.
//!
//! # Limits
//! A model has at most [`MAX_PROCESSES`] processes. A loop around a load has infinitely many
//! executions; use [`Atomic::load_until`] or [`wait_until_any`]. If the exploration reaches a limit
//! of [`Limits`], the verdict says so.

mod atomic;
mod awaited;
mod cell;
mod clock;
mod coroutine;
mod current;
mod event;
mod execution;
mod explore;
mod failure;
mod futex;
mod graph;
mod history;
mod operation;
mod parts;
mod race;
mod recheck;
mod replay_text;
mod report;
mod revisit;
mod run;
mod sample;
mod sampler;
mod sequential;
mod setup;
mod wait_queue;

pub use atomic::{
    Atomic, AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Integer, Primitive,
    fence, heavy_fence, light_fence,
};
pub use awaited::{AwaitedWord, wait_until_any};
pub use cell::RaceCell;
pub use clock::MAX_PROCESSES;
pub use explore::{
    Complete, Ended, GRAPHS_BEFORE_SAMPLES, explore, explore_with, replay, sample_with,
};
pub use failure::{Failure, FailureKind};
pub use futex::{WaitQueue, Wake, WatchedWord, Woken};
pub use history::{Action, History, Operation, Write};
pub use parts::{explore_on_threads, explore_shard};
pub use report::{Limit, Limits, MergeError, Report, Verdict};
pub use setup::Setup;

/// Whether the running process is unwound, because the execution has ended before the process has.
/// Operations then do nothing and return 0.
pub fn is_unwinding() -> bool {
    coroutine::is_unwinding()
}

/// Chooses a number from 0 to `count - 1`. The explorer tries each.
///
/// # Panics
/// Panics outside of the processes of a model, and if `count` is 0.
#[track_caller]
pub fn choose(count: u32) -> u32 {
    assert!(count > 0, "there is nothing to choose from");
    let operation = operation::Operation::Choose(count);
    current::perform(operation, core::panic::Location::caller()) as u32
}

/// A step of a process that no other process sees, but what happens after a death depends on it: a
/// process may die before and after it.
///
/// The operations on atomics and the accesses to cells are such steps by themselves.
#[track_caller]
pub fn local_step() {
    current::begin_step(core::panic::Location::caller());
    current::note_change();
}
