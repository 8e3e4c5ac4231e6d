//! The promises of a byte pipe in shared memory, even if a process dies.

use super::{
    Destination, RaceCell, Scenario, Stage, distant_timeout, expired_timeouts, initial,
    short_timeout,
};
use interlatch::channel::{BytePipe, Channel, Direction, RecvTimeoutError, SendTimeoutError, Slot};
use interlatch::channel::{TryRecvError, TrySendError};
use interlatch::platform::ShmSafe;
use interlatch::sync::{Semaphore, Timeout};
use std::time::Duration;

/// A byte pipe of a fixed capacity.
pub trait Bytes: ShmSafe {
    /// Writes bytes, and returns the number of bytes written.
    ///
    /// # Errors
    /// Returns the same errors as [`Sender::write_with`](interlatch::Sender::write_with).
    fn write_with(&self, bytes: &[u8], timeout: Timeout) -> Result<usize, SendTimeoutError<()>>;

    /// Reads bytes, and returns the number of bytes read.
    ///
    /// # Errors
    /// Returns the same errors as [`Receiver::read_with`](interlatch::Receiver::read_with).
    fn read_with(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, RecvTimeoutError>;

    /// Attaches a handle, unless the side is closed.
    fn attach(&self, direction: Direction) -> Option<impl Sized + '_>;

    /// Returns the capacity in bytes.
    fn capacity(&self) -> usize;
}

/// A [`BytePipe`] of `N` bytes with at most two writers and two readers.
pub type SmallPipe<const N: usize> = BytePipe<[Slot<u8>; N], 2>;

impl<const N: usize> Bytes for SmallPipe<N> {
    fn write_with(&self, bytes: &[u8], timeout: Timeout) -> Result<usize, SendTimeoutError<()>> {
        self.write_unregistered(bytes, timeout)
    }

    fn read_with(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        self.read_unregistered(bytes, timeout)
    }

    fn attach(&self, direction: Direction) -> Option<impl Sized + '_> {
        match direction {
            Direction::Sending => self.sender().ok().map(|writer| (Some(writer), None)),
            Direction::Receiving => self.receiver().ok().map(|reader| (None, Some(reader))),
        }
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }
}

/// A pipe, a number whose decimal digits are the bytes read, and signals between participants.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct BytePipeState<B> {
    bytes: B,
    /// The bytes that each of two readers read.
    read: [RaceCell; 2],
    /// The number of bytes that a write call wrote. Some scenarios record only its success, as 1.
    wrote: RaceCell,
    begun: Semaphore,
    done: Semaphore,
}

/// A pipe, and the memory into which one process reads.
///
/// The pipe's next byte goes into its last slot, so a write of two bytes continues in the first
/// slot.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct WrappingPipe<B: Bytes> {
    #[shm(initial = wrapping_pipe())]
    pipe: BytePipeState<B>,
    destination: Destination<[u8; 2]>,
}

fn wrapping_pipe<B: Bytes>() -> BytePipeState<B> {
    // SAFETY: the calling thread holds no lock of the pipe when the pipe moves into its place.
    let state = unsafe { initial::<BytePipeState<B>>() };
    for _ in 1..state.bytes.capacity() {
        state.write(&[9]);
        let read = state.bytes.read_with(&mut [0], Timeout::NonBlocking);
        assert_eq!(read, Ok(1));
    }
    state
}

impl<B: Bytes> BytePipeState<B> {
    fn write(&self, bytes: &[u8]) {
        let written = self.bytes.write_with(bytes, Timeout::Infinite);
        assert_eq!(written, Ok(bytes.len()), "the write is incomplete");
    }

    /// Reads up to `max` bytes in one call, and appends each byte as a decimal digit to the
    /// recorded number.
    fn read<const INDEX: usize>(&self, max: usize, timeout: Timeout) -> usize {
        let mut bytes = [0; 4];
        let count = self
            .bytes
            .read_with(&mut bytes[..max], timeout)
            .unwrap_or(0);
        for byte in &bytes[..count] {
            assert!((1..=9).contains(byte), "read {byte}, which was not written");
            self.read[INDEX].set(self.read[INDEX].get() * 10 + u64::from(*byte));
        }
        count
    }

