//! The handles of a channel that survives the death of its users.
//!
//! A handle holds a robust lock while it lives. If its process dies, the kernel marks the lock. The
//! kernel does not notify the waiters of the other side, so sleeping waiters recheck.

use crate::channel::state::fill_of;
use crate::channel::{
    AttachError, BufferState, ChannelError, Direction, EndState, Endpoint, OperationError,
};
use crate::platform::robust::commit;
use crate::platform::{MemoryReader, OffsetReader, ShmSafe, UnsafeCell, constructor, repeat};
use crate::sync::{
    Condvar, LockError, LockState, MAX_SLOTS, OwnerToken, RawRobustMutex, RobustLockError,
    RobustMutex, Timeout,
};
use core::mem::offset_of;

/// The handles of both sides. A handle is registered under the channel's lock. Its registration
/// ends without the lock, when the handle is dropped or its process dies.
#[repr(C)]
pub(in crate::channel) struct Endpoints<const MAX_ENDPOINTS: usize> {
    senders: Handles<MAX_ENDPOINTS>,
    receivers: Handles<MAX_ENDPOINTS>,
}

/// The handles of one side.
#[repr(C)]
struct Handles<const MAX_ENDPOINTS: usize> {
    /// This number is 0 until the side has its first handle.
    opened: UnsafeCell<u64>,
    /// One lock for each slot. The owner of a handle holds the lock of its slot.
    slots: [RawRobustMutex; MAX_ENDPOINTS],
}

impl<const MAX_ENDPOINTS: usize> Handles<MAX_ENDPOINTS> {
    constructor! {
        fn new() -> Self {
            const { Self::ASSERT_SLOTS };
            Self { opened: UnsafeCell::new(0), slots: repeat!(RawRobustMutex::by_value()) }
        }
    }

    const ASSERT_SLOTS: () = assert!(MAX_ENDPOINTS > 0, "MAX_ENDPOINTS is at least 1");

    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_SLOTS };
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            (&raw mut (*at).opened).write(UnsafeCell::new(0));
            <[RawRobustMutex; MAX_ENDPOINTS]>::init_in_place(&raw mut (*at).slots);
        }
    }

    /// Whether the last handle was dropped or the owner of that handle died.
    ///
    /// # Safety
    /// The caller holds the channel's lock.
    unsafe fn has_closed(&self) -> bool {
        // SAFETY: the caller holds the lock, which excludes every write to `opened`.
        let opened = self.opened.with(|opened| unsafe { *opened }) != 0;
        opened && !is_any_held(&self.slots)
    }

    /// Acquires a free slot for a handle.
    ///
    /// # Safety
    /// The caller holds the channel's lock.
    unsafe fn attach(&self, direction: Direction) -> Result<&RawRobustMutex, AttachError> {
        // SAFETY: the caller holds the channel's lock.
        if unsafe { self.has_closed() } {
            return Err(AttachError::Closed(direction));
        }
        for slot in &self.slots {
            match slot.lock_with(Timeout::NonBlocking) {
                Ok(_) => {
                    // SAFETY: the caller holds the lock, which excludes every other access to
                    // `opened`.
                    unsafe { commit(&self.opened, 1) };
                    return Ok(slot);
                }
                Err(LockError::RobustList(error)) => return Err(ChannelError::from(error).into()),
                Err(_) => {}
            }
        }
        Err(AttachError::SlotsInUse {
            direction,
            max: MAX_ENDPOINTS,
            parameter: Some("MAX_ENDPOINTS"),
        })
    }
}

impl Handles<1> {
    /// Reads the state of one side with this number of slots.
    fn read_state(reader: &dyn MemoryReader, max_endpoints: u64) -> Option<EndState> {
        let first = offset_of!(Self, slots) as u64;
        let each = size_of::<RawRobustMutex>() as u64;
        let opened = reader.read_u64(offset_of!(Self, opened) as u64)? != 0;
        let locks = (0..max_endpoints)
            .map(|slot| RawRobustMutex::read_state(&OffsetReader(reader, first + slot * each)));
        let locks: Vec<LockState> = locks.collect::<Option<_>>()?;
        let holders: Vec<u32> = locks.iter().filter_map(|lock| lock.holder()).collect();
        Some(match opened && holders.is_empty() {
            true => EndState::Closed,
            false => EndState::HeldBy(holders),
        })
    }
}

impl Endpoints<1> {
    /// The size of this type in bytes if each side has this number of slots.
    pub(in crate::channel) fn bytes(max_endpoints: u64) -> Option<u64> {
        let one = size_of::<Handles<1>>() as u64;
        let more =
            (size_of::<RawRobustMutex>() as u64).checked_mul(max_endpoints.checked_sub(1)?)?;
        one.checked_add(more)?.checked_mul(2)
    }

    /// Reads the state of a buffer whose counts of sent and received items, lock and handles are at
    /// these offsets.
    pub(in crate::channel) fn buffer_state(
        reader: &dyn MemoryReader,
        [sent, received]: [usize; 2],
        [lock, handles]: [usize; 2],
        (capacity, max_endpoints): (Option<u64>, Option<u64>),
    ) -> Option<BufferState> {
        let received = reader.read_u64(received as u64)?;
        let sent = reader.read_u64(sent as u64)?;
        let handles = OffsetReader(reader, handles as u64);
        let (senders, receivers) = Self::states_of(&handles, max_endpoints);
        Some(BufferState {
            lock: RobustMutex::read_state(&OffsetReader(reader, lock as u64))?,
            fill: Some(fill_of(sent, received, capacity)),
            capacity,
            senders,
            receivers,
        })
    }

