//! Broken byte pipes in shared memory: in each of them, one step is left out or moved.

use interlatch::channel::{Direction, RecvTimeoutError, SendTimeoutError};
use interlatch::platform::{ShmSafe, ShmType, TypeInfo, UnsafeCell};
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Condvar, RobustMutex};
use interlatch_check::FailureKind::{Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_contract::byte_pipe::{self, Bytes};

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("byte_pipe_that_wakes_one_writer", Deadlock, || {
            byte_pipe::small_writer_does_not_wait_behind_a_larger_one::<Flawed<WAKES_ONE_WRITER, 2>>(
            )
        }),
        Model::broken("byte_pipe_that_wakes_one_reader", Deadlock, || {
            byte_pipe::one_write_wakes_two_readers::<Flawed<WAKES_ONE_READER, 2>>()
        }),
        Model::broken("byte_pipe_that_splits_small_writes", WrongResult, || {
            byte_pipe::small_writes_do_not_interleave::<Flawed<SPLITS_SMALL_WRITES, 3>>()
        }),
        Model::broken("byte_pipe_that_publishes_byte_by_byte", WrongResult, || {
            byte_pipe::killed_write_completes_or_has_no_effect::<Flawed<PUBLISHES_EACH_BYTE, 2>>()
        }),
        Model::broken(
            "byte_pipe_that_publishes_before_it_fills",
            WrongResult,
            byte_pipe::killed_write_completes_or_has_no_effect::<Flawed<PUBLISHES_FIRST, 2>>,
        ),
        Model::broken(
            "byte_pipe_that_publishes_a_large_write_before_it_fills",
            WrongResult,
            byte_pipe::killed_large_write_admits_small_writes::<Flawed<PUBLISHES_FIRST, 2>>,
        ),
        Model::broken(
            "byte_pipe_that_frees_before_it_copies",
            WrongResult,
            byte_pipe::bytes_of_killed_reader_are_in_the_pipe_or_copied::<Flawed<FREES_FIRST, 2>>,
        ),
        Model::broken("byte_pipe_that_ignores_its_readers", WrongResult, || {
            byte_pipe::write_without_readers_fails::<Flawed<IGNORES_READERS, 1>>()
        }),
    ]
}

/// A read wakes only one writer. If the write of that writer does not fit, the other writer hangs.
const WAKES_ONE_WRITER: u8 = 0;
/// A write wakes only one reader. If that reader takes only a part of the bytes, the other reader
/// hangs.
const WAKES_ONE_READER: u8 = 1;
/// A small write locks separately for each byte, so the bytes of two writes interleave.
const SPLITS_SMALL_WRITES: u8 = 2;
/// A small write publishes each byte separately, so a death between two bytes leaves a part of the
/// write.
const PUBLISHES_EACH_BYTE: u8 = 3;
/// A write publishes its position before it writes the bytes, so a death between these steps leaves
/// wrong bytes.
const PUBLISHES_FIRST: u8 = 4;
/// A read frees the slots before it copies the bytes, so a death between these steps loses the
/// bytes.
const FREES_FIRST: u8 = 5;
/// A write does not fail when the last reader is gone.
const IGNORES_READERS: u8 = 6;

/// A simplified `BytePipe` that does not track its writers and readers.
#[derive(Debug)]
struct Flawed<const FLAW: u8, const N: usize> {
    lock: RobustMutex<()>,
    not_full: Condvar,
    not_empty: Condvar,
    written: UnsafeCell<usize>,
    read: UnsafeCell<usize>,
    bytes: UnsafeCell<[u8; N]>,
}

// SAFETY: the models run this type in one address space.
unsafe impl<const FLAW: u8, const N: usize> ShmSafe for Flawed<FLAW, N> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                lock: RobustMutex::new(()).into_inner(),
                not_full: Condvar::new(),
                not_empty: Condvar::new(),
                written: UnsafeCell::new(0),
                read: UnsafeCell::new(0),
                bytes: UnsafeCell::new([0; N]),
            });
        }
    }
}

impl<const FLAW: u8, const N: usize> ShmType for Flawed<FLAW, N> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

// SAFETY: only the holder of `lock` accesses the cells.
unsafe impl<const FLAW: u8, const N: usize> Sync for Flawed<FLAW, N> {}

fn get(number: &UnsafeCell<usize>) -> usize {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<usize>, value: usize) {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8, const N: usize> Flawed<FLAW, N> {
    /// Locks, and waits until the number of bytes satisfies the predicate.
    fn lock_when(
        &self,
        changed: &Condvar,
        timeout: Timeout,
        is_ready: impl Fn(usize) -> bool,
    ) -> Option<RobustMutexGuard<'_, ()>> {
        let locked = self.lock.lock().or_else(RobustLockError::mark_consistent);
        let mut guard = locked.unwrap_or_else(|error| panic!("{error}"));
        let mut in_time = true;
        while !is_ready(get(&self.written) - get(&self.read)) {
            if !in_time {
                return None;
            }
            let locked;
            (locked, in_time) = changed.wait_robust(guard, timeout);
            guard = locked
                .or_else(RobustLockError::mark_consistent)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        Some(guard)
    }

    fn put(&self, bytes: &[u8]) {
        let written = get(&self.written);
        if FLAW == PUBLISHES_FIRST {
            set(&self.written, written + bytes.len());
        }
        for (number, byte) in (written..).zip(bytes) {
            // SAFETY: the caller holds `lock`, so no other process accesses the cell.
            self.bytes
                .with_mut(|all| unsafe { (*all)[number % N] = *byte });
            if FLAW == PUBLISHES_EACH_BYTE {
                set(&self.written, number + 1);
            }
        }
        set(&self.written, written + bytes.len());
    }
}

impl<const FLAW: u8, const N: usize> Bytes for Flawed<FLAW, N> {
    fn write_with(&self, bytes: &[u8], timeout: Timeout) -> Result<usize, SendTimeoutError<()>> {
        let mut count = 0;
        while count < bytes.len() {
            let rest = &bytes[count..];
            let piece = if FLAW == SPLITS_SMALL_WRITES {
                1
            } else {
                rest.len()
            };
            let guard = self
                .lock_when(&self.not_full, timeout, |count| N - count >= piece)
                .ok_or(SendTimeoutError::Timeout(()))?;
            let room = N - (get(&self.written) - get(&self.read));
            let some = rest.len().min(room);
            self.put(&rest[..some]);
            count += some;
            drop(guard);
            match FLAW {
                WAKES_ONE_READER => self.not_empty.notify_one(),
                _ => self.not_empty.notify_all(),
            }
        }
        Ok(count)
    }

    fn read_with(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        let guard = self
            .lock_when(&self.not_empty, timeout, |count| count > 0)
            .ok_or(RecvTimeoutError::Timeout)?;
        let read = get(&self.read);
        let count = bytes.len().min(get(&self.written) - read);
        if FLAW == FREES_FIRST {
            set(&self.read, read + count);
        }
        for (number, byte) in (read..).zip(&mut bytes[..count]) {
            // SAFETY: the caller holds `lock`, so no other process accesses the cell.
            *byte = self.bytes.with(|all| unsafe { (*all)[number % N] });
        }
        set(&self.read, read + count);
        drop(guard);
        match FLAW {
            WAKES_ONE_WRITER => self.not_full.notify_one(),
            _ => self.not_full.notify_all(),
        }
        Ok(count)
    }

    fn attach(&self, _direction: Direction) -> Option<impl Sized + '_> {
        Some(())
    }

    fn capacity(&self) -> usize {
        N
    }
}
