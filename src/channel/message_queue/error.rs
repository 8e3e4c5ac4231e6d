//! What can go wrong with a message.

use crate::platform::robust::RobustListError;
use crate::sync::RobustLockError;

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendMessageError {
    /// It would not fit into the empty queue.
    #[error("a message of {length} bytes: the queue takes at most {limit}")]
    TooLong {
        /// Bytes of the message.
        length: usize,
        /// Bytes of the longest one.
        limit: usize,
    },
    /// There was no room for it as long as timeout lasted.
    #[error("the queue is full")]
    Full,
    /// This thread cannot take the lock inside.
    #[error(transparent)]
    Refused(#[from] RobustListError),
    /// The queue is not to be had any more, which only a faulty peer brings about.
    #[error("the queue is broken: a faulty peer has written into it")]
    Broken,
}

/// Why no message was received. Nothing was taken then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveMessageError {
    /// There was none that was asked for, as long as timeout lasted.
    #[error("there is no such message")]
    NoMessage,
    /// The next one has a length that does not fit; it is still there.
    #[error("a message of {length} bytes: there is room for {room}")]
    WrongLength {
        /// Bytes of the message.
        length: usize,
        /// Bytes that were expected, or at most.
        room: usize,
    },
    /// This thread cannot take the lock inside.
    #[error(transparent)]
    Refused(#[from] RobustListError),
    /// The queue is not to be had any more, which only a faulty peer brings about.
    #[error("the queue is broken: a faulty peer has written into it")]
    Broken,
}

/// Why an operation ended before it was done.
pub(super) enum Missed {
    /// Patience ran out.
    Late,
    Refused(RobustListError),
    Broken,
}

impl From<RobustLockError<'_, ()>> for Missed {
    fn from(error: RobustLockError<'_, ()>) -> Self {
        match error {
            RobustLockError::TimedOut => Self::Late,
            RobustLockError::Refused(refusal) => Self::Refused(refusal),
            _ => Self::Broken,
        }
    }
}

impl From<Missed> for SendMessageError {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Late => Self::Full,
            Missed::Refused(refusal) => Self::Refused(refusal),
            Missed::Broken => Self::Broken,
        }
    }
}

impl From<Missed> for ReceiveMessageError {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Late => Self::NoMessage,
            Missed::Refused(refusal) => Self::Refused(refusal),
            Missed::Broken => Self::Broken,
        }
    }
}