    /// Reads the states of both sides, with this number of slots on each side.
    ///
    /// The states are `Unknown` if the number of slots is unknown or too large for the inspector.
    pub(in crate::channel) fn states_of(
        reader: &dyn MemoryReader,
        max_endpoints: Option<u64>,
    ) -> (EndState, EndState) {
        let known = || {
            let max_endpoints = max_endpoints.filter(|max| *max <= MAX_SLOTS)?;
            let receivers = Self::bytes(max_endpoints)? / 2;
            Some((
                Handles::read_state(reader, max_endpoints)?,
                Handles::read_state(&OffsetReader(reader, receivers), max_endpoints)?,
            ))
        };
        known().unwrap_or((EndState::Unknown, EndState::Unknown))
    }
}

fn is_any_held(slots: &[RawRobustMutex]) -> bool {
    slots.iter().any(RawRobustMutex::is_locked)
}

impl<const MAX_ENDPOINTS: usize> Endpoints<MAX_ENDPOINTS> {
    constructor! {
        pub(in crate::channel) fn new() -> Self {
            Self { senders: Handles::new(), receivers: Handles::new() }
        }
    }

    /// Initializes the handles in place.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    pub(in crate::channel) unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            Handles::init_in_place(&raw mut (*at).senders);
            Handles::init_in_place(&raw mut (*at).receivers);
        }
    }

    /// Whether the last handle of this side was dropped or the owner of that handle died.
    ///
    /// # Safety
    /// The caller holds the channel's lock.
    pub(in crate::channel) unsafe fn has_closed(&self, direction: Direction) -> bool {
        // SAFETY: the caller holds the channel's lock.
        unsafe { self.handles(direction).has_closed() }
    }

    /// Registers a handle under `lock`, the channel's lock. The other side waits on `waiters`.
    pub(in crate::channel) fn attach<'a>(
        &'a self,
        direction: Direction,
        lock: &'a RobustMutex<()>,
        waiters: &'a Condvar,
    ) -> Result<RobustEndpoint<'a>, AttachError> {
        let handles = self.handles(direction);
        let guard = lock.lock().or_else(RobustLockError::mark_consistent);
        let guard = guard.map_err(|error| match OperationError::from(error) {
            OperationError::Failed(cause) => AttachError::Failed(cause),
            // This match arm is never reached, because an infinite timeout never expires and a lock
            // is never disconnected.
            _ => AttachError::Failed(ChannelError::Corrupted),
        })?;
        // SAFETY: `guard` holds the channel's lock.
        let slot = unsafe { handles.attach(direction) }?;
        drop(guard);
        Ok(RobustEndpoint {
            slot,
            side: &handles.slots,
            lock,
            waiters,
            token: OwnerToken::new(),
            is_registered: true,
        })
    }

    /// An endpoint that holds no slot: see [`Unregistered`](crate::channel::Unregistered).
    pub(in crate::channel) fn unregistered<'a>(
        &'a self,
        direction: Direction,
        lock: &'a RobustMutex<()>,
        waiters: &'a Condvar,
    ) -> RobustEndpoint<'a> {
        let side = &self.handles(direction).slots;
        RobustEndpoint {
            slot: &side[0],
            side,
            lock,
            waiters,
            token: OwnerToken::new(),
            is_registered: false,
        }
    }

    fn handles(&self, direction: Direction) -> &Handles<MAX_ENDPOINTS> {
        match direction {
            Direction::Sending => &self.senders,
            Direction::Receiving => &self.receivers,
        }
    }
}

/// The registration of a handle. The registration cannot move to another thread, and ends when its
/// process dies.
///
/// ```compile_fail,E0277
/// use interlatch::channel::Slot;
/// use interlatch::{Channel, RobustMonitorBuffer};
///
/// let buffer: &RobustMonitorBuffer<u64, [Slot<u64>; 1]> =
///     RobustMonitorBuffer::from_slots([Slot::new()]).leak();
/// let sender = buffer.sender().unwrap();
/// std::thread::spawn(move || drop(sender));
/// ```
#[derive(Debug)]
pub struct RobustEndpoint<'a> {
    slot: &'a RawRobustMutex,
    /// All handle slots of this endpoint's side.
    side: &'a [RawRobustMutex],
    lock: &'a RobustMutex<()>,
    /// The condition variable on which the other side's handles wait.
    waiters: &'a Condvar,
    token: OwnerToken,
    is_registered: bool,
}

impl Endpoint for RobustEndpoint<'_> {
    fn is_owned(&self) -> bool {
        self.slot.is_held_by(&self.token)
    }
}

impl Drop for RobustEndpoint<'_> {
    fn drop(&mut self) {
        if !self.is_registered || !self.is_owned() {
            return;
        }
        // The slot is unlocked first, so that this thread can hold the channel's lock even if it
        // holds the maximum number of robust locks.
        // SAFETY: `attach` locked the slot for this endpoint, and only this call unlocks it.
        unsafe { self.slot.unlock() };
        // A waiter of the other side that has found this slot locked is registered as a waiter
        // before it unlocks the channel's lock. Locking fails only if a faulty peer has overwritten
        // the lock.
        drop(self.lock.lock().or_else(RobustLockError::mark_consistent));
        if !is_any_held(self.side) {
            self.waiters.notify_all();
        }
    }
}
