//! Regions: their names, what they refuse, who wins a race, and what a hostile peer can do.
//!
//! Processes are this program run again as an *actor*, so it has a `main` of its own, with the filters
//! of a test harness.

mod busy;
mod contents;
mod hostile;
mod huge;
mod intruder;
mod names;
mod passing;
mod race;
mod raw;
mod refusals;
mod removal;
mod scribbler;

use interlatch_testing::{harness, process, random, scratch};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(part) = process::role() {
        let [descriptor, part, rest @ ..] = &part[..] else {
            panic!("a descriptor, a part, and more, not {part:?}");
        };
        let region = process::inherited(descriptor);
        match part.as_str() {
            "race" => race::play(&region, rest),
            "names" => names::play(rest),
            "halt" => busy::play(&region, rest),
            "refusals" => refusals::play(rest),
            "remove" => removal::play(&region, rest),
            "replace" => intruder::replace(rest),
            "insist" => intruder::insist(rest),
            "scribble" => scribbler::scribble_on(&region, rest),
            "use" => scribbler::use_often(&region, rest),
            other => panic!("no actor plays {other:?}"),
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
    tests.extend(refusals::tests());
    tests.extend(intruder::tests());
    harness::run(tests)
}
