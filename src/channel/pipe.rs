//! A kernel pipe as a bounded buffer.

use super::{
    AttachError, Buffer, Channel, ChannelError, Direction, Endpoint, OperationError,
    RecvTimeoutError, SendTimeoutError, Unregistered,
};
use crate::platform::Ordering::Relaxed;
use crate::platform::pipe::{self, Reader, Writer};
use crate::platform::{AtomicU32, Deadline, PipeStop, Pod, UnsafeCell, Wake, new_tracked};
use crate::sync::{LockGuard, PipeSemaphore, RawLock, RawMutex, SemaphoreLock, Timeout};
use core::fmt;
use core::marker::PhantomData;
use std::sync::Arc;

/// A bounded buffer in a kernel pipe.
///
/// The processes that use the buffer share descriptors and no memory. Items pass first in, first
/// out.
///
/// Each process has its own value of this type. In each process, an end of the pipe is open until
/// the process drops its last handle of that end. A process that only receives must close its
/// sending end with `drop(buffer.sender())`, as is usual with pipes. Otherwise the pipe keeps an
/// open sending end, and no receiver learns that the stream has ended.
///
/// # Capacity
/// The kernel counts pages of 4096 bytes. Items of at most a page share pages, and no item crosses
/// a page boundary. A larger item occupies pages of its own. [`capacity`](Buffer::capacity) is the
/// resulting number of items. A page becomes free only when all of its bytes have been read. A
/// partly read page still occupies space, so the pipe may be full with fewer items than its
/// capacity.
///
/// # Fairness
/// The kernel decides which waiting sender or receiver is next.
///
/// # Errors
/// `Failed(Torn)`: all senders are gone and the stream ended within an item. `Failed(Os)`: a system
/// call failed.
///
/// # Process death
/// The kernel closes the descriptors of a dead process, which disconnects the other side. A sender
/// of an item of at most [`pipe::PIPE_BUF`] bytes has sent either the whole item or nothing. A
/// sender of a larger item may have sent a part of the item. The locks of senders and receivers
/// then stay held, and all other operations wait for them. Operations without a deadline wait
/// forever.
///
/// # Fork
/// A forked child has a buffer of its own with copies of the handles, which work. See the rule
/// about unused ends above. If another thread is inside an operation of the buffer during the fork,
/// the child may find the buffer locked for ever. It can create a buffer from the descriptors
/// instead.
///
/// # Timeouts
/// An item whose `send` timed out was not sent, and a `recv` that timed out has consumed no part of
/// an item. An item that is larger than the whole pipe can only be passed if neither the sender nor
/// the receiver has a deadline.
///
/// # How it works
/// The kernel keeps bytes in order and writes up to [`pipe::PIPE_BUF`] bytes in one piece. A larger
/// item may be moved in several pieces, so a sender of such an item holds a lock, and so does a
/// receiver. The kernel counts the open ends, so this type need not detect the end of the stream.
///
/// Written bytes cannot be withdrawn. A sender of a large item with a deadline therefore starts
/// when the pipe has enough free space for the whole item. The free space cannot shrink while the
/// sender holds the lock. A receiver with a deadline starts when the whole item has arrived.
/// Without a deadline, pieces are moved as soon as possible. Only a writer that does not use this
/// crate sends a small item in parts. The next call continues with the stored part of such an item.
///
/// # Sources
/// The pipe of Ritchie and Thompson, *The UNIX Time-Sharing System* (1974).
///
/// # Example
/// ```
/// use interlatch::Channel;
/// use interlatch::channel::{PipeBuffer, RecvError};
///
/// // The child of a fork inherits both ends and drops the one that it does not use. The ends of a
/// // named pipe come from `interlatch_ipc::Fifo`.
/// let buffer = PipeBuffer::<u64>::with_capacity(512)?;
/// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
/// sender.send(7)?;
/// sender.close();
/// assert_eq!(receiver.recv(), Ok(7));
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PipeBuffer<T> {
    receiving: Half<Reader>,
    sending: Half<Writer>,
    /// The locks, shared between processes, for sending and receiving items in several pieces.
    turns: Option<[SemaphoreLock<PipeSemaphore>; 2]>,
    item: PhantomData<fn(T) -> T>,
}

