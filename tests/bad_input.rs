//! Minimum, maximum and invalid arguments: each call returns a typed error or the documented
//! result.

use interlatch::channel::Unregistered;
use interlatch::channel::{
    RecvTimeoutError, SendError, SendTimeoutError, Slot, TryRecvError, TrySendError,
};
use interlatch::inspect::RegionView;
use interlatch::platform::{AtomicU32, Wake, futex};
use interlatch::region::{ConfigError, FORMAT_VERSION, ShmObject};
use interlatch::sync::Timeout;
use interlatch::sync::{Deadline, MAX_PERMITS, PermitOverflow, SemaphorePair};
use interlatch::{
    BoundedBuffer, Buffer, Channel, Condvar, MonitorBuffer, Mutex, Region, RegionError, RegionName,
    RegionOptions, RingBuffer, Semaphore,
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
fn capacity_of_zero_is_an_error() {
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
    for error in [
        region.create::<Bounded>("buffer", 0).err(),
        region.create::<Monitor>("buffer", 0).err(),
        region.create::<RingBuffer<u64>>("buffer", 0).err(),
    ] {
        assert!(
            matches!(error, Some(RegionError::Config(ConfigError::ZeroCapacity))),
            "{error:?}"
        );
    }
}

#[test]
fn capacity_above_the_maximum_is_an_error() {
    let most = MAX_PERMITS as usize - 1;
    let found = most + 1;
    assert_eq!(
        Bounded::layout(found).err(),
        Some(ConfigError::TooLarge { found, max: most })
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
        "the size is representable, but the memory is not available"
    );
}

#[test]
fn error_of_too_small_region_names_the_needed_size() {
    let region = Region::memfd("small", 4096).expect("a page");
    let needed = Bounded::layout(1000).expect("possible").size();
    match region.create::<Bounded>("buffer", 1000).err() {
        Some(RegionError::TooSmall {
            needed: found,
            offset: 8192,
            size: 12288,
        }) => assert_eq!(found, needed),
        other => panic!("{other:?}"),
    }
    // The failed creation has used no memory, so another object fits into the region.
    let fits = region.create::<Bounded>("buffer", 100);
    assert_eq!(fits.expect("the region has room").capacity(), 100);
}

#[test]
fn invalid_region_size_is_an_error() {
    for error in [Region::anonymous(0), Region::memfd("none", 0)] {
        assert!(matches!(error, Err(RegionError::Size(0))));
    }
    for error in [
        Region::anonymous(usize::MAX),
        Region::memfd("all", usize::MAX),
    ] {
        assert!(matches!(error, Err(RegionError::Size(usize::MAX))));
    }
    // Creating a region that exceeds the available memory fails. It does not raise a signal when
    // the memory is first used.
    let error = Region::memfd("too much", 1 << 46).map(|_| ());
    assert!(
        matches!(error, Err(RegionError::NotEnoughMemory { .. })),
        "{error:?}"
    );
}

#[test]
fn name_with_zero_byte_is_an_error() {
    let error = Region::memfd("a\0b", 4096).map(|_| ());
    assert!(
        matches!(
            error,
            Err(RegionError::System {
                call: "memfd_create",
                ..
            })
        ),
        "{error:?}"
    );
}

#[test]
fn unsealed_descriptor_is_an_error() {
    let file = tempfile::tempfile().expect("a file");
    file.set_len(4096).expect("the file system has space");
    let error = Region::from_descriptor(file.into()).map(|_| ());
    assert!(matches!(error, Err(RegionError::NotSealed)), "{error:?}");
    let null = File::open("/dev/null").expect("the file exists");
    let error = Region::from_descriptor(null.into()).map(|_| ());
    assert!(matches!(error, Err(RegionError::NotSealed)), "{error:?}");
}

#[test]
fn sealed_memfd_without_header_is_an_error() {
    let flags = MFdFlags::MFD_ALLOW_SEALING;
    for (length, bytes) in [(3 * 4096, &b"something else"[..]), (8192, b""), (1, b"")] {
        let descriptor = memfd_create("foreign", flags).expect("a memfd");
        let file = File::from(descriptor);
        file.set_len(length).expect("the file system has space");
        file.write_at(bytes, 0).expect("the file system has space");
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("sealed");
        match Region::from_descriptor(file.into()).map(|_| ()) {
            Err(RegionError::NotARegion { expected, found }) => {
                assert!(length > 8192 && expected != found);
            }
            // The file is too short for a header and one byte.
            Err(RegionError::Size(0)) => assert!(length <= 8192),
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn region_length_is_sealed() {
    let region = Region::memfd("sealed", 8192).expect("two pages");
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let file = File::from(descriptor.try_clone_to_owned().expect("a copy"));
    let error = |length| file.set_len(length).map_err(|error| error.raw_os_error());
    assert_eq!(error(0), Err(Some(libc::EPERM)), "the region cannot shrink");
    assert_eq!(
        error(1 << 20),
        Err(Some(libc::EPERM)),
        "the region cannot grow"
    );
}

/// A peer that changes a word repeatedly cannot delay a waiter beyond its deadline.
#[test]
fn futex_wait_checks_the_deadline_before_the_word() {
    let word = AtomicU32::new(1);
    let passed = Some(Deadline::at(past()));
    assert_eq!(futex::wait(&word, 0, passed), Wake::TimedOut);
    let later = Some(Deadline::after(SECOND));
    assert_eq!(futex::wait(&word, 0, later), Wake::Changed);
}

#[test]
fn zero_timeout_tries_once() {
    let semaphore = Semaphore::binary();
    semaphore
        .acquire_timeout(Duration::ZERO)
        .expect("a permit is available")
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
        buffer.sender().expect("the channel is open"),
        buffer.receiver().expect("the channel is open"),
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
        "an item is available"
    );
    assert_eq!(
        receiver.recv_timeout(Duration::from_millis(1)),
        Err(RecvTimeoutError::Timeout)
    );
}

#[test]
fn expired_deadline_tries_once() {
    let semaphore = Semaphore::binary();
    semaphore
        .acquire_deadline(Deadline::at(past()))
        .expect("a permit is available")
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
fn maximum_timeout_waits() {
    assert!(Deadline::after(Duration::MAX) > Deadline::after(SECOND));
    let semaphore = Semaphore::empty();
    let buffer = BoundedBuffer::with_capacity(1).expect("small");
    let receiver = buffer.receiver().expect("the channel is open");
    std::thread::scope(|scope| {
        let acquirer = scope.spawn(|| semaphore.acquire_timeout(Duration::MAX).is_some());
        let receiving = scope.spawn(|| receiver.recv_timeout(Duration::MAX));
        semaphore.release(1).expect("far from the maximum");
        buffer
            .sender()
            .expect("the channel is open")
            .send(7)
            .expect("a receiver is attached");
        assert!(acquirer.join().expect("no panic"));
        assert_eq!(receiving.join().expect("no panic"), Ok(7));
    });
}

#[test]
fn release_above_the_maximum_changes_nothing() {
    let overflow = PermitOverflow {
        held: 0,
        added: MAX_PERMITS + 1,
    };
    assert_eq!(Semaphore::new(MAX_PERMITS + 1).err(), Some(overflow));
    let semaphore = Semaphore::new(MAX_PERMITS).expect("the maximum");
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
    assert_eq!(semaphore.release(0), Ok(()), "releasing 0 permits succeeds");
    assert_eq!(semaphore.permits(), MAX_PERMITS);
    semaphore.acquire().forget();
    assert_eq!(semaphore.release(1), Ok(()));
    assert_eq!(
        SemaphorePair::new(MAX_PERMITS).err(),
        Some(PermitOverflow {
            held: 1,
            added: MAX_PERMITS
        }),
        "closing needs one additional permit"
    );
}

#[test]
fn closed_side_stays_closed() {
    check_closed_side(&BoundedBuffer::with_capacity(1).expect("small"));
    check_closed_side(&MonitorBuffer::with_capacity(1).expect("small"));
}

fn check_closed_side(buffer: &impl Buffer<Item = u64>) {
    let (sender, receiver) = (
        buffer.sender().expect("the channel is open"),
        buffer.receiver().expect("the channel is open"),
    );
    let another = buffer.sender().expect("the channel is open");
    sender.close();
    assert_eq!(
        receiver.try_recv(),
        Err(TryRecvError::Empty),
        "one sender is still attached"
    );
    another.close();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert!(buffer.sender().is_err(), "the side stays closed");
    drop(receiver);
    assert!(buffer.receiver().is_err(), "the side stays closed");
}

#[test]
fn failed_send_returns_the_item() {
    let buffer = MonitorBuffer::with_capacity(1).expect("small");
    let sender = buffer.sender().expect("the channel is open");
    drop(buffer.receiver().expect("the channel is open"));
    let item = String::from("not lost");
    let TrySendError::Disconnected(item) =
        sender.try_send(item).expect_err("no receiver is attached")
    else {
        panic!("expected disconnection");
    };
    assert_eq!(
        sender
            .send(item)
            .expect_err("no receiver is attached")
            .into_inner(),
        "not lost"
    );
}

#[test]
fn unreceived_items_are_dropped_once() {
    let item = std::sync::Arc::new(());
    let buffer = BoundedBuffer::with_capacity(4).expect("small");
    let sender = buffer.sender().expect("the channel is open");
    (0..3).for_each(|_| sender.send(item.clone()).expect("the buffer has room"));
    drop(buffer.receiver().expect("the channel is open").recv());
    drop(sender);
    assert_eq!(std::sync::Arc::strong_count(&item), 3);
    drop(buffer);
    assert_eq!(std::sync::Arc::strong_count(&item), 1);
}

/// Writes special values into each state word of a buffer. The state words lie after the lock and
/// two semaphores or condition variables, each of which occupies two cache lines.
fn survives_a_faulty_peer<B: Unregistered<Item = u64> + ShmObject<Config = usize> + ?Sized>() {
    // The range of the state words in the region's file. The first object follows the region's
    // header of 8192 bytes.
    const STATE: std::ops::Range<u64> = 8192 + 264..8192 + 312;
    for offset in STATE.step_by(8) {
        for garbage in [0, 1, 7, 1 << 32, u64::MAX - 1, u64::MAX] {
            let region = Region::memfd("faulty", 4096).expect("a page");
            let buffer: &B = region.create("buffer", 3).expect("the region has room");
            buffer
                .send_unregistered(1, Timeout::NonBlocking)
                .expect("the buffer has room");
            buffer
                .send_unregistered(2, Timeout::NonBlocking)
                .expect("the buffer has room");
            let descriptor = region.descriptor().expect("a memfd has a descriptor");
            let peer = File::from(descriptor.try_clone_to_owned().expect("a descriptor"));
            let mut length = [0; 8];
            peer.read_exact_at(&mut length, STATE.start + 8)
                .expect("the memfd is readable and writable");
            assert_eq!(u64::from_ne_bytes(length), 2, "the offset of the length");
            let written = peer.write_all_at(&u64::to_ne_bytes(garbage), offset);
            written.expect("the memfd is readable and writable");
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
fn corrupted_positions_stay_within_the_ring() {
    survives_a_faulty_peer::<Bounded>();
    survives_a_faulty_peer::<Monitor>();
}

#[test]
fn handles_and_errors_are_debug_for_any_item() {
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
    let buffer = BoundedBuffer::<u64>::with_capacity(1).expect("a buffer of one slot");
    let handles = (
        buffer.sender().expect("the channel is open"),
        buffer.receiver().expect("the channel is open"),
    );
    assert_eq!(format!("{handles:?}"), "(Sender { .. }, Receiver { .. })");
}

#[test]
fn region_of_another_version_is_a_typed_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("region");
    let name = RegionName::file(&path);
    let region = RegionOptions::new(4096)
        .create(&name)
        .expect("the name is free");
    let memfd = region.descriptor().expect("a file").try_clone_to_owned();
    let file = File::from(memfd.expect("a copy"));
    let mut word = [0; 8];
    file.read_exact_at(&mut word, 0).expect("a header");
    let magic = u64::from_ne_bytes(word);
    assert_eq!(magic & 0xff, u64::from(FORMAT_VERSION));
    let set_version = |version: u8| {
        let word = (magic & !0xff | u64::from(version)).to_ne_bytes();
        file.write_all_at(&word, 0).expect("the file is writable");
    };
    for version in [1, FORMAT_VERSION - 1, FORMAT_VERSION + 1, 31] {
        set_version(version);
        for error in [
            RegionOptions::attach(&name).err(),
            RegionOptions::new(4096).create_or_attach(&name).err(),
            RegionView::attach(&name).err(),
        ] {
            let error = error.expect("the version differs");
            assert!(
                matches!(error, RegionError::OtherVersion { expected: FORMAT_VERSION, found }
                    if found == version),
                "{error:?}"
            );
            let text = error.to_string();
            assert!(
                text.starts_with(&format!(
                    "the region has format version {version}, expected"
                )),
                "{text}"
            );
        }
    }
    // A text file is never a region of another version.
    for byte in [0, 32, b'k', 255] {
        set_version(byte);
        let error = RegionOptions::attach(&name).err();
        assert!(
            matches!(error, Some(RegionError::NotARegion { .. })),
            "{byte}: {error:?}"
        );
        assert!(
            name.remove().is_err(),
            "{byte}: another file is not removed"
        );
    }
    set_version(FORMAT_VERSION - 1);
    name.remove()
        .expect("a region of another version is removed");
    assert!(!path.exists());
}
