//! Somebody is stopped, or killed, in the middle of building an object.

use super::harness::Test;
use super::hostile::variant;
use super::process::{Actor, TIMEOUT};
use super::raw::Raw;
use interlatch::channel::{RecvTimeoutError, Slot};
use interlatch::region::ShmType;
use interlatch::{
    Channel, Region, RegionError, RobustMonitorBuffer, RobustMutex, Semaphore, ShmSafe,
};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use nix::sys::signal::raise;
use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "a_creator_that_is_stopped_holds_up_creators_only_and_these_not_for_ever",
            a_creator_that_is_stopped,
        ),
        Test::new(
            "a_deadline_passes_while_the_lock_inside_a_buffer_stays_locked",
            a_deadline_passes,
        ),
        Test::new(
            "a_creator_that_is_killed_half_way_has_created_nothing",
            a_creator_that_is_killed,
        ),
    ]
}

/// A number whose builder stops itself.
#[repr(C)]
#[derive(Debug, ShmType)]
struct Halting(u64);

const BUILT: u64 = 7;

// SAFETY: a number, that nobody writes through a shared reference.
unsafe impl ShmSafe for Halting {
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
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = Actor::start(region, &["halt".into(), name.into()]);
    let reply = actor.reply(deadline);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// A region with an object, and an actor that is stopped in the middle of building another one.
fn start() -> (Region, Actor) {
    let region = Region::memfd("busy", 4096).expect("a page");
    let _: &Semaphore = region.create("there", ()).expect("room");
    let actor = Actor::start(&region, &["halt".into()]);
    let deadline = Instant::now() + TIMEOUT;
    while !is_stopped(&actor) {
        assert!(
            Instant::now() < deadline,
            "it does not stop: {}",
            actor.kernel_state()
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
    assert!(
        matches!(early, Err(RegionError::ObjectNotFound(_))),
        "{early:?}"
    );
    assert_eq!(creating(&region, "late"), "Busy");
    assert!(is_stopped(&actor));
    actor.signal(SIGCONT);
    let built = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(built, Ok(BUILT.to_string()));
    assert_eq!(creating(&region, "late"), "created", "not busy any more");
    assert_eq!(region.attach::<Halting>("halting").expect("built").0, BUILT);
    assert_eq!(actor.end(Instant::now() + TIMEOUT), Ok(()));
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

type Queue = RobustMonitorBuffer<u64, [Slot<u64>]>;

/// Where the word of a robust lock is in it, by the id of the thread that holds it.
fn offset_of_the_word(region: &Region, raw: &Raw) -> usize {
    let lock: &RobustMutex<u64> = region.create("probe", ()).expect("room");
    let offset = region.objects().last().expect("just made").offset as usize;
    let _held = lock.lock().expect("nobody else has it");
    let me = nix::unistd::gettid().as_raw() as u64;
    let words = (0..size_of_val(lock) / 8).map(|index| raw.read(offset / 8 + index));
    let mut words = words.map(|word| word & 0x3fff_ffff);
    words.position(|word| word == me).expect("it is there") * 8
}

/// A peer locks the buffer's lock while a receiver sleeps, and does not unlock it: a word that names a thread
/// which lives is as good as one that is stopped.
fn a_deadline_passes() {
    let region = Region::memfd("deadline", 1 << 14).expect("room");
    let raw = Raw::mapped(region.descriptor().expect("a memfd has one"));
    let word = offset_of_the_word(&region, &raw);
    let queue: &Queue = region.create("queue", 4).expect("room");
    let _sender = queue.sender().expect("room for one");
    // The lock is the first thing in it.
    let lock = (region.objects().last().expect("just made").offset as usize + word) / 8;
    let deadline = Instant::now() + TIMEOUT;
    std::thread::scope(|scope| {
        let (ready, is_ready) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        scope.spawn(move || {
            let receiver = queue.receiver().expect("room for one");
            ready.send(raw.all()).expect("somebody listens");
            let received = receiver.recv_timeout(Duration::from_millis(300));
            done.send((received, raw)).expect("somebody listens");
            // It would wait for the lock.
            std::mem::forget(receiver);
        });
        let before = is_ready.recv_timeout(TIMEOUT).expect("it is ready");
        let mine = Raw::mapped(region.descriptor().expect("a memfd has one"));
        while mine.all() == before || mine.read(lock) & 0x3fff_ffff != 0 {
            assert!(Instant::now() < deadline, "it does not sleep");
        }
        mine.write(lock, 1);
        let back = is_done.recv_timeout(TIMEOUT);
        mine.write(lock, 0);
        let (received, _raw) = back.expect("it comes back");
        assert_eq!(received, Err(RecvTimeoutError::Timeout));
    });
}
