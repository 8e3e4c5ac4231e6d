//! An anonymous region is shared with a forked child, and handles of a ring are not. This needs a program with one
//! thread, so it has a `main` of its own.

use interlatch::channel::{ChannelError, RingReceiver, RingSender, TryRecvError, TrySendError};
use interlatch::sync::RawMutex;
use interlatch::{Region, RingBuffer, Semaphore};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::time::Duration;

fn main() {
    a_forked_child_shares_an_anonymous_region();
    println!("test a_forked_child_shares_an_anonymous_region ... ok");
    the_handles_of_a_ring_stay_with_the_parent();
    println!("test the_handles_of_a_ring_stay_with_the_parent ... ok");
    the_runs_of_a_ring_stay_with_the_parent();
    println!("test the_runs_of_a_ring_stay_with_the_parent ... ok");
    println!("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn a_forked_child_shares_an_anonymous_region() {
    let region = Region::anonymous(4096).expect("a page");
    let lock: &RawMutex = region.create("lock", ()).expect("room for a lock");
    let released: &Semaphore = region.create("released", ()).expect("room for a semaphore");
    lock.raw_lock();
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
    let code = i32::from(lock.try_lock().is_some());
    let code = code + i32::from(released.release(1).is_err());
    std::process::exit(code);
}

fn the_handles_of_a_ring_stay_with_the_parent() {
    let region = Region::anonymous(1 << 14).expect("room");
    let ring: &RingBuffer<u64> = region.create("ring", 4).expect("room");
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (mut sender, mut receiver) = (sender.expect("one"), receiver.expect("one"));
    assert_eq!(sender.try_send_slice(&[1, 2, 3]), Ok(3));
    // Of the rest both know that it is there.
    assert_eq!(receiver.try_recv(), Ok(1));
    // SAFETY: this process has one thread, and the child only works on shared memory.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => try_copies(sender, receiver),
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("the child is ours");
            assert_eq!(
                status,
                WaitStatus::Exited(child, 0),
                "nothing was sent or received"
            );
        }
    }
    assert_eq!(sender.try_send(4), Ok(()), "the child has closed nothing");
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2, 3, 4]);
}

fn try_copies(mut sender: RingSender<'_, u64>, mut receiver: RingReceiver<'_, u64>) -> ! {
    let is_refused = sender.try_send(9) == Err(TrySendError::Failed(9, ChannelError::Inherited))
        && sender.try_loan(1).is_err()
        && receiver.try_recv() == Err(TryRecvError::Failed(ChannelError::Inherited))
        && receiver.try_borrow(1).is_err();
    drop((sender, receiver));
    std::process::exit(i32::from(!is_refused));
}

fn the_runs_of_a_ring_stay_with_the_parent() {
    let region = Region::anonymous(1 << 14).expect("room");
    let ring: &RingBuffer<u64> = region.create("ring", 4).expect("room");
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (mut sender, mut receiver) = (sender.expect("one"), receiver.expect("one"));
    assert_eq!(sender.try_send_slice(&[1, 2]), Ok(2));
    let (loan, borrow) = (sender.try_loan(1), receiver.try_borrow(2));
    let (mut loan, borrow) = (loan.expect("a place"), borrow.expect("items"));
    loan[0] = 3;
    // SAFETY: this process has one thread, and the child only works on shared memory.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            loan.send();
            borrow.receive();
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("the child is ours");
            assert_eq!(status, WaitStatus::Exited(child, 0));
        }
    }
    assert_eq!(ring.len(), 2, "the child has sent and received nothing");
    loan.send();
    borrow.receive();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [3]);
}
