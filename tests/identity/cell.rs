//! A cell of the matrix: one way and one subject.

use super::page;
use super::second_copy::LIBRARY;
use super::subject::{Found, Scene, Subject};
use super::subjects;
use super::ways::Way;
use interlatch::Region;
use interlatch_testing::harness::Test;
use interlatch_testing::library;
use interlatch_testing::process::{Actor, TIMEOUT};
use interlatch_testing::scratch::Scratch;
use nix::sys::signal::Signal;
use std::sync::Once;
use std::time::{Duration, Instant};

/// The outcomes of a row.
pub struct Row {
    /// What the copy does, for each way.
    pub copies: Vec<String>,
    pub look: String,
    pub after_death: String,
}

pub fn tests() -> Vec<Test> {
    let test = |subject: &'static Subject| {
        let name = format!("copies_do_nothing: {}", subject.name);
        Test::new(name, move || page::check(subject, &run_row(subject)))
    };
    subjects::ALL.iter().map(test).collect()
}

fn run_row(subject: &Subject) -> Row {
    let mut row = Row {
        copies: Vec::new(),
        look: String::new(),
        after_death: String::new(),
    };
    for way in Way::ALL {
        let (copy, look, after_death) = run(way, subject);
        println!(
            "{} x {}: copy: {copy}; others: {look}; after death: {after_death}",
            subject.name,
            way.name()
        );
        row.copies.push(copy);
        let agree = |all: &mut String, one: String| {
            if one.is_empty() {
                return;
            }
            assert!(
                all.is_empty() || *all == one,
                "{} x {}: {one:?}, and {all:?} before",
                subject.name,
                way.name()
            );
            *all = one;
        };
        agree(&mut row.look, look);
        agree(&mut row.after_death, after_death);
    }
    row
}

/// Runs one cell, and returns what the copy, the others, and the others after the death found.
fn run(way: Way, subject: &Subject) -> (String, String, String) {
    let scratch = Scratch::new();
    let region = Region::memfd("identity", 1 << 18).expect("the region can be created");
    let scene = Scene {
        region: &region,
        name: &scratch.names[1],
        timeout: TIMEOUT,
    };
    (subject.prepare)(&scene);
    let assistant = subject.assist.map(|_| {
        let arguments = ["assist", subject.name, &scene.name.to_string()];
        Actor::start(&region, &arguments.map(str::to_owned))
    });
    let outcomes = run_in(&scene, way, subject);
    match assistant {
        // The thing of the owner stays, so the assistant waits for it and is killed here.
        Some(_) if way == Way::ThreadExec => {}
        Some(assistant) => {
            let ended = assistant.end(Instant::now() + TIMEOUT);
            ended.expect("the assistant ends");
        }
        None => {}
    }
    outcomes
}

fn run_in(scene: &Scene<'_>, way: Way, subject: &Subject) -> (String, String, String) {
    let what = |step: &str| format!("{} x {}: {step}", subject.name, way.name());
    let deadline = Instant::now() + TIMEOUT;
    let mut owner = start_owner(scene, way, subject);
    let reply = |owner: &mut Actor, step: &str| {
        let line = owner
            .reply(deadline)
            .unwrap_or_else(|error| panic!("{}: {error}", what(step)));
        match line.strip_prefix(step) {
            Some(found) => found.trim_start_matches(": ").to_owned(),
            None => panic!("{}: {line}", what(step)),
        }
    };
    let check =
        |step: &str, found: Found| found.unwrap_or_else(|error| panic!("{}: {error}", what(step)));
    let mut copy = match way {
        Way::ThreadExec => String::new(),
        _ => reply(&mut owner, "copy"),
    };
    reply(&mut owner, "own");
    let look = check("others", (subject.look)(scene));
    if way == Way::ThreadExec {
        owner.tell("exec");
        reply(&mut owner, "exec");
        copy = after_exec(scene, subject);
    }
    owner.signal(Signal::SIGKILL);
    owner.end(deadline).expect_err("the owner is killed");
    let after_death = match way {
        // The new program has nothing, so its death changes nothing.
        Way::ThreadExec if copy == AS_AFTER_DEATH => String::new(),
        Way::ThreadExec => {
            check("after death", (subject.look)(scene));
            String::new()
        }
        _ => check("after death", (subject.after_death)(scene)),
    };
    (copy, look, after_death)
}

fn start_owner(scene: &Scene<'_>, way: Way, subject: &Subject) -> Actor {
    let name = scene.name.to_string();
    let arguments = match way {
        Way::SecondCopy => {
            static IS_BUILT: Once = Once::new();
            IS_BUILT.call_once(|| drop(library::build(LIBRARY)));
            vec!["own in second copy", subject.name, &name]
        }
        _ => vec!["own", way.name(), subject.name, &name],
    };
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    Actor::start(scene.region, &arguments)
}

/// The outcome of an `exec` that ends the ownership like a death.
const AS_AFTER_DEATH: &str = "as after death";

/// Returns what others find after the owner has called `exec`.
fn after_exec(scene: &Scene<'_>, subject: &Subject) -> String {
    // The kernel reports the locks before the new program starts, or never. So a short timeout
    // finds the same as a long one.
    let scene = Scene {
        timeout: Duration::from_millis(100),
        ..*scene
    };
    match (subject.after_death)(&scene) {
        Ok(_) => AS_AFTER_DEATH.to_owned(),
        Err(reason) => match (subject.look)(&scene) {
            Ok(text) => format!("stays: {text}"),
            Err(error) => format!("failed: {error}, and {reason}"),
        },
    }
}
