//! Tests of the text output and JSON output of the command line tool, and of region views.
//!
//! The test binary runs itself again as an *actor*. Therefore it has a `main` of its own and uses
//! the single-threaded harness. Tests consider only their own regions.

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

use interlatch_testing::{harness, random, scratch};
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
