//! Blocking and notification of the message queue in shared memory.

use super::cell::{MessageCell, MessageCells};
use super::store::{LockedStore, MessageEntry, MessageStore};
use super::{
    LengthPolicy, Message, MessageQueueExt, MessageType, QueueLimits, QueueState, Received, Select,
};
use crate::channel::OperationError;
use crate::channel::{ChannelError, RecvTimeoutError, SendTimeoutError};
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Parameter, ShmObject, ShmSafe,
    ShmType, Static, TypeInfo, constructor,
};
use crate::sync::{Condvar, LockError, RobustLockResult, RobustMutex, RobustMutexGuard, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::mem::offset_of;

/// A queue of messages with boundaries and types, for any number of processes.
///
/// Use this queue where items differ in length, where receivers select messages by type or
/// priority, or where many clients share one queue with a server. [`QueueLimits`] bounds the number
/// of messages and the total number of their bytes. The trait [`MessageQueueExt`] provides the
/// operations, which need no handles.
///
/// `C` is the storage of the messages: `[MessageCell; N]` inside the queue (for a `static`), or
/// `[MessageCell]` behind the header (for a region, where the limits are chosen at run time).
///
/// Message types and selection are the same as in a System V queue (`msgsnd(2)`, `msgrcv(2)`). In
/// contrast to a System V queue, each queue has its own limit in bytes, has the permissions of its
/// region, and exists as long as its memory. A queue cannot be closed, and an operation that waits
/// does not learn that all other processes have ended. Use timeouts to detect this.
///
/// # Cost
/// While messages are received in sending order, sending and receiving copy one contiguous piece of
/// memory. If receivers take messages in another order, the free memory becomes fragmented. A long
/// message is then copied in pieces of at least 96 bytes, until the queue becomes empty. A receiver
/// also reads the headers of all older messages that it does not select. An arriving message wakes
/// all waiting receivers, and a received message wakes all waiting senders.
///
/// # Fairness
/// There is no fairness guarantee. If several receivers wait for the same message, any of them may
/// get it. A sender of a short message may overtake a sender of a long message that waits for free
/// space, any number of times.
///
/// # Errors
/// The operations return the errors of all channels except `Disconnected`.
/// [`ChannelError::MessageTooLong`] and [`ChannelError::WrongLength`] report a message whose length
/// the queue or the receiver does not accept. A thread that holds the maximum of 128 robust locks
/// gets an error from every operation.
///
/// # Panics
/// No operation panics.
///
/// # Process death
/// A process that is killed in an operation has either completed the operation or changed nothing.
/// The surviving processes see no torn, duplicated or lost message, and lose no free space. The
/// process that takes over the lock from a dead owner visits each cell once. If a process dies
/// before it wakes a sleeper, the sleeper rechecks within the
/// [`recheck_interval`](crate::platform::futex).
///
/// Replies to a dead client stay in the queue until a process with the same id receives them. The
/// queue cannot remove such replies, because it does not know which process would receive them. A
/// client should first receive the messages that are already addressed to its id, and a server
/// should not wait for free space without a timeout.
///
/// A process that is stopped within an operation keeps the internal lock, and all other operations
/// wait for that lock. Operations with a deadline return at most 100 milliseconds after the
/// deadline. Non-blocking operations fail with `Failed(Busy)` after 100 milliseconds.
///
/// # Ordering
/// Sending a message happens before receiving it. The internal lock provides all ordering. Only the
/// lock and the condition variables contain atomic variables.
///
/// # How it works
/// The queue is a monitor: it has a robust lock, one condition variable for receivers and one for
/// senders. Receivers wait for different messages, and senders wait for different amounts of free
/// space. If only one waiter were notified, it might be unable to proceed although another waiter
/// could. Therefore each change notifies all waiters of its condition variable.
///
/// The messages are a linked list in sending order, and one store of one word links or unlinks a
/// message. A sender stores the link to a message after all bytes of the message are in place. A
/// receiver stores the link that skips the message after it has copied all bytes out. So a process
/// that dies leaves no message partly sent or partly received. All other state (the newest message,
/// the free cells, the counts) follows from that list. After an owner death, the next holder of the
/// lock computes this state again before it continues. The list is unchanged if the process dies
/// during this repair.
///
/// A faulty peer may write anything into the memory. The queue may then lose or invent messages.
/// However, every link is checked when it is read, and no list is followed for more steps than
/// there are cells, so no operation accesses memory outside of the queue or loops forever.
///
/// # Sources
/// `msgsnd(2)` and `msgrcv(2)`; Hoare, *Monitors: an operating system structuring concept* (1974).
///
/// # Example
/// ```
/// use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
/// use interlatch::channel::TryRecvError;
/// use interlatch::{MessageQueue, Region};
///
/// let region = Region::memfd("example", 1 << 14)?;
/// let limits = QueueLimits { messages: 8, bytes: 1000 };
/// let queue: &MessageQueue = region.create("queue", limits)?;
///
/// // Another process maps the region and attaches to the queue.
/// let peer: &MessageQueue = region.attach("queue")?;
/// let [urgent, normal] = [MessageType::new(1)?, MessageType::new(2)?];
/// peer.send(normal, b"later")?;
/// peer.send(urgent, b"now")?;
///
/// let message = queue.receive(Select::LowestUpTo(normal))?;
/// assert_eq!((message.message_type, &message.bytes[..]), (urgent, &b"now"[..]));
/// assert_eq!(queue.receive(Select::First)?.bytes, b"later");
/// let error = queue.try_receive(Select::First).unwrap_err();
/// assert_eq!(error, TryRecvError::Empty);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
pub struct MessageQueue<C: MessageCells + ?Sized = [MessageCell]> {
    lock: RobustMutex<()>,
    /// The condition variable on which receivers wait for a message.
    arrived: Condvar,
    /// The condition variable on which senders wait for free space.
    removed: Condvar,
    store: MessageStore<C>,
}

impl<const N: usize> MessageQueue<[MessageCell; N]> {
    constructor! {
        /// Creates an empty queue from an array of cells, for use in a `static`.
        ///
        /// If there are fewer than [`QueueLimits::cells`] cells, the queue may run out of cells
        /// before it reaches one of its limits, and the longest message has
        /// [`CELL_PAYLOAD`](super::CELL_PAYLOAD) bytes per cell.
        ///
        /// # Panics
        /// Panics if there are no cells or if the message limit is 0. For a `static`, this is a
        /// compile-time error.
        pub fn from_cells(cells: [MessageCell; N], limits: QueueLimits) -> Static<Self> {
            assert!(N > 0, "a message queue needs at least one cell");
            assert!(limits.messages > 0, "the message limit must be at least 1");
            Static::new(Self {
                lock: RobustMutex::by_value(()),
                arrived: Condvar::new(),
                removed: Condvar::new(),
                store: MessageStore::new(limits, cells),
            })
        }
    }
}

// SAFETY: the type is `repr(C)`, its fields are valid for every bit pattern, `LockedStore` checks
// each number that it reads, and all changes are made under the lock.
unsafe impl<const N: usize> ShmSafe for MessageQueue<[MessageCell; N]> {
    /// Creates an empty queue with the limits that [`QueueLimits::from_cells`] returns.
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // cells have the same offsets for every number of cells.
        unsafe {
            Header::init(at.cast(), QueueLimits::from_cells(N));
            MessageStore::init_cells(&raw mut (*at).store);
        }
    }
}

