//! The smallest, the largest and the wrong: each is a typed error or the documented result.

use interlatch::channel::Unregistered;
use interlatch::channel::{
    RecvTimeoutError, SendError, SendTimeoutError, Slot, TryRecvError, TrySendError,
};
use interlatch::platform::{AtomicU32, Wake, futex};
use interlatch::region::{ConfigError, ShmObject};
use interlatch::sync::Timeout;
use interlatch::sync::{Deadline, MAX_PERMITS, PermitOverflow, SemaphorePair};
use interlatch::{
    BoundedBuffer, Buffer, Channel, Condvar, MonitorBuffer, Mutex, Region, RegionError, RingBuffer,
    Semaphore,
};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

type Bounded = BoundedBuffer<u64, [Slot<u64>]>;
type Monitor = MonitorBuffer<u64, [Slot<u64>]>;

const SECOND: Duration = Duration::from_secs(1);

fn past() -> Instant {
    Instant::now()
        .checked_sub(SECOND)
        .unwrap_or_else(Instant::now)
}

#[test]
fn a_capacity_of_zero_is_refused() {
    assert_eq!(
        BoundedBuffer::<u64>::with_capacity(0).err(),
        Some(ConfigError::ZeroCapacity)
    );
    assert_eq!(
        MonitorBuffer::<u64>::with_capacity(0).err(),
        Some(ConfigError::ZeroCapacity)
    );
    assert_eq!(
        RingBuffer::<u64, _>::with_capacity(0).err(),
        Some(ConfigError::ZeroCapacity)
    );
    let region = Region::memfd("zero", 4096).expect("a page");
    for refused in [
        region.create::<Bounded>("buffer", 0).err(),
        region.create::<Monitor>("buffer", 0).err(),
        region.create::<RingBuffer<u64>>("buffer", 0).err(),
    ] {
        assert!(
            matches!(
                refused,
                Some(RegionError::Config(ConfigError::ZeroCapacity))
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn a_capacity_beyond_counting_is_refused() {
    let most = MAX_PERMITS as usize - 1;
    let found = most + 1;
    assert_eq!(
        Bounded::layout(found).err(),
        Some(ConfigError::TooLarge { found, most })
    );
    assert!(Bounded::layout(most).is_ok());
    let overflow = ConfigError::SizeOverflow {
        capacity: usize::MAX,
        item: 8,
    };
    assert_eq!(Monitor::layout(usize::MAX).err(), Some(overflow));
    assert_eq!(
        BoundedBuffer::<u64>::with_capacity(usize::MAX).err(),
        Some(overflow)
    );
    assert_eq!(
        MonitorBuffer::<u64>::with_capacity(usize::MAX).err(),
        Some(overflow)
    );
    assert_eq!(
        MonitorBuffer::<u64>::with_capacity(usize::MAX / 16).err(),
        Some(ConfigError::SizeOverflow {
            capacity: usize::MAX / 16,
            item: 8
        }),
        "it has a size, but nobody has that much memory"
    );
}

#[test]
fn a_region_that_is_too_small_says_what_was_needed() {
    let region = Region::memfd("small", 4096).expect("a page");
    let needed = Bounded::layout(1000).expect("possible").size();
    match region.create::<Bounded>("buffer", 1000).err() {
        Some(RegionError::TooSmall {
            needed: said,
            offset: 8192,
            size: 12288,
        }) => assert_eq!(said, needed),
        other => panic!("{other:?}"),
    }
    // What fits still fits afterwards.
    let fits = region.create::<Bounded>("buffer", 100);
    assert_eq!(fits.expect("fits").capacity(), 100);
}

#[test]
fn a_region_has_a_size() {
    for refused in [Region::anonymous(0), Region::memfd("none", 0)] {
        assert!(matches!(refused, Err(RegionError::Size(0))));
    }
    for refused in [
        Region::anonymous(usize::MAX),
        Region::memfd("all", usize::MAX),
    ] {
        assert!(matches!(refused, Err(RegionError::Size(usize::MAX))));
    }
    // More than there is memory: an error now, not a signal later.
    let refused = Region::memfd("too much", 1 << 46).map(|_| ());
    assert!(
        matches!(refused, Err(RegionError::NotEnoughMemory { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_name_with_a_zero_byte_is_refused() {
    let refused = Region::memfd("a\0b", 4096).map(|_| ());
    assert!(
        matches!(
            refused,
            Err(RegionError::System {
                call: "memfd_create",
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn only_a_sealed_memfd_is_a_region() {
    let file = tempfile::tempfile().expect("a file");
    file.set_len(4096).expect("room");
    let refused = Region::from_descriptor(file.into()).map(|_| ());
    assert!(
        matches!(refused, Err(RegionError::NotSealed)),
        "{refused:?}"
    );
    let null = File::open("/dev/null").expect("there");
    let refused = Region::from_descriptor(null.into()).map(|_| ());
    assert!(
        matches!(refused, Err(RegionError::NotSealed)),
        "{refused:?}"
    );
}

#[test]
fn a_sealed_memfd_of_somebody_else_is_no_region() {
    let flags = MFdFlags::MFD_ALLOW_SEALING;
    for (length, bytes) in [(3 * 4096, &b"something else"[..]), (8192, b""), (1, b"")] {
        let descriptor = memfd_create("somebody's", flags).expect("a memfd");
        let file = File::from(descriptor);
        file.set_len(length).expect("room");
        file.write_at(bytes, 0).expect("room");
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("sealed");
        match Region::from_descriptor(file.into()).map(|_| ()) {
            Err(RegionError::NotARegion { expected, found }) => {
                assert!(length > 8192 && expected != found);
            }
            // Too short for a header and a byte.
            Err(RegionError::Size(0)) => assert!(length <= 8192),
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn nobody_can_cut_a_region_short() {
    let region = Region::memfd("sealed", 8192).expect("two pages");
    let descriptor = region.descriptor().expect("a memfd has one");
    let file = File::from(descriptor.try_clone_to_owned().expect("a copy"));
    let refused = |length| file.set_len(length).map_err(|error| error.raw_os_error());
    assert_eq!(refused(0), Err(Some(libc::EPERM)), "against shrinking");
    assert_eq!(refused(1 << 20), Err(Some(libc::EPERM)), "and growing");
}

/// A peer that changes a word again and again keeps nobody beyond its deadline.
#[test]
fn a_changed_word_does_not_hide_a_deadline() {
    let word = AtomicU32::new(1);
    let passed = Some(Deadline::at(past()));
    assert_eq!(futex::wait(&word, 0, passed), Wake::TimedOut);
    let later = Some(Deadline::after(SECOND));
    assert_eq!(futex::wait(&word, 0, later), Wake::Changed);
}

#[test]
fn a_timeout_of_zero_tries_once() {
    let semaphore = Semaphore::binary();
    semaphore
        .acquire_timeout(Duration::ZERO)
        .expect("there is one")
        .forget();
    assert!(semaphore.acquire_timeout(Duration::ZERO).is_none());
    let lock = Mutex::new(());
    let guard = lock.try_lock_for(Duration::ZERO).expect("free");
    assert!(lock.try_lock_for(Duration::ZERO).is_none());
    drop(guard);
    let pair = SemaphorePair::one();
    assert!(pair.read_timeout(Duration::ZERO).is_none());
    assert!(pair.write_timeout(Duration::ZERO).is_some());
    let mut guard = lock.lock();
    assert!(
        Condvar::new()
            .wait_timeout(&mut guard, Duration::ZERO)
            .timed_out()
    );
    timeouts_of_a_buffer(&BoundedBuffer::with_capacity(1).expect("small"));
    timeouts_of_a_buffer(&MonitorBuffer::with_capacity(1).expect("small"));
}

fn timeouts_of_a_buffer(buffer: &impl Buffer<Item = u64>) {
    let (sender, receiver) = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    assert_eq!(
        receiver.recv_timeout(Duration::ZERO),
        Err(RecvTimeoutError::Timeout)
    );
    assert_eq!(
        receiver.recv_deadline(Deadline::at(past())),
        Err(RecvTimeoutError::Timeout)
    );
    assert_eq!(sender.send_timeout(1, Duration::ZERO), Ok(()));
    assert_eq!(
        sender.send_timeout(2, Duration::ZERO),
        Err(SendTimeoutError::Timeout(2))
    );
    assert_eq!(
        sender.send_deadline(3, Deadline::at(past())),
        Err(SendTimeoutError::Timeout(3))
    );
    assert_eq!(
        receiver.recv_deadline(Deadline::at(past())),
        Ok(1),
        "there is one"
    );
    assert_eq!(
        receiver.recv_timeout(Duration::from_millis(1)),
        Err(RecvTimeoutError::Timeout)
    );
}

#[test]
fn a_deadline_in_the_past_tries_once() {
    let semaphore = Semaphore::binary();
    semaphore
        .acquire_deadline(Deadline::at(past()))
        .expect("there is one")
        .forget();
    assert!(semaphore.acquire_deadline(Deadline::at(past())).is_none());
    let lock = Mutex::new(());
    let guard = lock.try_lock_until(past()).expect("free");
    assert!(lock.try_lock_until(past()).is_none());
    drop(guard);
    assert!(
        Condvar::new()
            .wait_until(&mut lock.lock(), past())
            .timed_out()
    );
}

#[test]
fn a_timeout_of_centuries_waits() {
    assert!(Deadline::after(Duration::MAX) > Deadline::after(SECOND));
    let semaphore = Semaphore::empty();
    let buffer = BoundedBuffer::with_capacity(1).expect("small");
    let receiver = buffer.receiver().expect("open");
    std::thread::scope(|scope| {
        let acquirer = scope.spawn(|| semaphore.acquire_timeout(Duration::MAX).is_some());
        let taker = scope.spawn(|| receiver.recv_timeout(Duration::MAX));
        semaphore.release(1).expect("far from the maximum");
        buffer
            .sender()
            .expect("open")
            .send(7)
            .expect("a receiver is there");
        assert!(acquirer.join().expect("no panic"));
        assert_eq!(taker.join().expect("no panic"), Ok(7));
    });
}

#[test]
fn releasing_beyond_the_maximum_changes_nothing() {
    let overflow = PermitOverflow {
        held: 0,
        added: MAX_PERMITS + 1,
    };
    assert_eq!(Semaphore::new(MAX_PERMITS + 1).err(), Some(overflow));
    let semaphore = Semaphore::new(MAX_PERMITS).expect("the most");
    assert_eq!(
        semaphore.release(1),
        Err(PermitOverflow {
            held: MAX_PERMITS,
            added: 1
        })
    );
    let added = u32::MAX;
    assert_eq!(
        semaphore.release(added),
        Err(PermitOverflow {
            held: MAX_PERMITS,
            added
        })
    );
    assert_eq!(semaphore.release(0), Ok(()), "nothing is no overflow");
    assert_eq!(semaphore.permits(), MAX_PERMITS);
    semaphore.acquire().forget();
    assert_eq!(semaphore.release(1), Ok(()));
    assert_eq!(
        SemaphorePair::new(MAX_PERMITS).err(),
        Some(PermitOverflow {
            held: 1,
            added: MAX_PERMITS
        }),
        "closing needs one more"
    );
}

#[test]
fn an_end_that_has_closed_stays_closed() {
    closed_ends(&BoundedBuffer::with_capacity(1).expect("small"));
    closed_ends(&MonitorBuffer::with_capacity(1).expect("small"));
}

fn closed_ends(buffer: &impl Buffer<Item = u64>) {
    let (sender, receiver) = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    let another = buffer.sender().expect("open");
    sender.close();
    assert_eq!(
        receiver.try_recv(),
        Err(TryRecvError::Empty),
        "one sender is left"
    );
    another.close();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert!(buffer.sender().is_err(), "closed for good");
    drop(receiver);
    assert!(buffer.receiver().is_err(), "closed for good");
}

#[test]
fn a_broken_pipe_gives_the_item_back() {
    let buffer = MonitorBuffer::with_capacity(1).expect("small");
    let sender = buffer.sender().expect("open");
    drop(buffer.receiver().expect("open"));
    let item = String::from("not lost");
    let TrySendError::Disconnected(item) = sender.try_send(item).expect_err("nobody receives")
    else {
        panic!("disconnected, not full");
    };
    assert_eq!(
        sender.send(item).expect_err("nobody receives").into_inner(),
        "not lost"
    );
}

#[test]
fn items_that_nobody_received_are_dropped_once() {
    let item = std::sync::Arc::new(());
    let buffer = BoundedBuffer::with_capacity(4).expect("small");
    let sender = buffer.sender().expect("open");
    (0..3).for_each(|_| sender.send(item.clone()).expect("room"));
    drop(buffer.receiver().expect("open").recv());
    drop(sender);
    assert_eq!(std::sync::Arc::strong_count(&item), 3);
    drop(buffer);
    assert_eq!(std::sync::Arc::strong_count(&item), 1);
}

/// The words of a buffer's state lie behind those of two semaphores or condition variables, which have two lines
/// of the cache each, and of the lock.
fn survives_a_faulty_peer<B: Unregistered<Item = u64> + ShmObject<Config = usize> + ?Sized>() {
    // Behind the header.
    const STATE: std::ops::Range<u64> = 8192 + 264..8192 + 312;
    for offset in STATE.step_by(8) {
        for garbage in [0, 1, 7, 1 << 32, u64::MAX - 1, u64::MAX] {
            let region = Region::memfd("faulty", 4096).expect("a page");
            let buffer: &B = region.create("buffer", 3).expect("it fits");
            buffer
                .send_unregistered(1, Timeout::NonBlocking)
                .expect("there is room");
            buffer
                .send_unregistered(2, Timeout::NonBlocking)
                .expect("there is room");
            let descriptor = region.descriptor().expect("a memfd has one");
            let peer = File::from(descriptor.try_clone_to_owned().expect("one more"));
            let mut length = [0; 8];
            peer.read_exact_at(&mut length, STATE.start + 8)
                .expect("it is there");
            assert_eq!(u64::from_ne_bytes(length), 2, "the length of the state");
            let written = peer.write_all_at(&u64::to_ne_bytes(garbage), offset);
            written.expect("it is there");
            assert!(buffer.len() <= 3);
            for item in 0..4 {
                let _ = buffer.send_unregistered(item, Timeout::NonBlocking);
                assert!(buffer.len() <= 3);
            }
            for _ in 0..4 {
                let _ = buffer.recv_unregistered(Timeout::NonBlocking);
                assert!(buffer.len() <= 3);
            }
        }
    }
}

#[test]
fn a_peer_that_writes_garbage_takes_nobody_outside_the_ring() {
    survives_a_faulty_peer::<Bounded>();
    survives_a_faulty_peer::<Monitor>();
}

#[test]
fn handles_and_errors_can_be_printed_whatever_they_hold() {
    struct Unprintable;
    let printed = [
        format!("{:?}", SendError::Disconnected(Unprintable)),
        format!("{:?}", TrySendError::Full(Unprintable)),
        format!("{:?}", TrySendError::Disconnected(Unprintable)),
        format!("{:?}", SendTimeoutError::Timeout(Unprintable)),
        format!("{:?}", SendTimeoutError::Disconnected(Unprintable)),
    ];
    let expected = [
        "Disconnected(..)",
        "Full(..)",
        "Disconnected(..)",
        "Timeout(..)",
        "Disconnected(..)",
    ];
    assert_eq!(printed, expected);
    let buffer = BoundedBuffer::<u64>::with_capacity(1).expect("one place");
    let ends = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    assert_eq!(format!("{ends:?}"), "(Sender { .. }, Receiver { .. })");
}
