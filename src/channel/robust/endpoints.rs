//! Who is at the two ends of a buffer that survives the death of its users.
//!
//! **How.** A handle is a robust lock that is held as long as the handle lives; the kernel ends it with
//! its thread. Nobody is told of that end: sleepers look again.

use crate::channel::state::fill_of;
use crate::channel::{
    BufferState, Direction, Disconnected, EndState, Endpoint, RecvTimeoutError, SendTimeoutError,
};
use crate::platform::robust::{RobustListError, commit};
use crate::platform::{MemoryReader, OffsetReader, UnsafeCell, constructor, repeat};
use crate::sync::{
    AcquireError, Condvar, LockError, LockState, MAX_SLOTS, OwnerToken, RawRobustMutex,
    RobustLockError, RobustMutex, Timeout,
};
use core::mem::offset_of;

/// The handles of both ends. Everything about them happens under the lock of the buffer, but their end by
/// a death.
#[repr(C)]
pub(super) struct Endpoints<const ENDS: usize> {
    senders: Handles<ENDS>,
    receivers: Handles<ENDS>,
}

/// The handles of one end.
#[repr(C)]
struct Handles<const ENDS: usize> {
    /// Whether there has been one.
    opened: UnsafeCell<u64>,
    /// Held, each by the owner of a handle.
    held: [RawRobustMutex; ENDS],
}

/// Why there is no handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// That end has closed for good.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// There are as many handles of that end as there can be.
    #[error("there are {0} handles already: expected fewer")]
    TooMany(usize),
    /// This thread can hold no handle, or no more of them.
    #[error(transparent)]
    Refused(#[from] RobustListError),
    /// The lock inside is not to be had any more, which only a faulty peer brings about.
    #[error("the buffer is broken: a faulty peer has written into it")]
    Broken,
}

impl<const ENDS: usize> Handles<ENDS> {
    constructor! {
        fn new() -> Self {
            const { assert!(ENDS > 0, "at least 1 handle") };
            Self { opened: UnsafeCell::new(0), held: repeat!(RawRobustMutex::new()) }
        }
    }

    /// Whether the last one has gone, or died. The caller holds the lock of the buffer.
    fn has_closed(&self) -> bool {
        // SAFETY: the lock is held.
        let opened = self.opened.with(|opened| unsafe { *opened }) != 0;
        opened && !is_any_held(&self.held)
    }

    /// Takes a handle. The caller holds the lock of the buffer.
    fn attach(&self) -> Result<&RawRobustMutex, AttachError> {
        if self.has_closed() {
            return Err(Disconnected.into());
        }
        for handle in &self.held {
            match handle.lock_with(Timeout::NonBlocking) {
                Ok(_) => {
                    // SAFETY: the lock is held.
                    unsafe { commit(&self.opened, 1) };
                    return Ok(handle);
                }
                Err(LockError::Refused(refusal)) => return Err(refusal.into()),
                Err(_) => {}
            }
        }
        Err(AttachError::TooMany(ENDS))
    }
}

impl Handles<1> {
    /// The state of those that these words are, of whatever number.
    fn read_state(words: &dyn MemoryReader, ends: u64) -> Option<EndState> {
        let first = offset_of!(Self, held) as u64;
        let each = size_of::<RawRobustMutex>() as u64;
        let opened = words.read_u64(offset_of!(Self, opened) as u64)? != 0;
        let locks = (0..ends)
            .map(|end| RawRobustMutex::read_state(&OffsetReader(words, first + end * each)));
        let locks: Vec<LockState> = locks.collect::<Option<_>>()?;
        let holders: Vec<u32> = locks.iter().filter_map(|lock| lock.holder()).collect();
        Some(match opened && holders.is_empty() {
            true => EndState::Closed,
            false => EndState::HeldBy(holders),
        })
    }
}

impl Endpoints<1> {
    /// Bytes of one for so many handles at each end.
    pub(super) fn bytes(ends: u64) -> Option<u64> {
        let one = size_of::<Handles<1>>() as u64;
        let more = (size_of::<RawRobustMutex>() as u64).checked_mul(ends.checked_sub(1)?)?;
        one.checked_add(more)?.checked_mul(2)
    }

    /// The buffer whose items are counted where they come in and where they go out, at these offsets, as are its
    /// lock and its handles.
    pub(super) fn buffer_state(
        words: &dyn MemoryReader,
        counts: [usize; 2],
        [lock, handles]: [usize; 2],
        (capacity, ends): (Option<u64>, Option<u64>),
    ) -> Option<BufferState> {
        let [came, went] = counts;
        let went = words.read_u64(went as u64)?;
        let came = words.read_u64(came as u64)?;
        let (senders, receivers) = Self::states_of(&OffsetReader(words, handles as u64), ends);
        Some(BufferState {
            lock: RobustMutex::read_state(&OffsetReader(words, lock as u64))?,
            fill: Some(fill_of(came, went, capacity)),
            capacity,
            senders,
            receivers,
        })
    }

