//! A bounded buffer built from a robust lock and two condition variables.

use super::endpoints::{Endpoints, RobustEndpoint};
use crate::channel::slot::{Slot, Slots};
use crate::channel::{
    AttachError, Buffer, BufferState, Channel, Direction, OperationError, RecvTimeoutError,
    SendTimeoutError, Unregistered,
};
use crate::platform::robust::commit;
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    CachePadded, ConfigError, HeaderAndSlots, MemoryReader, Parameter, Pod, ShmObject, ShmSafe,
    ShmType, Static, TypeInfo, UnsafeCell, constructor,
};
use crate::sync::{Condvar, RobustLockError, RobustMutex, RobustMutexGuard, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;

/// A bounded buffer that survives the death of its users.
///
/// Items pass first in, first out.
///
/// This buffer is the default choice between processes. For large items, or to write and read items
/// in place, use [`RobustBoundedBuffer`](super::RobustBoundedBuffer).
///
/// `S` holds the slots: `[Slot<T>; N]` inside the buffer (for a `static`), or `[Slot<T>]` behind
/// the header (for a region, with a capacity chosen at run time). `MAX_ENDPOINTS` limits the number
/// of senders at a time, and also the number of receivers.
///
/// Items are plain data ([`Pod`]). A partly written item of a dead process is never read as an
/// item. The results `Full` and `Empty` are exact: the buffer was full or empty at that moment.
///
/// # Errors
/// | error | cause |
/// | --- | --- |
/// | `Disconnected` | all handles of the other side were dropped or their owners died |
/// | `Failed(Inherited)` | a forked child uses a handle of its parent |
/// | `Failed(RobustList)` | the thread holds 128 robust locks, handles included, the maximum |
/// | `Failed(Busy)` | a stopped process holds the internal lock; only non-blocking operations |
/// | `Failed(Corrupted)` | a faulty process has overwritten the internal lock |
/// | [`AttachError::SlotsInUse`] | `MAX_ENDPOINTS` handles of this side exist |
///
/// `len` is 0 on a thread that cannot take the internal lock.
///
/// # Fairness
/// The buffer is as fair as its condition variables.
///
/// # Ordering
/// Everything before a `send` happens before the `recv` of the sent item returns. Everything before
/// that `recv` happens before a later `send` that reuses the slot returns.
///
/// # Process death
/// A sender that is killed in `send` has either sent its item or not. A receiver that is killed in
/// `recv` has either taken an item or not. Neither death blocks the other processes. See
/// [`Sender`](crate::Sender) and [`Receiver`](crate::Receiver) for the effect of a death on the
/// last handle of a side.
///
/// A handle belongs to the thread that created it, and ends when the process dies. There is one
/// exception: if a thread other than the main thread calls `exec`, its handles never end, and
/// neither do the robust locks that they hold.
///
/// A process that is stopped within an operation, but not dead, keeps the internal lock, and all
/// other processes wait for that lock. Operations without a deadline and drops of handles wait
/// until the stopped process continues. Operations with a deadline return at most 100 milliseconds
/// after the deadline. Non-blocking operations fail with `Failed(Busy)` after 100 milliseconds.
///
/// # Fork
/// Handles belong to the process that created them. Operations of a copy in a forked child fail
/// with
/// [`ChannelError::Inherited`](crate::channel::ChannelError::Inherited), and dropping the copy does
/// nothing. The child creates handles of its own.
///
/// # Leaks
/// A leaked handle (`mem::forget`) stays registered until its region is dropped or its process
/// ends: see [`RawRobustMutex`](crate::sync::RawRobustMutex).
///
/// # How it works
/// Every operation holds one robust lock. The state that the lock protects changes by a single
/// write of one word: a sender fills the slot before it increments the number of sent items, and a
/// receiver copies the slot before it increments the number of received items. So a process that
/// dies within an operation leaves nothing to repair, and the next holder marks the lock
/// consistent.
///
/// A handle holds a robust lock of its own while it lives. The kernel marks that lock when the
/// process dies, so a side is closed if it has had a handle and no living thread holds a handle
/// lock of that side. Waiters of the other side check for this at every recheck interval, because
/// the kernel does not notify their condition variable.
///
/// # Sources
/// The bounded buffer of Hoare, as in [`MonitorBuffer`](crate::MonitorBuffer). The commit by a
/// single write comes from write-ahead logs.
///
/// # Example
/// ```
/// use interlatch::channel::{RecvError, Slot};
/// use interlatch::{Channel, Region, RobustMonitorBuffer};
///
/// type Numbers = RobustMonitorBuffer<u64, [Slot<u64>]>;
///
/// let region = Region::memfd("orders", 1 << 16)?;
/// region.create::<Numbers>("numbers", 100)?;
///
/// // Another process receives the descriptor, attaches, and dies without closing its handle. The
/// // drop of its region stands for the death.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let sender = other.attach::<Numbers>("numbers")?.sender()?;
/// sender.send(7)?;
/// std::mem::forget(sender);
/// drop(other);
///
/// let numbers: &Numbers = region.attach("numbers")?;
/// let receiver = numbers.receiver()?;
/// assert_eq!(receiver.recv(), Ok(7));
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected), "the last sender died");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
pub struct RobustMonitorBuffer<T, S, const MAX_ENDPOINTS: usize = 8>
where
    S: Slots<T> + ?Sized,
{
    lock: RobustMutex<()>,
    /// The numbers of sent and received items, on the cache line of the lock.
    sent: UnsafeCell<u64>,
    received: UnsafeCell<u64>,
    next_line: CachePadded,
    not_full: Condvar,
    condvar_line: CachePadded,
    not_empty: Condvar,
    endpoints_line: CachePadded,
    endpoints: Endpoints<MAX_ENDPOINTS>,
    item: PhantomData<T>,
    slots: S,
}

