//! The memory of messages: cells of one size, grouped into extents.

use crate::platform::robust::commit_in;
use crate::platform::{UnsafeCell, constructor};

/// The minimum number of message bytes that a cell holds.
///
/// In a run of consecutive cells of one message, only the first cell has a header. The other cells
/// therefore hold more message bytes.
pub const CELL_PAYLOAD: usize = CELL_SIZE - size_of::<CellHeader>();

/// The size of a cell in bytes.
const CELL_SIZE: usize = 128;

/// A unit of a queue's memory: 128 bytes, of which at least 96 hold message bytes.
///
/// A zeroed cell is valid. The queue, not the cell, records which cells are in use.
///
/// # Process death
/// See [`MessageQueue`](super::MessageQueue).
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::{MessageCell, MessageQueueExt, MessageType, QueueLimits, Select};
/// use interlatch::MessageQueue;
/// use interlatch::sync::Static;
///
/// const LIMITS: QueueLimits = QueueLimits { messages: 4, bytes: 200 };
/// static QUEUE: Static<MessageQueue<[MessageCell; LIMITS.cells()]>> =
///     MessageQueue::from_cells([const { MessageCell::new() }; _], LIMITS);
/// QUEUE.get().try_send(MessageType::LOWEST, &[7; 200])?;
/// assert_eq!(QUEUE.get().try_receive(Select::First)?.bytes, [7; 200]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct MessageCell {
    content: UnsafeCell<Content>,
}

/// The contents of the first cell of an extent. The remaining cells of the extent contain only
/// message bytes and no header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Content {
    header: CellHeader,
    payload: [u8; CELL_PAYLOAD],
}

/// The header of an extent. An extent is a run of consecutive cells that one message uses or that
/// are free.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct CellHeader {
    /// The link to the next message, if a message starts in this cell. A single store changes this
    /// link.
    next_message: u64,
    /// The link to the next extent of the message, or, for a free extent, to the next free extent.
    next_extent: u64,
    /// The type and the length of the message that starts in this cell.
    message_type: i64,
    length: u32,
    /// The number of cells in the extent that starts with this cell.
    cells: u32,
}

/// The type and the length of a message, which the first cell of the message records.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageHeader {
    pub(super) message_type: i64,
    pub(super) length: u32,
}

impl CellHeader {
    const EMPTY: Self = Self {
        next_message: 0,
        next_extent: 0,
        message_type: 0,
        length: 0,
        cells: 0,
    };
}

const _: () = assert!(size_of::<Content>() == CELL_SIZE);

// SAFETY: every access to `content` is made by a holder of the queue's lock.
unsafe impl Sync for MessageCell {}

impl MessageCell {
    constructor! {
        /// Creates a cell without a message.
        pub fn new() -> Self {
            Self {
                content: UnsafeCell::new(Content { header: CellHeader::EMPTY, payload: [0; CELL_PAYLOAD] }),
            }
        }
    }
}

/// # Safety of the methods
/// The caller of each method must hold the queue's lock, which excludes every other access to the
/// cell.
impl MessageCell {
    /// The link from the message that starts in this cell to the next message.
    pub(super) unsafe fn next_message(&self) -> u64 {
        // SAFETY: the caller holds the queue's lock. Every bit pattern is a valid number. The read
        // is volatile, so it yields one value even while a faulty peer writes.
        self.content
            .with(|content| unsafe { (&raw const (*content).header.next_message).read_volatile() })
    }

    /// The header of the message that starts in this cell.
    pub(super) unsafe fn message_header(&self) -> MessageHeader {
        // SAFETY: the argument in `next_message` applies to this read too.
        self.content.with(|content| unsafe {
            MessageHeader {
                message_type: (&raw const (*content).header.message_type).read_volatile(),
                length: (&raw const (*content).header.length).read_volatile(),
            }
        })
    }

    /// The number of cells in the extent that starts with this cell, and the link to the next
    /// extent.
    pub(super) unsafe fn extent(&self) -> (u32, u64) {
        // SAFETY: the argument in `next_message` applies to this read too.
        self.content.with(|content| unsafe {
            let cells = (&raw const (*content).header.cells).read_volatile();
            let next = (&raw const (*content).header.next_extent).read_volatile();
            (cells, next)
        })
    }

    /// Makes this cell the first of an extent of `cells` cells. `next` is the link to the next
    /// extent.
    pub(super) unsafe fn start_extent(&self, cells: u32, next: u64) {
        // SAFETY: the caller holds the queue's lock, which excludes every other access to the cell.
        self.content.with_mut(|content| unsafe {
            (*content).header.cells = cells;
            (*content).header.next_extent = next;
        });
    }

    /// Links the extent that starts with this cell to the extent at `next`.
    pub(super) unsafe fn link_extent(&self, next: u64) {
        // SAFETY: the caller holds the queue's lock, which excludes every other access to the cell.
        self.content
            .with_mut(|content| unsafe { (*content).header.next_extent = next });
    }

