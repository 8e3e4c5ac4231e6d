//! The command line tool as people and programs use it, and what it rests on: regions that are only
//! looked at.
//!
//! Processes are this program run again as an *actor*, so it has a `main` of its own, with the filters
//! of a test harness. No test speaks of regions but its own.

mod actor;
mod command;
mod hostile;
mod looking;
mod names;
mod odd_files;
mod queues;
mod removing;
mod view;
mod waiting;
mod watching;

use interlatch_testing::{harness, scratch};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(actor::VARIABLE) {
        actor::play(&name);
        return ExitCode::SUCCESS;
    }
    let mut tests = looking::tests();
    tests.extend(queues::tests());
    tests.extend(waiting::tests());
    tests.extend(names::tests());
    tests.extend(view::tests());
    tests.extend(removing::tests());
    tests.extend(watching::tests());
    tests.extend(odd_files::tests());
    tests.extend(hostile::tests());
    harness::run(tests)
}
