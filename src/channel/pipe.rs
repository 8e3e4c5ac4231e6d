//! The kernel's pipe as a bounded buffer.
//!
//! **Promise.** That of every buffer here, between processes that share descriptors and no memory.
//!
//! **Source.** Thompson's and Ritchie's pipe (*The UNIX Time-Sharing System*, 1974).
//!
//! **Why it is correct.** The kernel keeps the order, and writes up to [`pipe::ATOMIC`] bytes in one piece. A
//! larger item may go in several pieces, so who sends one holds a lock meanwhile, and who receives one another.
//! The kernel counts who has which end, so the end of the stream needs nothing of ours.
//!
//! **Patience.** What has gone into the pipe cannot be taken back. So who sends a large item and has a deadline
//! begins when there is room for all of it, which cannot become less while it has its turn; and who receives one
//! begins when all of it is there. Only who waits for ever moves what can be moved. Of a small item there is a part
//! in the pipe only if somebody writes there who does not use this crate; it is kept for the next call.

use super::{
    AttachError, Buffer, Channel, ChannelError, CountsEndpoints, Direction, Endpoint, EndpointRef,
    OperationError, RecvTimeoutError, SendTimeoutError, Unregistered,
};
use crate::platform::Ordering::Relaxed;
use crate::platform::pipe::{self, Reader, Writer};
use crate::platform::{AtomicU32, Deadline, PipeStop, Pod, UnsafeCell, Wake};
use crate::sync::{LockGuard, PipeSemaphore, RawLock, RawMutex, SemaphoreLock, Timeout};
use core::fmt;
use core::marker::PhantomData;
use std::sync::Arc;

/// A first-in-first-out buffer in a pipe, for processes that share its descriptors.
///
/// A process has a value of this type for itself, with either end open until its last handle of that end goes:
/// so a process that only receives closes the end for sending, as always with pipes
/// (`drop(buffer.sender())` does so), or no receiver anywhere hears of the end of the stream.
///
/// # Room
/// The kernel counts pages of 4096 bytes. An item of at most a page lies in one page, with as many others as fit as a
/// whole; a larger one takes pages of its own. So many items fit as [`capacity`](Buffer::capacity) says. A page is free
/// again when all of it was read: until then there may be room for the items of a page less.
///
/// # Fairness
/// None: that of the kernel.
///
/// # Process death
/// The kernel closes what a dead process had open, so the other side hears of it. An item of at most
/// [`pipe::ATOMIC`] bytes is sent or not; of a larger one the beginning may have been sent, and then nobody can
/// send or receive any more: others wait for ever, unless they have a deadline. If the last sender has gone in the
/// middle of an item, receivers hear of the end, and [`torn`](PipeBuffer::torn) tells it from a proper one.
///
/// # Timeouts
/// An item whose time is over was not sent, and none was taken in part from others. An item for which the whole
/// pipe is too small passes only from one who waits for ever to one who waits for ever.
///
/// # Example
/// ```
/// use interlatch::channel::TryRecvError;
/// use interlatch::{Channel, PipeBuffer};
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
    /// Of the thread that moves a large item, where there is no lock that processes share.
    turn: RawMutex,
    /// Whether a part of an item is kept. Relaxed everywhere: it says whether to look, under the lock, which
    /// orders the rest; and who calls after another call has kept something sees what that one has stored.
    keeps: AtomicU32,
    state: UnsafeCell<State<E>>,
}

struct State<E> {
    handles: usize,
    /// Until the last handle goes, also before the first comes.
    end: Option<Arc<E>>,
    /// Of the receiving half: what has come of a small item in parts.
    begun: Vec<u8>,
    /// Of the receiving half: the end of the stream has cut off an item.
    torn: Option<ChannelError>,
}

// SAFETY: the state is accessed only by the holder of the lock.
unsafe impl<E: Send + Sync> Sync for Half<E> {}

