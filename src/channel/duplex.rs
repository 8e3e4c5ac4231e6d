//! A two-way link over two pipes.

use super::pipe::{failure, receive_from, send_through};
use super::{
    ChannelError, OperationError, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
    TryRecvError, TrySendError, receiver,
};
use crate::platform::pipe::{self, Reader, Writer};
use crate::platform::{Deadline, PipeStop, Pod, Wake};
use crate::sync::Timeout;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

/// One side of a two-way link over two pipes.
///
/// Items have at most [`pipe::PIPE_BUF`] bytes.
///
/// Two sides that both send before they receive do not deadlock. With two [`PipeBuffer`]s, they can
/// deadlock. Each side belongs to one thread.
///
/// # Errors
/// `Failed(Flooded)`: the peer does not receive, and this side already stores as many of the peer's
/// items as the [limit](Self::with_limit) allows. `Failed(Torn)`: the stream ended within an item.
/// `Failed(Os)`: a system call failed.
///
/// # Process death
/// The kernel closes the descriptors of a dead process, which disconnects its peer. Each item was
/// either sent completely or not at all. The items that the dead process had stored are lost.
///
/// # How it works
/// A side that finds the outgoing pipe full receives and stores incoming items while it waits. So a
/// side that sends always frees space in the peer's outgoing pipe. It waits only while the peer
/// neither sends nor receives.
///
/// # Sources
/// The pipes of the lecture notes, with the deadlock that the notes warn about: a process does not
/// read while it waits for its peer to read. If both processes wait for each other in this way,
/// they wait forever.
///
/// # Example
/// ```
/// use interlatch::channel::{Duplex, RecvError};
///
/// // A forked child, or a process that inherits the descriptors, uses the other side.
/// let (mut parent, mut child) = Duplex::<u64>::pair(16)?;
/// parent.send(7)?;
/// child.send(8)?;
/// assert_eq!((child.recv()?, parent.recv()?), (7, 8));
/// drop(child);
/// assert_eq!(parent.recv(), Err(RecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`PipeBuffer`]: super::PipeBuffer
#[derive(Debug)]
pub struct Duplex<T: Pod> {
    incoming: Reader,
    outgoing: Writer,
    stored: VecDeque<T>,
    limit: usize,
    /// The bytes that have arrived of an item that is not complete yet.
    partial: Vec<u8>,
    /// Whether the peer may still send.
    is_open: bool,
}

/// The default limit of stored items, in bytes.
const DEFAULT_LIMIT: usize = 1 << 20;

impl<T: Pod> Duplex<T> {
    /// Creates both sides in this process.
    ///
    /// Each direction holds at least `capacity` items.
    ///
    /// # Errors
    /// Fails if the process has no descriptor left, or if the kernel does not permit a pipe of this
    /// size.
    pub fn pair(capacity: usize) -> std::io::Result<(Self, Self)> {
        let bytes = pipe::capacity_for(capacity, size_of::<T>()).ok_or(ErrorKind::InvalidInput)?;
        let ((first, there), (second, here)) = (pipe::pipe(bytes)?, pipe::pipe(bytes)?);
        Ok((Self::from_ends(second, there), Self::from_ends(first, here)))
    }

    /// Creates the side that reads from `incoming` and writes to `outgoing`.
    pub fn from_ends(incoming: Reader, outgoing: Writer) -> Self {
        const {
            assert!(
                size_of::<T>() > 0 && size_of::<T>() <= pipe::PIPE_BUF,
                "an item has 1 to `pipe::PIPE_BUF` bytes"
            );
        }
        Self {
            incoming,
            outgoing,
            stored: VecDeque::new(),
            limit: DEFAULT_LIMIT / size_of::<T>(),
            partial: Vec::new(),
            is_open: true,
        }
    }

    /// Sets the number of items that this side stores while it waits to send.
    ///
    /// By default, a side stores up to 1 MiB of items.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Sends an item, blocking while the pipe is full.
    ///
    /// # Errors
    /// `Disconnected` if the peer is gone. `Failed(Flooded)` if the peer does not receive and has
    /// sent as many items as this side can store. In that case, receive some items and send again.
    /// Both errors return the item.
    pub fn send(&mut self, mut item: T) -> Result<(), SendError<T>> {
        loop {
            match self.send_with(item, Timeout::Infinite) {
                Ok(()) => return Ok(()),
                Err(error) => match error.without_deadline() {
                    Ok(error) => return Err(error),
                    Err(unsent) => item = unsent,
                },
            }
        }
    }

