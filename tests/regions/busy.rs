//! Somebody is stopped, or killed, in the middle of building an object.

use super::harness::Test;
use super::hostile::variant;
use super::process::{Actor, PATIENCE};
use interlatch::{InPlace, Region, RegionError, Semaphore};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use nix::sys::signal::raise;
use std::fs;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "a_creator_that_is_stopped_holds_up_creators_only_and_these_not_for_ever",
            a_creator_that_is_stopped,
        ),
        Test::new(
            "a_creator_that_is_killed_half_way_has_created_nothing",
            a_creator_that_is_killed,
        ),
    ]
}

/// A number whose builder stops itself.
#[repr(C)]
#[derive(Debug)]
struct Halting(u64);

const BUILT: u64 = 7;

// SAFETY: a number, that nobody writes through a shared reference.
unsafe impl InPlace for Halting {
    fn initial() -> Self {
        raise(SIGSTOP).expect("it can be stopped");
        Self(BUILT)
    }
}

/// In an actor.
pub fn play(region: &Region, rest: &[String]) {
    match rest {
        [] => {
            let halting: &Halting = region.create("halting", ()).expect("room");
            println!("{}", halting.0);
        }
        [name] => match region.create::<Semaphore>(name, ()) {
            Ok(_) => println!("created"),
            Err(error) => println!("{}", variant(&error)),
        },
        other => panic!("nothing or a name, not {other:?}"),
    }
}

/// What another process hears that creates an object of this name.
fn creating(region: &Region, name: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut actor = Actor::start(region, &["halt".into(), name.into()]);
    let reply = actor.reply(deadline);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// A region with an object, and an actor that is stopped in the middle of building another one.
fn start() -> (Region, Actor) {
    let region = Region::memfd("busy", 4096).expect("a page");
    let _: &Semaphore = region.create("there", ()).expect("room");
    let actor = Actor::start(&region, &["halt".into()]);
    let deadline = Instant::now() + PATIENCE;
    while !is_stopped(&actor) {
        assert!(
            Instant::now() < deadline,
            "it does not stop: {}",
            actor.stands()
        );
        std::thread::yield_now();
    }
    (region, actor)
}

fn is_stopped(actor: &Actor) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", actor.pid())).expect("it lives");
    let rest = stat.rsplit(')').next();
    rest.is_some_and(|rest| rest.starts_with(" T"))
}

fn a_creator_that_is_stopped() {
    let (region, mut actor) = start();
    let attached = |name| {
        region
            .attach::<Semaphore>(name)
            .map(|semaphore| semaphore.release(1))
    };
    assert!(
        matches!(attached("there"), Ok(Ok(()))),
        "what is there is found"
    );
    let both = region.create_or_attach::<Semaphore>("there", ());
    assert!(both.is_ok(), "also by one that would create it: {both:?}");
    let descriptor = region.descriptor().expect("a memfd has one");
    let copy = descriptor.try_clone_to_owned().expect("one more");
    let same = Region::from_descriptor(copy).expect("a region is found");
    assert_eq!(same.objects().count(), 1, "half an object is none");
    let early = region.attach::<Halting>("halting");
    assert!(matches!(early, Err(RegionError::NoObject(_))), "{early:?}");
    assert_eq!(creating(&region, "late"), "Busy");
    assert!(is_stopped(&actor));
    actor.signal(SIGCONT);
    let built = actor.reply(Instant::now() + PATIENCE);
    assert_eq!(built, Ok(BUILT.to_string()));
    assert_eq!(creating(&region, "late"), "created", "not busy any more");
    assert_eq!(region.attach::<Halting>("halting").expect("built").0, BUILT);
    assert_eq!(actor.end(Instant::now() + PATIENCE), Ok(()));
}

fn a_creator_that_is_killed() {
    let (region, actor) = start();
    actor.signal(SIGKILL);
    drop(actor);
    let names = || region.objects().map(|object| object.name.to_string());
    assert_eq!(names().collect::<Vec<_>>(), ["there"]);
    assert_eq!(creating(&region, "halting"), "created");
    assert_eq!(names().collect::<Vec<_>>(), ["there", "halting"]);
}
