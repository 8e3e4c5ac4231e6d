//! Copies of the crate in shared libraries: the kernel finds the locks of all copies, and those of
//! libc.

use super::actor::{await_command, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::pthread::Pthread;
use interlatch::sync::RobustLockError;
use interlatch::{Region, RobustMutex};
use interlatch_testing::library::{self, Library};
use nix::sys::signal::Signal::SIGKILL;
use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "locks_of_two_copies_of_the_crate_are_reported",
            locks_of_two_copies_of_the_crate_are_reported,
        ),
        Test::new(
            "locks_of_a_closed_library_are_reported",
            locks_of_a_closed_library_are_reported,
        ),
    ]
}

type Locks = [RobustMutex<u64>; 4];

/// The example that is the shared library.
const LIBRARY: &str = "robust_library";

/// Locks a lock of the region with the library's copy of the crate.
fn lock(library: &Library, region: &Region, index: usize) {
    let found = library.symbol(c"lock_and_leak");
    // SAFETY: the library defines this function with this type.
    let lock: extern "C" fn(c_int, usize) -> c_int = unsafe { std::mem::transmute(found) };
    let descriptor = region.descriptor().expect("a memfd").as_raw_fd();
    assert_eq!(lock(descriptor, index), 0, "the lock is free");
}

/// Runs a role in an actor: `two COPY` or `closed`.
pub fn run(region: &Region, role: &str) {
    let locks: &Locks = region.attach("locks").expect("the locks");
    let pthread: &Pthread = region.attach("pthread").expect("the mutex");
    let library = library::path(LIBRARY);
    pthread.lock();
    std::mem::forget(locks[0].lock());
    match role.split_once(' ') {
        Some(("two", copy)) => {
            lock(&Library::open(&library), region, 1);
            lock(&Library::open(Path::new(copy)), region, 2);
        }
        _ => {
            let first = Library::open(&library);
            lock(&first, region, 1);
            // SAFETY: this process uses the library only through this value.
            unsafe { first.close() };
            lock(&Library::open(&library), region, 2);
        }
    }
    std::mem::forget(locks[3].lock());
    pthread.unlock();
    pthread.lock();
    report("locked");
    await_command();
}

fn check(role: &str) {
    let region = Region::memfd("libraries", 16 * 4096).expect("a region");
    let locks: &Locks = region.create("locks", ()).expect("the region has room");
    let pthread: &Pthread = region.create("pthread", ()).expect("the region has room");
    pthread.init();
    let mut actor = Actor::start(&region, &[format!("libraries {role}")]);
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok("locked"));
    actor.signal(SIGKILL);
    for (index, lock) in locks.iter().enumerate() {
        match lock.lock_timeout(TIMEOUT) {
            Err(RobustLockError::OwnerDied(found)) => drop(found.mark_consistent()),
            other => panic!("lock {index}: expected owner death, found {other:?}"),
        }
    }
    assert!(pthread.lock(), "libc's mutex reports the death");
    pthread.unlock();
}

fn locks_of_two_copies_of_the_crate_are_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("copy.so");
    std::fs::copy(library::build(LIBRARY), &copy).expect("the library exists");
    check(&format!("two {}", copy.display()));
}

fn locks_of_a_closed_library_are_reported() {
    library::build(LIBRARY);
    check("closed");
}