type Guard<'a> = RobustMutexGuard<'a, ()>;

// SAFETY: only the holder of the lock accesses the numbers, the endpoints and the slots. Items move
// from the sender to the receiver, which is sound because the items are `Send`.
unsafe impl<T: Send, S: Slots<T> + ?Sized, const MAX_ENDPOINTS: usize> Sync
    for RobustMonitorBuffer<T, S, MAX_ENDPOINTS>
{
}

// SAFETY: the struct is `repr(C)`, its fields are `ShmSafe`, every reader clamps the numbers, and
// items are valid for every bit pattern.
unsafe impl<T: Pod, const N: usize, const MAX_ENDPOINTS: usize> ShmSafe
    for RobustMonitorBuffer<T, [Slot<T>; N], MAX_ENDPOINTS>
{
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_CAPACITY };
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots.
        unsafe {
            Header::<T, MAX_ENDPOINTS>::init(at.cast());
            Slot::init_array(&raw mut (*at).slots);
        }
    }
}

impl<T: Pod, const N: usize, const MAX_ENDPOINTS: usize> ShmType
    for RobustMonitorBuffer<T, [Slot<T>; N], MAX_ENDPOINTS>
{
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustMonitorBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
            Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64),
        ]);
}

impl<T, const N: usize, const MAX_ENDPOINTS: usize>
    RobustMonitorBuffer<T, [Slot<T>; N], MAX_ENDPOINTS>
{
    const ASSERT_CAPACITY: () = assert!(N > 0, "a capacity of at least 1");

    constructor! {
        /// Creates an empty buffer from an array of slots, for use in a `static`.
        ///
        /// An array without slots does not compile.
        pub fn from_slots(slots: [Slot<T>; N]) -> Static<Self> {
            const { Self::ASSERT_CAPACITY };
            Static::new(Self {
                lock: RobustMutex::by_value(()),
                sent: UnsafeCell::new(0),
                received: UnsafeCell::new(0),
                next_line: CachePadded,
                not_full: Condvar::new(),
                condvar_line: CachePadded,
                not_empty: Condvar::new(),
                endpoints_line: CachePadded,
                endpoints: Endpoints::new(),
                item: PhantomData,
                slots,
            })
        }
    }
}

/// A buffer without its slots, which follow it.
type Header<T, const MAX_ENDPOINTS: usize> = RobustMonitorBuffer<T, [Slot<T>; 0], MAX_ENDPOINTS>;

