//! The contracts on the real machine: as threads, and as processes that share one region.
//!
//! A process is this program run again as an *actor*, so it has its own `main`. It takes filters,
//! `--list` and `--exact` as a test harness does. `INTERLATCH_CASES` sets the number of cases of
//! each property, `INTERLATCH_SEED` repeats a run.

mod actor;
mod free;
mod history;
mod object;
mod pipes;
mod program;
mod stage;
mod stepped;

use interlatch_testing::{harness, process, property};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(role) = process::role() {
        return actor::main(&role);
    }
    let mut tests = stage::tests();
    tests.extend(pipes::tests());
    tests.extend(stepped::tests());
    tests.extend(free::tests());
    harness::run(tests)
}