    /// Writes the header of a new, last message into this cell. The previous message does not link
    /// to the new message yet.
    pub(super) unsafe fn start_message(&self, message_type: i64, length: u32) {
        // SAFETY: the caller holds the queue's lock, which excludes every other access to the cell.
        self.content.with_mut(|content| unsafe {
            (*content).header.next_message = 0;
            (*content).header.message_type = message_type;
            (*content).header.length = length;
        });
    }

    /// Links the message that starts in this cell to `next`. This single store becomes visible
    /// after all earlier writes.
    pub(super) unsafe fn link_message(&self, next: u64) {
        // SAFETY: the caller holds the queue's lock. The pointer to the link field points into the
        // cell and is aligned.
        unsafe {
            commit_in(
                &self.content,
                |content| &raw mut (*content).header.next_message,
                next,
            )
        };
    }

    /// Copies `bytes` into the cell, starting at byte `offset` and ending at the end of the cell.
    unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(CELL_SIZE - offset)];
        self.content.with_mut(|content| {
            if let Ok(whole) = <&[u8; CELL_SIZE]>::try_from(bytes) {
                // SAFETY: the caller holds the queue's lock, and the range `whole` is exactly the
                // range of the cell's bytes. The length is a constant, so the compiler replaces the
                // call of the copy function by instructions.
                return unsafe { *content.cast() = *whole };
            }
            // SAFETY: the caller holds the queue's lock. The bytes fit between `offset` and the end
            // of the cell, and `bytes` does not overlap shared memory.
            unsafe {
                let target = content.cast::<u8>().add(offset);
                bytes.as_ptr().copy_to_nonoverlapping(target, bytes.len());
            }
        });
    }

    /// Copies bytes from the cell into `buffer`, starting at byte `offset` and ending at the end of
    /// the cell.
    unsafe fn read(&self, offset: usize, buffer: &mut [u8]) {
        let length = buffer.len().min(CELL_SIZE - offset);
        let buffer = &mut buffer[..length];
        self.content.with(|content| {
            if let Ok(whole) = <&mut [u8; CELL_SIZE]>::try_from(&mut *buffer) {
                // SAFETY: the argument for the copy in `write` applies to this copy too.
                return unsafe { *whole = *content.cast() };
            }
            // SAFETY: the argument for the copy in `write` applies to this copy too.
            unsafe {
                let source = content.cast::<u8>().add(offset);
                buffer.as_mut_ptr().copy_from_nonoverlapping(source, length);
            }
        });
    }
}

/// The number of message bytes that an extent of `cells` cells holds.
pub(super) const fn payload_of(cells: usize) -> usize {
    cells
        .saturating_mul(CELL_SIZE)
        .saturating_sub(CELL_SIZE - CELL_PAYLOAD)
}

/// The number of consecutive cells needed for `bytes` message bytes, which is at least one.
pub(super) const fn cells_for(bytes: usize) -> usize {
    bytes
        .saturating_add(CELL_SIZE - CELL_PAYLOAD)
        .div_ceil(CELL_SIZE)
}

/// Copies `bytes` into an extent.
///
/// # Safety
/// The caller holds the queue's lock.
pub(super) unsafe fn write_extent(extent: &[MessageCell], bytes: &[u8]) {
    let Some((first, others)) = extent.split_first() else {
        return;
    };
    let (piece, rest) = bytes.split_at(bytes.len().min(CELL_PAYLOAD));
    // SAFETY: the caller holds the queue's lock.
    unsafe { first.write(CELL_SIZE - CELL_PAYLOAD, piece) };
    for (cell, piece) in others.iter().zip(rest.chunks(CELL_SIZE)) {
        // SAFETY: the caller holds the queue's lock.
        unsafe { cell.write(0, piece) };
    }
}

/// Copies the beginning of an extent into `buffer`.
///
/// # Safety
/// The caller holds the queue's lock.
pub(super) unsafe fn read_extent(extent: &[MessageCell], buffer: &mut [u8]) {
    let Some((first, others)) = extent.split_first() else {
        return;
    };
    let (piece, rest) = buffer.split_at_mut(buffer.len().min(CELL_PAYLOAD));
    // SAFETY: the caller holds the queue's lock.
    unsafe { first.read(CELL_SIZE - CELL_PAYLOAD, piece) };
    for (cell, piece) in others.iter().zip(rest.chunks_mut(CELL_SIZE)) {
        // SAFETY: the caller holds the queue's lock.
        unsafe { cell.read(0, piece) };
    }
}

impl Default for MessageCell {
    fn default() -> Self {
        Self::new()
    }
}

/// The storage of a queue's cells: an array inside the queue, or the memory after its header.
///
/// # Safety
/// The implementor promises that `cells` returns the same cells on every call, even if several
/// threads call it concurrently. These cells belong to no other storage. `cells` does not panic.
pub unsafe trait MessageCells: Sync {
    /// Returns the cells that this storage holds.
    fn cells(&self) -> &[MessageCell];
}

// SAFETY: the array owns its cells, and a borrowed array does not move.
unsafe impl<const N: usize> MessageCells for [MessageCell; N] {
    fn cells(&self) -> &[MessageCell] {
        self
    }
}

// SAFETY: the slice owns its cells, and a borrowed slice does not move.
unsafe impl MessageCells for [MessageCell] {
    fn cells(&self) -> &[MessageCell] {
        self
    }
}
