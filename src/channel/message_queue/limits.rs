//! How much a queue holds.

use super::cell::{CELL_BYTES, MessageCell};
use crate::platform::{Config, ConfigError};

/// The most messages of a queue, and the most bytes of all of them together.
///
/// Both are exact: a message that keeps within both finds room, whatever was sent and received before. A
/// message as long as `bytes` is the longest that can be sent; with 0 bytes all are empty.
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
    /// The most messages.
    pub messages: u32,
    /// The most bytes, types not counted.
    pub bytes: u32,
}

impl QueueLimits {
    /// How many cells are enough for that, whatever the messages are: one for each, and one for each time
    /// that as many bytes as fill one are sent.
    pub const fn cells(self) -> usize {
        self.messages as usize + self.bytes as usize / CELL_BYTES
    }

    /// Limits for which so many cells are enough: half of them for as many messages, and the others for
    /// what is long.
    pub const fn of_cells(cells: usize) -> Self {
        // With more cells than a number of 32 bits counts, some are not used.
        let most = u32::MAX as usize / CELL_BYTES - 1;
        let cells = if cells < most { cells } else { most };
        let messages = cells.div_ceil(2);
        Self {
            messages: messages as u32,
            bytes: ((cells - messages) * CELL_BYTES + CELL_BYTES - 1) as u32,
        }
    }

    /// The limits, if there can be such a queue.
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