/// One end of the pipe in this process.
struct Half<E> {
    lock: RawMutex,
    /// The lock for the thread that moves a large item. This lock is used if the processes share no
    /// locks.
    turn: RawMutex,
    /// 1 if `state.partial` is not empty.
    ///
    /// All accesses are Relaxed: the word only says whether to take the lock, and the lock orders
    /// all other accesses. A call that happens after the store observes the stored value.
    has_partial: AtomicU32,
    state: UnsafeCell<HalfState<E>>,
}

struct HalfState<E> {
    handles: usize,
    /// `Some` from the creation of the buffer until the last handle is dropped.
    end: Option<Arc<E>>,
    /// In the receiving half, the received bytes of a small item that is not complete.
    partial: Vec<u8>,
    /// In the receiving half, the error of a stream that ended within an item.
    torn: Option<ChannelError>,
}

// SAFETY: only the holder of `lock` accesses the state.
unsafe impl<E: Send + Sync> Sync for Half<E> {}

impl<E> Half<E> {
    fn new(end: Option<E>) -> Self {
        let end = end.map(Arc::new);
        let state = HalfState {
            handles: 0,
            end,
            partial: Vec::new(),
            torn: None,
        };
        Self {
            lock: RawMutex::new(),
            turn: RawMutex::new(),
            has_partial: new_tracked(0),
            state: UnsafeCell::new(state),
        }
    }

    /// Calls `action` with the state while holding the lock.
    fn with<R>(&self, action: impl FnOnce(&mut HalfState<E>) -> R) -> R {
        let _guard = self.lock.lock();
        // SAFETY: `_guard` holds the lock, which excludes every other access to `state`.
        self.state.with_mut(|state| action(unsafe { &mut *state }))
    }

    /// The descriptor of this end of the pipe, if the end is open.
    fn end(&self) -> Option<Arc<E>> {
        self.with(|state| state.end.clone())
    }

    /// Looks at this end of the pipe while holding the lock, if the end is open.
    fn look<R>(&self, look: impl FnOnce(&E) -> R) -> Option<R> {
        let _guard = self.lock.lock();
        // SAFETY: `_guard` holds the lock, which excludes every other access to `state`.
        let end = self.state.with(|state| unsafe { (*state).end.clone() });
        end.map(|end| look(&end))
    }

    /// Removes and returns the received bytes of an incomplete item.
    fn take_partial(&self) -> Vec<u8> {
        if self.has_partial.load(Relaxed) == 0 {
            return Vec::new();
        }
        self.with(|state| {
            self.has_partial.store(0, Relaxed);
            core::mem::take(&mut state.partial)
        })
    }

    /// Stores the received bytes of an incomplete item for the next call, and the error of a torn
    /// stream.
    fn store_partial(&self, mut partial: Vec<u8>, error: Option<&OperationError>) {
        self.with(|state| {
            state.partial.append(&mut partial);
            if !state.partial.is_empty() {
                self.has_partial.store(1, Relaxed);
            }
            if let Some(OperationError::Failed(torn @ ChannelError::Torn { .. })) = error {
                state.torn = Some(torn.clone());
            }
        });
    }

    /// Adds one handle to the count, and returns its registration. Returns `None` if the end has
    /// closed.
    fn join(&self) -> Option<PipeEndpoint<'_, E>> {
        let end = self.with(|state| {
            state.handles += usize::from(state.end.is_some());
            state.end.clone()
        });
        Some(PipeEndpoint {
            end: Some(end?),
            counted_by: Some(self),
        })
    }

    /// Returns a registration that is not counted. Returns `None` if the end has closed.
    fn unregistered(&self) -> Option<PipeEndpoint<'_, E>> {
        Some(PipeEndpoint {
            end: Some(self.end()?),
            counted_by: None,
        })
    }

    /// Removes one handle, which had this reference to the end, from the count. Removing the last
    /// handle closes the end.
    ///
    /// The references are dropped under the lock. So the order of the calls decides which of them
    /// closes the end.
    fn leave(&self, end: Option<Arc<E>>) {
        let _guard = self.lock.lock();
        let closed = self.state.with_mut(|state| {
            // SAFETY: `_guard` holds the lock, which excludes every other access to `state`.
            let state = unsafe { &mut *state };
            state.handles = state.handles.saturating_sub(1);
            if state.handles == 0 {
                state.end.take()
            } else {
                None
            }
        });
        drop((end, closed));
    }
}

