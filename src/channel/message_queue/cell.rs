//! The memory that messages are in: cells of one size, and runs of them.

use crate::platform::robust::commit_in;
use crate::platform::{UnsafeCell, constructor};

/// Bytes of a message that a cell holds at least. Of cells in a row that have the same message, all but the first one
/// hold more.
pub const CELL_BYTES: usize = WHOLE - size_of::<Head>();

/// Bytes of a cell.
const WHOLE: usize = 128;

/// A piece of the memory of a queue: 128 bytes, of which at least 96 are of a message.
///
/// Valid when zeroed. Which cells have messages is known from outside.
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

/// What is in the first cell of a run. All others have bytes of a message alone.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Content {
    head: Head,
    bytes: [u8; CELL_BYTES],
}

/// What stands on a run: cells in a row that a message has, or that are free.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Where the next message begins, if one begins here. One step changes it.
    following: u64,
    /// The run at which the same message goes on, or the list of what is free.
    next: u64,
    /// The type of the message that begins here, and its length.
    kind: i64,
    length: u32,
    /// How many cells the run has.
    cells: u32,
}

/// What stands on a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: i64,
    pub(super) length: u32,
}

impl Head {
    const NONE: Self = Self {
        following: 0,
        next: 0,
        kind: 0,
        length: 0,
        cells: 0,
    };
}

// A cell is all of its bytes.
const _: () = assert!(size_of::<Content>() == WHOLE && size_of::<[u8; WHOLE]>() == WHOLE);

// SAFETY: accessed only by the holder of the lock of the queue.
unsafe impl Sync for MessageCell {}

impl MessageCell {
    constructor! {
        /// Without a message.
        pub fn new() -> Self {
            Self {
                content: UnsafeCell::new(Content { head: Head::NONE, bytes: [0; CELL_BYTES] }),
            }
        }
    }
}

/// The caller of each of these holds the lock of the queue.
impl MessageCell {
    pub(super) fn following(&self) -> u64 {
        // SAFETY: the lock of the queue is held, by the callers' promise; every bit pattern is valid.
        self.content
            .with(|content| unsafe { (&raw const (*content).head.following).read_volatile() })
    }

    /// Of the message that begins here.
    pub(super) fn label(&self) -> Header {
        // SAFETY: as above.
        self.content.with(|content| unsafe {
            let kind = (&raw const (*content).head.kind).read_volatile();
            let length = (&raw const (*content).head.length).read_volatile();
            Header { kind, length }
        })
    }

    /// How many cells the run has that begins here, and where the next one does.
    pub(super) fn run(&self) -> (u32, u64) {
        // SAFETY: as above.
        self.content.with(|content| unsafe {
            let cells = (&raw const (*content).head.cells).read_volatile();
            (cells, (&raw const (*content).head.next).read_volatile())
        })
    }

    /// Makes it the first of so many.
    pub(super) fn begin_run(&self, cells: u32, next: u64) {
        // SAFETY: the lock is held, so that nobody else is here.
        self.content.with_mut(|content| unsafe {
            (*content).head.cells = cells;
            (*content).head.next = next;
        });
    }

    /// Makes the run that begins here go on there.
    pub(super) fn go_on_at(&self, next: u64) {
        // SAFETY: as above.
        self.content
            .with_mut(|content| unsafe { (*content).head.next = next });
    }

    /// Makes it the first of the last message, before that is known.
    pub(super) fn begin_message(&self, kind: i64, length: u32) {
        // SAFETY: as above.
        self.content.with_mut(|content| unsafe {
            (*content).head.following = 0;
            (*content).head.kind = kind;
            (*content).head.length = length;
        });
    }

    /// Links the next message in one step: whoever sees it sees all that was written before.
    pub(super) fn relink(&self, following: u64) {
        // SAFETY: the lock of the queue is held, by the callers' promise; the place is in the cell.
        unsafe {
            commit_in(
                &self.content,
                |content| &raw mut (*content).head.following,
                following,
            )
        };
    }

    /// Copies a piece in, from that byte of the cell on, as far as the cell goes.
    fn put(&self, from: usize, piece: &[u8]) {
        let piece = &piece[..piece.len().min(WHOLE - from)];
        self.content.with_mut(|content| {
            if let Ok(whole) = <&[u8; WHOLE]>::try_from(piece) {
                // SAFETY: the lock is held, so that nobody else is here; it is all of the cell. Of a length that is
                // known, this is no call.
                return unsafe { *content.cast() = *whole };
            }
            // SAFETY: the lock is held, so that nobody else is here; as many bytes as the cell has from there on, and
            // the piece is the caller's own memory.
            unsafe {
                let at = content.cast::<u8>().add(from);
                piece.as_ptr().copy_to_nonoverlapping(at, piece.len());
            }
        });
    }

    /// Copies out what begins at that byte of the cell, as far as the cell goes.
    fn copy_to(&self, from: usize, piece: &mut [u8]) {
        let length = piece.len().min(WHOLE - from);
        let piece = &mut piece[..length];
        self.content.with(|content| {
            if let Ok(whole) = <&mut [u8; WHOLE]>::try_from(&mut *piece) {
                // SAFETY: as above.
                return unsafe { *whole = *content.cast() };
            }
            // SAFETY: as above.
            unsafe {
                let at = content.cast::<u8>().add(from);
                piece.as_mut_ptr().copy_from_nonoverlapping(at, length);
            }
        });
    }
}

/// How many bytes a run of so many cells holds.
pub(super) const fn room_of(cells: usize) -> usize {
    cells
        .saturating_mul(WHOLE)
        .saturating_sub(WHOLE - CELL_BYTES)
}

/// How many cells in a row hold so many bytes: at least one.
pub(super) const fn cells_of(bytes: usize) -> usize {
    bytes.saturating_add(WHOLE - CELL_BYTES).div_ceil(WHOLE)
}

/// Copies these bytes into a run. The caller holds the lock of the queue.
pub(super) fn put(run: &[MessageCell], bytes: &[u8]) {
    let Some((first, others)) = run.split_first() else {
        return;
    };
    let (piece, rest) = bytes.split_at(bytes.len().min(CELL_BYTES));
    first.put(WHOLE - CELL_BYTES, piece);
    for (cell, piece) in others.iter().zip(rest.chunks(WHOLE)) {
        cell.put(0, piece);
    }
}

/// Copies the beginning of a run out. The caller holds the lock of the queue.
pub(super) fn copy_to(run: &[MessageCell], room: &mut [u8]) {
    let Some((first, others)) = run.split_first() else {
        return;
    };
    let (piece, rest) = room.split_at_mut(room.len().min(CELL_BYTES));
    first.copy_to(WHOLE - CELL_BYTES, piece);
    for (cell, piece) in others.iter().zip(rest.chunks_mut(WHOLE)) {
        cell.copy_to(0, piece);
    }
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
