//! The pipe: a ring of bytes under a lock.

use crate::channel::OperationError;
use crate::channel::robust::{Endpoints, RobustEndpoint};
use crate::channel::slot::{Slot, Slots};
use crate::channel::{
    AttachError, BufferState, Channel, Direction, RecvTimeoutError, SendTimeoutError,
};
use crate::platform::pipe::PIPE_BUF;
use crate::platform::robust::commit;
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, Parameter, ShmObject, ShmSafe, ShmType, Static,
    TypeInfo, UnsafeCell, constructor,
};
use crate::sync::{Condvar, RobustLockError, RobustMutex, RobustMutexGuard, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::mem::offset_of;

/// A stream of bytes in shared memory, like a kernel pipe, that survives the death of its users.
///
/// Use this pipe where processes exchange a stream of bytes without a fixed item size. The pipe has
/// at most `MAX_ENDPOINTS` senders and `MAX_ENDPOINTS` receivers at a time. Its
/// [`Sender`](crate::Sender) implements [`Write`](std::io::Write), and its
/// [`Receiver`](crate::Receiver) implements [`Read`](std::io::Read). Both handles also have
/// nonblocking and timed operations.
///
/// Bytes are read in the order in which they were written. A write of at most 4096 bytes, or of at
/// most the capacity if that is less, is atomic: all its bytes are written together. A larger write
/// proceeds as space becomes free, and other writes may come between its parts. A read returns the
/// available bytes. When the last sender is gone, receivers drain the pipe, and then a read returns
/// 0 bytes to report the end of the stream. When the last receiver is gone, writes fail with
/// `Disconnected`.
///
/// `S` is the storage: `[Slot<u8>; N]` inside the pipe (for a `static`), or `[Slot<u8>]` behind the
/// header (for a region, where the capacity is chosen at run time).
///
/// # Differences from the kernel's pipe
/// The capacity counts bytes, not pages. A write without receivers sends no SIGPIPE. Before the
/// first sender exists, a read waits instead of returning the end of the stream.
///
/// # Errors
/// The operations return the errors of all channels:
/// [`SendTimeoutError`](crate::channel::SendTimeoutError) and
/// [`RecvTimeoutError`](crate::channel::RecvTimeoutError). These errors convert into
/// `std::io::Error`.
///
/// # Fairness
/// The pipe itself has no fairness guarantee. See [`Condvar`] for the order of wake-ups.
///
/// # Panics
/// No operation panics.
///
/// # Process death
/// A sender that is killed has written either all bytes of an atomic write or none, and a prefix of
/// a larger write. If a receiver is killed, either it has read its bytes or the bytes remain for
/// the next receiver. No other process loses a byte. Handles, forks, stopped processes and the
/// limit of robust locks are as for [`RobustMonitorBuffer`](crate::RobustMonitorBuffer).
///
/// If a thread other than the main thread calls `exec`, its handles never end.
///
/// # Ordering
/// Writing a byte happens before the same byte is read. The internal lock provides all ordering.
///
/// # How it works
/// The pipe is a monitor: a robust lock, two counters (the bytes ever written and ever read), and
/// one condition variable per side. Under the lock, one store of one counter publishes or frees a
/// piece. The bytes are in their slots before the first counter includes them, and they are copied
/// out before the second counter includes them. If a process dies before that store, the pipe is
/// unchanged. If the process dies after that store, the whole piece was written or read.
///
/// Waiters of one side wait for different numbers of bytes. A sender waits for free space for its
/// whole atomic write, and a receiver waits for any number of bytes. Each change therefore wakes
/// all waiters of the other side. If only one waiter were woken, it might have to keep waiting
/// although another waiter could proceed.
///
/// # Sources
/// `pipe(7)`, and the monitor of [`RobustMonitorBuffer`](crate::RobustMonitorBuffer).
///
/// # Example
/// ```
/// use interlatch::channel::Slot;
/// use interlatch::{BytePipe, Channel, Region};
/// use std::io::{ErrorKind, Read, Write};
///
/// let region = Region::memfd("bytes", 1 << 16)?;
/// let pipe: &BytePipe<[Slot<u8>]> = region.create("stream", 4096)?;
/// let mut receiver = pipe.receiver()?;
/// let mut text = String::new();
/// std::thread::scope(|scope| -> anyhow::Result<()> {
///     scope.spawn(|| -> anyhow::Result<()> {
///         // Another process maps the region and attaches to the pipe.
///         let mut sender = region.attach::<BytePipe<[Slot<u8>]>>("stream")?.sender()?;
///         for line in 0..1000 {
///             writeln!(sender, "line {line}")?;
///         }
///         Ok(())
///     });
///     receiver.read_to_string(&mut text)?;
///     Ok(())
/// })?;
/// assert_eq!(text.lines().last(), Some("line 999"));
/// let error = pipe.sender().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the sender side of the channel has closed for good; create a new channel"
/// );
/// # Ok::<(), anyhow::Error>(())
/// ```
#[repr(C)]
pub struct BytePipe<S, const MAX_ENDPOINTS: usize = 8>
where
    S: Slots<u8> + ?Sized,
{
    lock: RobustMutex<()>,
    not_full: Condvar,
    not_empty: Condvar,
    /// The number of bytes ever written, wrapping.
    written: UnsafeCell<u64>,
    /// The number of bytes ever read, wrapping.
    read: UnsafeCell<u64>,
    ends: Endpoints<MAX_ENDPOINTS>,
    slots: S,
}

// SAFETY: every access to the counters and slots is made by a holder of `lock`. The other fields
// are `Sync`.
unsafe impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> Sync for BytePipe<S, MAX_ENDPOINTS> {}

// SAFETY: the type is `repr(C)`, its fields are valid for every bit pattern, counters are clamped
// when they are read, and all changes are made under the lock.
unsafe impl<const N: usize, const MAX_ENDPOINTS: usize> ShmSafe
    for BytePipe<[Slot<u8>; N], MAX_ENDPOINTS>
{
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_CAPACITY };
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots.
        unsafe {
            Header::<MAX_ENDPOINTS>::init(at.cast());
            Slot::init_array(&raw mut (*at).slots);
        }
    }
}