impl<T: Pod> PipeBuffer<T> {
    const BYTES: usize = size_of::<T>();
    const IS_ATOMIC: bool = Self::BYTES <= pipe::PIPE_BUF;

    /// Creates a pipe for at least `capacity` items. The kernel rounds the capacity up.
    ///
    /// # Errors
    /// Fails if the process has no descriptor left, or if the pipe would exceed the limit for users
    /// in `/proc/sys/fs/pipe-max-size`, usually 1 MiB.
    pub fn with_capacity(capacity: usize) -> std::io::Result<Self> {
        let bytes =
            pipe::capacity_for(capacity, Self::BYTES).ok_or(std::io::ErrorKind::InvalidInput)?;
        let (reader, writer) = pipe::pipe(bytes)?;
        let turns = match Self::IS_ATOMIC {
            true => None,
            false => Some([SemaphoreLock::with_pipe()?, SemaphoreLock::with_pipe()?]),
        };
        Ok(Self::from_ends(Some(reader), Some(writer), turns))
    }

    /// Creates the buffer of an inherited or opened pipe.
    ///
    /// An end that is `None` is closed for this process.
    ///
    /// `turns` are the locks of the senders and of the receivers. The locks are needed if an item
    /// has more than [`pipe::PIPE_BUF`] bytes and more than one process sends or receives.
    ///
    /// A pipe that is too small for an item is enlarged if the kernel permits it.
    pub fn from_ends(
        reader: Option<Reader>,
        writer: Option<Writer>,
        turns: Option<[SemaphoreLock<PipeSemaphore>; 2]>,
    ) -> Self {
        const { assert!(size_of::<T>() > 0, "an item has at least 1 byte") };
        let min = pipe::capacity_for(1, Self::BYTES).unwrap_or(usize::MAX);
        // If the kernel does not permit the larger size, items are moved in pieces.
        let _ = reader.as_ref().map(|reader| reader.enlarge(min));
        let _ = writer.as_ref().map(|writer| writer.enlarge(min));
        let (receiving, sending) = (Half::new(reader), Half::new(writer));
        Self {
            receiving,
            sending,
            turns,
            item: PhantomData,
        }
    }

    /// Returns the error that a receiver reports at the end of the stream.
    ///
    /// If the stream ended within an item, every receiver of this process reports the torn item.
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

