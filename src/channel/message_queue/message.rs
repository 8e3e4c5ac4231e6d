//! A message, its type, and which one a receiver asks for.

use core::num::NonZeroI64;

/// The type of a message: a positive number whose meaning the processes agree on, as in `msgsnd(2)`.
///
/// What it is used for:
/// - a kind of message, which its receivers ask for ([`Select::Type`]);
/// - an address: a reply has the process id of the one that asked ([`of_process`](Self::of_process));
/// - a priority ([`of_priority`](Self::of_priority)).
///
/// # Errors
/// [`new`](Self::new) refuses 0 and negative numbers.
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::MessageType;
///
/// assert_eq!(MessageType::new(7)?.get(), 7);
/// let error = MessageType::new(0).unwrap_err();
/// assert_eq!(error.to_string(), "message type 0: expected at least 1");
/// # Ok::<(), interlatch::channel::message_queue::BadMessageType>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(NonZeroI64);

/// A number that is no type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message type {found}: expected at least 1")]
pub struct BadMessageType {
    /// The number.
    pub found: i64,
}

impl MessageType {
    /// The lowest.
    pub const LOWEST: Self = Self(NonZeroI64::new(1).unwrap());
    /// The highest.
    pub const HIGHEST: Self = Self(NonZeroI64::MAX);

    /// The type of this number.
    ///
    /// # Errors
    /// If it is 0 or negative.
    pub const fn new(number: i64) -> Result<Self, BadMessageType> {
        match NonZeroI64::new(number) {
            Some(positive) if number > 0 => Ok(Self(positive)),
            _ => Err(BadMessageType { found: number }),
        }
    }

    /// The address of this process, for replies to it.
    ///
    /// Numbers of processes are below 2^22. A type for requests should be above, since in a container
    /// a process may well have the number 1.
    pub fn of_this_process() -> Self {
        Self::at_least_one(i64::from(std::process::id()))
    }

    /// The address of the process with this number.
    ///
    /// # Errors
    /// If it is 0.
    pub const fn of_process(id: u32) -> Result<Self, BadMessageType> {
        Self::new(id as i64)
    }

    /// For queues in which the type is a priority: the higher the priority the lower the type, so that
    /// [`Select::HIGHEST_PRIORITY`] receives as `mq_receive(3)` does, the highest first, and of those
    /// the oldest.
    pub const fn of_priority(priority: u32) -> Self {
        match Self::new(PRIORITIES - priority as i64) {
            Ok(kind) => kind,
            Err(_) => Self::LOWEST,
        }
    }

    /// The priority that this type stands for; 0 for a type that stands for none.
    pub const fn priority(self) -> u32 {
        let priority = PRIORITIES - self.get();
        match priority < 0 {
            true => 0,
            false => priority as u32,
        }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0.get()
    }

    /// The type of a number that comes from shared memory, where a faulty peer may have written any.
    pub(super) fn at_least_one(number: i64) -> Self {
        Self::new(number).unwrap_or(Self::LOWEST)
    }
}

/// The type of priority 0.
const PRIORITIES: i64 = 1 << 32;

impl TryFrom<i64> for MessageType {
    type Error = BadMessageType;

    fn try_from(number: i64) -> Result<Self, BadMessageType> {
        Self::new(number)
    }
}

/// Which message a receiver asks for.
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
/// use interlatch::{MessageQueue, Region};
///
/// let region = Region::memfd("example", 1 << 12)?;
/// let queue: &MessageQueue = region.create("queue", QueueLimits { messages: 8, bytes: 100 })?;
/// let [low, middle, high] = [1, 2, 3].map(|number| MessageType::new(number).unwrap());
/// for kind in [high, low, middle, low] {
///     queue.try_send(kind, &[])?;
/// }
/// let order = [Select::Type(middle), Select::LowestUpTo(middle), Select::First, Select::First];
/// let kinds = order.map(|select| queue.try_receive(select).unwrap().kind);
/// assert_eq!(kinds, [middle, low, high, low]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Select {
    /// The oldest.
    First,
    /// The oldest of this type.
    Type(MessageType),
    /// The oldest of the lowest type that is there and is at most this one.
    LowestUpTo(MessageType),
}

impl Select {
    /// The oldest of the highest priority: see [`MessageType::of_priority`].
    pub const HIGHEST_PRIORITY: Self = Self::LowestUpTo(MessageType::of_priority(0));
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: MessageType,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// What is known of a message that was received into memory of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its type.
    pub kind: MessageType,
    /// How many bytes were written.
    pub length: usize,
}

/// What to do with a message that has not the length of the memory it is received into. One that is
/// refused stays where it is, the next to be received.
///
/// # Example
/// ```
/// use interlatch::sync::Timeout;
/// use interlatch::channel::message_queue::{MessageQueueExt, MessageType, Oversize, QueueLimits, ReceiveMessageError, Select};
/// use interlatch::{MessageQueue, Region};
///
/// let region = Region::memfd("example", 1 << 12)?;
/// let queue: &MessageQueue = region.create("queue", QueueLimits { messages: 8, bytes: 100 })?;
/// queue.try_send(MessageType::LOWEST, b"hello")?;
/// let mut room = [0; 4];
/// let refused = queue.receive_into(Select::First, &mut room, Oversize::Whole, Timeout::NonBlocking);
/// assert_eq!(refused, Err(ReceiveMessageError::WrongLength { length: 5, room: 4 }));
/// let cut = queue.receive_into(Select::First, &mut room, Oversize::Truncated, Timeout::NonBlocking)?;
/// assert_eq!(&room[..cut.length], b"hell");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// A longer one is refused.
    Whole,
    /// Of a longer one the rest is lost, as with `MSG_NOERROR`.
    Truncated,
    /// A longer and a shorter one are refused.
    Exact,
}

impl Oversize {
    /// Whether a message of that length goes into that room.
    pub(super) fn takes(self, length: usize, room: usize) -> bool {
        match self {
            Self::Whole => length <= room,
            Self::Truncated => true,
            Self::Exact => length == room,
        }
    }
}