    /// Reads until the end of the stream.
    fn read_all<const INDEX: usize>(&self) {
        while self.read::<INDEX>(2, Timeout::Infinite) > 0 {}
    }

    /// Reads the remaining bytes, and returns all bytes that the first reader read as digits.
    ///
    /// Checks that the empty pipe then accepts as many bytes as its capacity, and returns these
    /// bytes in order.
    fn drain_and_check(&self) -> u64 {
        while self.read::<0>(1, Timeout::NonBlocking) > 0 {}
        let all: Vec<u8> = (1..=9).cycle().take(self.bytes.capacity()).collect();
        let (mut found, timed_out) = (vec![0; all.len()], Err(SendTimeoutError::Timeout(())));
        let written = self.bytes.write_with(&all, Timeout::NonBlocking);
        assert_eq!(written, Ok(all.len()), "a slot is lost");
        assert_eq!(self.bytes.write_with(&[1], Timeout::NonBlocking), timed_out);
        let read = self.bytes.read_with(&mut found, Timeout::NonBlocking);
        assert_eq!((read, found), (Ok(all.len()), all));
        self.read[0].get()
    }
}

/// Runs every scenario of a byte pipe.
pub fn all(stage: &mut impl Stage) {
    all_of_one_byte::<SmallPipe<1>>(stage);
    all_of_two_bytes::<SmallPipe<2>>(stage);
    all_of_byte_pipe(stage);
    all_of_three_bytes::<SmallPipe<3>>(stage);
}

/// Runs the scenarios of a pipe whose capacity is one byte.
pub fn all_of_one_byte<B: Bytes + 'static>(stage: &mut impl Stage) {
    stage.run(dropped_last_reader_disconnects_writers::<B>());
    stage.run(write_without_readers_fails::<B>());
    stage.run(killed_large_write_leaves_a_prefix::<B>());
    stage.run(death_of_last_writer_ends_the_stream::<B>());
    stage.run(death_of_last_reader_disconnects_writers::<B>());
}

/// Runs the scenarios of a pipe whose capacity is two bytes.
pub fn all_of_two_bytes<B: Bytes + 'static>(stage: &mut impl Stage) {
    stage.run(keeps_order::<B>());
    stage.run(small_write_is_atomic::<B>());
    stage.run(non_blocking_write_writes_what_fits::<B>());
    stage.run(end_of_stream_follows_the_last_byte::<B>());
    stage.run(small_writer_does_not_wait_behind_a_larger_one::<B>());
    stage.run(one_write_wakes_two_readers::<B>());
    stage.run(handles_extreme_requests::<B>());
    stage.run(killed_write_completes_or_has_no_effect::<B>());
    stage.run(killed_read_completes_or_has_no_effect::<B>());
    stage.run(bytes_of_killed_reader_are_in_the_pipe_or_copied::<B>());
    stage.run(killed_large_write_admits_small_writes::<B>());
}

/// Runs the scenarios of the methods of a [`BytePipe`]'s handles.
pub fn all_of_byte_pipe(stage: &mut impl Stage) {
    stage.run(every_read_and_write_method_passes_bytes());
}

/// Runs the scenarios of a pipe whose capacity is three bytes.
pub fn all_of_three_bytes<B: Bytes + 'static>(stage: &mut impl Stage) {
    stage.run(small_writes_do_not_interleave::<B>());
}

/// Bytes arrive in the order in which they were written.
///
/// One write is larger than the pipe, so both sides wait. A lost wake-up makes both sides hang.
pub fn keeps_order<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let read = |shared: &BytePipeState<B>| {
        let mut count = 0;
        while count < 3 {
            count += shared.read::<0>(2, Timeout::Infinite);
        }
    };
    Scenario::new(
        "keeps_order",
        vec![|shared: &BytePipeState<B>| shared.write(&[1, 2, 3]), read],
    )
    .verify(|shared| assert_eq!(shared.drain_and_check(), 123))
    .choices(8)
}