impl<T, const MAX_ENDPOINTS: usize> Header<T, MAX_ENDPOINTS> {
    /// Initializes all fields before the slots.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            (&raw mut (*at).sent).write(UnsafeCell::new(0));
            (&raw mut (*at).received).write(UnsafeCell::new(0));
            Condvar::init_in_place(&raw mut (*at).not_full);
            Condvar::init_in_place(&raw mut (*at).not_empty);
            Endpoints::init_in_place(&raw mut (*at).endpoints);
        }
    }
}

/// The memory of a buffer with its slots behind the header.
type Memory<T, const MAX_ENDPOINTS: usize> = HeaderAndSlots<Header<T, MAX_ENDPOINTS>, Slot<T>>;

// SAFETY: the header is `repr(C)` and valid for every bit pattern, the slots follow the header at
// the offset that the unsized type requires, and items are valid for every bit pattern.
unsafe impl<T: Pod, const MAX_ENDPOINTS: usize> ShmObject
    for RobustMonitorBuffer<T, [Slot<T>], MAX_ENDPOINTS>
{
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        Memory::<T, MAX_ENDPOINTS>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        // SAFETY: the caller guarantees memory of this layout, which begins with the header. The
        // header records all slots as empty, so the slots may contain any bytes.
        unsafe { Header::<T, MAX_ENDPOINTS>::init(at.cast()) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        // SAFETY: the caller guarantees an aligned, valid object. The pointer cast preserves the
        // number of slots.
        unsafe { &*(Memory::<T, MAX_ENDPOINTS>::slots(at, capacity) as *const Self) }
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> ShmType
    for RobustMonitorBuffer<T, [Slot<T>], MAX_ENDPOINTS>
{
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("RobustMonitorBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64),
        ]);
}

impl<T: Pod, S: Slots<T> + ?Sized, const MAX_ENDPOINTS: usize>
    RobustMonitorBuffer<T, S, MAX_ENDPOINTS>
{
    fn length(&self, guard: &Guard<'_>) -> usize {
        let (sent, received) = self.numbers(guard);
        let capacity = self.slots.slots().len();
        // A faulty peer may have written a larger number.
        usize::try_from(sent.wrapping_sub(received)).map_or(capacity, |length| length.min(capacity))
    }

    /// The numbers of sent and received items.
    fn numbers(&self, _guard: &Guard<'_>) -> (u64, u64) {
        // SAFETY: the guard of `lock` excludes every other access. The read is volatile, so it
        // yields a single value even if a faulty peer writes.
        let read =
            |number: &UnsafeCell<u64>| number.with(|number| unsafe { number.read_volatile() });
        (read(&self.sent), read(&self.received))
    }

    /// The slot of the item with this number.
    fn slot(&self, number: u64) -> &Slot<T> {
        let slots = self.slots.slots();
        &slots[(number % slots.len() as u64) as usize]
    }

    /// Receives an item: calls `copy` with a full slot while holding the lock.
    ///
    /// An item is plain data, so another receiver may copy it again if this process dies before it
    /// increments the number of received items. A faulty peer may have written any bytes into the
    /// slot, and all bytes are valid.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        copy: impl FnOnce(&Slot<T>) -> R,
    ) -> Result<R, RecvTimeoutError> {
        let guard = self.wait_until_ready(Direction::Receiving, timeout)?;
        let (_, received) = self.numbers(&guard);
        let item = copy(self.slot(received));
        // SAFETY: `guard` holds the lock, which excludes every other access to `received`.
        unsafe { commit(&self.received, received.wrapping_add(1)) };
        drop(guard);
        self.not_full.notify_one();
        Ok(item)
    }

    /// Waits until the buffer has an item or a free slot for this side, and returns the guard of
    /// the lock.
    fn wait_until_ready(
        &self,
        direction: Direction,
        timeout: Timeout,
    ) -> Result<Guard<'_>, OperationError> {
        let (condvar, blocking_length, other) = match direction {
            Direction::Sending => (
                &self.not_full,
                self.slots.slots().len(),
                Direction::Receiving,
            ),
            Direction::Receiving => (&self.not_empty, 0, Direction::Sending),
        };
        let mut guard = self
            .lock
            .lock_internal(timeout, SpinPolicy::Lock, |()| ())?;
        let mut in_time = true;
        loop {
            let must_wait = self.length(&guard) == blocking_length;
            // A receiver drains the buffer after the last sender is gone. A sender returns
            // immediately.
            if must_wait || direction == Direction::Sending {
                // SAFETY: `guard` holds the channel's lock.
                if unsafe { self.endpoints.has_closed(other) } {
                    return Err(OperationError::Disconnected);
                }
            }
            if !must_wait {
                return Ok(guard);
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            let locked;
            (locked, in_time) = condvar.wait_robust_or_recheck(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }
}

impl RobustMonitorBuffer<u64, [Slot<u64>; 0], 1> {
    /// Reads the state of a buffer with items of any type.
    pub(crate) fn read_state(
        reader: &dyn MemoryReader,
        capacity: Option<u64>,
        max_endpoints: Option<u64>,
    ) -> Option<BufferState> {
        let counts = [offset_of!(Self, sent), offset_of!(Self, received)];
        let parts = [offset_of!(Self, lock), offset_of!(Self, endpoints)];
        Endpoints::buffer_state(reader, counts, parts, (capacity, max_endpoints))
    }
}

impl<T: Pod, S: Slots<T> + ?Sized, const MAX_ENDPOINTS: usize>
    RobustMonitorBuffer<T, S, MAX_ENDPOINTS>
{
    fn attach(&self, direction: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        self.endpoints
            .attach(direction, &self.lock, self.waiters(direction))
    }

    fn unregistered(&self, direction: Direction) -> RobustEndpoint<'_> {
        self.endpoints
            .unregistered(direction, &self.lock, self.waiters(direction))
    }

    /// The condition variable on which the other side's handles wait.
    fn waiters(&self, direction: Direction) -> &Condvar {
        match direction {
            Direction::Sending => &self.not_empty,
            Direction::Receiving => &self.not_full,
        }
    }
}

impl<T: Pod, S: Slots<T> + ?Sized, const MAX_ENDPOINTS: usize> Channel
    for RobustMonitorBuffer<T, S, MAX_ENDPOINTS>
{
    type SendEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;
    type RecvEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;

    fn attach_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.attach(Direction::Sending)
    }

    fn attach_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.attach(Direction::Receiving)
    }
}

