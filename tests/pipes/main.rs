//! The kernel's pipe between real processes: who gets what, who hears of whose end, and what signals change.
//!
//! Processes are this program run again as an *actor*, so it has a `main` of its own, with the filters
//! of a test harness.

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
    if let Some(part) = process::role() {
        actor::main(&part);
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
    harness::run(tests)
}
