//! The roles of this program.

use super::owner::{Owner, find, wait_for_death};
use super::subject::{Scene, Subject};
use super::ways::Way;
use interlatch::Region;
use interlatch_testing::process::TIMEOUT;
use interlatch_testing::scratch::parse_name;

/// The outcome of a process that sees what others see.
pub const AS_ANY: &str = "as any process";

/// The role of the owner.
pub fn own(region: &Region, arguments: &[String]) {
    let [way, subject, name] = arguments else {
        panic!("expected a way, a subject and a name, got {arguments:?}");
    };
    let name = parse_name(name);
    let owner = Owner::new(Way::parse(way), subject, region, &name);
    let (way, subject) = (owner.way, owner.subject);
    let scene = Scene {
        region,
        name: &name,
        timeout: TIMEOUT,
    };
    if matches!(way, Way::ThreadEnd | Way::ThreadExec) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| (subject.own)(&scene, &owner));
            thread.join().expect("the thread leaks the thing and ends");
        });
        println!("copy: leaked\nown: no thread");
        wait_for_death();
    }
    (subject.own)(&scene, &owner);
    unreachable!("`Owner::keep` waits until the owner is killed");
}

/// The role of the assistant.
pub fn assist(region: &Region, arguments: &[String]) {
    with_scene(region, arguments, |subject, scene| {
        (subject.assist.expect("the subject has an assistant"))(scene);
    });
}

/// The role of a child that calls `exec`: it looks at the object as any other process does.
pub fn look(region: &Region, arguments: &[String]) {
    with_scene(region, arguments, |subject, scene| {
        match (subject.look)(scene) {
            Ok(_) => println!("{AS_ANY}"),
            Err(error) => println!("failed: {error}"),
        }
    });
}

fn with_scene(region: &Region, arguments: &[String], run: impl FnOnce(&Subject, &Scene<'_>)) {
    let [subject, name] = arguments else {
        panic!("expected a subject and a name, got {arguments:?}");
    };
    let name = parse_name(name);
    let scene = Scene {
        region,
        name: &name,
        timeout: TIMEOUT,
    };
    run(find(subject), &scene);
}

/// The role of the program that replaces an owner: it only runs until it is killed.
pub fn run_after_exec() -> ! {
    println!("exec: done");
    wait_for_death()
}
