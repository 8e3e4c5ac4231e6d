//! A message queue in shared memory that survives the death of its users.
//!
//! **Promise.** Each message is received once and whole, those of one type in the order in which they
//! were sent; never more messages or bytes than the limits; and whoever dies in the middle of sending or
//! receiving has done so or not.
//!
//! **Source.** `msgsnd(2)` and `msgrcv(2)` of System V, as a monitor (Hoare 1974).
//!
//! **Why it is correct.** Everything happens under one robust lock; what a death leaves is told in `store`.
//! Receivers wait for different messages, and senders for room for messages of different lengths. A
//! notification of one could choose one that cannot go on, and the one that could would sleep on: so each
//! change notifies all that wait for its kind.
//!
//! **Ordering.** There is no atomic word here: the lock orders everything.

use super::cell::{MessageCell, MessageCells};
use super::error::Missed;
use super::store::{Found, Store};
use super::{
    Message, MessageQueueExt, MessageType, Oversize, QueueLimits, QueueState, ReceiveMessageError,
    Received, Select, SendMessageError,
};
use crate::platform::{
    ConfigError, MemoryReader, OffsetReader, Parameter, ShmObject, ShmSafe, ShmType, TypeInfo,
    constructor,
};
use crate::sync::{Condvar, RobustLockError, RobustLockResult, RobustMutex, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::mem::offset_of;

/// A queue of messages with types in shared memory, bounded by messages and by bytes, whose users may die
/// at any instruction. Its operations are those of [`MessageQueueExt`].
///
/// `C` says where the messages are: `[MessageCell; N]` inside (for a `static`), or `[MessageCell]` behind
/// the header (for a region, where the [`QueueLimits`] are chosen at run time).
///
/// Compared with a queue of System V: the same types and selections, a limit in bytes of its own, no
/// permission but that of the region, and no end but with its memory. It has no ends that close, so nobody
/// is told that the others have gone; use timeout that ends.
///
/// # Cost
/// Sending and receiving is a copy into one piece of memory while the oldest message is received first. Where others leave holes, a
/// long message is in the pieces that there are, of at least 96 bytes, until the queue is empty once. Receiving also goes
/// through the older messages that are not asked for. All waiting receivers look when a message arrives, and all
/// waiting senders when one was received.
///
/// # Fairness
/// None: of several receivers that wait for the same message any gets it, and a sender of a short message
/// may overtake one that waits for room for a long one, again and again.
///
/// # Errors
/// See [`SendMessageError`] and [`ReceiveMessageError`].
///
/// # Panics
/// None of its own.
///
/// # Process death
/// A message was sent, or received, or not: nothing is torn, doubled, or lost among the living, nor is any
/// room. The one that gets the lock from a dead process goes through the cells once. Sleepers that the
/// dead one should have woken look again within the [`recheck_interval`](crate::platform::futex).
///
/// Replies to a client that has died stay, since a queue does not know who would receive them, until a
/// process with the same number receives them: a client should begin by receiving what is there for it,
/// and a server should not wait for ever for room.
///
/// A process that is stopped in the middle of an operation keeps the lock inside, and all others wait for
/// it: also those that only try; those that have a deadline, for a recheck interval at least.
///
/// # Many locks
/// A thread can hold 128 robust locks. To one that does every operation is `Refused`.
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
/// use interlatch::{MessageQueue, Region};
///
/// let region = Region::memfd("example", 1 << 14)?;
/// let limits = QueueLimits { messages: 8, bytes: 1000 };
/// let queue: &MessageQueue = region.create("queue", limits)?;
///
/// let [urgent, normal] = [MessageType::new(1)?, MessageType::new(2)?];
/// queue.send(normal, b"some day")?;
/// queue.send(urgent, b"now")?;
/// let message = queue.receive(Select::LowestUpTo(normal))?;
/// assert_eq!((message.kind, &message.bytes[..]), (urgent, &b"now"[..]));
/// assert_eq!(queue.receive(Select::First)?.bytes, b"some day");
/// assert!(queue.try_receive(Select::First).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
pub struct MessageQueue<C: MessageCells + ?Sized = [MessageCell]> {
    lock: RobustMutex<()>,
    /// Where receivers wait, and where senders do.
    arrived: Condvar,
    left: Condvar,
    store: Store<C>,
}

impl<const N: usize> MessageQueue<[MessageCell; N]> {
    constructor! {
        /// An empty queue over these cells, for a `static`. With fewer than
        /// [`QueueLimits::cells`] it may be full before either limit is reached, and the longest message has
        /// [`CELL_BYTES`](super::CELL_BYTES) for each.
        ///
        /// # Panics
        /// If there is no cell, or not one message at most: when it is compiled, for a `static`.
        pub fn from_cells(cells: [MessageCell; N], limits: QueueLimits) -> Self {
            assert!(N > 0, "a queue has a cell");
            assert!(limits.messages > 0, "a queue has room for a message");
            Self::over(cells, limits)
        }
    }

    constructor! {
        /// Also with no cell, as the beginning of a queue whose cells lie behind it.
        fn over(cells: [MessageCell; N], limits: QueueLimits) -> Self {
            Self {
                lock: RobustMutex::new(()),
                arrived: Condvar::new(),
                left: Condvar::new(),
                store: Store::new(limits, cells),
            }
        }
    }
}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`, and numbers that are checked where they are read.
unsafe impl<const N: usize> ShmSafe for MessageQueue<[MessageCell; N]> {
    /// With the limits [`QueueLimits::of_cells`].
    fn initial() -> Self {
        let limits = QueueLimits::of_cells(N);
        Self::over(core::array::from_fn(|_| MessageCell::new()), limits)
    }
}

impl<const N: usize> ShmType for MessageQueue<[MessageCell; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("MessageQueue")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("CELLS", N as u64)]);
}

type Header = MessageQueue<[MessageCell; 0]>;

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the cells follow it as in the layout of
// the unsized type, and are valid for every bit pattern.
unsafe impl ShmObject for MessageQueue<[MessageCell]> {
    type Config = QueueLimits;

    fn layout(limits: QueueLimits) -> Result<Layout, ConfigError> {
        let capacity = limits.checked()?.cells();
        let item = size_of::<MessageCell>();
        let overflow = |_| ConfigError::SizeOverflow { capacity, item };
        let cells = Layout::array::<MessageCell>(capacity).map_err(overflow)?;
        let (both, _) = Layout::new::<Header>().extend(cells).map_err(overflow)?;
        Ok(both.pad_to_align())
    }

    unsafe fn init(at: *mut u8, limits: QueueLimits) {
        // SAFETY: valid for writes of the layout, of which the header is the beginning. Whatever is in
        // the cells, none has a message.
        unsafe { at.cast::<Header>().write(Header::over([], limits)) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, limits: QueueLimits) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<MessageCell>(), limits.cells());
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which is that
        // of the cells behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl ShmType for MessageQueue<[MessageCell]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("MessageQueue").of_this_crate();
}

impl Header {
    /// The state of the one that these words are, with however many cells.
    pub(crate) fn read_state(words: &dyn MemoryReader) -> Option<QueueState> {
        let from = |offset: usize| OffsetReader(words, offset as u64);
        let store = from(offset_of!(Self, store));
        let (limits, messages, bytes) = Store::counts_of(&store)?;
        Some(QueueState {
            lock: RobustMutex::read_state(&from(offset_of!(Self, lock)))?,
            messages,
            bytes,
            limits,
            receivers_wait: Condvar::read_state(&from(offset_of!(Self, arrived)))?.waiters,
            senders_wait: Condvar::read_state(&from(offset_of!(Self, left)))?.waiters,
        })
    }
}

impl<C: MessageCells + ?Sized> MessageQueue<C> {
    /// The limits that it was made with.
    pub fn limits(&self) -> QueueLimits {
        self.store.limits()
    }

    /// How many messages there were a moment ago; none, if the lock is not to be had.
    pub fn len(&self) -> usize {
        self.counts().0 as usize
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes these had together.
    pub fn bytes(&self) -> usize {
        self.counts().1 as usize
    }

    fn counts(&self) -> (u64, u64) {
        let locked = self.in_order(self.lock.lock());
        locked.map_or((0, 0), |_guard| self.store.counts())
    }

    /// Repairs what the dead have left.
    fn in_order<'a>(&self, locked: RobustLockResult<'a, ()>) -> RobustLockResult<'a, ()> {
        let guard = match locked {
            Err(RobustLockError::OwnerDied(found)) => {
                self.store.rewrite();
                found.mark_consistent()
            }
            locked => locked?,
        };
        if !self.store.is_written() {
            self.store.rewrite();
        }
        Ok(guard)
    }

    /// Tries under the lock until it works or timeout runs out, and waits there in between. The lock is
    /// free then.
    fn when<R>(
        &self,
        changed: &Condvar,
        timeout: Timeout,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Result<R, Missed> {
        let mut guard = self.in_order(self.lock.lock_with(timeout.for_internal_lock()))?;
        let mut is_in_time = true;
        loop {
            if let Some(result) = attempt() {
                drop(guard);
                return Ok(result);
            }
            if !is_in_time {
                return Err(Missed::Late);
            }
            let locked;
            (locked, is_in_time) = changed.wait_robust(guard, timeout);
            guard = self.in_order(locked)?;
        }
    }

    /// Takes a message: `take` copies it out, or says why not, and then it stays.
    fn take<R>(
        &self,
        select: Select,
        timeout: Timeout,
        mut take: impl FnMut(MessageType, Found) -> Result<R, ReceiveMessageError>,
    ) -> Result<R, ReceiveMessageError> {
        let taken = self.when(&self.arrived, timeout, || {
            let found = self.store.find(select)?;
            let taken = take(MessageType::at_least_one(found.label.kind), found);
            if taken.is_ok() {
                self.store.remove(found);
            }
            Some(taken)
        })?;
        if taken.is_ok() {
            self.left.notify_all();
        }
        taken
    }
}

impl<C: MessageCells + ?Sized> MessageQueueExt for MessageQueue<C> {
    fn longest(&self) -> usize {
        self.store.longest()
    }

    fn send_with(
        &self,
        kind: MessageType,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<(), SendMessageError> {
        let (length, limit) = (bytes.len(), self.longest());
        if length > limit {
            return Err(SendMessageError::TooLong { length, limit });
        }
        self.when(&self.left, timeout, || {
            self.store.push(kind.get(), bytes).then_some(())
        })?;
        self.arrived.notify_all();
        Ok(())
    }

    fn receive_into(
        &self,
        select: Select,
        room: &mut [u8],
        fit: Oversize,
        timeout: Timeout,
    ) -> Result<Received, ReceiveMessageError> {
        self.take(select, timeout, |kind, found| {
            let (length, most) = (self.store.length(found), room.len());
            if !fit.takes(length, most) {
                return Err(ReceiveMessageError::WrongLength { length, room: most });
            }
            let length = length.min(most);
            self.store.copy_to(found, &mut room[..length]);
            Ok(Received { kind, length })
        })
    }

    fn receive_with(
        &self,
        select: Select,
        timeout: Timeout,
    ) -> Result<Message, ReceiveMessageError> {
        self.take(select, timeout, |kind, found| {
            let mut bytes = vec![0; self.store.length(found)];
            self.store.copy_to(found, &mut bytes);
            Ok(Message { kind, bytes })
        })
    }
}

impl<C: MessageCells + ?Sized> fmt::Debug for MessageQueue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageQueue { .. }")
    }
}