    /// Those who send and those who receive, as these words say, for so many handles at each end. Of more
    /// than can be looked at, nothing is said.
    pub(super) fn states_of(words: &dyn MemoryReader, ends: Option<u64>) -> (EndState, EndState) {
        let known = || {
            let ends = ends.filter(|ends| *ends <= MAX_SLOTS)?;
            let receivers = Self::bytes(ends)? / 2;
            Some((
                Handles::read_state(words, ends)?,
                Handles::read_state(&OffsetReader(words, receivers), ends)?,
            ))
        };
        known().unwrap_or((EndState::Unknown, EndState::Unknown))
    }
}

fn is_any_held(handles: &[RawRobustMutex]) -> bool {
    handles.iter().any(RawRobustMutex::is_locked)
}

impl<const ENDS: usize> Endpoints<ENDS> {
    constructor! {
        pub(super) fn new() -> Self {
            Self { senders: Handles::new(), receivers: Handles::new() }
        }
    }

    /// Whether the last handle of this end has gone, or died. The caller holds the lock of the buffer.
    pub(super) fn has_closed(&self, end: Direction) -> bool {
        self.handles(end).has_closed()
    }

    /// Takes a seat under this lock, which is that of the buffer. Who waits for this end waits there.
    pub(super) fn attach<'a>(
        &'a self,
        end: Direction,
        lock: &'a RobustMutex<()>,
        others: &'a Condvar,
    ) -> Result<RobustEndpoint<'a>, AttachError> {
        let handles = self.handles(end);
        let guard = lock
            .lock()
            .or_else(RobustLockError::mark_consistent)
            .map_err(|error| match error {
                RobustLockError::Refused(refusal) => refusal.into(),
                _ => AttachError::Broken,
            })?;
        let held = handles.attach()?;
        drop(guard);
        Ok(RobustEndpoint {
            held,
            all: &handles.held,
            lock,
            others,
            stamp: OwnerToken::new(),
        })
    }

    fn handles(&self, end: Direction) -> &Handles<ENDS> {
        match end {
            Direction::Sending => &self.senders,
            Direction::Receiving => &self.receivers,
        }
    }
}

/// The seat of a handle that ends with its thread, and stays on it.
///
/// ```compile_fail,E0277
/// use interlatch::channel::Slot;
/// use interlatch::{Buffer, RobustMonitorBuffer};
///
/// static BUFFER: RobustMonitorBuffer<u64, [Slot<u64>; 1]> =
///     RobustMonitorBuffer::from_slots([Slot::new()]);
/// let sender = BUFFER.sender().unwrap();
/// std::thread::spawn(move || drop(sender));
/// ```
#[derive(Debug)]
pub struct RobustEndpoint<'a> {
    held: &'a RawRobustMutex,
    /// Those of the same end.
    all: &'a [RawRobustMutex],
    lock: &'a RobustMutex<()>,
    others: &'a Condvar,
    stamp: OwnerToken,
}

impl Endpoint for RobustEndpoint<'_> {
    fn is_owned(&self) -> bool {
        self.held.is_held_by(&self.stamp)
    }
}

impl Drop for RobustEndpoint<'_> {
    fn drop(&mut self) {
        if !self.is_owned() {
            return;
        }
        // Not to be had only where this thread holds too many, or of a faulty peer; who waits then
        // looks again by itself.
        let guard = self.lock.lock().or_else(RobustLockError::mark_consistent);
        // SAFETY: a seat is made only by locking, and unlocks only once, here.
        unsafe { self.held.unlock() };
        let closes = guard.is_ok() && !is_any_held(self.all);
        drop(guard);
        if closes {
            self.others.notify_all();
        }
    }
}

/// Why an operation ended before it was done: in time there was nothing to do, or never will be.
pub(in crate::channel) enum Refused {
    Timeout,
    Disconnected,
}

impl Refused {
    pub(in crate::channel) fn with<T>(self, item: T) -> SendTimeoutError<T> {
        SendTimeoutError::of(item, matches!(self, Self::Disconnected))
    }
}

impl From<Refused> for RecvTimeoutError {
    fn from(refused: Refused) -> Self {
        Self::of(matches!(refused, Refused::Disconnected))
    }
}

impl From<AcquireError> for Refused {
    /// What is no timeout is a thread that holds too many locks, or a faulty peer: for this handle
    /// there is no other side then.
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::TimedOut => Self::Timeout,
            _ => Self::Disconnected,
        }
    }
}

impl From<RobustLockError<'_, ()>> for Refused {
    fn from(error: RobustLockError<'_, ()>) -> Self {
        AcquireError::from(error).into()
    }
}
