//! Tests of pipelines, signals and sockets with real processes.
//!
//! Tests run one after the other in the main thread. Each test must end with as many open
//! descriptors and children as it started with. The processes are standard tools, or this binary
//! run again in a *role*.

mod blocked;
mod descriptors;
mod forked;
mod interrupted;
mod links;
mod passing;
mod pipeline;
mod process;
mod refused;
mod signals;
mod sockets;
mod terminal;
mod wait;

use interlatch_testing::{harness, process as actor};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some((role, rest)) = process::role() {
        return match role.as_str() {
            "descriptors" => descriptors::run_role(),
            "forked" => forked::run_role(&rest),
            "parent" => pipeline::run_parent(),
            "killed parent" => pipeline::run_killed_parent(),
            "mask" => pipeline::run_mask(),
            "session" => terminal::run_role(&rest),
            "nap" => wait::run_role(),
            "echo" => sockets::run_echo(),
            "writer for nobody" => sockets::run_writer(),
            "blocked" => blocked::run_role(&rest),
            "receiver" => passing::run_role(),
            other => panic!("unknown role {other:?}"),
        };
    }
    if let Some(role) = actor::role() {
        interrupted::run_role(&role);
        return ExitCode::SUCCESS;
    }
    process::keep_descriptors_to_this_process();
    let mut tests = wait::tests();
    tests.extend(pipeline::tests());
    tests.extend(descriptors::tests());
    tests.extend(terminal::tests());
    tests.extend(signals::tests());
    tests.extend(interrupted::tests());
    tests.extend(blocked::tests());
    tests.extend(refused::tests());
    tests.extend(links::tests());
    tests.extend(sockets::tests());
    tests.extend(passing::tests());
    tests.extend(forked::tests());
    harness::run(tests)
}
