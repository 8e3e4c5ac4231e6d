//! The bounded buffer from condition variables, over parts that survive the death of a process.
//!
//! **Source.** Hoare's bounded buffer, as in [`MonitorBuffer`](crate::MonitorBuffer); the commit by one
//! write is that of every log.
//!
//! **Why it is correct.** What the lock protects changes in one step of one word: the item is in its
//! place before the number of those that were sent says so, and is copied out before the number of those
//! that were received does. So whoever dies inside leaves nothing to repair.

use super::endpoints::{AttachError, Endpoints, Refused, RobustEndpoint};
use crate::channel::slot::{Slot, Slots};
use crate::channel::{Buffer, BufferState, Direction, RecvTimeoutError, SendTimeoutError, store};
use crate::platform::robust::commit;
use crate::platform::{
    CachePadded, ConfigError, MemoryReader, Parameter, Pod, ShmObject, ShmSafe, ShmType, TypeInfo,
    UnsafeCell, constructor,
};
use crate::sync::{Condvar, RobustLockError, RobustMutex, RobustMutexGuard, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;

/// A first-in-first-out buffer of fixed capacity that survives the death of its users, from condition
/// variables; for at most `ENDS` senders and as many receivers at one time.
///
/// `S` says where the places are: `[Slot<T>; N]` inside (for a `static`), or `[Slot<T>]` behind the header
/// (for a region, where the capacity is chosen at run time).
///
/// Items are plain data: what a dead process has half-written is never looked at.
///
/// # Fairness
/// None of its own: that of the condition variables.
///
/// # Process death
/// See [`Sender`](crate::Sender) and [`Receiver`](crate::Receiver). A handle belongs to the thread that
/// made it, and ends with it, but not where that is not the main thread of its process and calls `exec`:
/// then it never ends, as the lock that it is. The child of a `fork(3)` makes handles of its own; to
/// those that it inherits the other side has gone.
///
/// A process that is stopped, not dead, in the middle of an operation keeps the lock inside, and all others
/// wait for it: also those that only try, and a handle that is dropped; those that have a deadline, for a
/// [`recheck_interval`](crate::platform::futex) at least.
///
/// # Leaks
/// A handle that is leaked (`mem::forget`) stays until its thread ends, and the buffer has to stay where
/// it is for as long: see [`RawRobustMutex`](crate::sync::RawRobustMutex).
///
/// # Many locks
/// A thread can hold 128 robust locks, handles included. To one that holds as many, every operation
/// here says `Disconnected`, since it cannot take the lock inside, and `len` is 0.
///
/// # Example
/// ```
/// use interlatch::channel::{RecvError, Slot};
/// use interlatch::{Buffer, RobustMonitorBuffer};
///
/// static BUFFER: RobustMonitorBuffer<u64, [Slot<u64>; 4]> =
///     RobustMonitorBuffer::from_slots([const { Slot::new() }; 4]);
///
/// // A thread that ends without closing anything.
/// std::thread::spawn(|| {
///     let sender = BUFFER.sender().unwrap();
///     sender.send(7).unwrap();
///     std::mem::forget(sender);
/// })
/// .join()
/// .unwrap();
///
/// let receiver = BUFFER.receiver().unwrap();
/// assert_eq!(receiver.recv(), Ok(7));
/// assert_eq!(receiver.recv(), Err(RecvError), "nobody will send any more");
/// ```
#[repr(C)]
pub struct RobustMonitorBuffer<T, S, const ENDS: usize = 8>
where
    S: Slots<T> + ?Sized,
{
    lock: RobustMutex<()>,
    /// How many items were sent, and how many received: on one line with the lock.
    sent: UnsafeCell<u64>,
    received: UnsafeCell<u64>,
    next_line: CachePadded,
    not_full: Condvar,
    condvar_line: CachePadded,
    not_empty: Condvar,
    ends_line: CachePadded,
    ends: Endpoints<ENDS>,
    item: PhantomData<T>,
    slots: S,
}

// SAFETY: the numbers, the handles and the slots are accessed only by the holder of the lock, and items
// move from the one that sends to the one that receives.
unsafe impl<T: Send, S: Slots<T> + ?Sized, const ENDS: usize> Sync
    for RobustMonitorBuffer<T, S, ENDS>
{
}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`, numbers that are reduced where they are read, and
// items that are valid for every bit pattern.
unsafe impl<T: Pod, const N: usize, const ENDS: usize> ShmSafe
    for RobustMonitorBuffer<T, [Slot<T>; N], ENDS>
{
    fn initial() -> Self {
        Self::from_slots(core::array::from_fn(|_| Slot::new()))
    }
}

impl<T, const N: usize, const ENDS: usize> RobustMonitorBuffer<T, [Slot<T>; N], ENDS> {
    constructor! {
        /// An empty buffer over these places, for a `static`. An array of none does not compile.
        pub fn from_slots(slots: [Slot<T>; N]) -> Self {
            const { assert!(N > 0, "a capacity of at least 1") };
            Self::over(slots)
        }
    }

    constructor! {
        fn over(slots: [Slot<T>; N]) -> Self {
            Self {
                lock: RobustMutex::new(()),
                sent: UnsafeCell::new(0),
                received: UnsafeCell::new(0),
                next_line: CachePadded,
                not_full: Condvar::new(),
                condvar_line: CachePadded,
                not_empty: Condvar::new(),
                ends_line: CachePadded,
                ends: Endpoints::new(),
                item: PhantomData,
                slots,
            }
        }
    }
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the slots follow it as in the
// layout of the unsized type; items are valid for every bit pattern.
unsafe impl<T: Pod, const ENDS: usize> ShmObject for RobustMonitorBuffer<T, [Slot<T>], ENDS> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        let header = Layout::new::<RobustMonitorBuffer<T, [Slot<T>; 0], ENDS>>();
        store::layout::<Slot<T>>(header, capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        let header = RobustMonitorBuffer::<T, [Slot<T>; 0], ENDS>::over([]);
        // SAFETY: valid for writes of the layout, of which the header is the beginning. The
        // slots are empty, whatever is in them.
        unsafe {
            at.cast::<RobustMonitorBuffer<T, [Slot<T>; 0], ENDS>>()
                .write(header)
        }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<Slot<T>>(), capacity);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which
        // is that of the slots behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl<T: Pod, const N: usize, const ENDS: usize> ShmType
    for RobustMonitorBuffer<T, [Slot<T>; N], ENDS>
{
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustMonitorBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
            Parameter::new_number("ENDS", ENDS as u64),
        ]);
}

impl<T: Pod, const ENDS: usize> ShmType for RobustMonitorBuffer<T, [Slot<T>], ENDS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("RobustMonitorBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("ENDS", ENDS as u64),
        ]);
}

impl<T: Pod, S: Slots<T> + ?Sized, const ENDS: usize> RobustMonitorBuffer<T, S, ENDS> {
    /// The caller holds the lock.
    fn length(&self) -> usize {
        let (sent, received) = self.numbers();
        let capacity = self.slots.slots().len();
        // A number that is too large was written by a faulty peer.
        usize::try_from(sent.wrapping_sub(received)).map_or(capacity, |length| length.min(capacity))
    }

    /// Those sent and received. The caller holds the lock.
    fn numbers(&self) -> (u64, u64) {
        // SAFETY: the lock is held; volatile, so that it is read once, whatever a faulty peer writes.
        let read =
            |number: &UnsafeCell<u64>| number.with(|number| unsafe { number.read_volatile() });
        (read(&self.sent), read(&self.received))
    }

    /// The place of the item with this number.
    fn slot(&self, number: u64) -> &Slot<T> {
        let slots = self.slots.slots();
        &slots[(number % slots.len() as u64) as usize]
    }

    /// Receives by this copy. The lock is held, and the place has an item, or whatever a faulty peer has made one;
    /// it is plain, so it may be copied out again if this process dies before the next step.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        copy: impl FnOnce(&Slot<T>) -> R,
    ) -> Result<R, RecvTimeoutError> {
        let guard = self.enter(Direction::Receiving, timeout)?;
        let (_, received) = self.numbers();
        let item = copy(self.slot(received));
        // SAFETY: the lock is held.
        unsafe { commit(&self.received, received.wrapping_add(1)) };
        drop(guard);
        self.not_full.notify_one();
        Ok(item)
    }

    /// Waits until there is something to do for this end; the lock is held then.
    fn enter(&self, end: Direction, timeout: Timeout) -> Result<RobustMutexGuard<'_, ()>, Refused> {
        let (condition, busy_at, other) = match end {
            Direction::Sending => (
                &self.not_full,
                self.slots.slots().len(),
                Direction::Receiving,
            ),
            Direction::Receiving => (&self.not_empty, 0, Direction::Sending),
        };
        let mut guard = self
            .lock
            .lock_with(timeout.for_internal_lock())
            .or_else(RobustLockError::mark_consistent)?;
        let mut in_time = true;
        loop {
            let must_wait = self.length() == busy_at;
            // Items are received also when nobody sends any more; none is sent to nobody.
            if (must_wait || end == Direction::Sending) && self.ends.has_closed(other) {
                return Err(Refused::Disconnected);
            }
            if !must_wait {
                return Ok(guard);
            }
            if !in_time {
                return Err(Refused::Timeout);
            }
            let locked;
            (locked, in_time) = condition.wait_robust(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }
}

impl RobustMonitorBuffer<u64, [Slot<u64>; 0], 1> {
    /// The state of the one that these words are, whatever its items, with so many handles at each end.
    pub(crate) fn read_state(
        words: &dyn MemoryReader,
        capacity: Option<u64>,
        ends: Option<u64>,
    ) -> Option<BufferState> {
        let counts = [offset_of!(Self, sent), offset_of!(Self, received)];
        let parts = [offset_of!(Self, lock), offset_of!(Self, ends)];
        Endpoints::buffer_state(words, counts, parts, (capacity, ends))
    }
}

impl<T: Pod, S: Slots<T> + ?Sized, const ENDS: usize> Buffer for RobustMonitorBuffer<T, S, ENDS> {
    type Item = T;
    type Endpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;
    type AttachError = AttachError;

    fn send_with(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        let sent = self.send_ref_with(&item, timeout);
        sent.map_err(|refused| refused.with(item))
    }

    fn send_ref_with(&self, item: &T, timeout: Timeout) -> Result<(), SendTimeoutError<()>> {
        let guard = match self.enter(Direction::Sending, timeout) {
            Ok(guard) => guard,
            Err(refused) => return Err(refused.with(())),
        };
        let (sent, _) = self.numbers();
        // SAFETY: the lock is held. The place is not among those with items; what was in it was
        // copied out, and is plain.
        unsafe {
            self.slot(sent).put_from(item);
            commit(&self.sent, sent.wrapping_add(1));
        }
        drop(guard);
        self.not_empty.notify_one();
        Ok(())
    }

    fn recv_with(&self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        // SAFETY: as `recv_by` says.
        self.recv_by(timeout, |slot| unsafe { slot.take() })
    }

    fn recv_into_with(&self, place: &mut T, timeout: Timeout) -> Result<(), RecvTimeoutError> {
        // SAFETY: as `recv_by` says.
        self.recv_by(timeout, |slot| unsafe { slot.take_into(place) })
    }

    /// How many items there were a moment ago; none, if the lock is not to be had.
    fn len(&self) -> usize {
        self.lock
            .lock()
            .or_else(RobustLockError::mark_consistent)
            .map_or(0, |_guard| self.length())
    }

    fn capacity(&self) -> usize {
        self.slots.slots().len()
    }

    fn attach(&self, end: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        let others = match end {
            Direction::Sending => &self.not_empty,
            Direction::Receiving => &self.not_full,
        };
        self.ends.attach(end, &self.lock, others)
    }
}

impl<T, S: Slots<T> + ?Sized, const ENDS: usize> fmt::Debug for RobustMonitorBuffer<T, S, ENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RobustMonitorBuffer { .. }")
    }
}
