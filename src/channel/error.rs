//! The errors of all channels. They have the variants of the `crossbeam-channel` errors, and
//! `Failed` with the cause of a failure.

use super::Direction;
use crate::platform::robust::RobustListError;
use crate::sync::{AcquireError, LockError};
use core::fmt;
use std::error::Error;
use std::sync::Arc;

/// The error of a send that blocks without a deadline. The error contains the unsent value.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<T> {
    /// All receivers of the channel are gone.
    Disconnected(T),
    /// The operation failed for the reason that the contained [`ChannelError`] gives.
    Failed(T, ChannelError),
}

/// The error of a send that does not wait. The error contains the unsent value.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// The channel is full.
    Full(T),
    /// All receivers of the channel are gone.
    Disconnected(T),
    /// The operation failed for the reason that the contained [`ChannelError`] gives.
    Failed(T, ChannelError),
}

/// The error of a send with a deadline. The error contains the unsent value.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendTimeoutError<T> {
    /// The channel was full until the deadline.
    Timeout(T),
    /// All receivers of the channel are gone.
    Disconnected(T),
    /// The operation failed for the reason that the contained [`ChannelError`] gives.
    Failed(T, ChannelError),
}

/// The error of a receive that blocks without a deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The channel is empty and all senders are gone: the stream has ended.
    Disconnected,
    /// The operation failed for the reason that the contained [`ChannelError`] gives.
    Failed(ChannelError),
}

/// The error of a receive that does not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// The channel is empty.
    Empty,
    /// The channel is empty and all senders are gone: the stream has ended.
    Disconnected,
    /// The operation failed for the reason that the contained [`ChannelError`] gives.
    Failed(ChannelError),
}

/// The error of a receive with a deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// The channel was empty until the deadline.
    Timeout,
    /// The channel is empty and all senders are gone: the stream has ended.
    Disconnected,
    /// The operation failed for the reason that the contained [`ChannelError`] gives.
    Failed(ChannelError),
}

/// Why a channel could not create a handle for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// The requested side of the channel has closed permanently. Its last handle was dropped, or
    /// the owner of its last handle died.
    Closed(Direction),
    /// All handle slots of the requested side are in use.
    SlotsInUse {
        /// The side of the channel on which the caller requested a handle.
        direction: Direction,
        /// The number of handle slots of that side.
        max: usize,
        /// The name of the type parameter that sets the number of slots. `None` if the side always
        /// has exactly one slot.
        parameter: Option<&'static str>,
    },
    /// The calling thread cannot hold a handle, or the channel cannot be used.
    Failed(ChannelError),
}

/// Why an operation failed although the other side may be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelError {
    /// The handle belongs to the parent process, and the caller is a forked child with a copy of
    /// the handle.
    Inherited,
    /// This thread cannot hold a robust lock, or holds the maximum number of them.
    RobustList(RobustListError),
    /// Another process holds the internal lock and does not run, because it is stopped or the
    /// machine is overloaded. A non-blocking operation returns this error after 100 milliseconds
    /// and has no effect.
    Busy,
    /// A faulty process has corrupted the channel.
    Corrupted,
    /// The stream ended within an item: its sender died or closed the pipe.
    Torn {
        /// The size of an item in bytes.
        expected: usize,
        /// The number of bytes that arrived.
        found: usize,
    },
    /// The peer sends without receiving, and this side cannot store more of the items that the peer
    /// sends.
    Flooded {
        /// The number of received items that this side stores.
        limit: usize,
    },
    /// The message is longer than the queue or the caller's buffer accepts.
    MessageTooLong {
        /// The length of the message in bytes.
        length: usize,
        /// The maximum length of a message in bytes.
        max: usize,
    },
    /// The length of the message differs from the size of the expected type.
    WrongLength {
        /// The size of the expected type in bytes.
        expected: usize,
        /// The length of the message in bytes.
        found: usize,
    },
    /// The channel could not create, find or remove a segment.
    Storage(StorageError),
    /// All segments of an unbounded channel are full.
    LimitReached {
        /// The maximum number of segments.
        segments: u32,
    },
    /// A system call failed with this error number.
    Os(i32),
}

/// The error returned when a segment of an unbounded channel cannot be used.
#[derive(Clone, Debug)]
pub struct StorageError(Arc<SegmentFailure>);

#[derive(Debug)]
struct SegmentFailure {
    segment: u64,
    cause: Box<dyn Error + Send + Sync>,
}

impl StorageError {
    /// Creates the error of one segment.
    pub fn new(segment: u64, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        Self(Arc::new(SegmentFailure { segment, cause }))
    }

    /// The number of the segment.
    pub fn segment(&self) -> u64 {
        self.0.segment
    }

    /// The underlying error.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0.cause
    }
}

/// Two errors are equal if they name the same segment and their causes have the same text.
impl PartialEq for StorageError {
    fn eq(&self, other: &Self) -> bool {
        self.segment() == other.segment() && self.cause().to_string() == other.cause().to_string()
    }
}

