//! The memory that messages are in: cells of one size.

use crate::platform::robust::commit;
use crate::platform::{UnsafeCell, constructor};

/// Bytes of a message that a cell holds; a longer message takes several.
pub const CELL_BYTES: usize = 96;

/// A piece of the memory of a queue: 128 bytes, of which 96 are of a message.
///
/// Valid when zeroed. Which cells have messages is known from outside.
///
/// # Example
/// ```
/// use interlatch::{Messages, MessageCell, MessageQueue, MessageType, QueueLimits, Select};
///
/// const LIMITS: QueueLimits = QueueLimits { messages: 4, bytes: 200 };
/// static QUEUE: MessageQueue<[MessageCell; LIMITS.cells()]> =
///     MessageQueue::from_cells([const { MessageCell::new() }; _], LIMITS);
/// QUEUE.try_send(MessageType::LOWEST, &[7; 200])?;
/// assert_eq!(QUEUE.try_receive(Select::First)?.bytes, [7; 200]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct MessageCell {
    /// Where the next message begins. One step changes it.
    following: UnsafeCell<u64>,
    /// Where the same message goes on; where a free cell is, if this is one.
    next: UnsafeCell<u64>,
    /// Of the message that begins here.
    label: UnsafeCell<Label>,
    bytes: UnsafeCell<[u8; CELL_BYTES]>,
}

/// What stands on a message.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub(super) kind: i64,
    pub(super) length: u64,
}

// SAFETY: accessed only by the holder of the lock of the queue.
unsafe impl Sync for MessageCell {}

impl MessageCell {
    constructor! {
        /// Without a message.
        pub fn new() -> Self {
            Self {
                following: UnsafeCell::new(0),
                next: UnsafeCell::new(0),
                label: UnsafeCell::new(Label { kind: 0, length: 0 }),
                bytes: UnsafeCell::new([0; CELL_BYTES]),
            }
        }
    }
}

/// The caller of each of these holds the lock of the queue.
impl MessageCell {
    pub(super) fn following(&self) -> u64 {
        read(&self.following)
    }

    /// The link to the next message, for who changes it in one step.
    pub(super) fn link(&self) -> &UnsafeCell<u64> {
        &self.following
    }

    pub(super) fn next(&self) -> u64 {
        read(&self.next)
    }

    pub(super) fn go_on_at(&self, next: u64) {
        write(&self.next, next);
    }

    pub(super) fn label(&self) -> Label {
        read(&self.label)
    }

    /// Makes it the last message, before that is known.
    pub(super) fn begin(&self, label: Label) {
        write(&self.label, label);
        write(&self.following, 0);
    }

    /// Copies a piece in.
    pub(super) fn put(&self, piece: &[u8]) {
        if let Ok(whole) = <&[u8; CELL_BYTES]>::try_from(piece) {
            // SAFETY: the lock is held, so that nobody else is here. Of a length that is known, this is no call.
            self.bytes.with_mut(|bytes| unsafe { *bytes = *whole });
            return;
        }
        let length = piece.len().min(CELL_BYTES);
        self.bytes.with_mut(|bytes| {
            // SAFETY: the lock is held, so that nobody else is here; as many bytes as both have, and
            // the piece is the caller's own memory.
            unsafe { piece.as_ptr().copy_to_nonoverlapping(bytes.cast(), length) }
        });
    }

    /// Copies the beginning out.
    pub(super) fn copy_to(&self, piece: &mut [u8]) {
        if let Ok(whole) = <&mut [u8; CELL_BYTES]>::try_from(&mut *piece) {
            // SAFETY: as above.
            self.bytes.with(|bytes| unsafe { *whole = *bytes });
            return;
        }
        let length = piece.len().min(CELL_BYTES);
        self.bytes.with(|bytes| {
            // SAFETY: as above.
            unsafe {
                piece
                    .as_mut_ptr()
                    .copy_from_nonoverlapping(bytes.cast(), length)
            }
        });
    }
}

#[track_caller]
pub(super) fn read<T: Copy>(cell: &UnsafeCell<T>) -> T {
    // SAFETY: the lock of the queue is held, by the callers' promise; every bit pattern is valid.
    cell.with(|value| unsafe { value.read_volatile() })
}

#[track_caller]
pub(super) fn write<T: Copy>(cell: &UnsafeCell<T>, value: T) {
    // SAFETY: the lock of the queue is held, by the callers' promise.
    cell.with_mut(|place| unsafe { place.write_volatile(value) });
}

/// Writes a link in one step: whoever sees it sees all that was written before.
#[track_caller]
pub(super) fn relink(link: &UnsafeCell<u64>, to: u64) {
    // SAFETY: the lock of the queue is held, by the callers' promise.
    unsafe { commit(link, to) };
}

impl Default for MessageCell {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the cells of a queue are: an array inside it, or the rest of a region.
///
/// # Safety
/// `cells` returns the same cells every time. They belong to this value alone: no other one returns any
/// of them. Several threads may call it at the same time.
pub unsafe trait MessageCells: Sync {
    /// The cells.
    fn cells(&self) -> &[MessageCell];
}

// SAFETY: the array's own cells.
unsafe impl<const N: usize> MessageCells for [MessageCell; N] {
    fn cells(&self) -> &[MessageCell] {
        self
    }
}

// SAFETY: the slice's own cells.
unsafe impl MessageCells for [MessageCell] {
    fn cells(&self) -> &[MessageCell] {
        self
    }
}
