//! Tests of the command line tool, by its text and by its JSON, and of region views.
//!
//! The binary runs itself again as an *actor*, so it has a `main` of its own and the
//! single-threaded harness. Tests consider only their own regions.

mod actor;
mod channels;
mod command;
mod hostile;
mod inspecting;
mod names;
mod odd_files;
mod removing;
mod view;
mod waiting;
mod watching;

use interlatch_testing::{harness, scratch};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(actor::VARIABLE) {
        actor::run(&name);
        return ExitCode::SUCCESS;
    }
    let mut tests = inspecting::tests();
    tests.extend(channels::tests());
    tests.extend(waiting::tests());
    tests.extend(names::tests());
    tests.extend(view::tests());
    tests.extend(removing::tests());
    tests.extend(watching::tests());
    tests.extend(odd_files::tests());
    tests.extend(hostile::tests());
    harness::run(tests)
}
