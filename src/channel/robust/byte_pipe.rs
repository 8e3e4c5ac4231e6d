//! The pipe once more, in shared memory: a stream of bytes that survives the death of its users.
//!
//! **Promise.** That of the kernel's pipe: bytes come out in the order in which they went in; of a write of
//! no more than [`ATOMIC`] bytes, or than the capacity if that is less, all go in together or none; a larger one goes
//! in as there is room, and others may come between. A read takes what there is. When the last writer has gone, or
//! died, readers drain the pipe and then read nothing: the end of the stream; when the last reader has, writers hear
//! that the pipe is broken.
//!
//! **Source.** `pipe(7)`, and the monitor of [`RobustMonitorBuffer`](crate::RobustMonitorBuffer).
//!
//! **Why it is correct.** As there: what the lock protects changes in one step of one word. Bytes are in their places
//! before the number of those that were written says so, and are copied out before the number of those that were read
//! does. So whoever dies inside has written all of a piece, or nothing that anybody looks at.
//!
//! Those who wait want different things, a writer room for all that it writes in one piece, a reader a byte of as
//! many as came at once: so everybody who waits at an end is told, and not one who may have to wait on while
//! another could go.

use super::byte_handles::{BytePipeError, ByteReader, ByteWriter};
use super::endpoints::{Endpoints, RobustEndpoint};
use crate::channel::AttachError;
use crate::channel::slot::{Slot, Slots};
use crate::channel::{BufferState, Direction};
use crate::platform::pipe::ATOMIC;
use crate::platform::robust::commit;
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, Parameter, ShmObject, ShmSafe, ShmType, TypeInfo,
    UnsafeCell, constructor,
};
use crate::sync::{Condvar, RobustLockError, RobustMutex, RobustMutexGuard, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::mem::offset_of;

/// A stream of bytes in memory that processes share, for at most `ENDS` writers and as many readers at one time.
///
/// `S` says where the bytes are: `[Slot<u8>; N]` inside (for a `static`), or `[Slot<u8>]` behind the header (for a
/// region, where the capacity is chosen at run time). Users work with the handles [`ByteWriter`] and [`ByteReader`],
/// which are `std::io::Write` and `std::io::Read`.
///
/// # Differences from the kernel's pipe
/// The capacity is counted in bytes and not in pages, there is no SIGPIPE, and before the first writer has come there
/// is nothing to read rather than the end of the stream.
///
/// # Fairness
/// None of its own: that of the condition variables.
///
/// # Process death
/// A writer that is killed has written a small piece or not, and the beginning of a large one; a reader that is killed
/// has taken what it was reading, or not. Nobody else loses a byte. What is said at
/// [`RobustMonitorBuffer`](crate::RobustMonitorBuffer) of handles, forks, stopped processes and many locks holds here too.
///
/// # Example
/// ```
/// use interlatch::channel::Slot;
/// use interlatch::{BytePipe, Region};
/// use std::io::{Read, Write};
///
/// let region = Region::memfd("bytes", 1 << 16)?;
/// let pipe: &BytePipe<[Slot<u8>]> = region.create("stream", 4096)?;
/// std::thread::scope(|scope| -> anyhow::Result<()> {
///     scope.spawn(|| {
///         let mut writer = pipe.writer().unwrap();
///         (0..1000).for_each(|line| writeln!(writer, "line {line}").unwrap());
///     });
///     let mut text = String::new();
///     pipe.reader()?.read_to_string(&mut text)?;
///     assert_eq!(text.lines().last(), Some("line 999"));
///     Ok(())
/// })?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[repr(C)]
pub struct BytePipe<S, const ENDS: usize = 8>
where
    S: Slots<u8> + ?Sized,
{
    lock: RobustMutex<()>,
    not_full: Condvar,
    not_empty: Condvar,
    /// How many bytes went in, and how many came out.
    written: UnsafeCell<u64>,
    read: UnsafeCell<u64>,
    ends: Endpoints<ENDS>,
    slots: S,
}

// SAFETY: the numbers, the handles and the bytes are accessed only by the holder of the lock.
unsafe impl<S: Slots<u8> + ?Sized, const ENDS: usize> Sync for BytePipe<S, ENDS> {}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`, numbers that are reduced where they are read, and bytes.
unsafe impl<const N: usize, const ENDS: usize> ShmSafe for BytePipe<[Slot<u8>; N], ENDS> {
    fn initial() -> Self {
        Self::from_slots(core::array::from_fn(|_| Slot::new()))
    }
}

impl<const N: usize, const ENDS: usize> ShmType for BytePipe<[Slot<u8>; N], ENDS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("BytePipe")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_number("SLOTS", N as u64),
            Parameter::new_number("MAX_ENDPOINTS", ENDS as u64),
        ]);
}

impl<const N: usize, const ENDS: usize> BytePipe<[Slot<u8>; N], ENDS> {
    constructor! {
        /// An empty pipe over these places, for a `static`. An array of none does not compile.
        pub fn from_slots(slots: [Slot<u8>; N]) -> Self {
            const { assert!(N > 0, "a capacity of at least 1") };
            Self::over(slots)
        }
    }

    constructor! {
        fn over(slots: [Slot<u8>; N]) -> Self {
            Self {
                lock: RobustMutex::new(()),
                not_full: Condvar::new(),
                not_empty: Condvar::new(),
                written: UnsafeCell::new(0),
                read: UnsafeCell::new(0),
                ends: Endpoints::new(),
                slots,
            }
        }
    }
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the bytes follow it as in the layout
// of the unsized type.
unsafe impl<const ENDS: usize> ShmObject for BytePipe<[Slot<u8>], ENDS> {
    /// The capacity in bytes.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        HeaderAndSlots::<BytePipe<[Slot<u8>; 0], ENDS>, Slot<u8>>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        let header = BytePipe::<[Slot<u8>; 0], ENDS>::over([]);
        // SAFETY: valid for writes of the layout, of which the header is the beginning. What is in
        // the places is not looked at before it was written.
        unsafe { at.cast::<BytePipe<[Slot<u8>; 0], ENDS>>().write(header) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<Slot<u8>>(), capacity);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which is that
        // of the bytes behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl<const ENDS: usize> ShmType for BytePipe<[Slot<u8>], ENDS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("BytePipe")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("MAX_ENDPOINTS", ENDS as u64)]);
}

impl<S: Slots<u8> + ?Sized, const ENDS: usize> BytePipe<S, ENDS> {
    /// A handle that writes. Until the first one exists, readers wait for it.
    ///
    /// # Errors
    /// The last writer has gone, so the stream has ended; or there can be no more handles.
    pub fn writer(&self) -> Result<ByteWriter<'_, S, ENDS>, AttachError> {
        Ok(ByteWriter::new(self, self.attach(Direction::Sending)?))
    }

    /// A handle that reads.
    ///
    /// # Errors
    /// The last reader has gone, so the pipe is broken; or there can be no more handles.
    pub fn reader(&self) -> Result<ByteReader<'_, S, ENDS>, AttachError> {
        Ok(ByteReader::new(self, self.attach(Direction::Receiving)?))
    }

    fn attach(&self, end: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        let others = match end {
            Direction::Sending => &self.not_empty,
            Direction::Receiving => &self.not_full,
        };
        self.ends.attach(end, &self.lock, others)
    }

    /// How many bytes fit.
    pub fn capacity(&self) -> usize {
        self.slots.slots().len()
    }

    /// How many bytes there were a moment ago; none, if the lock is not to be had.
    pub fn len(&self) -> usize {
        let locked = self.lock.lock().or_else(RobustLockError::mark_consistent);
        locked.map_or(0, |_guard| self.length())
    }

    /// Whether there was no byte a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes as long as timeout lasts, and says how much: all, if that was long enough and somebody reads. In a
    /// piece of no more than [`ATOMIC`] bytes, all or nothing.
    ///
    /// # Errors
    /// No byte was written: in time there was no room, or nobody reads any more.
    pub fn write_with(&self, bytes: &[u8], timeout: Timeout) -> Result<usize, BytePipeError> {
        let piece = match bytes.len() <= ATOMIC.min(self.capacity()) {
            true => bytes.len(),
            false => 1,
        };
        let mut written = 0;
        while written < bytes.len() {
            match self.write_some(&bytes[written..], piece, timeout) {
                Ok(count) => written += count,
                Err(error) if written == 0 => return Err(error),
                // What was written is news of its own; the next call hears the rest.
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Reads what there is as soon as there is something, as long as timeout lasts. Nothing is the end of the
    /// stream, unless nothing was asked for.
    ///
    /// # Errors
    /// In time there was nothing.
    pub fn read_with(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, BytePipeError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let guard = match self.enter(Direction::Receiving, 1, timeout) {
            Err(BytePipeError::Disconnected) => return Ok(0),
            entered => entered?,
        };
        let (_, read) = self.numbers();
        let count = self.length().min(bytes.len());
        let (first, second) = self.places(read, count);
        let (to_first, to_second) = bytes[..count].split_at_mut(first.len());
        // SAFETY: the lock is held, and the places have bytes, or whatever a faulty peer has made some;
        // they may be copied out again if this process dies before the next step.
        unsafe {
            take(first, to_first);
            take(second, to_second);
            commit(&self.read, read.wrapping_add(count as u64));
        }
        drop(guard);
        self.not_full.notify_all();
        Ok(count)
    }

    /// Writes what there is room for, if that is a piece.
    fn write_some(
        &self,
        bytes: &[u8],
        piece: usize,
        timeout: Timeout,
    ) -> Result<usize, BytePipeError> {
        let guard = self.enter(Direction::Sending, piece, timeout)?;
        let (written, _) = self.numbers();
        let count = (self.capacity() - self.length()).min(bytes.len());
        let (first, second) = self.places(written, count);
        let (of_first, of_second) = bytes[..count].split_at(first.len());
        // SAFETY: the lock is held, and nothing is in the places that was not copied out.
        unsafe {
            put(first, of_first);
            put(second, of_second);
            commit(&self.written, written.wrapping_add(count as u64));
        }
        drop(guard);
        self.not_empty.notify_all();
        Ok(count)
    }

    /// Waits until there are so many bytes, or so many free places; the lock is held then.
    fn enter(
        &self,
        end: Direction,
        piece: usize,
        timeout: Timeout,
    ) -> Result<RobustMutexGuard<'_, ()>, BytePipeError> {
        let (condition, other) = match end {
            Direction::Sending => (&self.not_full, Direction::Receiving),
            Direction::Receiving => (&self.not_empty, Direction::Sending),
        };
        let mut guard = self
            .lock
            .lock_with(timeout.for_internal_lock())
            .or_else(RobustLockError::mark_consistent)?;
        let mut in_time = true;
        loop {
            let there_are = match end {
                Direction::Sending => self.capacity() - self.length(),
                Direction::Receiving => self.length(),
            };
            // What is there is read also when nobody writes any more; nothing is written to nobody.
            if there_are < piece || end == Direction::Sending {
                // SAFETY: the guard holds the lock of the channel.
                if unsafe { self.ends.has_closed(other) } {
                    return Err(BytePipeError::Disconnected);
                }
            }
            if there_are >= piece {
                return Ok(guard);
            }
            if !in_time {
                return Err(BytePipeError::Timeout);
            }
            let locked;
            (locked, in_time) = condition.wait_robust(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }

    /// The caller holds the lock.
    fn length(&self) -> usize {
        let (written, read) = self.numbers();
        let length = usize::try_from(written.wrapping_sub(read));
        // A number that is too large was written by a faulty peer.
        length.map_or(self.capacity(), |length| length.min(self.capacity()))
    }

    /// Those written and read. The caller holds the lock.
    fn numbers(&self) -> (u64, u64) {
        // SAFETY: the lock is held.
        let number = |cell: &UnsafeCell<u64>| cell.with(|number| unsafe { number.read_volatile() });
        (number(&self.written), number(&self.read))
    }

    /// So many places from the byte with this number on: up to the last one, and the rest from the first one on.
    fn places(&self, from: u64, count: usize) -> (&[Slot<u8>], &[Slot<u8>]) {
        let slots = self.slots.slots();
        let start = (from % slots.len() as u64) as usize;
        let first = count.min(slots.len() - start);
        (&slots[start..start + first], &slots[..count - first])
    }
}

impl BytePipe<[Slot<u8>; 0], 1> {
    /// The state of the one that these words are, with so many handles at each end.
    pub(crate) fn read_state(
        words: &dyn MemoryReader,
        capacity: Option<u64>,
        ends: Option<u64>,
    ) -> Option<BufferState> {
        let counts = [offset_of!(Self, written), offset_of!(Self, read)];
        let parts = [offset_of!(Self, lock), offset_of!(Self, ends)];
        Endpoints::buffer_state(words, counts, parts, (capacity, ends))
    }
}

/// # Safety
/// The caller holds the lock.
unsafe fn put(places: &[Slot<u8>], bytes: &[u8]) {
    for (place, byte) in places.iter().zip(bytes) {
        // SAFETY: the caller's promise; a byte that was there needs nothing.
        unsafe { place.put(*byte) };
    }
}

/// # Safety
/// The caller holds the lock, and the places were filled.
unsafe fn take(places: &[Slot<u8>], bytes: &mut [u8]) {
    for (place, byte) in places.iter().zip(bytes) {
        // SAFETY: the caller's promise.
        *byte = unsafe { place.take() };
    }
}

impl<S: Slots<u8> + ?Sized, const ENDS: usize> fmt::Debug for BytePipe<S, ENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BytePipe { .. }")
    }
}
