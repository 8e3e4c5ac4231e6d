//! The kernel's pipe as a bounded buffer.
//!
//! **Promise.** That of every buffer here, between processes that share descriptors and no memory.
//!
//! **Source.** Thompson's and Ritchie's pipe (*The UNIX Time-Sharing System*, 1974).
//!
//! **Why it is correct.** The kernel keeps the order, and writes up to [`pipe::ATOMIC`] bytes in one piece. A
//! larger item goes in several pieces, so who sends one holds a lock meanwhile, and who receives one another.
//! The kernel counts who has which end, so the end of the stream needs nothing of ours.

use super::{Buffer, Counted, CountsEnds, Disconnected, End, RecvTimeoutError, SendTimeoutError};
use crate::platform::pipe::{self, Reader, Writer};
use crate::platform::{PipeStop, Plain, UnsafeCell, Wake};
use crate::sync::{Held, Lock, Patience, PipeSemaphore, RawMutex, SemaphoreLock};
use core::fmt;
use core::marker::PhantomData;
use std::sync::Arc;

/// A first-in-first-out buffer in a pipe, for processes that share its descriptors.
///
/// A process has a value of this type for itself, with either end open until its last handle of that end goes:
/// so a process that only receives closes the end for sending, as always with pipes
/// (`drop(buffer.sender())` does so), or no receiver anywhere hears of the end of the stream.
///
/// # Fairness
/// None: that of the kernel.
///
/// # Process death
/// The kernel closes what a dead process had open, so the other side hears of it. An item of at most
/// [`pipe::ATOMIC`] bytes is sent or not; of a larger one the beginning may have been sent, and then nobody can
/// send or receive any more: others wait for ever, unless they have a deadline.
///
/// # Timeouts
/// Patience is for the beginning of an item. Once a part of a large one is on its way, the rest follows.
///
/// # Example
/// ```
/// use interlatch::{Buffer, PipeBuffer, TryRecvError};
///
/// let buffer = PipeBuffer::<u64>::with_capacity(16)?;
/// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
/// sender.send(7)?;
/// sender.close();
/// assert_eq!(receiver.recv(), Ok(7));
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PipeBuffer<T> {
    receiving: Half<Reader>,
    sending: Half<Writer>,
    /// Of whoever sends, and receives, an item in several pieces.
    turns: Option<[SemaphoreLock<PipeSemaphore>; 2]>,
    item: PhantomData<fn(T) -> T>,
}

/// One end in this process.
struct Half<E> {
    lock: RawMutex,
    state: UnsafeCell<State<E>>,
}

struct State<E> {
    handles: usize,
    /// Until the last handle goes, also before the first comes.
    end: Option<Arc<E>>,
}

// SAFETY: the state is accessed only by the holder of the lock.
unsafe impl<E: Send + Sync> Sync for Half<E> {}

impl<E> Half<E> {
    fn new(end: Option<E>) -> Self {
        let end = end.map(Arc::new);
        Self {
            lock: RawMutex::new(),
            state: UnsafeCell::new(State { handles: 0, end }),
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut State<E>) -> R) -> R {
        let _held = self.lock.hold();
        // SAFETY: the lock is held.
        self.state.with_mut(|state| act(unsafe { &mut *state }))
    }

    /// The end, if it is open.
    fn end(&self) -> Option<Arc<E>> {
        self.with(|state| state.end.clone())
    }

    fn join(&self) -> Result<(), Disconnected> {
        self.with(|state| {
            state.handles += usize::from(state.end.is_some());
            state.end.as_ref().map(drop).ok_or(Disconnected)
        })
    }

    /// The last handle closes the end.
    fn leave(&self) {
        let closed = self.with(|state| {
            state.handles = state.handles.saturating_sub(1);
            if state.handles == 0 {
                state.end.take()
            } else {
                None
            }
        });
        drop(closed);
    }
}

impl<T: Plain> PipeBuffer<T> {
    const BYTES: usize = size_of::<T>();
    const IS_ATOMIC: bool = Self::BYTES <= pipe::ATOMIC;

    /// A buffer in a pipe of its own, for so many items at least: the kernel rounds up.
    ///
    /// # Errors
    /// No descriptor is left, or a pipe cannot be that large: the limit of a user is a megabyte, in
    /// `/proc/sys/fs/pipe-max-size`.
    pub fn with_capacity(capacity: usize) -> std::io::Result<Self> {
        const { assert!(size_of::<T>() > 0, "an item of at least a byte") };
        let (reader, writer) = pipe::pipe(capacity.saturating_mul(Self::BYTES))?;
        let turns = match Self::IS_ATOMIC {
            true => None,
            false => Some([SemaphoreLock::in_a_pipe()?, SemaphoreLock::in_a_pipe()?]),
        };
        Ok(Self::from_ends(Some(reader), Some(writer), turns))
    }

    /// The buffer of a pipe that this process has been given, or opened: an end that it has not is closed. With
    /// the locks of the senders and of the receivers, if items have more than [`pipe::ATOMIC`] bytes, and
    /// more than one process sends or receives.
    pub fn from_ends(
        reader: Option<Reader>,
        writer: Option<Writer>,
        turns: Option<[SemaphoreLock<PipeSemaphore>; 2]>,
    ) -> Self {
        let (receiving, sending) = (Half::new(reader), Half::new(writer));
        Self {
            receiving,
            sending,
            turns,
            item: PhantomData,
        }
    }