impl<const N: usize, const MAX_ENDPOINTS: usize> BytePipe<[Slot<u8>; N], MAX_ENDPOINTS> {
    const ASSERT_CAPACITY: () = assert!(N > 0, "the capacity must be at least 1");

    constructor! {
        /// Creates an empty pipe with these slots, for a `static`. An array without slots does not
        /// compile.
        pub fn from_slots(slots: [Slot<u8>; N]) -> Static<Self> {
            const { Self::ASSERT_CAPACITY };
            Static::new(Self {
                lock: RobustMutex::by_value(()),
                not_full: Condvar::new(),
                not_empty: Condvar::new(),
                written: UnsafeCell::new(0),
                read: UnsafeCell::new(0),
                ends: Endpoints::new(),
                slots,
            })
        }
    }
}

/// A pipe without its slots, which follow it.
type Header<const MAX_ENDPOINTS: usize> = BytePipe<[Slot<u8>; 0], MAX_ENDPOINTS>;

impl<const MAX_ENDPOINTS: usize> Header<MAX_ENDPOINTS> {
    /// Initializes all fields before the slots.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            Condvar::init_in_place(&raw mut (*at).not_full);
            Condvar::init_in_place(&raw mut (*at).not_empty);
            (&raw mut (*at).written).write(UnsafeCell::new(0));
            (&raw mut (*at).read).write(UnsafeCell::new(0));
            Endpoints::init_in_place(&raw mut (*at).ends);
        }
    }
}

impl<const N: usize, const MAX_ENDPOINTS: usize> ShmType
    for BytePipe<[Slot<u8>; N], MAX_ENDPOINTS>
{
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("BytePipe")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_number("SLOTS", N as u64),
            Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64),
        ]);
}

impl<const MAX_ENDPOINTS: usize> ShmType for BytePipe<[Slot<u8>], MAX_ENDPOINTS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("BytePipe")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64)]);
}

type Memory<const MAX_ENDPOINTS: usize> = HeaderAndSlots<Header<MAX_ENDPOINTS>, Slot<u8>>;