impl Eq for StorageError {}

/// Why a send or a receive had no effect.
///
/// The caller of a send keeps its item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OperationError {
    Timeout,
    Disconnected,
    Failed(ChannelError),
}

impl OperationError {
    /// The error of an operation whose deadline passed while the channel was full or empty.
    pub(super) fn from_disconnected(disconnected: bool) -> Self {
        match disconnected {
            true => Self::Disconnected,
            false => Self::Timeout,
        }
    }

    /// Returns the value that was not sent.
    pub(crate) fn with<T>(self, value: T) -> SendTimeoutError<T> {
        match self {
            Self::Timeout => SendTimeoutError::Timeout(value),
            Self::Disconnected => SendTimeoutError::Disconnected(value),
            Self::Failed(cause) => SendTimeoutError::Failed(value, cause),
        }
    }
}

impl From<ChannelError> for OperationError {
    fn from(cause: ChannelError) -> Self {
        Self::Failed(cause)
    }
}

impl From<RobustListError> for ChannelError {
    fn from(error: RobustListError) -> Self {
        Self::RobustList(error)
    }
}

/// Converts the error of acquiring the channel's internal lock. The result is never `Disconnected`.
impl From<AcquireError> for OperationError {
    fn from(error: AcquireError) -> Self {
        Self::Failed(match error {
            AcquireError::TimedOut => return Self::Timeout,
            AcquireError::RobustList(error) => ChannelError::RobustList(error),
            AcquireError::Inherited => ChannelError::Inherited,
            AcquireError::Busy => ChannelError::Busy,
            AcquireError::Corrupted => ChannelError::Corrupted,
        })
    }
}

impl From<LockError> for OperationError {
    fn from(error: LockError) -> Self {
        AcquireError::from(error).into()
    }
}

impl From<OperationError> for SendTimeoutError<()> {
    fn from(error: OperationError) -> Self {
        error.with(())
    }
}

impl From<OperationError> for RecvTimeoutError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Timeout => Self::Timeout,
            OperationError::Disconnected => Self::Disconnected,
            OperationError::Failed(cause) => Self::Failed(cause),
        }
    }
}

impl From<ChannelError> for AttachError {
    fn from(cause: ChannelError) -> Self {
        Self::Failed(cause)
    }
}

impl<T> SendError<T> {
    /// Returns the value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Disconnected(value) | Self::Failed(value, _) => value,
        }
    }
}

impl<T> TrySendError<T> {
    /// Returns the value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Disconnected(value) | Self::Failed(value, _) => value,
        }
    }
}

impl<T> SendTimeoutError<T> {
    /// Returns the value that was not sent.
    pub fn into_inner(self) -> T {
        self.split().0
    }

    /// Applies `convert` to the unsent value in this error.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> SendTimeoutError<U> {
        let (value, error) = self.split();
        error.with(convert(value))
    }

    /// Returns the error of a send without a deadline. If the send has to be repeated, returns its
    /// value.
    ///
    /// An infinite timeout never expires. Only a faulty process can make such an operation return
    /// `Timeout`.
    pub(crate) fn without_deadline(self) -> Result<SendError<T>, T> {
        match self {
            Self::Timeout(value) => Err(value),
            Self::Disconnected(value) => Ok(SendError::Disconnected(value)),
            Self::Failed(value, cause) => Ok(SendError::Failed(value, cause)),
        }
    }

    pub(super) fn split(self) -> (T, OperationError) {
        match self {
            Self::Timeout(value) => (value, OperationError::Timeout),
            Self::Disconnected(value) => (value, OperationError::Disconnected),
            Self::Failed(value, cause) => (value, OperationError::Failed(cause)),
        }
    }
}

impl RecvTimeoutError {
    /// Returns the error of a receive without a deadline, or `None` if the receive has to be
    /// repeated. See [`SendTimeoutError::without_deadline`].
    pub(crate) fn without_deadline(self) -> Option<RecvError> {
        match self {
            Self::Timeout => None,
            Self::Disconnected => Some(RecvError::Disconnected),
            Self::Failed(cause) => Some(RecvError::Failed(cause)),
        }
    }
}

/// Converts this error into the error of an operation that does not wait.
impl<T> From<SendTimeoutError<T>> for TrySendError<T> {
    fn from(error: SendTimeoutError<T>) -> Self {
        match error {
            SendTimeoutError::Timeout(value) => Self::Full(value),
            SendTimeoutError::Disconnected(value) => Self::Disconnected(value),
            SendTimeoutError::Failed(value, cause) => Self::Failed(value, cause),
        }
    }
}

/// Converts this error into the error of an operation that does not wait.
impl From<RecvTimeoutError> for TryRecvError {
    fn from(error: RecvTimeoutError) -> Self {
        match error {
            RecvTimeoutError::Timeout => Self::Empty,
            RecvTimeoutError::Disconnected => Self::Disconnected,
            RecvTimeoutError::Failed(cause) => Self::Failed(cause),
        }
    }
}

