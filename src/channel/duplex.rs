//! Two buffers in opposite directions, for two sides that both send.
//!
//! **Promise.** Two sides that send before they receive do not wait for each other for ever.
//!
//! **Source.** The two pipes of the course notes, and the trap in them: who waits until the other has read does
//! not read, and if both do so, both wait for ever.
//!
//! **Why it is correct.** Who has no room to send takes meanwhile what the other side has sent, and keeps it: so
//! a side that sends always makes room for the other one, and waits only while that one does neither.

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

/// One side of a two-way link over two pipes, for items of at most [`pipe::ATOMIC`] bytes.
///
/// It belongs to one thread. What it has taken in while it had to wait for room lies in this process: at most so
/// many items as its [limit](Self::with_limit).
///
/// # Process death
/// The kernel closes what a dead process had open, so the other side hears of it. An item is sent or not; what
/// the dead one had taken in is gone.
///
/// # Example
/// ```
/// use interlatch::channel::Duplex;
///
/// let (mut here, mut there) = Duplex::<u64>::pair(16)?;
/// here.send(7)?;
/// there.send(8)?;
/// assert_eq!((there.recv()?, here.recv()?), (7, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Duplex<T: Pod> {
    incoming: Reader,
    outgoing: Writer,
    taken_in: VecDeque<T>,
    limit: usize,
    /// What has come of an item in parts.
    begun: Vec<u8>,
    /// Whether the other side sends still, as far as is known.
    is_open: bool,
}

/// So many bytes are taken in, unless another limit is set.
const LIMIT: usize = 1 << 20;

impl<T: Pod> Duplex<T> {
    /// Both sides, in this process, with room for so many items at least in each direction.
    ///
    /// # Errors
    /// No descriptor is left, or a pipe cannot be that large.
    pub fn pair(capacity: usize) -> std::io::Result<(Self, Self)> {
        let bytes = pipe::room(capacity, size_of::<T>()).ok_or(ErrorKind::InvalidInput)?;
        let ((first, there), (second, here)) = (pipe::pipe(bytes)?, pipe::pipe(bytes)?);
        Ok((Self::from_ends(second, there), Self::from_ends(first, here)))
    }

    /// The side that reads here and writes there.
    pub fn from_ends(incoming: Reader, outgoing: Writer) -> Self {
        const {
            assert!(
                size_of::<T>() > 0 && size_of::<T>() <= pipe::ATOMIC,
                "an item in one piece"
            );
        }
        Self {
            incoming,
            outgoing,
            taken_in: VecDeque::new(),
            limit: LIMIT / size_of::<T>(),
            begun: Vec::new(),
            is_open: true,
        }
    }

    /// The same with another limit of items that are taken in while there is no room to send, than a mebibyte of them.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Sends, however long that takes.
    ///
    /// # Errors
    /// The item comes back: the other side has gone, or has sent more than the limit and does not receive.
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

    /// Sends if there is room.
    ///
    /// # Errors
    /// The item comes back: there is none, or as [`send`](Self::send).
    pub fn try_send(&mut self, item: T) -> Result<(), TrySendError<T>> {
        Ok(self.send_with(item, Timeout::NonBlocking)?)
    }

    /// Sends, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn send_timeout(&mut self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_with(item, Timeout::after(timeout))
    }

    /// Sends as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn send_with(&mut self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        loop {
            match send_through(&self.outgoing, &item, Timeout::NonBlocking) {
                Ok(()) => return Ok(()),
                Err(OperationError::Timeout) if timeout != Timeout::NonBlocking => {}
                Err(error) => return Err(error.with(item)),
            }
            if self.taken_in.len() >= self.limit {
                let limit = self.limit;
                return Err(SendTimeoutError::Failed(
                    item,
                    ChannelError::Flooded { limit },
                ));
            }
            // Also where there is something to take in: it could be without end.
            let has_taken_in = self.takes_in();
            match self.wait(timeout, has_taken_in) {
                Ok(Wake::TimedOut) => return Err(SendTimeoutError::Timeout(item)),
                Ok(_) => {}
                Err(stop) => return Err(failure(stop).with(item)),
            }
        }
    }

    /// Whether there was something to take in.
    fn takes_in(&mut self) -> bool {
        match self.receive(Timeout::NonBlocking) {
            Ok(item) => {
                self.taken_in.push_back(item);
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
        receive_from(&self.incoming, &mut item, &mut self.begun, timeout)?;
        Ok(item)
    }

    /// Waits for room, or for something to take in; one who has taken in something only looks whether there is
    /// time left.
    fn wait(&self, timeout: Timeout, has_taken_in: bool) -> Result<Wake, PipeStop> {
        match (has_taken_in, self.is_open) {
            (true, _) if timeout.deadline().is_some_and(Deadline::has_passed) => Ok(Wake::TimedOut),
            (true, _) => Ok(Wake::Woken),
            (_, true) => pipe::wait_either(&self.incoming, &self.outgoing, timeout.deadline()),
            (_, false) => self.outgoing.wait(timeout.deadline()),
        }
    }

    /// Receives, however long that takes.
    ///
    /// # Errors
    /// The other side has gone, and all that it has sent was received.
    pub fn recv(&mut self) -> Result<T, RecvError> {
        receiver::until_done(|| self.recv_with(Timeout::Infinite))
    }

    /// Receives what is there.
    ///
    /// # Errors
    /// There is nothing, or as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        Ok(self.recv_with(Timeout::NonBlocking)?)
    }

    /// Receives, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_with(&mut self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        match self.taken_in.pop_front() {
            Some(item) => Ok(item),
            None => Ok(self.receive(timeout)?),
        }
    }
}