/// A write that fits into the pipe is atomic: no reader gets a part of it.
pub fn small_write_is_atomic<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let read = |shared: &BytePipeState<B>| {
        let count = shared.read::<0>(2, Timeout::NonBlocking);
        assert!([0, 2].contains(&count), "read {count} of 2 bytes");
    };
    Scenario::new(
        "small_write_is_atomic",
        vec![|shared: &BytePipeState<B>| shared.write(&[1, 2]), read],
    )
    .verify(|shared| assert_eq!(shared.drain_and_check(), 12))
    .choices(8)
}

/// A non-blocking write that is larger than the pipe writes the bytes that fit.
pub fn non_blocking_write_writes_what_fits<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let write = |shared: &BytePipeState<B>| {
        let written = shared.bytes.write_with(&[1, 2, 3], Timeout::NonBlocking);
        let count = written.expect("the pipe is empty");
        // A concurrent read may free space for the third byte.
        assert!([2, 3].contains(&count), "{count} of 3 bytes were written");
        shared.wrote.set(count as u64);
    };
    Scenario::new(
        "non_blocking_write_writes_what_fits",
        vec![write, |shared| {
            shared.read::<0>(2, Timeout::NonBlocking);
        }],
    )
    .verify(|shared| {
        let expected = if shared.wrote.get() == 3 { 123 } else { 12 };
        assert_eq!(shared.drain_and_check(), expected);
    })
    .choices(8)
}

/// The bytes of two small writes by different writers do not interleave.
///
/// Each write fits into an empty pipe, but the free space may suffice for only a part of it. A
/// writer that writes only that part mixes its bytes with the bytes of the other writer.
pub fn small_writes_do_not_interleave<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let write_twice = |shared: &BytePipeState<B>| {
        shared.write(&[1, 2]);
        shared.write(&[1, 2]);
    };
    let read = |shared: &BytePipeState<B>| {
        let mut count = 0;
        while count < 6 {
            count += shared.read::<0>(3, Timeout::Infinite);
        }
    };
    Scenario::new(
        "small_writes_do_not_interleave",
        vec![write_twice, |shared| shared.write(&[3, 4]), read],
    )
    .verify(|shared| {
        let whole = [121_234, 123_412, 341_212];
        assert!(
            whole.contains(&shared.drain_and_check()),
            "{}",
            shared.read[0].get()
        );
    })
    .choices(8)
}

/// A reader gets every written byte before the end of the stream.
pub fn end_of_stream_follows_the_last_byte<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let write = |shared: &BytePipeState<B>| {
        let _writer = shared
            .bytes
            .attach(Direction::Sending)
            .expect("the side is open");
        shared.write(&[1, 2, 3]);
    };
    let read = |shared: &BytePipeState<B>| {
        shared.read_all::<0>();
        assert_eq!(shared.read[0].get(), 123);
        assert!(
            shared.bytes.attach(Direction::Sending).is_none(),
            "a closed side was opened again"
        );
    };
    Scenario::new("end_of_stream_follows_the_last_byte", vec![write, read]).choices(8)
}

/// Dropping the last reader disconnects a waiting writer.
///
/// A waiting write that has already written some bytes returns their number, and the next write
/// fails.
pub fn dropped_last_reader_disconnects_writers<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let write = |shared: &BytePipeState<B>| {
        let broken = Err(SendTimeoutError::Disconnected(()));
        let written = shared.bytes.write_with(&[1, 2, 3], Timeout::Infinite);
        assert!([Ok(1), broken.clone()].contains(&written), "{written:?}");
        let again = shared.bytes.write_with(&[1], Timeout::Infinite);
        assert_eq!(again, broken, "a closed side was opened again");
    };
    Scenario::new(
        "dropped_last_reader_disconnects_writers",
        vec![write, |shared| {
            drop(shared.bytes.attach(Direction::Receiving))
        }],
    )
    .choices(8)
}

/// After the last reader is dropped, a write fails although the pipe has room.
pub fn write_without_readers_fails<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let alone = |shared: &BytePipeState<B>| {
        drop(shared.bytes.attach(Direction::Receiving));
        let written = shared.bytes.write_with(&[1], Timeout::NonBlocking);
        assert_eq!(written, Err(SendTimeoutError::Disconnected(())));
    };
    Scenario::new(
        "write_without_readers_fails",
        vec![alone as fn(&BytePipeState<B>)],
    )
}