const NO_RECEIVERS: &str = "all receivers of the channel are gone";
const NO_SENDERS: &str = "the channel is empty and all its senders are gone";

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(_) => f.write_str(NO_RECEIVERS),
            Self::Failed(_, cause) => cause.fmt(f),
        }
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the channel is full"),
            Self::Disconnected(_) => f.write_str(NO_RECEIVERS),
            Self::Failed(_, cause) => cause.fmt(f),
        }
    }
}

impl<T> fmt::Display for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(_) => f.write_str("timed out waiting to send"),
            Self::Disconnected(_) => f.write_str(NO_RECEIVERS),
            Self::Failed(_, cause) => cause.fmt(f),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str(NO_SENDERS),
            Self::Failed(cause) => cause.fmt(f),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the channel is empty"),
            Self::Disconnected => f.write_str(NO_SENDERS),
            Self::Failed(cause) => cause.fmt(f),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timed out waiting to receive"),
            Self::Disconnected => f.write_str(NO_SENDERS),
            Self::Failed(cause) => cause.fmt(f),
        }
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(direction) => write!(
                f,
                "the {direction} side of the channel has closed for good; create a new channel"
            ),
            Self::SlotsInUse {
                direction,
                max,
                parameter: Some(parameter),
            } => write!(
                f,
                "all {max} {direction} slots are in use; raise the {parameter} parameter \
                 or drop a {direction}"
            ),
            Self::SlotsInUse { direction, .. } => write!(
                f,
                "the only {direction} slot is in use; drop the other {direction}"
            ),
            Self::Failed(cause) => cause.fmt(f),
        }
    }
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited => f.write_str(
                "the handle belongs to the parent process; attach a handle in the forked child",
            ),
            Self::RobustList(error) => error.fmt(f),
            Self::Busy => f.write_str(
                "the channel's internal lock is held by a process that does not run; try again",
            ),
            Self::Corrupted => f.write_str("a faulty process has corrupted the channel"),
            Self::Torn { expected, found } => write!(
                f,
                "the stream ended after {found} of the {expected} bytes of an item"
            ),
            Self::Flooded { limit } => write!(
                f,
                "the peer does not receive and has sent {limit} items; receive some of them \
                 and send again"
            ),
            Self::MessageTooLong { length, max } => {
                write!(f, "message of {length} bytes: expected at most {max}")
            }
            Self::WrongLength { expected, found } => {
                write!(f, "message of {found} bytes: expected {expected}")
            }
            Self::Storage(error) => error.fmt(f),
            Self::LimitReached { segments } => write!(
                f,
                "all {segments} segments are full; receive some items or create a channel with a \
                 higher growth limit"
            ),
            Self::Os(code) => std::io::Error::from_raw_os_error(*code).fmt(f),
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}: {}", self.segment(), self.cause())
    }
}

// The text of a cause is part of the text of its error, so `source` returns the source of the
// cause, not the cause itself.

impl<T> Error for SendError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(_, cause) => cause.source(),
            Self::Disconnected(_) => None,
        }
    }
}

impl<T> Error for TrySendError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(_, cause) => cause.source(),
            Self::Full(_) | Self::Disconnected(_) => None,
        }
    }
}

impl<T> Error for SendTimeoutError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(_, cause) => cause.source(),
            Self::Timeout(_) | Self::Disconnected(_) => None,
        }
    }
}

impl Error for RecvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(cause) => cause.source(),
            Self::Disconnected => None,
        }
    }
}

impl Error for TryRecvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(cause) => cause.source(),
            Self::Empty | Self::Disconnected => None,
        }
    }
}

impl Error for RecvTimeoutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(cause) => cause.source(),
            Self::Timeout | Self::Disconnected => None,
        }
    }
}

impl Error for AttachError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(cause) => cause.source(),
            Self::Closed(_) | Self::SlotsInUse { .. } => None,
        }
    }
}

impl Error for ChannelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Storage(error) => error.source(),
            Self::RobustList(error) => error.source(),
            _ => None,
        }
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.source()
    }
}

// The value in the error need not implement `Debug`, so these implementations do not print it.

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(_) => f.write_str("Disconnected(..)"),
            Self::Failed(_, cause) => write!(f, "Failed(.., {cause:?})"),
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Disconnected(_) => f.write_str("Disconnected(..)"),
            Self::Failed(_, cause) => write!(f, "Failed(.., {cause:?})"),
        }
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(_) => f.write_str("Timeout(..)"),
            Self::Disconnected(_) => f.write_str("Disconnected(..)"),
            Self::Failed(_, cause) => write!(f, "Failed(.., {cause:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_errors_are_equal_if_segment_and_text_are() {
        let error = StorageError::new(1, "full");
        assert_eq!(error, StorageError::new(1, "full"));
        assert_ne!(error, StorageError::new(2, "full"));
        assert_ne!(error, StorageError::new(1, "gone"));
    }
}
