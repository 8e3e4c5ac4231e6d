//! The pipe in shared memory, with a step left out or in the wrong place.

use interlatch::channel::BytePipeError;
use interlatch::channel::Direction;
use interlatch::platform::{ShmSafe, UnsafeCell};
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Condvar, RobustMutex};
use interlatch_check::FailureKind::{Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_contract::byte_pipe::{self, Bytes};

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("byte_pipe_that_wakes_one_writer", Deadlock, || {
            byte_pipe::small_writer_does_not_wait_behind_a_larger_one::<Flawed<TELLS_ONE_WRITER, 2>>(
            )
        }),
        Model::broken("byte_pipe_that_wakes_one_reader", Deadlock, || {
            byte_pipe::one_write_wakes_two_readers::<Flawed<TELLS_ONE_READER, 2>>()
        }),
        Model::broken("byte_pipe_that_splits_small_writes", WrongResult, || {
            byte_pipe::small_writes_do_not_interleave::<Flawed<DIVIDES, 3>>()
        }),
        Model::broken("byte_pipe_that_publishes_byte_by_byte", WrongResult, || {
            byte_pipe::killed_write_completes_or_has_no_effect::<Flawed<COUNTS_EACH, 2>>()
        }),
        Model::broken(
            "byte_pipe_that_publishes_before_it_fills",
            WrongResult,
            || byte_pipe::killed_write_completes_or_has_no_effect::<Flawed<COUNTS_FIRST, 2>>(),
        ),
    ]
}

/// Room is told to one writer: maybe to one for whom it is not enough.
const TELLS_ONE_WRITER: u8 = 0;
/// All that came at once is told to one reader, who takes only a part.
const TELLS_ONE_READER: u8 = 1;
/// A small piece goes in as there is room.
const DIVIDES: u8 = 2;
/// A death between two bytes leaves a part of a small piece.
const COUNTS_EACH: u8 = 3;
/// A death leaves bytes that nobody wrote.
const COUNTS_FIRST: u8 = 4;

/// `BytePipe` without its ends.
#[derive(Debug)]
struct Flawed<const FLAW: u8, const N: usize> {
    lock: RobustMutex<()>,
    not_full: Condvar,
    not_empty: Condvar,
    written: UnsafeCell<usize>,
    read: UnsafeCell<usize>,
    bytes: UnsafeCell<[u8; N]>,
}

// SAFETY: the models run it in one address space.
unsafe impl<const FLAW: u8, const N: usize> ShmSafe for Flawed<FLAW, N> {
    fn initial() -> Self {
        Self {
            lock: RobustMutex::new(()),
            not_full: Condvar::new(),
            not_empty: Condvar::new(),
            written: UnsafeCell::new(0),
            read: UnsafeCell::new(0),
            bytes: UnsafeCell::new([0; N]),
        }
    }
}

// SAFETY: accessed under the lock.
unsafe impl<const FLAW: u8, const N: usize> Sync for Flawed<FLAW, N> {}

fn get(number: &UnsafeCell<usize>) -> usize {
    // SAFETY: under the lock.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<usize>, value: usize) {
    // SAFETY: under the lock.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8, const N: usize> Flawed<FLAW, N> {
    /// Waits until that is so; the lock is held then.
    fn enter(
        &self,
        condition: &Condvar,
        timeout: Timeout,
        is_so: impl Fn(usize) -> bool,
    ) -> Result<RobustMutexGuard<'_, ()>, BytePipeError> {
        let mut guard = self.lock.lock().or_else(RobustLockError::mark_consistent)?;
        let mut in_time = true;
        while !is_so(get(&self.written) - get(&self.read)) {
            if !in_time {
                return Err(BytePipeError::Timeout);
            }
            let locked;
            (locked, in_time) = condition.wait_robust(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
        Ok(guard)
    }

    fn put(&self, bytes: &[u8]) {
        let written = get(&self.written);
        if FLAW == COUNTS_FIRST {
            set(&self.written, written + bytes.len());
        }
        for (number, byte) in (written..).zip(bytes) {
            // SAFETY: under the lock.
            self.bytes
                .with_mut(|all| unsafe { (*all)[number % N] = *byte });
            if FLAW == COUNTS_EACH {
                set(&self.written, number + 1);
            }
        }
        set(&self.written, written + bytes.len());
    }
}

impl<const FLAW: u8, const N: usize> Bytes for Flawed<FLAW, N> {
    fn write_with(&self, bytes: &[u8], timeout: Timeout) -> Result<usize, BytePipeError> {
        let mut count = 0;
        while count < bytes.len() {
            let rest = &bytes[count..];
            let piece = if FLAW == DIVIDES { 1 } else { rest.len() };
            let guard = self.enter(&self.not_full, timeout, |there| N - there >= piece)?;
            let room = N - (get(&self.written) - get(&self.read));
            let some = rest.len().min(room);
            self.put(&rest[..some]);
            count += some;
            drop(guard);
            match FLAW {
                TELLS_ONE_READER => self.not_empty.notify_one(),
                _ => self.not_empty.notify_all(),
            }
        }
        Ok(count)
    }

    fn read_with(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, BytePipeError> {
        let guard = self.enter(&self.not_empty, timeout, |there| there > 0)?;
        let read = get(&self.read);
        let count = bytes.len().min(get(&self.written) - read);
        for (number, byte) in (read..).zip(&mut bytes[..count]) {
            // SAFETY: under the lock.
            *byte = self.bytes.with(|all| unsafe { (*all)[number % N] });
        }
        set(&self.read, read + count);
        drop(guard);
        match FLAW {
            TELLS_ONE_WRITER => self.not_full.notify_one(),
            _ => self.not_full.notify_all(),
        }
        Ok(count)
    }

    fn attach(&self, _end: Direction) -> Option<impl Sized + '_> {
        Some(())
    }

    fn capacity(&self) -> usize {
        N
    }
}
