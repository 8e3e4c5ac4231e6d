//! Two buffers in opposite directions, for two sides that both send.
//!
//! **Promise.** Two sides that send before they receive do not wait for each other for ever.
//!
//! **Source.** The two pipes of the course notes, and the trap in them: who waits until the other has read does
//! not read, and if both do so, both wait for ever.
//!
//! **Why it is correct.** Who has no room to send takes meanwhile what the other side has sent, and keeps it: so
//! a side that sends always makes room for the other one, and waits only while that one does neither.

use super::pipe::{Stopped, receive_from, send_through};
use super::{RecvTimeoutError, SendTimeoutError};
use crate::platform::pipe::{self, Reader, Writer};
use crate::platform::{Plain, Wake};
use crate::sync::Patience;
use std::collections::VecDeque;
use std::time::Duration;

/// One side of a two-way link over two pipes, for items of at most [`pipe::ATOMIC`] bytes.
///
/// It belongs to one thread. What it has taken in while it had to wait for room lies in this process: as many
/// items as the other side sends meanwhile.
///
/// # Process death
/// The kernel closes what a dead process had open, so the other side hears of it. An item is sent or not; what
/// the dead one had taken in is gone.
///
/// # Example
/// ```
/// use interlatch::Duplex;
///
/// let (mut here, mut there) = Duplex::<u64>::pair(16)?;
/// here.send(7)?;
/// there.send(8)?;
/// assert_eq!((there.recv()?, here.recv()?), (7, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Duplex<T: Plain> {
    incoming: Reader,
    outgoing: Writer,
    taken_in: VecDeque<T>,
    /// Whether the other side sends still, as far as is known.
    is_open: bool,
}

impl<T: Plain> Duplex<T> {
    /// Both sides, in this process, with room for so many items at least in each direction.
    ///
    /// # Errors
    /// No descriptor is left, or a pipe cannot be that large.
    pub fn pair(capacity: usize) -> std::io::Result<(Self, Self)> {
        let bytes = capacity.saturating_mul(size_of::<T>());
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
            is_open: true,
        }
    }

    /// Sends, however long that takes.
    ///
    /// # Errors
    /// The item comes back if the other side has gone.
    pub fn send(&mut self, item: T) -> Result<(), SendTimeoutError<T>> {
        self.send_within(item, Patience::Forever)
    }

    /// Sends if there is room.
    ///
    /// # Errors
    /// The item comes back: there is none, or the other side has gone.
    pub fn try_send(&mut self, item: T) -> Result<(), SendTimeoutError<T>> {
        self.send_within(item, Patience::Never)
    }

    /// Sends, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn send_timeout(&mut self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_within(item, Patience::of(timeout))
    }

    /// Sends as long as patience lasts.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn send_within(&mut self, item: T, patience: Patience) -> Result<(), SendTimeoutError<T>> {
        loop {
            match send_through(&self.outgoing, &item, Patience::Never) {
                Ok(()) => return Ok(()),
                Err(Stopped::Timeout) if patience != Patience::Never => {}
                Err(stopped) => return Err(stopped.with(item)),
            }
            if !self.takes_in() && self.wait(patience) == Wake::TimedOut {
                return Err(Stopped::Timeout.with(item));
            }
        }
    }

    /// Whether there was something to take in.
    fn takes_in(&mut self) -> bool {
        match receive_from(&self.incoming, Patience::Never) {
            Ok(item) => {
                self.taken_in.push_back(item);
                true
            }
            Err(stopped) => {
                self.is_open &= matches!(stopped, Stopped::Timeout);
                false
            }
        }
    }

    /// Waits for room, or for something to take in.
    fn wait(&self, patience: Patience) -> Wake {
        match self.is_open {
            true => pipe::wait_either(&self.incoming, &self.outgoing, patience.deadline()),
            false => self.outgoing.wait(patience.deadline()),
        }
    }

    /// Receives, however long that takes.
    ///
    /// # Errors
    /// The other side has gone, and all that it has sent was received.
    pub fn recv(&mut self) -> Result<T, RecvTimeoutError> {
        self.recv_within(Patience::Forever)
    }

    /// Receives what is there.
    ///
    /// # Errors
    /// There is nothing, or as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<T, RecvTimeoutError> {
        self.recv_within(Patience::Never)
    }

    /// Receives, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_within(Patience::of(timeout))
    }

    /// Receives as long as patience lasts.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_within(&mut self, patience: Patience) -> Result<T, RecvTimeoutError> {
        match self.taken_in.pop_front() {
            Some(item) => Ok(item),
            None => Ok(receive_from(&self.incoming, patience)?),
        }
    }
}