impl<E> Half<E> {
    fn new(end: Option<E>) -> Self {
        let end = end.map(Arc::new);
        let state = State {
            handles: 0,
            end,
            begun: Vec::new(),
            torn: None,
        };
        Self {
            lock: RawMutex::new(),
            turn: RawMutex::new(),
            keeps: AtomicU32::new(0),
            state: UnsafeCell::new(state),
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut State<E>) -> R) -> R {
        let _held = self.lock.lock();
        // SAFETY: the lock is held.
        self.state.with_mut(|state| act(unsafe { &mut *state }))
    }

    /// The end, if it is open.
    fn end(&self) -> Option<Arc<E>> {
        self.with(|state| state.end.clone())
    }

    /// What has come of an item, which is the caller's now.
    fn take_up(&self) -> Vec<u8> {
        if self.keeps.load(Relaxed) == 0 {
            return Vec::new();
        }
        self.with(|state| {
            self.keeps.store(0, Relaxed);
            core::mem::take(&mut state.begun)
        })
    }

    /// Keeps what has come of an item for the next call, and what is known of its end.
    fn keep(&self, mut begun: Vec<u8>, error: Option<&OperationError>) {
        self.with(|state| {
            state.begun.append(&mut begun);
            if !state.begun.is_empty() {
                self.keeps.store(1, Relaxed);
            }
            if let Some(OperationError::Failed(torn @ ChannelError::Torn { .. })) = error {
                state.torn = Some(torn.clone());
            }
        });
    }

