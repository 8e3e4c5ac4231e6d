//! Tests that kill real processes: locks, wake-ups and the protected data survive.
//!
//! The test program starts itself again as child processes, the *actors*, so it has its own `main`.
//! It accepts filters like a test harness.

mod actor;
mod flow;
mod forks;
mod growth;
mod leaks;
mod libraries;
mod lock;
mod mailbox;
mod mixed;
mod names;
mod peers;
mod pthread;
mod rechecks;
mod rendezvous;
mod ring;
mod soak;
mod stopped;
mod sweep;
mod tally;
mod waits;
mod wakeups;

use interlatch_testing::{harness, process, random};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(role) = process::role() {
        return actor::main(&role);
    }
    let mut tests = lock::tests();
    tests.extend(leaks::tests());
    tests.extend(forks::tests());
    tests.extend(libraries::tests());
    tests.extend(mixed::tests());
    tests.extend(wakeups::tests());
    tests.extend(waits::tests());
    tests.extend(rechecks::tests());
    tests.extend(stopped::tests());
    tests.extend(peers::tests());
    tests.extend(sweep::tests());
    tests.extend(soak::tests());
    tests.extend(flow::tests());
    tests.extend(mailbox::tests());
    tests.extend(rendezvous::tests());
    tests.extend(growth::tests());
    tests.extend(names::tests());
    tests.extend(ring::tests());
    harness::run_in_processes(tests)
}