impl<T: Pod, S: Slots<T> + ?Sized, const MAX_ENDPOINTS: usize> Unregistered
    for RobustMonitorBuffer<T, S, MAX_ENDPOINTS>
{
    fn unregistered_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Receiving))
    }
}

impl<T: Pod, S: Slots<T> + ?Sized, const MAX_ENDPOINTS: usize> Buffer
    for RobustMonitorBuffer<T, S, MAX_ENDPOINTS>
{
    type Item = T;
    fn send_with(
        &self,
        endpoint: &RobustEndpoint<'_>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        let sent = self.send_ref_with(endpoint, &item, timeout);
        sent.map_err(|error| error.map(|()| item))
    }

    fn send_ref_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let guard = self.wait_until_ready(Direction::Sending, timeout)?;
        let (sent, _) = self.numbers(&guard);
        // SAFETY: `guard` holds the lock, which excludes every other access. The slot is free,
        // because the slot's last item is plain data and was copied out.
        unsafe {
            self.slot(sent).put_from(item);
            commit(&self.sent, sent.wrapping_add(1));
        }
        drop(guard);
        self.not_empty.notify_one();
        Ok(())
    }

    fn recv_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        // SAFETY: `recv_by` passes a full slot and excludes every other access.
        self.recv_by(timeout, |slot| unsafe { slot.take() })
    }

    fn recv_into_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        // SAFETY: `recv_by` passes a full slot and excludes every other access.
        self.recv_by(timeout, |slot| unsafe { slot.take_into(destination) })
    }

    /// The number of items, which other threads may change at any time.
    ///
    /// Returns 0 if this thread cannot take the internal lock.
    fn len(&self) -> usize {
        let locked = self
            .lock
            .lock_internal(Timeout::NonBlocking, SpinPolicy::Lock, |()| ());
        locked.map_or(0, |guard| self.length(&guard))
    }

    fn capacity(&self) -> usize {
        self.slots.slots().len()
    }
}

impl<T, S: Slots<T> + ?Sized, const MAX_ENDPOINTS: usize> fmt::Debug
    for RobustMonitorBuffer<T, S, MAX_ENDPOINTS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RobustMonitorBuffer { .. }")
    }
}
