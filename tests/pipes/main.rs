//! The kernel's pipe between real processes: who gets what, who hears of whose end, and what signals change.
//!
//! Processes are this program run again as an *actor*, so it has a `main` of its own, with the filters
//! of a test harness.

mod actor;
mod agreement;
mod bytes;
mod calls;
#[path = "../regions/chance.rs"]
mod chance;
mod ends;
mod fifos;
mod flow;
#[path = "../worlds/harness.rs"]
mod harness;
mod item;
mod limits;
#[path = "../worlds/process.rs"]
#[allow(dead_code, reason = "the worlds use other parts of it")]
mod process;
#[path = "../worlds/property.rs"]
mod property;
mod shared;
mod signals;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(part) = process::part() {
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
