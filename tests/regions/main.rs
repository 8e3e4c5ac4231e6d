//! Regions: names, errors, races between creators, and hostile peers.
//!
//! The test program starts itself again as child processes, the *actors*, so it has its own `main`.
//! It accepts filters like a test harness.

mod busy;
mod contents;
mod hostile;
mod huge;
mod limits;
mod names;
mod passing;
mod race;
mod raw;
mod removal;
mod replaced;
mod restricted;
mod scribbler;
mod seccomp;
mod strangers;

use interlatch_testing::{harness, process, random, scratch};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(role) = process::role() {
        let [descriptor, role, rest @ ..] = &role[..] else {
            panic!("expected a descriptor and a role, got {role:?}");
        };
        let region = process::inherited(descriptor);
        match role.as_str() {
            "race" => race::run(&region, rest),
            "names" => names::run(rest),
            "halt" => busy::run(&region, rest),
            "restricted" => restricted::run(rest),
            "limited" => limits::run(rest),
            "stranger" => strangers::run(rest),
            "remove" => removal::run(&region, rest),
            "replace" => replaced::replace(rest),
            "use replaced" => replaced::use_replaced(rest),
            "scribble" => scribbler::write_garbage(&region, rest),
            "use" => scribbler::use_repeatedly(&region, rest),
            other => panic!("unknown role {other:?}"),
        }
        return ExitCode::SUCCESS;
    }
    let mut tests = contents::tests();
    tests.extend(names::tests());
    tests.extend(race::tests());
    tests.extend(huge::tests());
    tests.extend(hostile::tests());
    tests.extend(scribbler::tests());
    tests.extend(passing::tests());
    tests.extend(busy::tests());
    tests.extend(removal::tests());
    tests.extend(restricted::tests());
    tests.extend(replaced::tests());
    tests.extend(strangers::tests());
    tests.extend(limits::tests());
    harness::run_in_processes(tests)
}