    /// Acquires the lock for moving an item in pieces, or returns `None` if the timeout expires
    /// first.
    fn turn(&self, direction: Direction, timeout: Timeout) -> Option<PieceGuard<'_>> {
        if let Some(turns) = &self.turns {
            let guard = turns[direction as usize].lock_with(timeout);
            return guard.map(PieceGuard::OfProcesses);
        }
        let turn = match direction {
            Direction::Sending => &self.sending.turn,
            Direction::Receiving => &self.receiving.turn,
        };
        turn.lock_with(timeout).map(PieceGuard::OfThreads)
    }

    /// Receives an item of at most [`pipe::PIPE_BUF`] bytes.
    ///
    /// A failure may overwrite `destination`.
    fn recv_small(
        &self,
        reader: &Reader,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        let mut partial = self.receiving.take_partial();
        let received = receive_from(reader, destination, &mut partial, timeout);
        // The bytes of a torn item are in `partial`.
        if !partial.is_empty() {
            let error = received.as_ref().err();
            self.receiving.store_partial(partial, error);
        }
        received
    }

    /// Receives an item of more than [`pipe::PIPE_BUF`] bytes directly into its destination.
    fn recv_large(
        &self,
        reader: &Reader,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        let Some(_turn) = self.turn(Direction::Receiving, timeout) else {
            return Err(OperationError::Timeout);
        };
        let bytes = destination.as_mut_bytes();
        until_whole(
            timeout,
            || reader.has_bytes(bytes.len()),
            |deadline| reader.wait_for(bytes.len(), deadline),
        )?;
        read_all(reader, bytes, &mut 0, Timeout::Infinite)
            .inspect_err(|error| self.receiving.store_partial(Vec::new(), Some(error)))
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
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        if Self::IS_ATOMIC {
            *destination = self.recv_from(reader, timeout)?;
            return Ok(());
        }
        self.recv_large(reader, destination, timeout)
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

/// The registration of a pipe's handle. The registration keeps the handle's end of the pipe open.
///
/// # Fork
/// A forked child has its own [`PipeBuffer`], with copies of the handles and of the descriptors.
/// The copies work, and dropping them closes only the descriptors of the child.
pub struct PipeEndpoint<'a, E> {
    /// `Some` until the registration is dropped.
    end: Option<Arc<E>>,
    /// The end that counts this handle, or `None` if the handle is not counted.
    counted_by: Option<&'a Half<E>>,
}

impl<E> PipeEndpoint<'_, E> {
    fn end(&self) -> &E {
        let end = self.end.as_ref();
        end.expect("a registration has its end until it is dropped")
    }
}

impl<E> Endpoint for PipeEndpoint<'_, E> {}

/// Closes this process's end of the pipe if the handle was the last one of that end.
impl<E> Drop for PipeEndpoint<'_, E> {
    fn drop(&mut self) {
        if let Some(half) = self.counted_by {
            half.leave(self.end.take());
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for PipeEndpoint<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeEndpoint").field(self.end()).finish()
    }
}