/// A small write does not wait behind a larger write that does not fit.
///
/// Two writers wait, and a read frees space for the smaller write. If the read wakes only the
/// writer with the larger write, both writers hang.
pub fn small_writer_does_not_wait_behind_a_larger_one<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let read = |shared: &BytePipeState<B>| {
        shared.write(&[1, 2]);
        shared.begun.release(2).expect("far below the maximum");
        shared.read::<0>(1, Timeout::Infinite);
        shared.done.acquire().forget();
        while shared.read[0].get() < 10_000 {
            shared.read::<0>(1, Timeout::Infinite);
        }
    };
    Scenario::new(
        "small_writer_does_not_wait_behind_a_larger_one",
        vec![
            |shared: &BytePipeState<B>| {
                shared.begun.acquire().forget();
                shared.write(&[3, 4]);
            },
            |shared| {
                shared.begun.acquire().forget();
                shared.write(&[5]);
                shared.done.release(1).expect("far below the maximum");
            },
            read,
        ],
    )
    .verify(|shared| assert_eq!(shared.drain_and_check(), 12_534))
    .choices(8)
}

/// A write of two bytes wakes two readers that read one byte each.
///
/// If the write wakes only one reader, the other reader hangs.
pub fn one_write_wakes_two_readers<B: Bytes>() -> Scenario<BytePipeState<B>> {
    fn read<B: Bytes, const INDEX: usize>(shared: &BytePipeState<B>) {
        assert_eq!(shared.read::<INDEX>(1, Timeout::Infinite), 1);
    }
    Scenario::new(
        "one_write_wakes_two_readers",
        vec![read::<B, 0>, read::<B, 1>, |shared| shared.write(&[1, 2])],
    )
    .verify(|shared| {
        let read = [0, 1].map(|index| shared.read[index].get());
        assert!([[1, 2], [2, 1]].contains(&read), "{read:?}");
    })
    .choices(8)
}

/// A call with an empty slice does not wait. A call with an expired timeout moves only the bytes
/// that it can move without waiting.
pub fn handles_extreme_requests<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let alone = |shared: &BytePipeState<B>| {
        let (bytes, timed_out) = (&shared.bytes, Err(SendTimeoutError::Timeout(())));
        assert_eq!(bytes.read_with(&mut [], Timeout::Infinite), Ok(0));
        assert_eq!(bytes.write_with(&[], Timeout::Infinite), Ok(0));
        for timeout in expired_timeouts() {
            let read = bytes.read_with(&mut [0], timeout);
            assert_eq!(read, Err(RecvTimeoutError::Timeout));
            assert_eq!(bytes.write_with(&[1, 2], timeout), Ok(2));
            assert_eq!(bytes.write_with(&[3], timeout), timed_out);
            assert_eq!(bytes.write_with(&[3, 4, 5], timeout), timed_out);
            assert_eq!(shared.read::<0>(1, timeout), 1);
            assert_eq!(
                bytes.write_with(&[3, 4], timeout),
                timed_out,
                "a small write is atomic"
            );
            let written = bytes.write_with(&[3, 4, 5], Timeout::NonBlocking);
            assert_eq!(written, Ok(1), "a large write writes the bytes that fit");
            assert_eq!(shared.read::<0>(2, distant_timeout()), 2);
        }
    };
    Scenario::new(
        "handles_extreme_requests",
        vec![alone as fn(&BytePipeState<B>)],
    )
    .verify(|shared| assert_eq!(shared.drain_and_check(), 123_123))
    .choices(4)
}

