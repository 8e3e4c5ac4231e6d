//! A message, its type, and which types a receiver selects.

use crate::channel::ChannelError;
use core::fmt;
use core::num::NonZeroI64;

/// The type of a message: a positive number, as in `msgsnd(2)`. The processes that use the queue
/// agree on the meaning of each type.
///
/// A type can be
/// - a kind of message, which its receivers select with [`Select::Type`];
/// - an address: the type of a reply is the process id of the client that gets the reply
///   ([`from_process_id`](Self::from_process_id));
/// - a priority ([`from_priority`](Self::from_priority)).
///
/// # Errors
/// [`new`](Self::new) fails for 0 and negative numbers.
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::MessageType;
///
/// assert_eq!(MessageType::new(7)?.get(), 7);
/// let error = MessageType::new(0).unwrap_err();
/// assert_eq!(error.to_string(), "message type 0: expected at least 1");
/// # Ok::<(), interlatch::channel::message_queue::InvalidMessageType>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(NonZeroI64);

/// The error returned by [`MessageType::new`] when the number is 0 or negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMessageType {
    /// The number.
    pub found: i64,
}

impl fmt::Display for InvalidMessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message type {}: expected at least 1", self.found)
    }
}

impl std::error::Error for InvalidMessageType {}

impl MessageType {
    /// The lowest message type, which has the number 1.
    pub const LOWEST: Self = Self(NonZeroI64::new(1).unwrap());
    /// The highest message type, which has the number `i64::MAX`.
    pub const HIGHEST: Self = Self(NonZeroI64::MAX);

    /// Creates the message type with the given number.
    ///
    /// # Errors
    /// Fails if the number is 0 or negative.
    pub const fn new(number: i64) -> Result<Self, InvalidMessageType> {
        match NonZeroI64::new(number) {
            Some(positive) if number > 0 => Ok(Self(positive)),
            _ => Err(InvalidMessageType { found: number }),
        }
    }

    /// Returns the type that addresses replies to this process.
    ///
    /// Process ids are below 2^22. Choose a number of at least 2^22 as the type of requests. A
    /// smaller number, even 1 in a container, can be the process id of a client.
    pub fn of_this_process() -> Self {
        Self::clamped(i64::from(std::process::id()))
    }

    /// Returns the type that addresses replies to the process with this id.
    ///
    /// # Errors
    /// Fails if the id is 0.
    pub const fn from_process_id(id: u32) -> Result<Self, InvalidMessageType> {
        Self::new(id as i64)
    }

    /// Returns the message type that represents a priority. A higher priority has a lower type
    /// number.
    ///
    /// A receiver that selects [`Select::HIGHEST_PRIORITY`] gets the oldest message of the highest
    /// priority, as with `mq_receive(3)`.
    pub const fn from_priority(priority: u32) -> Self {
        match Self::new(PRIORITY_0 - priority as i64) {
            Ok(message_type) => message_type,
            Err(_) => Self::LOWEST,
        }
    }

