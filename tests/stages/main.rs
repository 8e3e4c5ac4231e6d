//! The contracts on the real machine: with threads, and with processes that share one region.
//!
//! The test program starts itself again as child processes, the *actors*, so it has its own `main`.
//! It accepts filters, `--list` and `--exact` like a test harness. `INTERLATCH_CASES` sets the
//! number of cases of each property. `INTERLATCH_ROUNDS` sets the number of rounds of a scenario.
//! `INTERLATCH_SEED` sets the seed, to repeat a run.

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
use std::time::Duration;

fn main() -> ExitCode {
    // No process dies in these tests. Without rechecks, a lost wake-up hangs until the deadline of
    // the test, and the test fails. With rechecks, the wake-up would only be late.
    interlatch::sync::set_recheck_interval(Duration::MAX);
    if let Some(role) = process::role() {
        return actor::main(&role);
    }
    let mut tests = stage::tests();
    tests.extend(pipes::tests());
    tests.extend(stepped::tests());
    tests.extend(free::tests());
    harness::run_in_processes(tests)
}
