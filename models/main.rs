//! The models: every scenario of `crates/contract`, and known bugs that the checker must find.
//!
//! Each scenario runs for each type that promises it. A model explores every execution. If the
//! executions are too many, the model explores every execution up to a preemption bound. The report
//! says which of the two a model did. [`collector`] makes the models from the scenario lists of the
//! contract, so no scenario is forgotten. Some types cannot run a list in full, and their files say
//! why: a rendezvous has no slots, a pipe holds few permits, and the model of a pipe does not
//! support killed processes. Items can also pass through a pipe in parts. With such items, only
//! those buffer scenarios run in which reads and writes differ from those of whole items.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test models` explores the models. Without the
//! cfg, the same models run as a short stress test with threads. `-- --help` lists the options.

mod addressed;
mod broken;
mod buffer;
mod byte_pipe;
#[cfg(loom)]
mod calls;
mod collector;
mod condvar;
mod directory;
#[cfg(loom)]
mod forks;
#[cfg(loom)]
mod litmus;
#[cfg(not(loom))]
#[path = "litmus/none.rs"]
mod litmus;
mod loan;
mod message_queue;
mod museum;
mod mutex;
#[cfg(loom)]
mod over_contracts;
mod process_local;
mod raw_robust_mutex;
#[cfg(loom)]
mod refinement;
mod refused;
mod rendezvous;
mod ring;
mod robust_buffer;
mod robust_condvar;
mod robust_mutex;
mod robust_semaphore;
mod robust_semaphore_pair;
mod segment_list;
mod semaphore;
mod semaphore_pair;

use interlatch_check::{Model, runner::Runner};
use std::process::ExitCode;

const COMMAND: &str = r#"RUSTFLAGS="--cfg loom" cargo test --release --test models --"#;

fn main() -> ExitCode {
    litmus::abort_if_asked();
    #[cfg(loom)]
    let tests = [litmus::all(), refinement::all()];
    #[cfg(not(loom))]
    let tests = [litmus::all()];
    let tests = tests.into_iter().flatten().collect();
    let runner = Runner::new(models()).litmus(tests);
    runner.command(COMMAND).run()
}

fn models() -> Vec<Model> {
    [
        mutex::models(),
        of_robust_primitives(),
        ring::models(),
        condvar::models(),
        semaphore::models(),
        semaphore_pair::models(),
        buffer::models(),
        process_local::models(),
        broken::models(),
        museum::models(),
        #[cfg(loom)]
        over_contracts::models(),
        #[cfg(loom)]
        calls::models(),
        #[cfg(loom)]
        forks::models(),
    ]
    .concat()
}

/// Returns the models of the primitives that use a robust lock. `over_contracts` explores them a
/// second time.
fn of_robust_primitives() -> Vec<Model> {
    [
        raw_robust_mutex::models(),
        robust_mutex::models(),
        robust_condvar::models(),
        robust_semaphore::models(),
        robust_semaphore_pair::models(),
        robust_buffer::models(),
        refused::models(),
        rendezvous::models(),
        loan::models(),
        segment_list::models(),
        addressed::models(),
        byte_pipe::models(),
        message_queue::models(),
        directory::models(),
    ]
    .concat()
}
