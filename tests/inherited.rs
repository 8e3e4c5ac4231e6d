//! A forked child shares an anonymous region, but cannot use inherited handles of a ring or a byte
//! pipe.
//!
//! Forking needs a program with one thread, so this test has its own `main`.

use interlatch::channel::{ChannelError, PipeBuffer, Slot, TryRecvError, TrySendError};
use interlatch::sync::RawMutex;
use interlatch::{Buffer, BytePipe, Channel, Receiver, Region, RingBuffer, Semaphore, Sender};
use interlatch_testing::process::assert_child_succeeds;
use nix::unistd::{ForkResult, fork};
use std::time::Duration;

fn main() {
    forked_child_shares_anonymous_region();
    println!("test forked_child_shares_anonymous_region ... ok");
    inherited_ring_handles_fail();
    println!("test inherited_ring_handles_fail ... ok");
    inherited_ring_loans_change_nothing();
    println!("test inherited_ring_loans_change_nothing ... ok");
    inherited_byte_pipe_handles_fail();
    println!("test inherited_byte_pipe_handles_fail ... ok");
    forked_children_take_turns_at_sending_large_items();
    println!("test forked_children_take_turns_at_sending_large_items ... ok");
    println!("test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn forked_child_shares_anonymous_region() {
    let region = Region::anonymous(4096).expect("a page");
    let lock: &RawMutex = region.create("lock", ()).expect("the region has room");
    let released: &Semaphore = region.create("released", ()).expect("the region has room");
    lock.raw_lock();
    // SAFETY: this process has one thread. The child only accesses shared memory and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => child(lock, released),
        ForkResult::Parent { child } => {
            let permit = released.acquire_timeout(Duration::from_secs(30));
            assert!(permit.is_some(), "the child released a permit within 30 s");
            assert_child_succeeds(child, "the child finds the lock locked");
            // SAFETY: this thread holds `lock`.
            unsafe { lock.unlock() };
        }
    }
}

fn child(lock: &RawMutex, released: &Semaphore) -> ! {
    let code = i32::from(lock.try_lock().is_some());
    let code = code + i32::from(released.release(1).is_err());
    std::process::exit(code);
}

fn inherited_ring_handles_fail() {
    let region = Region::anonymous(1 << 14).expect("the region can be created");
    let ring: &RingBuffer<u64> = region.create("ring", 4).expect("the region has room");
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (sender, receiver) = (
        sender.expect("a free endpoint"),
        receiver.expect("a free endpoint"),
    );
    assert_eq!(sender.try_send_slice(&[1, 2, 3]), Ok(3));
    // After this receive, both handles have cached the ring positions of the two remaining items.
    assert_eq!(receiver.try_recv(), Ok(1));
    // SAFETY: this process has one thread. The child only accesses shared memory and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => try_copies(sender, receiver),
        ForkResult::Parent { child } => {
            assert_child_succeeds(child, "the child neither sent nor received");
        }
    }
    assert_eq!(sender.try_send(4), Ok(()), "the child closed neither side");
    let items: Result<Vec<_>, _> = receiver.try_iter().collect();
    assert_eq!(items, Ok(vec![2, 3, 4]));
}

fn try_copies(
    mut sender: Sender<'_, RingBuffer<u64>>,
    mut receiver: Receiver<'_, RingBuffer<u64>>,
) -> ! {
    let inherited = ChannelError::Inherited;
    let has_failed = sender.try_send(9) == Err(TrySendError::Failed(9, inherited.clone()))
        && sender.try_loan(1).is_err()
        && receiver.try_recv() == Err(TryRecvError::Failed(inherited))
        && receiver.try_borrow(1).is_err();
    drop((sender, receiver));
    std::process::exit(i32::from(!has_failed));
}