    fn join(&self) -> bool {
        self.with(|state| {
            state.handles += usize::from(state.end.is_some());
            state.end.is_some()
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

impl<T: Pod> PipeBuffer<T> {
    const BYTES: usize = size_of::<T>();
    const IS_ATOMIC: bool = Self::BYTES <= pipe::ATOMIC;

    /// A buffer in a pipe of its own, for so many items at least: the kernel rounds up.
    ///
    /// # Errors
    /// No descriptor is left, or a pipe cannot be that large: the limit of a user is a megabyte, in
    /// `/proc/sys/fs/pipe-max-size`.
    pub fn with_capacity(capacity: usize) -> std::io::Result<Self> {
        let bytes = pipe::room(capacity, Self::BYTES).ok_or(std::io::ErrorKind::InvalidInput)?;
        let (reader, writer) = pipe::pipe(bytes)?;
        let turns = match Self::IS_ATOMIC {
            true => None,
            false => Some([SemaphoreLock::in_a_pipe()?, SemaphoreLock::in_a_pipe()?]),
        };
        Ok(Self::from_ends(Some(reader), Some(writer), turns))
    }

    /// The buffer of a pipe that this process has been given, or opened: an end that it has not is closed. With
    /// the locks of the senders and of the receivers, if items have more than [`pipe::ATOMIC`] bytes, and
    /// more than one process sends or receives.
    ///
    /// A pipe that is too small for an item is made larger, if the kernel permits it.
    pub fn from_ends(
        reader: Option<Reader>,
        writer: Option<Writer>,
        turns: Option<[SemaphoreLock<PipeSemaphore>; 2]>,
    ) -> Self {
        const { assert!(size_of::<T>() > 0, "an item of at least a byte") };
        let least = pipe::room(1, Self::BYTES).unwrap_or(usize::MAX);
        // Where that is refused, items pass in pieces.
        let _ = reader.as_ref().map(|reader| reader.enlarge(least));
        let _ = writer.as_ref().map(|writer| writer.enlarge(least));
        let (receiving, sending) = (Half::new(reader), Half::new(writer));
        Self {
            receiving,
            sending,
            turns,
            item: PhantomData,
        }
    }

    /// The error of a receiver that found the end of the stream. If an item was cut off, every
    /// receiver of this process reports that.
    #[cold]
    fn at_end(&self, error: OperationError) -> OperationError {
        match error {
            OperationError::Disconnected => self
                .receiving
                .with(|state| state.torn.clone())
                .map_or(OperationError::Disconnected, OperationError::Failed),
            other => other,
        }
    }

    /// The turn of whoever moves an item in pieces. Nothing, if timeout ran out first.
    fn turn(&self, end: Direction, timeout: Timeout) -> Option<Turn<'_>> {
        if Self::IS_ATOMIC {
            return Some(Turn::Anybodys);
        }
        if let Some(turns) = &self.turns {
            let held = turns[end as usize].lock_with(timeout);
            return held.map(Turn::OfProcesses);
        }
        let turn = match end {
            Direction::Sending => &self.sending.turn,
            Direction::Receiving => &self.receiving.turn,
        };
        turn.lock_with(timeout).map(Turn::OfThreads)
    }

    /// Receives an item to where there is nothing that has to stay.
    fn recv_small(
        &self,
        reader: &Reader,
        place: &mut T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        let mut begun = self.receiving.take_up();
        let received = receive_from(reader, place, &mut begun, timeout);
        if received.is_err() || !begun.is_empty() {
            self.receiving.keep(begun, received.as_ref().err());
        }
        received
    }

    /// Receives an item to where it belongs.
    fn recv_large(
        &self,
        reader: &Reader,
        place: &mut T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        let Some(_turn) = self.turn(Direction::Receiving, timeout) else {
            return Err(OperationError::Timeout);
        };
        let bytes = place.as_mut_bytes();
        until_whole(
            timeout,
            || reader.has(bytes.len()),
            |deadline| reader.wait_for(bytes.len(), deadline),
        )?;
        read_all(reader, bytes, &mut 0, Timeout::Infinite)
            .inspect_err(|error| self.receiving.keep(Vec::new(), Some(error)))
    }

    fn recv_from(&self, reader: &Reader, timeout: Timeout) -> Result<T, OperationError> {
        let mut item = T::new_zeroed();
        let received = match Self::IS_ATOMIC {
            true => self.recv_small(reader, &mut item, timeout),
            false => self.recv_large(reader, &mut item, timeout),
        };
        received.map_err(|error| self.at_end(error))?;
        Ok(item)
    }

    fn recv_into_from(
        &self,
        reader: &Reader,
        place: &mut T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        if Self::IS_ATOMIC {
            *place = self.recv_from(reader, timeout)?;
            return Ok(());
        }
        self.recv_large(reader, place, timeout)
            .map_err(|error| self.at_end(error))
    }

    fn send_to(&self, writer: &Writer, item: &T, timeout: Timeout) -> Result<(), OperationError> {
        if Self::IS_ATOMIC {
            return send_through(writer, item, timeout);
        }
        let Some(_turn) = self.turn(Direction::Sending, timeout) else {
            return Err(OperationError::Timeout);
        };
        let has_room = || writer.has_room(Self::BYTES);
        let wait = |deadline| writer.wait_for(Self::BYTES, deadline);
        until_whole(timeout, has_room, wait)?;
        send_through(writer, item, Timeout::Infinite)
    }
}

/// The registration of a pipe's handle. It keeps its end of the pipe open.
pub struct PipeEndpoint<'a, T: Pod, E> {
    end: Arc<E>,
    /// Dropped last: if this was the last handle of the end, the end closes.
    _counted: EndpointRef<'a, PipeBuffer<T>>,
}

impl<T: Pod, E> Endpoint for PipeEndpoint<'_, T, E> {}

impl<T: Pod, E: fmt::Debug> fmt::Debug for PipeEndpoint<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeEndpoint").field(&self.end).finish()
    }
}