/// The exclusive right of one side to move an item in pieces.
#[expect(dead_code, reason = "dropping the guard unlocks")]
enum PieceGuard<'a> {
    OfThreads(LockGuard<'a, RawMutex>),
    OfProcesses(LockGuard<'a, SemaphoreLock<PipeSemaphore>>),
}

/// Waits until a whole item has arrived, or until the pipe has free space for a whole item.
///
/// Without a deadline, this function does not wait, because pieces are then moved as soon as
/// possible.
fn until_whole(
    timeout: Timeout,
    is_whole: impl Fn() -> bool,
    wait: impl Fn(Option<Deadline>) -> Result<Wake, PipeStop>,
) -> Result<(), OperationError> {
    match timeout {
        Timeout::Infinite => return Ok(()),
        _ if is_whole() => return Ok(()),
        Timeout::NonBlocking => return Err(OperationError::Timeout),
        Timeout::At(_) => {}
    }
    loop {
        match wait(timeout.deadline()) {
            Ok(Wake::TimedOut) => return Err(OperationError::Timeout),
            Ok(_) if is_whole() => return Ok(()),
            Ok(_) => {}
            Err(stop) => return Err(failure(stop)),
        }
    }
}

/// Converts the error of a read or write call that moved no byte.
pub(super) fn failure(stop: PipeStop) -> OperationError {
    match stop {
        PipeStop::WouldBlock => OperationError::Timeout,
        PipeStop::Broken => OperationError::Disconnected,
        PipeStop::Failed(code) => OperationError::Failed(ChannelError::Os(code)),
    }
}

/// Writes an item, in as many pieces as needed.
pub(super) fn send_through<T: Pod>(
    writer: &Writer,
    item: &T,
    timeout: Timeout,
) -> Result<(), OperationError> {
    let bytes = item.as_bytes();
    let write = |from, may_block| match may_block {
        true => writer.write_blocking(&bytes[from..]),
        false => writer.write(&bytes[from..]),
    };
    let wait = |timeout: Timeout| writer.wait(timeout.deadline());
    move_all(&mut 0, bytes.len(), timeout, write, wait)
}

/// Reads an item whose first bytes are in `partial`.
///
/// After a failure, `partial` contains the received bytes.
pub(super) fn receive_from<T: Pod>(
    reader: &Reader,
    item: &mut T,
    partial: &mut Vec<u8>,
    timeout: Timeout,
) -> Result<(), OperationError> {
    let bytes = item.as_mut_bytes();
    // Several threads may have stored parts that together are longer than an item.
    let mut moved = partial.len().min(bytes.len());
    bytes[..moved].copy_from_slice(&partial[..moved]);
    partial.drain(..moved);
    let read = read_all(reader, bytes, &mut moved, timeout);
    if read.is_err() {
        partial.splice(..0, bytes[..moved].iter().copied());
    }
    read
}

/// Reads the rest of an item after its first `moved` bytes have arrived.
fn read_all(
    reader: &Reader,
    bytes: &mut [u8],
    moved: &mut usize,
    timeout: Timeout,
) -> Result<(), OperationError> {
    let expected = bytes.len();
    let read = |from, may_block| match may_block {
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

/// Repeats a read or write call until all bytes have been moved.
///
/// The read or write call may block if there is no deadline.
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

impl<T: Pod> Channel for PipeBuffer<T> {
    type SendEndpoint<'a> = PipeEndpoint<'a, Writer>;
    type RecvEndpoint<'a> = PipeEndpoint<'a, Reader>;

    fn attach_sender(&self) -> Result<PipeEndpoint<'_, Writer>, AttachError> {
        let closed = AttachError::Closed(Direction::Sending);
        self.sending.join().ok_or(closed)
    }

    fn attach_receiver(&self) -> Result<PipeEndpoint<'_, Reader>, AttachError> {
        let closed = AttachError::Closed(Direction::Receiving);
        self.receiving.join().ok_or(closed)
    }
}

impl<T: Pod> Unregistered for PipeBuffer<T> {
    fn unregistered_sender(&self) -> Result<PipeEndpoint<'_, Writer>, AttachError> {
        let closed = AttachError::Closed(Direction::Sending);
        self.sending.unregistered().ok_or(closed)
    }

    fn unregistered_receiver(&self) -> Result<PipeEndpoint<'_, Reader>, AttachError> {
        let closed = AttachError::Closed(Direction::Receiving);
        self.receiving.unregistered().ok_or(closed)
    }
}

impl<T: Pod> Buffer for PipeBuffer<T> {
    type Item = T;

    fn send_with(
        &self,
        endpoint: &PipeEndpoint<'_, Writer>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        self.send_to(endpoint.end(), &item, timeout)
            .map_err(|error| error.with(item))
    }

    fn send_ref_with(
        &self,
        endpoint: &PipeEndpoint<'_, Writer>,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        Ok(self.send_to(endpoint.end(), item, timeout)?)
    }

    fn recv_with(
        &self,
        endpoint: &PipeEndpoint<'_, Reader>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        Ok(self.recv_from(endpoint.end(), timeout)?)
    }

    fn recv_into_with(
        &self,
        endpoint: &PipeEndpoint<'_, Reader>,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        Ok(self.recv_into_from(endpoint.end(), destination, timeout)?)
    }

    /// The number of complete items that the pipe contains.
    fn len(&self) -> usize {
        let available = self.receiving.look(Reader::available);
        available.map_or(0, |available| available / Self::BYTES)
    }

    /// The number of items that fit into the empty pipe.
    ///
    /// The capacity is 0 if both ends are closed for this process.
    ///
    /// A sender without a deadline may have started to write one more item.
    fn capacity(&self) -> usize {
        let writer = self.sending.look(Writer::capacity);
        let bytes = writer.or_else(|| self.receiving.look(Reader::capacity));
        bytes.map_or(0, |bytes| pipe::items_in(bytes, Self::BYTES))
    }
}

impl<T> fmt::Debug for PipeBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeBuffer { .. }")
    }
}
