//! What survives the death of a real process: locks, wake-ups, and what they protect.
//!
//! Processes are this program run again as an *actor*, so it has a `main` of its own, with the filters
//! of a test harness.

mod actor;
mod flow;
mod growth;
mod lock;
mod mailbox;
mod mixed;
mod names;
mod peers;
mod pthread;
mod rendezvous;
mod ring;
mod soak;
mod sweep;
mod sweep_long;
mod sweep_messages;
mod sweep_passing;
mod sweep_ring;
mod tally;
mod wakeups;

use interlatch_testing::{harness, process};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(part) = process::role() {
        return actor::main(&part);
    }
    let mut tests = lock::tests();
    tests.extend(mixed::tests());
    tests.extend(wakeups::tests());
    tests.extend(peers::tests());
    tests.extend(sweep::tests());
    tests.extend(soak::tests());
    tests.extend(flow::tests());
    tests.extend(mailbox::tests());
    tests.extend(rendezvous::tests());
    tests.extend(growth::tests());
    tests.extend(names::tests());
    tests.extend(ring::tests());
    harness::run(tests)
}