impl<const N: usize> ShmType for MessageQueue<[MessageCell; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("MessageQueue")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("CELLS", N as u64)]);
}

type Header = MessageQueue<[MessageCell; 0]>;
type Memory = HeaderAndSlots<Header, MessageCell>;

// SAFETY: the header is `repr(C)` and valid for every bit pattern. The cells follow the header at
// the offset that the unsized type requires, and are valid for every bit pattern.
unsafe impl ShmObject for MessageQueue<[MessageCell]> {
    type Config = QueueLimits;

    fn layout(limits: QueueLimits) -> Result<Layout, ConfigError> {
        Memory::layout(limits.checked()?.cells())
    }

    unsafe fn init(at: *mut u8, limits: QueueLimits) {
        // SAFETY: the caller guarantees memory of this layout, which begins with the header. The
        // cells need no initialization, because the new header links to no cell.
        unsafe { Header::init(at.cast(), limits) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, limits: QueueLimits) -> &'a Self {
        // SAFETY: the caller guarantees a valid, aligned object. The pointer cast preserves the
        // number of cells.
        unsafe { &*(Memory::slots(at, limits.cells()) as *const Self) }
    }
}

impl ShmType for MessageQueue<[MessageCell]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("MessageQueue").of_this_crate();
}

impl Header {
    /// Initializes all fields before the cells.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self, limits: QueueLimits) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            Condvar::init_in_place(&raw mut (*at).arrived);
            Condvar::init_in_place(&raw mut (*at).removed);
            (&raw mut (*at).store).write(MessageStore::new(limits, []));
        }
    }

    /// Reads the state of a queue with any number of cells.
    pub(crate) fn read_state(reader: &dyn MemoryReader) -> Option<QueueState> {
        let from = |offset: usize| OffsetReader(reader, offset as u64);
        let store = from(offset_of!(Self, store));
        let (limits, messages, bytes) = MessageStore::read_counts(&store)?;
        Some(QueueState {
            lock: RobustMutex::read_state(&from(offset_of!(Self, lock)))?,
            messages,
            bytes,
            limits,
            receivers_wait: Condvar::read_state(&from(offset_of!(Self, arrived)))?.waiters,
            senders_wait: Condvar::read_state(&from(offset_of!(Self, removed)))?.waiters,
        })
    }
}

impl<C: MessageCells + ?Sized> MessageQueue<C> {
    /// Returns the limits of the queue.
    pub fn limits(&self) -> QueueLimits {
        self.store.limits()
    }

