//! Copies of guards and handles in other processes do nothing, however the process is created.
//!
//! A cell of the matrix is a way in which a process or thread begins or ends, and a type with a
//! guard, handle, permit, turn, loan or region. Each cell starts this program again as an *owner*,
//! an actor with one thread. The owner takes the thing, and a child comes into being in the cell's
//! way. The child uses its copy, drops it and exits. Then the owner checks that it still has the
//! thing, the test checks that other processes see it held, the owner is killed, and the test
//! checks what others find after the death.
//!
//! `docs/identity.md` lists what each cell does. Each test compares its row with the page.
//! `INTERLATCH_UPDATE=1` writes the rows instead.

mod attach;
mod cell;
mod owner;
mod page;
mod roles;
mod second_copy;
mod subject;
mod subjects;
mod ways;

use interlatch_testing::{harness, process};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(role) = process::role() {
        let [descriptor, role, rest @ ..] = &role[..] else {
            panic!("expected a descriptor and a role, got {role:?}");
        };
        let region = process::inherited(descriptor);
        match role.as_str() {
            "own" => roles::own(&region, rest),
            "assist" => roles::assist(&region, rest),
            "look" => roles::look(&region, rest),
            "run after exec" => roles::run_after_exec(),
            "own in second copy" => second_copy::own(region, rest),
            "attach" => attach::run(&region),
            other => panic!("unknown role {other:?}"),
        }
        return ExitCode::SUCCESS;
    }
    let mut tests = cell::tests();
    tests.extend(attach::tests());
    tests.extend(page::tests());
    harness::run(tests)
}
