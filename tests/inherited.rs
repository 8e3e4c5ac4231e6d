//! An anonymous region is shared with a forked child. This needs a program with one thread, so
//! it has a `main` of its own.

use interlatch::{RawMutex, Region, Semaphore};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::time::Duration;

fn main() {
    a_forked_child_shares_an_anonymous_region();
    println!("test a_forked_child_shares_an_anonymous_region ... ok");
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn a_forked_child_shares_an_anonymous_region() {
    let region = Region::anonymous(4096).expect("a page");
    let lock: &RawMutex = region.create("lock", ()).expect("room for a lock");
    let released: &Semaphore = region.create("released", ()).expect("room for a semaphore");
    lock.lock();
    // SAFETY: this process has one thread, and the child only works on shared memory.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => child(lock, released),
        ForkResult::Parent { child } => {
            let permit = released.acquire_timeout(Duration::from_secs(30));
            assert!(permit.is_some(), "the child released a permit within 30 s");
            let status = waitpid(child, None).expect("the child is ours");
            assert_eq!(
                status,
                WaitStatus::Exited(child, 0),
                "the child saw the lock held"
            );
            // SAFETY: locked above.
            unsafe { lock.unlock() };
        }
    }
}

fn child(lock: &RawMutex, released: &Semaphore) -> ! {
    let code = i32::from(lock.try_lock());
    let code = code + i32::from(released.release(1).is_err());
    std::process::exit(code);
}