    /// Returns the current number of messages, or 0 if the lock is unusable or a stopped process
    /// holds it.
    pub fn len(&self) -> usize {
        self.counts().0 as usize
    }

    /// Returns whether the queue has no messages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the current total number of bytes of all messages.
    pub fn bytes(&self) -> usize {
        self.counts().1 as usize
    }

    fn counts(&self) -> (u64, u64) {
        let count = |store: LockedStore<'_, C>| Some(store.counts());
        let counted = self.wait_for(&self.arrived, Timeout::NonBlocking, count);
        counted.unwrap_or_default()
    }

    fn locked(&self, guard: &RobustMutexGuard<'_, ()>) -> LockedStore<'_, C> {
        debug_assert!(core::ptr::eq(guard.mutex(), &self.lock));
        // SAFETY: `guard` holds `self.lock`. Every caller drops the guard after its last use of the
        // store.
        unsafe { self.store.assume_locked() }
    }

    /// Repairs the store after an owner death, and initializes its derived state before the first
    /// use.
    fn repaired<'a>(
        &'a self,
        locked: RobustLockResult<'a, ()>,
    ) -> Result<RobustMutexGuard<'a, ()>, LockError> {
        Ok(match locked {
            Ok(guard) => self.prepared(guard, false),
            Err(error) => self.prepared(error.mark_consistent()?, true),
        })
    }

    fn prepared<'a>(
        &self,
        guard: RobustMutexGuard<'a, ()>,
        is_inconsistent: bool,
    ) -> RobustMutexGuard<'a, ()> {
        let store = self.locked(&guard);
        if is_inconsistent || !store.is_computed() {
            store.repair();
        }
        guard
    }

    /// Calls `attempt` under the lock until `attempt` returns a value. Between two calls, this
    /// method waits on the condition variable `changed`.
    ///
    /// The lock is free again when this method returns.
    fn wait_for<R>(
        &self,
        changed: &Condvar,
        timeout: Timeout,
        mut attempt: impl FnMut(LockedStore<'_, C>) -> Option<R>,
    ) -> Result<R, OperationError> {
        let mut is_inconsistent = false;
        let repair = |(): &mut ()| is_inconsistent = true;
        let guard = self.lock.lock_internal(timeout, SpinPolicy::Lock, repair)?;
        let mut guard = self.prepared(guard, is_inconsistent);
        let mut in_time = true;
        loop {
            if let Some(result) = attempt(self.locked(&guard)) {
                drop(guard);
                return Ok(result);
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            let locked;
            (locked, in_time) = changed.wait_robust_or_recheck(guard, timeout);
            guard = self.repaired(locked)?;
        }
    }

    /// Receives a message, which the function `copy_out` copies out of the queue. If `copy_out`
    /// fails, the message stays in the queue.
    fn receive_by<R>(
        &self,
        select: Select,
        timeout: Timeout,
        mut copy_out: impl FnMut(LockedStore<'_, C>, MessageEntry) -> Result<R, ChannelError>,
    ) -> Result<R, OperationError> {
        let received = self.wait_for(&self.arrived, timeout, |store| {
            let message = store.find(select)?;
            let received = copy_out(store, message);
            if received.is_ok() {
                store.remove(message);
            }
            Some(received)
        })?;
        if received.is_ok() {
            self.removed.notify_all();
        }
        Ok(received?)
    }
}

impl<C: MessageCells + ?Sized> MessageQueueExt for MessageQueue<C> {
    fn max_length(&self) -> usize {
        self.store.max_length()
    }

    fn send_with(
        &self,
        message_type: MessageType,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let (length, max) = (bytes.len(), self.max_length());
        if length > max {
            return Err(OperationError::from(ChannelError::MessageTooLong { length, max }).into());
        }
        self.wait_for(&self.removed, timeout, |store| {
            store.push(message_type.get(), bytes).then_some(())
        })?;
        self.arrived.notify_all();
        Ok(())
    }

    fn receive_into(
        &self,
        select: Select,
        buffer: &mut [u8],
        policy: LengthPolicy,
        timeout: Timeout,
    ) -> Result<Received, RecvTimeoutError> {
        Ok(self.receive_by(select, timeout, |store, message| {
            let (length, room) = (store.length(message), buffer.len());
            policy.check(length, room)?;
            let length = length.min(room);
            store.copy_to(message, &mut buffer[..length]);
            let message_type = MessageType::clamped(message.header.message_type);
            Ok(Received::new(message_type, length))
        })?)
    }

    fn receive_with(&self, select: Select, timeout: Timeout) -> Result<Message, RecvTimeoutError> {
        Ok(self.receive_by(select, timeout, |store, message| {
            let mut bytes = vec![0; store.length(message)];
            store.copy_to(message, &mut bytes);
            let message_type = MessageType::clamped(message.header.message_type);
            Ok(Message::new(message_type, bytes))
        })?)
    }
}

impl<C: MessageCells + ?Sized> fmt::Debug for MessageQueue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageQueue { .. }")
    }
}
