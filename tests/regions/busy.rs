//! A process is stopped or killed while it initializes an object in a region.

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
            "stopped_creator_delays_other_creators_for_a_limited_time",
            stopped_creator_delays_other_creators_for_a_limited_time,
        ),
        Test::new(
            "receive_times_out_while_the_internal_lock_stays_locked",
            receive_times_out_while_the_internal_lock_stays_locked,
        ),
        Test::new(
            "killed_creator_creates_nothing",
            killed_creator_creates_nothing,
        ),
    ]
}

/// A number whose initialization stops the current process.
#[repr(C)]
#[derive(Debug, ShmType)]
struct Halting(u64);

const BUILT: u64 = 7;

// SAFETY: the type is a number without a pointer, and no shared reference writes to it.
unsafe impl ShmSafe for Halting {
    unsafe fn init_in_place(at: *mut Self) {
        raise(SIGSTOP).expect("the process can stop itself");
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self(BUILT)) }
    }
}

/// Creates objects in an actor.
pub fn run(region: &Region, arguments: &[String]) {
    match arguments {
        [] => {
            let halting: &Halting = region.create("halting", ()).expect("the region has room");
            println!("{}", halting.0);
        }
        [name] => match region.create::<Semaphore>(name, ()) {
            Ok(_) => println!("created"),
            Err(error) => println!("{}", variant(&error)),
        },
        other => panic!("expected no argument or a name, got {other:?}"),
    }
}

/// Creates an object of this name in another process, and returns the outcome.
fn create_in_actor(region: &Region, name: &str) -> String {
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = Actor::start(region, &["halt".into(), name.into()]);
    let reply = actor.reply(deadline);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// Returns a region with an object, and an actor that is stopped while it initializes a second
/// object.
fn start() -> (Region, Actor) {
    let region = Region::memfd("busy", 4096).expect("a page");
    let _: &Semaphore = region.create("complete", ()).expect("the region has room");
    let actor = Actor::start(&region, &["halt".into()]);
    let deadline = Instant::now() + TIMEOUT;
    while !is_stopped(&actor) {
        assert!(
            Instant::now() < deadline,
            "the actor does not stop: {}",
            actor.kernel_state()
        );
        std::thread::yield_now();
    }
    (region, actor)
}

fn is_stopped(actor: &Actor) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", actor.pid())).expect("the actor lives");
    let arguments = stat.rsplit(')').next();
    arguments.is_some_and(|arguments| arguments.starts_with(" T"))
}

fn stopped_creator_delays_other_creators_for_a_limited_time() {
    let (region, mut actor) = start();
    let attached = |name| {
        region
            .attach::<Semaphore>(name)
            .map(|semaphore| semaphore.release(1))
    };
    assert!(
        matches!(attached("complete"), Ok(Ok(()))),
        "the complete object is found"
    );
    let found = region.create_or_attach::<Semaphore>("complete", ());
    assert!(
        found.is_ok(),
        "create_or_attach finds the complete object: {found:?}"
    );
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let copy = descriptor.try_clone_to_owned().expect("a descriptor");
    let same = Region::from_descriptor(copy).expect("a region");
    assert_eq!(
        same.objects().count(),
        1,
        "an incomplete object is not listed"
    );
    let early = region.attach::<Halting>("halting");
    assert!(
        matches!(early, Err(RegionError::ObjectNotFound(_))),
        "{early:?}"
    );
    assert_eq!(create_in_actor(&region, "late"), "Busy");
    assert!(is_stopped(&actor));
    actor.signal(SIGCONT);
    let built = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(built, Ok(BUILT.to_string()));
    assert_eq!(
        create_in_actor(&region, "late"),
        "created",
        "the region is not busy any more"
    );
    assert_eq!(
        region
            .attach::<Halting>("halting")
            .expect("the object is complete")
            .0,
        BUILT
    );
    assert_eq!(actor.end(Instant::now() + TIMEOUT), Ok(()));
}

fn killed_creator_creates_nothing() {
    let (region, actor) = start();
    actor.signal(SIGKILL);
    drop(actor);
    let names = || region.objects().map(|object| object.name.to_string());
    assert_eq!(names().collect::<Vec<_>>(), ["complete"]);
    assert_eq!(create_in_actor(&region, "halting"), "created");
    assert_eq!(names().collect::<Vec<_>>(), ["complete", "halting"]);
}

type Queue = RobustMonitorBuffer<u64, [Slot<u64>]>;

/// Finds the offset of the lock word in a robust lock by searching for the owner's ID.
fn offset_of_lock_word(region: &Region, raw: &Raw) -> usize {
    let lock: &RobustMutex<u64> = region.create("probe", ()).expect("the region has room");
    let offset = region.objects().last().expect("the new object").offset as usize;
    let _guard = lock.lock().expect("the lock is free");
    let thread = nix::unistd::gettid().as_raw() as u64;
    let words = (0..size_of_val(lock) / 8).map(|index| raw.read(offset / 8 + index));
    let mut words = words.map(|word| word & 0x3fff_ffff);
    words
        .position(|word| word == thread)
        .expect("the lock word")
        * 8
}

/// A peer locks the internal lock of a buffer while a receiver sleeps, and never unlocks it. A lock
/// word that contains the ID of a live thread has the same effect as a stopped owner.
fn receive_times_out_while_the_internal_lock_stays_locked() {
    let region = Region::memfd("deadline", 1 << 14).expect("the region can be created");
    let raw = Raw::mapped(region.descriptor().expect("a memfd has a descriptor"));
    let word = offset_of_lock_word(&region, &raw);
    let queue: &Queue = region.create("queue", 4).expect("the region has room");
    let _sender = queue.sender().expect("a free endpoint");
    // The lock is the first field of the buffer.
    let lock = (region.objects().last().expect("the new object").offset as usize + word) / 8;
    let deadline = Instant::now() + TIMEOUT;
    std::thread::scope(|scope| {
        let (ready, is_ready) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        scope.spawn(move || {
            let receiver = queue.receiver().expect("a free endpoint");
            ready.send(raw.all()).expect("the test receives");
            let received = receiver.recv_timeout(Duration::from_millis(300));
            done.send((received, raw)).expect("the test receives");
            // Dropping the receiver would wait for the lock, so the receiver is leaked.
            std::mem::forget(receiver);
        });
        let before = is_ready
            .recv_timeout(TIMEOUT)
            .expect("the receiver is ready");
        let memory = Raw::mapped(region.descriptor().expect("a memfd has a descriptor"));
        while memory.all() == before || memory.read(lock) & 0x3fff_ffff != 0 {
            assert!(Instant::now() < deadline, "the receiver does not sleep");
        }
        memory.write(lock, 1);
        let outcome = is_done.recv_timeout(TIMEOUT);
        memory.write(lock, 0);
        let (received, _raw) = outcome.expect("the receiver returns");
        assert_eq!(received, Err(RecvTimeoutError::Timeout));
    });
}