/// Being the one who moves an item.
#[expect(dead_code, reason = "the turn ends when it is dropped")]
enum Turn<'a> {
    /// A small item needs none.
    Anybodys,
    OfThreads(LockGuard<'a, RawMutex>),
    OfProcesses(LockGuard<'a, SemaphoreLock<PipeSemaphore>>),
}

/// Waits until an item can be moved as a whole; who waits for ever need not.
fn until_whole(
    timeout: Timeout,
    is_so: impl Fn() -> bool,
    wait: impl Fn(Option<Deadline>) -> Result<Wake, PipeStop>,
) -> Result<(), OperationError> {
    match timeout {
        Timeout::Infinite => return Ok(()),
        _ if is_so() => return Ok(()),
        Timeout::NonBlocking => return Err(OperationError::Timeout),
        Timeout::At(_) => {}
    }
    loop {
        match wait(timeout.deadline()) {
            Ok(Wake::TimedOut) => return Err(OperationError::Timeout),
            Ok(_) if is_so() => return Ok(()),
            Ok(_) => {}
            Err(stop) => return Err(failure(stop)),
        }
    }
}

/// The error of a call on a pipe that did not transfer anything.
pub(super) fn failure(stop: PipeStop) -> OperationError {
    match stop {
        PipeStop::WouldBlock => OperationError::Timeout,
        PipeStop::Broken => OperationError::Disconnected,
        PipeStop::Failed(code) => OperationError::Failed(ChannelError::Os(code)),
    }
}

/// Writes an item.
pub(super) fn send_through<T: Pod>(
    writer: &Writer,
    item: &T,
    timeout: Timeout,
) -> Result<(), OperationError> {
    let bytes = item.as_bytes();
    let write = |from, blocks| match blocks {
        true => writer.write_blocking(&bytes[from..]),
        false => writer.write(&bytes[from..]),
    };
    let wait = |timeout: Timeout| writer.wait(timeout.deadline());
    move_all(&mut 0, bytes.len(), timeout, write, wait)
}

/// Reads an item of which that much has come already. What has come when timeout ends is there.
pub(super) fn receive_from<T: Pod>(
    reader: &Reader,
    item: &mut T,
    begun: &mut Vec<u8>,
    timeout: Timeout,
) -> Result<(), OperationError> {
    let bytes = item.as_mut_bytes();
    // Where several threads have found parts, there may be more than an item.
    let mut moved = begun.len().min(bytes.len());
    bytes[..moved].copy_from_slice(&begun[..moved]);
    begun.drain(..moved);
    let read = read_all(reader, bytes, &mut moved, timeout);
    if read.is_err() {
        begun.splice(..0, bytes[..moved].iter().copied());
    }
    read
}

/// Reads the rest of an item.
fn read_all(
    reader: &Reader,
    bytes: &mut [u8],
    moved: &mut usize,
    timeout: Timeout,
) -> Result<(), OperationError> {
    let expected = bytes.len();
    let read = |from, blocks| match blocks {
        true => reader.read_blocking(&mut bytes[from..]),
        false => reader.read(&mut bytes[from..]),
    };
    let wait = |timeout: Timeout| reader.wait(timeout.deadline());
    move_all(moved, expected, timeout, read, wait).map_err(|error| match (error, *moved) {
        (OperationError::Disconnected, found @ 1..) => {
            OperationError::Failed(ChannelError::Torn { expected, found })
        }
        (error, _) => error,
    })
}

/// Moves all bytes by as many calls as it takes, each of which may block if it is told so.
fn move_all(
    moved: &mut usize,
    bytes: usize,
    timeout: Timeout,
    mut call: impl FnMut(usize, bool) -> Result<usize, PipeStop>,
    wait: impl Fn(Timeout) -> Result<Wake, PipeStop>,
) -> Result<(), OperationError> {
    while *moved < bytes {
        match call(*moved, timeout == Timeout::Infinite) {
            Ok(0) => return Err(OperationError::Disconnected),
            Ok(count) => {
                *moved += count;
                continue;
            }
            Err(PipeStop::WouldBlock) => {}
            Err(stop) => return Err(failure(stop)),
        }
        if timeout == Timeout::NonBlocking {
            return Err(OperationError::Timeout);
        }
        match wait(timeout) {
            Ok(Wake::TimedOut) => return Err(OperationError::Timeout),
            Ok(_) => {}
            Err(stop) => return Err(failure(stop)),
        }
    }
    Ok(())
}

impl<T: Pod> PipeBuffer<T> {
    fn open_writer(&self) -> Result<Arc<Writer>, AttachError> {
        let closed = AttachError::Closed(Direction::Sending);
        self.sending.end().ok_or(closed)
    }

    fn open_reader(&self) -> Result<Arc<Reader>, AttachError> {
        let closed = AttachError::Closed(Direction::Receiving);
        self.receiving.end().ok_or(closed)
    }
}

impl<T: Pod> Channel for PipeBuffer<T> {
    type SendEndpoint<'a> = PipeEndpoint<'a, T, Writer>;
    type RecvEndpoint<'a> = PipeEndpoint<'a, T, Reader>;

    fn attach_sender(&self) -> Result<PipeEndpoint<'_, T, Writer>, AttachError> {
        Ok(PipeEndpoint {
            _counted: EndpointRef::new(self, Direction::Sending)?,
            end: self.open_writer()?,
        })
    }

    fn attach_receiver(&self) -> Result<PipeEndpoint<'_, T, Reader>, AttachError> {
        Ok(PipeEndpoint {
            _counted: EndpointRef::new(self, Direction::Receiving)?,
            end: self.open_reader()?,
        })
    }
}

