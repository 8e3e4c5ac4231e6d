//! The memory of messages: cells of one size, grouped into extents.

use crate::platform::robust::commit_in;
use crate::platform::{UnsafeCell, constructor};

/// The minimum number of message bytes that a cell holds.
///
/// In consecutive cells of one message, each cell after the first holds more bytes, because it has
/// no header.
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

/// The header of an extent: consecutive cells that are used by one message or are free.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct CellHeader {
    /// The link to the next message, if a message starts here. A single store changes it.
    next_message: u64,
    /// The link to the next extent of the same message, or to the next extent of the free list.
    next_extent: u64,
    /// The type and the length of the message that starts here.
    message_type: i64,
    length: u32,
    /// The number of cells of the extent.
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
    /// The link from the message that starts here to the next message.
    pub(super) unsafe fn next_message(&self) -> u64 {
        // SAFETY: the caller holds the queue's lock. Every bit pattern is a valid number. The read
        // is volatile, so a faulty peer cannot make it yield two values.
        self.content
            .with(|content| unsafe { (&raw const (*content).header.next_message).read_volatile() })
    }

    /// The header of the message that starts here.
    pub(super) unsafe fn message_header(&self) -> MessageHeader {
        // SAFETY: as in `next_message`.
        self.content.with(|content| unsafe {
            MessageHeader {
                message_type: (&raw const (*content).header.message_type).read_volatile(),
                length: (&raw const (*content).header.length).read_volatile(),
            }
        })
    }

    /// The number of cells of the extent that starts here, and the link to the next extent.
    pub(super) unsafe fn extent(&self) -> (u32, u64) {
        // SAFETY: as in `next_message`.
        self.content.with(|content| unsafe {
            let cells = (&raw const (*content).header.cells).read_volatile();
            let next = (&raw const (*content).header.next_extent).read_volatile();
            (cells, next)
        })
    }

    /// Makes this cell the first of an extent of `cells` cells. The next extent is the one at
    /// `next`.
    pub(super) unsafe fn start_extent(&self, cells: u32, next: u64) {
        // SAFETY: the caller holds the queue's lock, which excludes every other access to the cell.
        self.content.with_mut(|content| unsafe {
            (*content).header.cells = cells;
            (*content).header.next_extent = next;
        });
    }

    /// Links the extent that starts here to the extent at `next`.
    pub(super) unsafe fn link_extent(&self, next: u64) {
        // SAFETY: as in `start_extent`.
        self.content
            .with_mut(|content| unsafe { (*content).header.next_extent = next });
    }

    /// Makes this cell the first cell of a new message, which will be the last one. No link leads
    /// to the message yet.
    pub(super) unsafe fn start_message(&self, message_type: i64, length: u32) {
        // SAFETY: as in `start_extent`.
        self.content.with_mut(|content| unsafe {
            (*content).header.next_message = 0;
            (*content).header.message_type = message_type;
            (*content).header.length = length;
        });
    }

    /// Links the message that starts here to `next`, in a single store after all earlier writes.
    pub(super) unsafe fn link_message(&self, next: u64) {
        // SAFETY: the caller holds the queue's lock. The field lies in the cell and is aligned.
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
                // SAFETY: the caller holds the queue's lock, and `whole` covers the cell exactly.
                // The length is constant, so the compiler inlines this copy.
                return unsafe { *content.cast() = *whole };
            }
            // SAFETY: the caller holds the queue's lock. The bytes fit between `offset` and the end
            // of the cell, and `bytes` is private memory.
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
                // SAFETY: as in `write`.
                return unsafe { *whole = *content.cast() };
            }
            // SAFETY: as in `write`.
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

/// The number of consecutive cells that hold `bytes` message bytes: at least one.
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
        // SAFETY: as above.
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
        // SAFETY: as above.
        unsafe { cell.read(0, piece) };
    }
}

impl Default for MessageCell {
    fn default() -> Self {
        Self::new()
    }
}

/// The storage of a queue's cells: an array inside the queue, or the memory behind its header.
///
/// # Safety
/// The implementor promises that `cells` returns the same cells on every call, even if several
/// threads call it concurrently. No other value returns any of these cells.
pub unsafe trait MessageCells: Sync {
    /// Returns the cells.
    fn cells(&self) -> &[MessageCell];
}

// SAFETY: the array owns its cells and never moves while it is borrowed.
unsafe impl<const N: usize> MessageCells for [MessageCell; N] {
    fn cells(&self) -> &[MessageCell] {
        self
    }
}

// SAFETY: the slice owns its cells and never moves while it is borrowed.
unsafe impl MessageCells for [MessageCell] {
    fn cells(&self) -> &[MessageCell] {
        self
    }
}
