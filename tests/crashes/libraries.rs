//! Copies of the crate in shared libraries: the kernel finds the locks of all copies, and those of
//! libc.

use super::actor::{await_command, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::pthread::Pthread;
use interlatch::sync::RobustLockError;
use interlatch::{Region, RobustMutex};
use nix::sys::signal::Signal::SIGKILL;
use std::ffi::{CString, c_int, c_void};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
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

/// Builds the shared library, unless it is up to date, and returns its path. `cargo test --test`
/// builds no examples.
fn build_library() -> PathBuf {
    let library = library();
    let profile = library.ancestors().nth(2).expect("target/PROFILE");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", LIBRARY]);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build
        .arg("--target-dir")
        .arg(profile.parent().expect("target"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let built = build.status().expect("cargo starts");
    assert!(built.success(), "the library is built");
    library
}

/// Returns the path of the shared library.
fn library() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let profile = program.ancestors().nth(2).expect("target/PROFILE/deps");
    profile.join(format!("examples/lib{LIBRARY}.so"))
}

/// A loaded library.
struct Library(*mut c_void);

impl Library {
    fn open(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("no zero byte");
        // SAFETY: the constructors of the library are those of Rust's standard library.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        Self(library)
    }

    /// Locks a lock of the region with the library's copy of the crate.
    fn lock(&self, region: &Region, index: usize) {
        // SAFETY: the library defines this function with this type.
        let lock: extern "C" fn(c_int, usize) -> c_int = unsafe {
            let found = libc::dlsym(self.0, c"lock_and_leak".as_ptr());
            assert!(!found.is_null(), "the library has the function");
            std::mem::transmute(found)
        };
        let descriptor = region.descriptor().expect("a memfd").as_raw_fd();
        assert_eq!(lock(descriptor, index), 0, "the lock is free");
    }

    fn close(self) {
        // SAFETY: this process uses the library only through this value.
        let closed = unsafe { libc::dlclose(self.0) };
        assert_eq!(closed, 0);
    }
}

/// Runs a role in an actor: `two COPY` or `closed`.
pub fn run(region: &Region, role: &str) {
    let locks: &Locks = region.attach("locks").expect("the locks");
    let pthread: &Pthread = region.attach("pthread").expect("the mutex");
    let library = library();
    pthread.lock();
    std::mem::forget(locks[0].lock());
    match role.split_once(' ') {
        Some(("two", copy)) => {
            Library::open(&library).lock(region, 1);
            Library::open(Path::new(copy)).lock(region, 2);
        }
        _ => {
            let first = Library::open(&library);
            first.lock(region, 1);
            first.close();
            Library::open(&library).lock(region, 2);
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
    std::fs::copy(build_library(), &copy).expect("the library exists");
    check(&format!("two {}", copy.display()));
}

fn locks_of_a_closed_library_are_reported() {
    build_library();
    check("closed");
}
