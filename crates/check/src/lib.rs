//! Model checking of synchronization primitives that are built on `interlatch::platform`.
//!
//! To check a primitive, build it on [`AtomicU32`](interlatch::platform::AtomicU32) and
//! [`futex`](interlatch::platform::futex), and describe its promises as [`Scenario`]s. A
//! [`Runner`](runner::Runner) then explores the scenarios as [`Model`]s. The runner explores every
//! interleaving, every value that a load may return under the memory model, every choice of a
//! waiter to wake, every timeout, and the death of a process at every step. The report of a failure
//! shows the failing execution step by step. The report also has a command that replays this
//! execution.
//!
//! The same source code runs on the real machine. There the platform module is a thin layer over
//! core's atomics and the kernel's futex. Under `--cfg loom`, a model replaces the platform module.
//!
//! `docs/writing-a-model.md` in the repository is a step-by-step guide.
//!
//! # Example
//! The example contains a lock of one word, a scenario, and a program that checks the lock. The
//! example is a complete `tests/models.rs`:
//!
//! ```no_run
//! use interlatch::ShmSafe;
//! use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
//! use interlatch::platform::{AtomicU32, futex};
//! use interlatch_check::runner::Runner;
//! use interlatch_check::{FailureKind, Model, RaceCell, Scenario};
//! use std::process::ExitCode;
//!
//! const FREE: u32 = 0;
//! const LOCKED: u32 = 1;
//! /// Locked, and a waiter may sleep.
//! const CONTENDED: u32 = 2;
//!
//! /// The third mutex of Drepper, "Futexes Are Tricky". `WAKES` is `false` for a known bug.
//! #[repr(C)]
//! #[derive(ShmSafe)]
//! struct SmallLock<const WAKES: bool>(AtomicU32);
//!
//! impl<const WAKES: bool> SmallLock<WAKES> {
//!     fn lock(&self) {
//!         // Acquire pairs with the Release in `unlock`.
//!         if self.0.compare_exchange(FREE, LOCKED, Acquire, Relaxed).is_ok() {
//!             return;
//!         }
//!         while self.0.swap(CONTENDED, Acquire) != FREE {
//!             futex::wait(&self.0, CONTENDED, None);
//!         }
//!     }
//!
//!     fn unlock(&self) {
//!         // Release pairs with the Acquire in `lock`.
//!         if self.0.swap(FREE, Release) == CONTENDED && WAKES {
//!             futex::wake(&self.0, 1);
//!         }
//!     }
//! }
//!
//! /// The state of the scenario: the lock and a number that it protects.
//! #[repr(C)]
//! #[derive(ShmSafe)]
//! struct Protected<const WAKES: bool> {
//!     lock: SmallLock<WAKES>,
//!     number: RaceCell,
//! }
//!
//! fn excludes<const WAKES: bool>(processes: usize) -> Scenario<Protected<WAKES>> {
//!     let increment = |shared: &Protected<WAKES>| {
//!         shared.lock.lock();
//!         shared.number.increment();
//!         shared.lock.unlock();
//!     };
//!     // A wake of one among two waiters is a choice.
//!     Scenario::new("excludes", vec![increment; processes]).choices(4)
//! }
//!
//! fn main() -> ExitCode {
//!     let models = vec![
//!         Model::new("small_lock", || excludes::<true>(2)),
//!         Model::new("small_lock", || excludes::<true>(3)).bounded(3),
//!         Model::broken("small_lock_without_wake", FailureKind::Deadlock, || {
//!             excludes::<false>(2)
//!         }),
//!     ];
//!     Runner::new(models).run()
//! }
//! ```
//!
//! `Cargo.toml` needs the test target `models` (see [`runner`]). Then this command prints a table:
//! `RUSTFLAGS="--cfg loom" cargo test --release --test models`
//!
//! ```text
//! | model                          | processes | verdict          | ...
//! | small_lock/excludes/2          | 2         | exhaustive       |
//! | small_lock/excludes/3          | 3         | bounded(5)       |
//! | broken/small_lock_without_wake | 2         | caught: deadlock |
//! ```
//!
//! # Parts
//! | type | meaning |
//! | --- | --- |
//! | [`Scenario`] | a shared state, up to four participants, a verification of the final state |
//! | [`Participant`] | the code of one process: a plain function of the shared state |
//! | [`RaceCell`] | an unsynchronized number; a data race on it is a failure |
//! | [`Model`] | a scenario, a bound of the exploration, the expected result |
//! | [`Runner`](runner::Runner) | a command line program that explores models |
//! | [`Stage`] | an environment that runs scenarios in tests of your own, such as processes |
//!
//! # Verdicts
//! | verdict | success | meaning |
//! | --- | --- | --- |
//! | `exhaustive` | yes | every execution was explored |
//! | `exhaustive over the contract of ...` | yes | every execution was explored; parts of the model did what their contract says, in place of their code ([`Model::over`]) |
//! | `bounded(p)` | from the required bound on | every execution with at most *p* preemptions |
//! | `truncated` | no | the time limit ended the exploration |
//! | `blind: ...` | no | loom is known to miss executions; the text names two source lines |
//! | `stressed` | yes, but weak | threads ran the model for a short time, without loom |
//! | `caught: ...` | yes | a model of a known bug failed as expected |
//! | `FAILED: ...` | no | the model failed, or a model of a known bug did not fail as expected |
//!
//! A verdict applies to one model: one scenario with one number of processes. If an imprecision of
//! the engine affects a model, a remark below the table names the imprecision.
//!
//! # What a model explores
//! - Every interleaving of the operations on atomics, cells and futexes.
//! - Every value that a load may return under the C++20 memory model, with the limits below.
//! - Every waiter that a wake may choose ([`Scenario::choices`]), and a timeout of every timed wait
//!   at any step. A wake does not order memory accesses, because the kernel promises no ordering.
//! - Spurious wake-ups ([`Scenario::interruptions`]) and spurious failures of weak
//!   compare-exchanges ([`Scenario::spurious_failures`]), if the scenario allows them.
//! - The death of each [victim](Scenario::victims) before each of its steps. The kernel then walks
//!   the robust list of the victim. A [successor](Scenario::successor) may then run in its place.
//!
//! # Limits of loom
//! The engine is loom 0.7.2. A model that meets one of the following limits gets a `blind` verdict,
//! a remark or a failure. Litmus tests in the repository pin each of these limits.
//!
//! - A thread that loads a word and then writes it hides earlier loads of that word by other
//!   threads. The verdict is `blind`. Start with the write and use the value of a failed
//!   compare-exchange, or create the word with
//!   [`new_tracked`](interlatch::platform::new_tracked), which explores these loads at the price of
//!   more executions.
//! - SeqCst loads and stores act like acquire loads and release stores, and the model gets a
//!   remark. Use one word with read-modify-write operations, or fences.
//! - Acquire and SeqCst fences order more than they should, and the model gets a remark. Prefer
//!   algorithms without fences.
//! - An atomic remembers 7 stores. A model that loads an atomic after more stores gets a remark.
//! - A weak compare-exchange never fails spuriously, except as [`Scenario::spurious_failures`]
//!   permits. A failed compare-exchange reads only the latest value.
//! - At most five threads run. One of them is the model's kernel, so a scenario has at most four
//!   participants.
//! - loom returns normally at its time limit. The verdict is `truncated`.
//! - A failing model may abort its process, so the runner starts a process for each model.
//!
//! A model must be deterministic and must not leak memory. The checker runs the first execution
//! twice. If the two runs differ, the checker reports [`FailureKind::BadModel`].
//!
//! # Weakening a site
//! `-- --weaken` checks that the models need each line of the primitive. A *site* is a source line
//! with an atomic operation, a fence or a wake. For each site, the runner weakens the ordering by
//! one step, drops the wake, or limits the wake to one waiter. This needs no recompilation. The
//! runner then runs the models that pass the site until one of them fails. If no model fails,
//! either the ordering is stronger than necessary or a model is missing. `--sites-in PATH` selects
//! source files by the prefix of their path.
//!
//! # Replay
//! For each failure, the runner prints the execution as a table with one column per process, the
//! final state of each process, and a command with `--replay FILE`. The command runs exactly this
//! execution again, for example under a debugger. With `--explain`, the runner prints the same
//! information for known bugs. The runner also writes an HTML page for each failure; the page of
//! [`runner`] names the folder.

mod engine;
mod failure;
mod model;
#[cfg(loom)]
mod outcome;
pub mod runner;
mod scenario;
mod verdict;

#[cfg(loom)]
pub use engine::outcomes;
pub use engine::{IS_EXHAUSTIVE, explore, run_once};
pub use failure::{Death, Failure, FailureKind, ParseDeathError, ReadsFrom, Step};
pub use model::{Bound, Expectation, Exploration, Limits, Model};
#[cfg(loom)]
pub use outcome::Outcome;
pub use scenario::{Participant, RaceCell, Scenario, Stage};
pub use verdict::Verdict;