fn inherited_ring_loans_change_nothing() {
    let region = Region::anonymous(1 << 14).expect("the region can be created");
    let ring: &RingBuffer<u64> = region.create("ring", 4).expect("the region has room");
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (mut sender, mut receiver) = (
        sender.expect("a free endpoint"),
        receiver.expect("a free endpoint"),
    );
    assert_eq!(sender.try_send_slice(&[1, 2]), Ok(2));
    let (loan, borrow) = (sender.try_loan(1), receiver.try_borrow(2));
    let (mut loan, borrow) = (loan.expect("a free slot"), borrow.expect("items"));
    loan[0] = 3;
    // SAFETY: this process has one thread. The child only accesses shared memory and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            loan.send();
            borrow.receive();
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            assert_child_succeeds(child, "the copies of the loan and the borrow do nothing");
        }
    }
    assert_eq!(ring.len(), 2, "the child neither sent nor received");
    loan.send();
    borrow.receive();
    let items: Result<Vec<_>, _> = receiver.try_iter().collect();
    assert_eq!(items, Ok(vec![3]));
}

fn inherited_byte_pipe_handles_fail() {
    let region = Region::anonymous(1 << 14).expect("the region can be created");
    let pipe: &BytePipe<[Slot<u8>]> = region.create("pipe", 4).expect("the region has room");
    let writer = pipe.sender().expect("a free endpoint");
    let reader = pipe.receiver().expect("a free endpoint");
    assert_eq!(writer.try_write(&[1, 2]), Ok(2));
    // SAFETY: this process has one thread. The child only accesses shared memory and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            let inherited = ChannelError::Inherited;
            let written = writer.try_write(&[3]);
            let read = reader.try_read(&mut [0]);
            let has_failed = written == Err(TrySendError::Failed((), inherited.clone()))
                && read == Err(TryRecvError::Failed(inherited));
            drop((writer, reader));
            std::process::exit(i32::from(!has_failed));
        }
        ForkResult::Parent { child } => {
            assert_child_succeeds(child, "the child neither wrote nor read");
        }
    }
    let mut bytes = [0; 4];
    assert_eq!(writer.try_write(&[3]), Ok(1), "the child closed no side");
    assert_eq!(reader.try_read(&mut bytes), Ok(3));
    assert_eq!(bytes, [1, 2, 3, 0]);
}

/// The kernel moves a large item in several pieces. Without a lock that the children share, the
/// pieces of their items mix.
fn forked_children_take_turns_at_sending_large_items() {
    const SIZE: usize = 100_000;
    const COUNT: usize = 500;
    let region = Region::anonymous(4096).expect("a page");
    let ready: &Semaphore = region.create("ready", ()).expect("the region has room");
    let buffer = PipeBuffer::<[u8; SIZE]>::with_capacity(1).expect("descriptors");
    let children = [1, 2].map(|number| {
        // SAFETY: this process has one thread. The child only sends items and exits.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Child => {
                // If the parent fails, the sends of the children then fail, too.
                drop(buffer.receiver());
                let sender = buffer.sender().expect("the buffer is open");
                ready.release(1).expect("two permits");
                let sent = (0..COUNT).all(|_| sender.send_ref(&[number; SIZE]).is_ok());
                std::process::exit(i32::from(!sent));
            }
            ForkResult::Parent { child } => child,
        }
    });
    drop(buffer.sender());
    // The pipe holds one item, so both children send while this process receives.
    for _ in 0..2 {
        let permit = ready.acquire_timeout(Duration::from_secs(30));
        permit.expect("a child is ready within 30 s").forget();
    }
    let receiver = buffer.receiver().expect("the buffer is open");
    let mut counts = [0; 2];
    for item in receiver {
        let item = item.expect("whole items");
        assert!(item == [item[0]; SIZE], "a mixed item");
        counts[usize::from(item[0]) - 1] += 1;
    }
    assert_eq!(counts, [COUNT; 2]);
    for child in children {
        assert_child_succeeds(child, "the child sends all of its items");
    }
}