impl<T: Pod> Unregistered for PipeBuffer<T> {
    fn unregistered_sender(&self) -> Result<PipeEndpoint<'_, T, Writer>, AttachError> {
        Ok(PipeEndpoint {
            _counted: EndpointRef::unregistered(self, Direction::Sending),
            end: self.open_writer()?,
        })
    }

    fn unregistered_receiver(&self) -> Result<PipeEndpoint<'_, T, Reader>, AttachError> {
        Ok(PipeEndpoint {
            _counted: EndpointRef::unregistered(self, Direction::Receiving),
            end: self.open_reader()?,
        })
    }
}

impl<T: Pod> Buffer for PipeBuffer<T> {
    type Item = T;

    fn send_with(
        &self,
        endpoint: &PipeEndpoint<'_, T, Writer>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        self.send_to(&endpoint.end, &item, timeout)
            .map_err(|error| error.with(item))
    }

    fn send_ref_with(
        &self,
        endpoint: &PipeEndpoint<'_, T, Writer>,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        Ok(self.send_to(&endpoint.end, item, timeout)?)
    }

    fn recv_with(
        &self,
        endpoint: &PipeEndpoint<'_, T, Reader>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        Ok(self.recv_from(&endpoint.end, timeout)?)
    }

    fn recv_into_with(
        &self,
        endpoint: &PipeEndpoint<'_, T, Reader>,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        Ok(self.recv_into_from(&endpoint.end, destination, timeout)?)
    }

    /// How many whole items are in the pipe.
    fn len(&self) -> usize {
        self.receiving
            .end()
            .map_or(0, |reader| reader.available() / Self::BYTES)
    }

    /// How many items fit for sure when it is empty, if this process can send or receive. A sender that waits for
    /// ever may have begun with one more.
    fn capacity(&self) -> usize {
        let of_writer = self.sending.end().map(|writer| writer.capacity());
        let bytes = of_writer.or_else(|| self.receiving.end().map(|reader| reader.capacity()));
        bytes.map_or(0, |bytes| pipe::items(bytes, Self::BYTES))
    }
}

impl<T: Pod> CountsEndpoints for PipeBuffer<T> {
    fn join(&self, direction: Direction) -> Result<(), AttachError> {
        let is_open = match direction {
            Direction::Sending => self.sending.join(),
            Direction::Receiving => self.receiving.join(),
        };
        match is_open {
            true => Ok(()),
            false => Err(AttachError::Closed(direction)),
        }
    }

    fn leave(&self, end: Direction) {
        match end {
            Direction::Sending => self.sending.leave(),
            Direction::Receiving => self.receiving.leave(),
        }
    }
}

impl<T> fmt::Debug for PipeBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeBuffer { .. }")
    }
}