    /// The turn of whoever moves an item in pieces. Nothing, if patience ran out first.
    fn turn(
        &self,
        end: End,
        patience: Patience,
    ) -> Option<Option<Held<'_, SemaphoreLock<PipeSemaphore>>>> {
        let Some(turns) = &self.turns else {
            return Some(None);
        };
        turns[end as usize].hold_within(patience).map(Some)
    }
}

/// What stopped the movement of an item: the end of patience, or of the other side.
pub(super) enum Stopped {
    Timeout,
    Disconnected,
}

impl Stopped {
    pub(super) fn with<T>(self, item: T) -> SendTimeoutError<T> {
        SendTimeoutError::of(item, matches!(self, Self::Disconnected))
    }
}

impl From<Stopped> for RecvTimeoutError {
    fn from(stopped: Stopped) -> Self {
        Self::of(matches!(stopped, Stopped::Disconnected))
    }
}

/// Writes an item.
pub(super) fn send_through<T: Plain>(
    writer: &Writer,
    item: &T,
    patience: Patience,
) -> Result<(), Stopped> {
    let bytes = item.as_bytes();
    let write = |from, blocks| match blocks {
        true => writer.write_blocking(&bytes[from..]),
        false => writer.write(&bytes[from..]),
    };
    move_all(bytes.len(), patience, write, |patience| {
        writer.wait(patience.deadline())
    })
}

/// Reads an item.
pub(super) fn receive_from<T: Plain>(reader: &Reader, patience: Patience) -> Result<T, Stopped> {
    let mut item = T::new_zeroed();
    receive_into(reader, &mut item, patience)?;
    Ok(item)
}

/// Reads an item to where it belongs.
fn receive_into<T: Plain>(
    reader: &Reader,
    item: &mut T,
    patience: Patience,
) -> Result<(), Stopped> {
    let bytes = item.as_mut_bytes();
    let read = |from, blocks| match blocks {
        true => reader.read_blocking(&mut bytes[from..]),
        false => reader.read(&mut bytes[from..]),
    };
    move_all(size_of::<T>(), patience, read, |patience| {
        reader.wait(patience.deadline())
    })
}

/// Moves all bytes by as many calls as it takes, each of which may block if it is told so. Patience is for the
/// first.
fn move_all(
    bytes: usize,
    mut patience: Patience,
    mut call: impl FnMut(usize, bool) -> Result<usize, PipeStop>,
    wait: impl Fn(Patience) -> Wake,
) -> Result<(), Stopped> {
    let mut moved = 0;
    while moved < bytes {
        match call(moved, patience == Patience::Forever) {
            Ok(0) => return Err(Stopped::Disconnected),
            Ok(count) => {
                moved += count;
                patience = Patience::Forever;
                continue;
            }
            Err(PipeStop::WouldBlock) => {}
            Err(PipeStop::Broken | PipeStop::Failed(_)) => return Err(Stopped::Disconnected),
        }
        if patience == Patience::Never || wait(patience) == Wake::TimedOut {
            return Err(Stopped::Timeout);
        }
    }
    Ok(())
}

impl<T: Plain> Buffer for PipeBuffer<T> {
    type Item = T;
    type Seat<'a>
        = Counted<'a, Self>
    where
        Self: 'a;
    type AttachError = Disconnected;

    fn send_within(&self, item: T, patience: Patience) -> Result<(), SendTimeoutError<T>> {
        let sent = self.send_ref_within(&item, patience);
        sent.map_err(|refused| refused.with(item))
    }

    fn send_ref_within(&self, item: &T, patience: Patience) -> Result<(), SendTimeoutError<()>> {
        let Some(writer) = self.sending.end() else {
            return Err(SendTimeoutError::Disconnected(()));
        };
        let Some(_turn) = self.turn(End::Sending, patience) else {
            return Err(SendTimeoutError::Timeout(()));
        };
        let sent = send_through(&writer, item, patience);
        sent.map_err(|stopped| stopped.with(()))
    }

    fn recv_within(&self, patience: Patience) -> Result<T, RecvTimeoutError> {
        let mut item = T::new_zeroed();
        self.recv_into_within(&mut item, patience)?;
        Ok(item)
    }

    fn recv_into_within(&self, place: &mut T, patience: Patience) -> Result<(), RecvTimeoutError> {
        let Some(reader) = self.receiving.end() else {
            return Err(RecvTimeoutError::of(true));
        };
        let Some(_turn) = self.turn(End::Receiving, patience) else {
            return Err(RecvTimeoutError::of(false));
        };
        Ok(receive_into(&reader, place, patience)?)
    }

    /// How many whole items are in the pipe.
    fn len(&self) -> usize {
        self.receiving
            .end()
            .map_or(0, |reader| reader.available() / Self::BYTES)
    }

    /// How many items fit, if this process can send; items of more than a page, a few less.
    fn capacity(&self) -> usize {
        self.sending
            .end()
            .map_or(0, |writer| writer.capacity() / Self::BYTES)
    }

    fn attach(&self, end: End) -> Result<Counted<'_, Self>, Disconnected> {
        Counted::new(self, end)
    }
}

impl<T: Plain> CountsEnds for PipeBuffer<T> {
    fn join(&self, end: End) -> Result<(), Disconnected> {
        match end {
            End::Sending => self.sending.join(),
            End::Receiving => self.receiving.join(),
        }
    }

    fn leave(&self, end: End) {
        match end {
            End::Sending => self.sending.leave(),
            End::Receiving => self.receiving.leave(),
        }
    }
}

impl<T> fmt::Debug for PipeBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeBuffer { .. }")
    }
}