    /// Sends an item if the pipe has enough free space.
    ///
    /// # Errors
    /// `Full` if the pipe does not have enough free space. For other errors, see
    /// [`send`](Self::send).
    pub fn try_send(&mut self, item: T) -> Result<(), TrySendError<T>> {
        Ok(self.send_with(item, Timeout::NonBlocking)?)
    }

    /// Sends an item, blocking for at most this duration.
    ///
    /// # Errors
    /// `Timeout` if the pipe stayed full. For other errors, see [`send`](Self::send).
    pub fn send_timeout(&mut self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_with(item, Timeout::after(timeout))
    }

    /// Sends an item with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`send_timeout`](Self::send_timeout).
    pub fn send_with(&mut self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        loop {
            match send_through(&self.outgoing, &item, Timeout::NonBlocking) {
                Ok(()) => return Ok(()),
                Err(OperationError::Timeout) if timeout != Timeout::NonBlocking => {}
                Err(error) => return Err(error.with(item)),
            }
            if self.stored.len() >= self.limit {
                let limit = self.limit;
                return Err(SendTimeoutError::Failed(
                    item,
                    ChannelError::Flooded { limit },
                ));
            }
            let has_stored = self.store_incoming();
            // The deadline is checked even after storing an item, because a fast peer could send
            // without end.
            match self.wait(timeout, has_stored) {
                Ok(Wake::TimedOut) => return Err(SendTimeoutError::Timeout(item)),
                Ok(_) => {}
                Err(stop) => return Err(failure(stop).with(item)),
            }
        }
    }

    /// Receives and stores an item without blocking.
    ///
    /// Returns false if no item was available.
    fn store_incoming(&mut self) -> bool {
        match self.receive(Timeout::NonBlocking) {
            Ok(item) => {
                self.stored.push_back(item);
                true
            }
            Err(error) => {
                self.is_open &= error == OperationError::Timeout;
                false
            }
        }
    }

    fn receive(&mut self, timeout: Timeout) -> Result<T, OperationError> {
        let mut item = T::new_zeroed();
        receive_from(&self.incoming, &mut item, &mut self.partial, timeout)?;
        Ok(item)
    }

    /// Waits for free space in the outgoing pipe or for an incoming item. If `has_stored` is true,
    /// this method does not wait and only checks the deadline.
    fn wait(&self, timeout: Timeout, has_stored: bool) -> Result<Wake, PipeStop> {
        match (has_stored, self.is_open) {
            (true, _) if timeout.deadline().is_some_and(Deadline::has_passed) => Ok(Wake::TimedOut),
            (true, _) => Ok(Wake::Woken),
            (_, true) => pipe::wait_either(&self.incoming, &self.outgoing, timeout.deadline()),
            (_, false) => self.outgoing.wait(timeout.deadline()),
        }
    }

    /// Receives the oldest item, blocking until one arrives.
    ///
    /// # Errors
    /// `Disconnected` if the peer is gone and all of the peer's items were received. `Failed(Torn)`
    /// if the stream ended within an item.
    pub fn recv(&mut self) -> Result<T, RecvError> {
        receiver::until_done(|| self.recv_with(Timeout::Infinite))
    }

    /// Receives the oldest item if one has arrived.
    ///
    /// # Errors
    /// `Empty` if no item has arrived. For other errors, see [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        Ok(self.recv_with(Timeout::NonBlocking)?)
    }

    /// Receives the oldest item, blocking for at most this duration.
    ///
    /// # Errors
    /// `Timeout` if no item arrived in time. For other errors, see [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives the oldest item with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`recv_timeout`](Self::recv_timeout).
    pub fn recv_with(&mut self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        match self.stored.pop_front() {
            Some(item) => Ok(item),
            None => Ok(self.receive(timeout)?),
        }
    }
}
