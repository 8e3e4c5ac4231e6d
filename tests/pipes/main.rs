//! Kernel pipes and shared memory pipes between real processes: order, disconnection and signals.
//!
//! The test program starts itself again as child processes, the *actors*, so it has its own `main`.
//! It accepts filters like a test harness.

mod actor;
mod agreement;
mod bytes;
mod calls;
mod ends;
mod fifos;
mod flow;
mod item;
mod limits;
mod shared;
mod signals;

use interlatch_testing::{harness, process, property, random};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(role) = process::role() {
        actor::main(&role);
        return ExitCode::SUCCESS;
    }
    let mut tests = flow::tests();
    tests.extend(ends::tests());
    tests.extend(signals::tests());
    tests.extend(calls::tests());
    tests.extend(fifos::tests());
    tests.extend(limits::tests());
    tests.extend(agreement::tests());
    tests.extend(bytes::tests());
    harness::run_in_processes(tests)
}