// SAFETY: the header is `repr(C)` and valid for every bit pattern. The bytes follow the header at
// the offset that the unsized type requires.
unsafe impl<const MAX_ENDPOINTS: usize> ShmObject for BytePipe<[Slot<u8>], MAX_ENDPOINTS> {
    /// The capacity in bytes.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        Memory::<MAX_ENDPOINTS>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        // SAFETY: the caller guarantees memory of this layout, which begins with the header. No
        // slot is read before it has been written.
        unsafe { Header::<MAX_ENDPOINTS>::init(at.cast()) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        // SAFETY: the caller guarantees an aligned, valid object. The pointer cast preserves the
        // number of slots.
        unsafe { &*(Memory::<MAX_ENDPOINTS>::slots(at, capacity) as *const Self) }
    }
}

impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> Channel for BytePipe<S, MAX_ENDPOINTS> {
    type SendEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;
    type RecvEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;

    fn attach_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.ends
            .attach(Direction::Sending, &self.lock, &self.not_empty)
    }

    fn attach_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.ends
            .attach(Direction::Receiving, &self.lock, &self.not_full)
    }
}

type Guard<'a> = RobustMutexGuard<'a, ()>;

impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> BytePipe<S, MAX_ENDPOINTS> {
    /// Returns the capacity in bytes.
    pub fn capacity(&self) -> usize {
        self.slots.slots().len()
    }

    /// Returns the current number of bytes, or 0 if the lock is unusable or a stopped process holds
    /// it.
    pub fn len(&self) -> usize {
        let locked = self
            .lock
            .lock_internal(Timeout::NonBlocking, SpinPolicy::Lock, |()| ());
        locked.map_or(0, |guard| self.length(&guard))
    }

    /// Returns whether the pipe has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes without a handle, for use in models and tests.
    #[doc(hidden)]
    pub fn write_unregistered(
        &self,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<usize, SendTimeoutError<()>> {
        Ok(self.write(bytes, timeout)?)
    }

    /// Reads without a handle, for use in models and tests.
    #[doc(hidden)]
    pub fn read_unregistered(
        &self,
        bytes: &mut [u8],
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        Ok(self.read(bytes, timeout)?)
    }

    /// Writes bytes until the timeout expires: see
    /// [`Sender::write_with`](crate::Sender::write_with).
    pub(super) fn write(&self, bytes: &[u8], timeout: Timeout) -> Result<usize, OperationError> {
        let piece = match bytes.len() <= PIPE_BUF.min(self.capacity()) {
            true => bytes.len(),
            false => 1,
        };
        let mut written = 0;
        while written < bytes.len() {
            match self.write_available(&bytes[written..], piece, timeout) {
                Ok(count) => written += count,
                Err(error) if written == 0 => return Err(error),
                // This call returns the number of bytes that were written. The next call returns
                // the error.
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Reads the available bytes: see [`Receiver::read_with`](crate::Receiver::read_with).
    pub(super) fn read(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, OperationError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let guard = match self.lock_for(Direction::Receiving, 1, timeout) {
            // 0 bytes report the end of the stream.
            Err(OperationError::Disconnected) => return Ok(0),
            locked => locked?,
        };
        let (_, read) = self.counters(&guard);
        let count = self.length(&guard).min(bytes.len());
        let (first, second) = self.slots_at(read, count);
        let (to_first, to_second) = bytes[..count].split_at_mut(first.len());
        // SAFETY: this thread holds the lock, and the slots were filled. If a faulty peer wrote to
        // them, any byte is still valid. If this process dies before it updates the counter, the
        // next process copies the same bytes again, which is harmless.
        unsafe {
            copy_out(first, to_first);
            copy_out(second, to_second);
            commit(&self.read, read.wrapping_add(count as u64));
        }
        drop(guard);
        self.not_full.notify_all();
        Ok(count)
    }

    /// Waits for free space for `piece` bytes, and writes as many bytes as fit into the free space.
    fn write_available(
        &self,
        bytes: &[u8],
        piece: usize,
        timeout: Timeout,
    ) -> Result<usize, OperationError> {
        let guard = self.lock_for(Direction::Sending, piece, timeout)?;
        let (written, _) = self.counters(&guard);
        let count = (self.capacity() - self.length(&guard)).min(bytes.len());
        let (first, second) = self.slots_at(written, count);
        let (for_first, for_second) = bytes[..count].split_at(first.len());
        // SAFETY: this thread holds the lock, and the slots are free.
        unsafe {
            fill(first, for_first);
            fill(second, for_second);
            commit(&self.written, written.wrapping_add(count as u64));
        }
        drop(guard);
        self.not_empty.notify_all();
        Ok(count)
    }

    /// Locks the pipe once it has `piece` bytes for a receiver, or free space for `piece` bytes for
    /// a sender.
    fn lock_for(
        &self,
        direction: Direction,
        piece: usize,
        timeout: Timeout,
    ) -> Result<Guard<'_>, OperationError> {
        let (changed, peers) = match direction {
            Direction::Sending => (&self.not_full, Direction::Receiving),
            Direction::Receiving => (&self.not_empty, Direction::Sending),
        };
        let mut guard = self
            .lock
            .lock_internal(timeout, SpinPolicy::Lock, |()| ())?;
        let mut in_time = true;
        loop {
            let available = match direction {
                Direction::Sending => self.capacity() - self.length(&guard),
                Direction::Receiving => self.length(&guard),
            };
            // Without senders, a receiver still drains the pipe. Without receivers, no sender
            // writes. SAFETY: `guard` holds the channel's lock.
            let peers_closed = || unsafe { self.ends.has_closed(peers) };
            if (available < piece || direction == Direction::Sending) && peers_closed() {
                return Err(OperationError::Disconnected);
            }
            if available >= piece {
                return Ok(guard);
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            let locked;
            (locked, in_time) = changed.wait_robust_or_recheck(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }

    fn length(&self, lock: &Guard<'_>) -> usize {
        let (written, read) = self.counters(lock);
        let length = usize::try_from(written.wrapping_sub(read));
        // Only a faulty peer makes the length exceed the capacity.
        length.map_or(self.capacity(), |length| length.min(self.capacity()))
    }

    /// The number of bytes ever written and the number of bytes ever read.
    fn counters(&self, _lock: &Guard<'_>) -> (u64, u64) {
        // SAFETY: the caller holds the pipe's lock, which excludes every writer.
        let read = |cell: &UnsafeCell<u64>| cell.with(|value| unsafe { value.read_volatile() });
        (read(&self.written), read(&self.read))
    }

    /// The `count` slots from byte number `start` on, in two parts: the slots up to the end of the
    /// ring, and the remaining slots.
    fn slots_at(&self, start: u64, count: usize) -> (&[Slot<u8>], &[Slot<u8>]) {
        let slots = self.slots.slots();
        let start = (start % slots.len() as u64) as usize;
        let first = count.min(slots.len() - start);
        (&slots[start..start + first], &slots[..count - first])
    }
}

impl BytePipe<[Slot<u8>; 0], 1> {
    /// Reads the state of a pipe with this capacity, and with `ends` handles on each side.
    pub(crate) fn read_state(
        reader: &dyn MemoryReader,
        capacity: Option<u64>,
        ends: Option<u64>,
    ) -> Option<BufferState> {
        let counters = [offset_of!(Self, written), offset_of!(Self, read)];
        let parts = [offset_of!(Self, lock), offset_of!(Self, ends)];
        Endpoints::buffer_state(reader, counters, parts, (capacity, ends))
    }
}

/// # Safety
/// The caller holds the pipe's lock, and the slots are free.
unsafe fn fill(slots: &[Slot<u8>], bytes: &[u8]) {
    for (slot, byte) in slots.iter().zip(bytes) {
        // SAFETY: the lock excludes every other access. A byte needs no drop.
        unsafe { slot.put(*byte) };
    }
}

/// # Safety
/// The caller holds the pipe's lock, and the slots are filled.
unsafe fn copy_out(slots: &[Slot<u8>], bytes: &mut [u8]) {
    for (slot, byte) in slots.iter().zip(bytes) {
        // SAFETY: the lock excludes every other access.
        *byte = unsafe { slot.take() };
    }
}

impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> fmt::Debug for BytePipe<S, MAX_ENDPOINTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BytePipe { .. }")
    }
}
