//! A child of a threaded fork attaches to objects while threads of its parent do the same.

use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::{Region, Semaphore};
use interlatch_testing::harness::Test;
use interlatch_testing::process::{Actor, TIMEOUT, assert_child_succeeds};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork};
use std::time::Instant;

/// With a lock around the claims, one of a few hundred children hung.
const FORKS: usize = 2000;

pub fn tests() -> Vec<Test> {
    let name = "child_of_a_threaded_fork_attaches";
    vec![Test::new(name, child_of_a_threaded_fork_attaches)]
}

fn child_of_a_threaded_fork_attaches() {
    let region = Region::memfd("attach", 4096).expect("a page");
    let _: &Semaphore = region.create("ready", ()).expect("the region has room");
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = Actor::start(&region, &["attach".to_owned()]);
    assert_eq!(
        actor.reply(deadline).as_deref(),
        Ok("done"),
        "no child hangs"
    );
    assert_eq!(actor.end(deadline), Ok(()));
}

/// The role of the process that has threads and forks.
pub fn run(region: &Region) {
    let has_ended = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while has_ended.load(Relaxed) == 0 {
                    let _: &Semaphore = region.attach("ready").expect("it exists");
                }
            });
        }
        (0..FORKS).for_each(|_| fork_and_attach(region));
        has_ended.store(1, Relaxed);
    });
    println!("done");
}

fn fork_and_attach(region: &Region) {
    // SAFETY: the child calls `attach`, which takes no lock that a thread of the parent may hold
    // and allocates no memory for an object that is already claimed, and then ends.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            prctl::set_pdeathsig(Signal::SIGKILL).expect("a valid signal");
            let attached = region.attach::<Semaphore>("ready");
            // SAFETY: the child ends here.
            unsafe { libc::_exit(i32::from(attached.is_err())) }
        }
        ForkResult::Parent { child } => {
            assert_child_succeeds(child, "the child attaches");
        }
    }
}