/// If a writer is killed during a small write, either all bytes of the write arrive or none.
///
/// The writer is killed at any step. The bytes are in two parts of the memory. The pipe loses no
/// slot.
pub fn killed_write_completes_or_has_no_effect<B: Bytes>() -> Scenario<WrappingPipe<B>> {
    let write = |WrappingPipe { pipe: shared, .. }: &WrappingPipe<B>| {
        let written = shared.bytes.write_with(&[1, 2], Timeout::NonBlocking);
        assert_eq!(written, Ok(2));
        shared.wrote.set(1);
    };
    let read = |WrappingPipe { pipe: shared, .. }: &WrappingPipe<B>| {
        shared.read::<0>(1, Timeout::NonBlocking);
    };
    Scenario::new("killed_write_completes_or_has_no_effect", vec![write, read])
        .verify(|WrappingPipe { pipe: shared, .. }| {
            let (rest, wrote) = (shared.drain_and_check(), shared.wrote.get());
            assert!(
                rest == 12 || rest == 0 && wrote == 0,
                "{rest}, wrote: {wrote}"
            );
        })
        .choices(8)
        .victims(&[0])
}

/// If a writer is killed during a write that is larger than the pipe, a prefix of the bytes
/// arrives.
///
/// The writer is killed at any step. No slot is lost, and later bytes follow the prefix.
pub fn killed_large_write_leaves_a_prefix<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let write = |shared: &BytePipeState<B>| {
        let _ = shared.bytes.write_with(&[1, 2], short_timeout());
    };
    let other = |shared: &BytePipeState<B>| {
        shared.read::<0>(1, short_timeout());
        shared.read::<0>(1, short_timeout());
    };
    Scenario::new(
        "killed_large_write_leaves_a_prefix",
        vec![write as fn(&BytePipeState<B>), other],
    )
    .verify(|shared| assert!([0, 1, 12].contains(&shared.drain_and_check())))
    .choices(8)
    .victims(&[0])
}

/// If a reader is killed during a read, the read has either taken all its bytes or none.
///
/// The reader is killed at any step. The other bytes stay in order.
pub fn killed_read_completes_or_has_no_effect<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let read = |shared: &BytePipeState<B>| {
        let _ = shared.bytes.read_with(&mut [0], Timeout::NonBlocking);
    };
    Scenario::new(
        "killed_read_completes_or_has_no_effect",
        vec![read as fn(&BytePipeState<B>), |shared| {
            shared.write(&[1, 2])
        }],
    )
    .verify(|shared| assert!([12, 2].contains(&shared.drain_and_check())))
    .choices(8)
    .victims(&[0])
}

/// If a reader is killed during a read, its bytes are in the pipe or in the reader's memory.
///
/// The reader reads into shared memory and is killed at any step. A reader that marks the bytes as
/// read before it has copied all of them loses bytes.
pub fn bytes_of_killed_reader_are_in_the_pipe_or_copied<B: Bytes>() -> Scenario<WrappingPipe<B>> {
    let read = |WrappingPipe { pipe, destination }: &WrappingPipe<B>| {
        let _ = destination.fill(|bytes| pipe.bytes.read_with(bytes, Timeout::NonBlocking));
    };
    let write = |WrappingPipe { pipe, .. }: &WrappingPipe<B>| pipe.write(&[1, 2]);
    Scenario::new(
        "bytes_of_killed_reader_are_in_the_pipe_or_copied",
        vec![read, write],
    )
    .verify(|WrappingPipe { pipe, destination }| {
        let copied = destination.get();
        let left = pipe.drain_and_check();
        let is_lost = left == 0 && copied != [1, 2];
        assert!(!is_lost && [0, 12].contains(&left), "{left}, {copied:?}");
    })
    .choices(8)
    .victims(&[0])
}

/// The death of the last writer ends the stream.
///
/// The writer is killed at any step between attaching and dropping. The reader first attaches and
/// drops its own writer, so the pipe or buffer has had a sender before. If the reader does not
/// notice the death, it hangs.
pub fn death_of_last_writer_ends_the_stream<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let attach = |shared: &BytePipeState<B>| drop(shared.bytes.attach(Direction::Sending));
    let read = |shared: &BytePipeState<B>| {
        drop(shared.bytes.attach(Direction::Sending));
        let end = shared.bytes.read_with(&mut [0], Timeout::Infinite);
        assert_eq!(end, Ok(0));
        assert!(
            shared.bytes.attach(Direction::Sending).is_none(),
            "a closed side was opened again"
        );
    };
    Scenario::new(
        "death_of_last_writer_ends_the_stream",
        vec![attach as fn(&BytePipeState<B>), read],
    )
    .choices(8)
    .victims(&[0])
}