    /// Returns the priority that this type represents, or 0 if this type represents no priority.
    pub const fn priority(self) -> u32 {
        let priority = PRIORITY_0 - self.get();
        match priority < 0 {
            true => 0,
            false => priority as u32,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> i64 {
        self.0.get()
    }

    /// Converts a number from shared memory, where a faulty peer may have written any number.
    pub(super) fn clamped(number: i64) -> Self {
        Self::new(number).unwrap_or(Self::LOWEST)
    }
}

/// The number of the message type that represents priority 0.
const PRIORITY_0: i64 = 1 << 32;

impl TryFrom<i64> for MessageType {
    type Error = InvalidMessageType;

    fn try_from(number: i64) -> Result<Self, InvalidMessageType> {
        Self::new(number)
    }
}

/// Which message to receive, as with the `msgtyp` argument of `msgrcv(2)`.
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
/// use interlatch::{MessageQueue, Region};
///
/// let region = Region::memfd("example", 1 << 12)?;
/// let queue: &MessageQueue = region.create("queue", QueueLimits { messages: 8, bytes: 100 })?;
/// let [low, middle, high] = [1, 2, 3].map(|number| MessageType::new(number).unwrap());
/// for message_type in [high, low, middle, low] {
///     queue.try_send(message_type, &[])?;
/// }
/// let order = [Select::Type(middle), Select::LowestUpTo(middle), Select::First, Select::First];
/// let types = order.map(|select| queue.try_receive(select).unwrap().message_type);
/// assert_eq!(types, [middle, low, high, low]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Select {
    /// The oldest message.
    First,
    /// The oldest message of the given type.
    Type(MessageType),
    /// The oldest message of the lowest type in the queue. Types above the given type are ignored.
    LowestUpTo(MessageType),
}

impl Select {
    /// The oldest message of the highest priority: see [`MessageType::from_priority`].
    pub const HIGHEST_PRIORITY: Self = Self::LowestUpTo(MessageType::from_priority(0));
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The type of the message.
    pub message_type: MessageType,
    /// The contents of the message.
    pub bytes: Vec<u8>,
}

impl Message {
    /// Creates a message, for implementors of [`MessageQueueExt`](super::MessageQueueExt).
    pub fn new(message_type: MessageType, bytes: Vec<u8>) -> Self {
        Self {
            message_type,
            bytes,
        }
    }
}

/// The type and the length of a message that was received into the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The type of the message.
    pub message_type: MessageType,
    /// The number of bytes written to the buffer.
    pub length: usize,
}

impl Received {
    /// Creates the result of a receive, for implementors of
    /// [`MessageQueueExt`](super::MessageQueueExt).
    pub fn new(message_type: MessageType, length: usize) -> Self {
        Self {
            message_type,
            length,
        }
    }
}

/// Which message lengths a receiver accepts, relative to the length of its buffer.
///
/// A message that the receiver does not accept keeps its place in the queue.
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::{LengthPolicy, MessageQueueExt, MessageType, QueueLimits};
/// use interlatch::channel::message_queue::Select;
/// use interlatch::channel::{ChannelError, RecvTimeoutError};
/// use interlatch::sync::Timeout;
/// use interlatch::{MessageQueue, Region};
///
/// let region = Region::memfd("example", 1 << 12)?;
/// let queue: &MessageQueue = region.create("queue", QueueLimits { messages: 8, bytes: 100 })?;
/// queue.try_send(MessageType::LOWEST, b"hello")?;
/// let mut buffer = [0; 4];
/// let mut receive = |policy| {
///     queue.receive_into(Select::First, &mut buffer, policy, Timeout::NonBlocking)
/// };
/// let error = receive(LengthPolicy::AtMost).unwrap_err();
/// let cause = ChannelError::MessageTooLong { length: 5, max: 4 };
/// assert_eq!(error, RecvTimeoutError::Failed(cause));
/// assert_eq!(receive(LengthPolicy::Truncate)?.length, 4);
/// assert_eq!(&buffer, b"hell");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthPolicy {
    /// Accepts a message that is at most as long as the buffer.
    AtMost,
    /// Accepts a message of any length. The part that does not fit into the buffer is discarded, as
    /// with `MSG_NOERROR` of `msgrcv(2)`.
    Truncate,
    /// Accepts a message that is exactly as long as the buffer.
    Exact,
}

impl LengthPolicy {
    /// Checks whether a buffer of `room` bytes accepts a message of `length` bytes.
    pub(super) fn check(self, length: usize, room: usize) -> Result<(), ChannelError> {
        match self {
            Self::AtMost if length > room => {
                Err(ChannelError::MessageTooLong { length, max: room })
            }
            Self::Exact if length != room => Err(ChannelError::WrongLength {
                expected: room,
                found: length,
            }),
            _ => Ok(()),
        }
    }
}
