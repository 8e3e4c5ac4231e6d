//! The capacity of a message queue.

use super::cell::{CELL_PAYLOAD, MessageCell};
use crate::platform::{Config, ConfigError};

/// The maximum number of messages in a queue, and the maximum total number of their bytes.
///
/// Both limits are exact. A message fits into the queue whenever neither limit would be exceeded.
/// Messages that were received earlier have no influence. The longest message has `bytes` bytes. If
/// `bytes` is 0, the queue accepts only empty messages.
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits};
/// use interlatch::{MessageQueue, Region};
///
/// let region = Region::memfd("example", 1 << 14)?;
/// let limits = QueueLimits { messages: 2, bytes: 100 };
/// let queue: &MessageQueue = region.create("queue", limits)?;
/// queue.try_send(MessageType::LOWEST, &[0; 99])?;
/// assert!(queue.try_send(MessageType::LOWEST, &[0; 2]).is_err(), "too many bytes");
/// queue.try_send(MessageType::LOWEST, &[0; 1])?;
/// assert!(queue.try_send(MessageType::LOWEST, &[]).is_err(), "too many messages");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The maximum number of messages.
    pub messages: u32,
    /// The maximum total number of bytes of all messages. The total does not include the bytes that
    /// store message types.
    pub bytes: u32,
}

impl QueueLimits {
    /// Returns the number of cells that a queue needs to reach these limits with messages of any
    /// lengths.
    ///
    /// The result is one cell for each message, plus one cell for every [`CELL_PAYLOAD`] message
    /// bytes.
    pub const fn cells(self) -> usize {
        self.messages as usize + self.bytes as usize / CELL_PAYLOAD
    }

    /// Creates the limits of a queue that has `cells` cells.
    ///
    /// The message limit is half the number of cells. The byte limit is the largest limit for which
    /// the other half of the cells suffices.
    pub const fn from_cells(cells: usize) -> Self {
        // The byte limit is a u32. If the cells could serve a larger byte limit than a u32 can
        // hold, some cells stay unused.
        let max = u32::MAX as usize / CELL_PAYLOAD - 1;
        let cells = if cells < max { cells } else { max };
        let messages = cells.div_ceil(2);
        Self {
            messages: messages as u32,
            bytes: ((cells - messages) * CELL_PAYLOAD + CELL_PAYLOAD - 1) as u32,
        }
    }

    /// Returns the limits, or an error if a queue cannot have these limits.
    pub(super) fn checked(self) -> Result<Self, ConfigError> {
        let capacity = self.cells();
        if self.messages == 0 {
            return Err(ConfigError::ZeroCapacity);
        }
        match isize::try_from(capacity.saturating_mul(size_of::<MessageCell>())) {
            Ok(_) => Ok(self),
            Err(_) => Err(ConfigError::SizeOverflow {
                capacity,
                item: size_of::<MessageCell>(),
            }),
        }
    }
}

impl Config for QueueLimits {
    fn to_word(self) -> u64 {
        u64::from(self.messages) << 32 | u64::from(self.bytes)
    }

    fn from_word(word: u64) -> Option<Self> {
        Some(Self {
            messages: (word >> 32) as u32,
            bytes: word as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_holds_both_limits() {
        for (messages, bytes) in [(1, 0), (2, u32::MAX), (u32::MAX, 7)] {
            let limits = QueueLimits { messages, bytes };
            assert_eq!(QueueLimits::from_word(limits.to_word()), Some(limits));
        }
    }
}