/// The death of the last reader disconnects the writers.
///
/// This scenario mirrors [`death_of_last_writer_ends_the_stream`], with writers and readers
/// exchanged.
pub fn death_of_last_reader_disconnects_writers<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let attach = |shared: &BytePipeState<B>| drop(shared.bytes.attach(Direction::Receiving));
    let write = |shared: &BytePipeState<B>| {
        drop(shared.bytes.attach(Direction::Receiving));
        let broken = Err(SendTimeoutError::Disconnected(()));
        while shared.bytes.write_with(&[1], Timeout::Infinite) != broken {}
    };
    Scenario::new(
        "death_of_last_reader_disconnects_writers",
        vec![attach as fn(&BytePipeState<B>), write],
    )
    .choices(8)
    .victims(&[0])
}

/// If a writer is killed during a write that is larger than the pipe, small writes of another
/// writer still arrive whole.
///
/// The other writer writes two bytes without waiting, and a reader reads single bytes and pairs.
/// The bytes of the small write may come between the bytes of the large write, but stay together.
pub fn killed_large_write_admits_small_writes<B: Bytes>() -> Scenario<BytePipeState<B>> {
    let large = |shared: &BytePipeState<B>| {
        let _ = shared.bytes.write_with(&[1, 2, 3], short_timeout());
    };
    let other = |shared: &BytePipeState<B>| {
        shared.read::<0>(1, short_timeout());
        let small = shared.bytes.write_with(&[8, 9], Timeout::NonBlocking);
        shared.wrote.set(small.map_or(0, |count| count as u64));
        shared.read::<0>(2, Timeout::NonBlocking);
    };
    Scenario::new(
        "killed_large_write_admits_small_writes",
        vec![large as fn(&BytePipeState<B>), other],
    )
    .verify(|shared| {
        let all = shared.drain_and_check().to_string();
        let small = match shared.wrote.get() {
            0 => "",
            wrote => {
                assert_eq!(wrote, 2, "a small write was split");
                "89"
            }
        };
        assert!(all.contains(small), "{all} lacks the small write");
        let large = all.replacen(small, "", 1).replace('0', "");
        assert!("123".starts_with(&large), "{large} of 123 has arrived");
    })
    .choices(8)
    .victims(&[0])
}

/// Each method of a writer writes, each method of a reader reads, and no method waits without need.
pub fn every_read_and_write_method_passes_bytes() -> Scenario<BytePipeState<SmallPipe<2>>> {
    let alone = |shared: &BytePipeState<SmallPipe<2>>| {
        let (pipe, second) = (&shared.bytes, Duration::from_secs(1));
        let writer = pipe.sender().expect("the side is open");
        let reader = pipe.receiver().expect("the side is open");
        let mut bytes = [0; 4];
        assert!(pipe.is_empty());
        assert_eq!(reader.try_read(&mut bytes), Err(TryRecvError::Empty));
        assert_eq!(writer.try_write(&[1, 2]), Ok(2));
        assert_eq!((pipe.len(), pipe.is_empty()), (2, false));
        assert_eq!(writer.try_write(&[3]), Err(TrySendError::Full(())));
        assert_eq!(reader.try_read(&mut bytes[..1]), Ok(1));
        assert_eq!(writer.write_timeout(&[3], second), Ok(1));
        assert_eq!(reader.read_timeout(&mut bytes[1..], second), Ok(2));
        assert_eq!(bytes, [1, 2, 3, 0]);
        assert_eq!(writer.write_with(&[4], Timeout::Infinite), Ok(1));
        drop(writer);
        assert_eq!(reader.read_with(&mut bytes, Timeout::Infinite), Ok(1));
        assert_eq!(reader.read_timeout(&mut bytes, second), Ok(0));
    };
    Scenario::new("every_read_and_write_method_passes_bytes", vec![alone])
}
