//! What can go wrong at either end: names and shapes as in `crossbeam-channel`.

use core::fmt;
use thiserror::Error;

/// All receivers are gone (a broken pipe): the value comes back.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[error("sending on a buffer without receivers")]
pub struct SendError<T>(pub T);

/// Why a value was not sent at once; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
pub enum TrySendError<T> {
    /// There is no free place.
    #[error("sending on a full buffer")]
    Full(T),
    /// All receivers are gone.
    #[error("sending on a buffer without receivers")]
    Disconnected(T),
}

/// Why a value was not sent in time; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
pub enum SendTimeoutError<T> {
    /// There was no free place before the deadline.
    #[error("timed out waiting to send")]
    Timeout(T),
    /// All receivers are gone.
    #[error("sending on a buffer without receivers")]
    Disconnected(T),
}

/// All senders are gone and the buffer is empty (end of stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("receiving on an empty buffer without senders")]
pub struct RecvError;

/// Why nothing was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TryRecvError {
    /// There is no item.
    #[error("receiving on an empty buffer")]
    Empty,
    /// There is no item, and all senders are gone.
    #[error("receiving on an empty buffer without senders")]
    Disconnected,
}

/// Why nothing was received in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecvTimeoutError {
    /// There was no item before the deadline.
    #[error("timed out waiting to receive")]
    Timeout,
    /// There is no item, and all senders are gone.
    #[error("receiving on an empty buffer without senders")]
    Disconnected,
}

/// Why a value was not sent to the other side of a two-way link; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
pub enum DuplexSendError<T> {
    /// There was no room in time.
    #[error("timed out waiting to send")]
    Timeout(T),
    /// The other side has gone.
    #[error("sending to a side that has gone")]
    Disconnected(T),
    /// There is no room, and the other side has sent as much as is kept here: receive some of it, and send again.
    #[error("the other side does not receive, and has sent more than {limit} items meanwhile")]
    Flooded {
        /// What was not sent.
        item: T,
        /// How many are kept.
        limit: usize,
    },
}

/// A side of the buffer has been closed for good: no new handle can join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this side of the buffer is closed")]
pub struct Disconnected;

// The value that comes back need not be printable.

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Disconnected(_) => "Disconnected(..)",
        })
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(_) => "Timeout(..)",
            Self::Disconnected(_) => "Disconnected(..)",
        })
    }
}

impl<T> fmt::Debug for DuplexSendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(_) => "Timeout(..)",
            Self::Disconnected(_) => "Disconnected(..)",
            Self::Flooded { .. } => "Flooded { .. }",
        })
    }
}

impl<T> DuplexSendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        let (Self::Timeout(item) | Self::Disconnected(item) | Self::Flooded { item, .. }) = self;
        item
    }
}

impl<T> SendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        let (Self::Full(value) | Self::Disconnected(value)) = self;
        value
    }
}

impl<T> SendTimeoutError<T> {
    /// Without a free place: because nobody will ever make one, or not in time.
    pub(super) fn of(value: T, disconnected: bool) -> Self {
        if disconnected {
            Self::Disconnected(value)
        } else {
            Self::Timeout(value)
        }
    }

    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        let (Self::Timeout(value) | Self::Disconnected(value)) = self;
        value
    }
}

impl<T> SendTimeoutError<T> {
    /// Puts the value that was not sent back at the end of these.
    pub(super) fn take_value(self, back: &mut Vec<T>) -> SendTimeoutError<()> {
        let disconnected = matches!(self, Self::Disconnected(_));
        back.push(self.into_inner());
        SendTimeoutError::of((), disconnected)
    }

    /// For one who has the value still.
    pub(super) fn without_value(self) -> SendTimeoutError<()> {
        SendTimeoutError::of((), matches!(self, Self::Disconnected(_)))
    }
}

impl SendTimeoutError<()> {
    /// With the value that was not sent.
    pub(super) fn with<T>(self, value: T) -> SendTimeoutError<T> {
        SendTimeoutError::of(value, self == Self::Disconnected(()))
    }
}

impl RecvTimeoutError {
    /// Without an item: because nobody will ever send one, or not in time.
    pub(super) fn of(disconnected: bool) -> Self {
        if disconnected {
            Self::Disconnected
        } else {
            Self::Timeout
        }
    }
}
