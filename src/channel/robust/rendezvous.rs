//! A channel without slots: an item passes directly from a sender to a receiver.

use super::endpoints::{Endpoints, RobustEndpoint};
use crate::channel::slot::Slot;
use crate::channel::{
    AttachError, Buffer, Channel, ChannelError, Direction, EndState, OperationError, Receiver,
    RecvError, RecvTimeoutError, RendezvousState, SendTimeoutError, Unregistered, WaitState,
    receiver,
};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::robust::{commit, commit_word};
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    AtomicU64, MemoryReader, OffsetReader, Parameter, Pod, ShmSafe, ShmType, Static, TypeInfo,
    UnsafeCell, constructor,
};
use crate::sync::{
    Condvar, LockError, OwnerToken, RawRobustMutex, RobustLockError, RobustMutex, RobustMutexGuard,
    Timeout,
};
use core::fmt;
use core::mem::offset_of;
use core::ops::Deref;

/// A channel of capacity 0, in which a send returns when a receiver has taken the item.
///
/// Use a rendezvous where a sender needs to know that its item was received. A rendezvous survives
/// the death of its users and has at most `MAX_ENDPOINTS` senders and `MAX_ENDPOINTS` receivers at
/// a time. `len` and `capacity` are 0.
///
/// | operation | effect |
/// | --- | --- |
/// | `send`, `send_timeout` | offers the item until a receiver takes it, or until the timeout |
/// | `try_send` | hands the item to a receiver that already waits in `recv`, or fails |
/// | `recv`, `try_recv`, `recv_timeout` | takes an item that is offered |
/// | [`accept`](crate::Receiver::accept) | shows the item; the sender waits for acknowledgement |
///
/// # Errors
/// The errors are those of every [`Buffer`]. Either a send returns `Ok` and a receiver has taken
/// the item, or the send returns the item and no receiver has taken it. This is true even after a
/// timeout or a death.
///
/// # Fairness
/// There is no fairness guarantee. Any of the waiting senders or receivers may be next.
///
/// # Panics
/// No operation panics.
///
/// # Process death
/// | process | effect of its death |
/// | --- | --- |
/// | a waiting sender | its item is withdrawn, unless a receiver has already taken it |
/// | a receiver before it takes the item | the item remains offered to the next receiver |
/// | a receiver that has accepted and not acknowledged | the same |
/// | a receiver after it has taken the item | the item is lost; the sender has returned `Ok` |
/// | a waiting receiver to which `try_send` hands an item | the same |
/// | the last receiver, or the last sender | the other side gets `Disconnected` |
///
/// Other processes observe a death at their next operation, or within the
/// [`recheck_interval`](crate::platform::futex) if they sleep. Handles, forks, leaks and the limit
/// of robust locks are as for [`RobustMonitorBuffer`](super::RobustMonitorBuffer).
///
/// If a process is stopped while it holds the internal lock, a sender or receiver whose timeout
/// expires withdraws without the lock, and returns at most 100 milliseconds after its deadline. The
/// stopped process finds after it continues that the exchange did not happen.
///
/// If a thread other than the main thread calls `exec`, its handles never end.
///
/// # Fork
/// Handles and deliveries belong to the process that created them. Operations of a copy in a forked
/// child fail with [`ChannelError::Inherited`](crate::channel::ChannelError::Inherited), and
/// dropping the copy does nothing.
///
/// # Ordering
/// Sending an item happens before receiving it, and receiving or acknowledging it happens before
/// the send returns. The internal lock provides this ordering, and the compare-exchange that
/// completes the exchange provides it for an owner that withdraws without the lock.
///
/// # How it works
/// There are two slots. The owner of a slot is the waiting sender or receiver that uses the slot.
///
/// | slot | owner | transition of its state | made by |
/// | --- | --- | --- | --- |
/// | offer | the sender that waits | idle to offered | that sender |
/// | | | offered to completed | a receiver |
/// | request | a receiver that waits | idle to requested | that receiver |
/// | | | requested to completed | a sender that does not wait |
///
/// The owner of a slot holds a robust lock of the slot, so a slot in any state is free once its
/// owner has died. An offer is valid only while its owner holds that lock. Each transition is one
/// step on one word, under one internal lock, and the item is in the slot before that step. A
/// sender whose timeout expires checks under the lock whether its offer is completed, and otherwise
/// withdraws the offer before it unlocks. If a stopped process holds the lock, the owner withdraws
/// by a compare-exchange of the word from offered or requested to idle. The transition to completed
/// is a compare-exchange too, so exactly one of the two succeeds. So an item is either taken
/// exactly once or returned.
/// Offers are numbered, so a receiver that acknowledges an offer never completes a later one.
///
/// # Sources
/// Hoare, *Communicating sequential processes* (1978). The idea of a slot with an owner is the same
/// as in [`RobustSemaphorePair`](crate::sync::RobustSemaphorePair).
///
/// # Example
/// ```
/// use interlatch::channel::TryRecvError;
/// use interlatch::{Channel, Region, Rendezvous};
///
/// let region = Region::memfd("handover", 1 << 14)?;
/// let rendezvous = region.create::<Rendezvous<u64>>("jobs", ())?;
/// let receiver = rendezvous.receiver()?;
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "no sender waits");
/// std::thread::scope(|scope| -> anyhow::Result<()> {
///     scope.spawn(|| -> anyhow::Result<()> {
///         // Another process maps the region and attaches to the object.
///         let sender = region.attach::<Rendezvous<u64>>("jobs")?.sender()?;
///         sender.send(7)?;
///         sender.send(8)?;
///         Ok(())
///     });
///     assert_eq!(receiver.recv(), Ok(7));
///     let delivery = receiver.accept()?;
///     assert_eq!(*delivery, 8, "the sender still waits");
///     assert_eq!(delivery.acknowledge(), Ok(8));
///     Ok(())
/// })?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[repr(C)]
pub struct Rendezvous<T, const MAX_ENDPOINTS: usize = 8> {
    lock: RobustMutex<()>,
    /// The condition variable on which senders wait for the offer slot or for a receiver.
    senders: Condvar,
    /// The condition variable on which receivers wait for an item.
    receivers: Condvar,
    offer: OwnedSlot<T>,
    request: OwnedSlot<T>,
    /// The robust lock that a receiver holds while it has accepted the offer but not acknowledged
    /// it.
    accepted: RawRobustMutex,
    ends: Endpoints<MAX_ENDPOINTS>,
}

/// A slot for an item in transit, used by one waiting sender or receiver at a time.
///
/// The methods take the guard of the rendezvous's lock as a proof that the caller holds the lock.
#[repr(C)]
struct OwnedSlot<T> {
    owner: RawRobustMutex,
    /// `IDLE`, `COMPLETED`, `REQUESTED`, or the number of an offer. Atomic, because an owner may
    /// withdraw without the lock. All other accesses are made under the lock.
    state: AtomicU64,
    /// The number of the newest offer.
    newest_offer: UnsafeCell<u64>,
    slot: Slot<T>,
}

const IDLE: u64 = 0;
/// The other side has taken the item, or has put one into the slot.
const COMPLETED: u64 = 1;
/// A receiver waits for an item. The numbers of offers are larger than this value.
const REQUESTED: u64 = 2;

type Guard<'a> = RobustMutexGuard<'a, ()>;

// SAFETY: every access to the cells and slots is made by a holder of `lock`, except that the owner
// of the request slot takes an item that a sender has completed with Release. The other fields are
// `Sync`. Items move between threads, which is sound because of `T: Send`.
unsafe impl<T: Send, const MAX_ENDPOINTS: usize> Sync for Rendezvous<T, MAX_ENDPOINTS> {}

// SAFETY: the type is `repr(C)`, its fields and items are valid for every bit pattern, and all
// changes are made under the lock or by the `ShmSafe` fields themselves.
unsafe impl<T: Pod, const MAX_ENDPOINTS: usize> ShmSafe for Rendezvous<T, MAX_ENDPOINTS> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            Condvar::init_in_place(&raw mut (*at).senders);
            Condvar::init_in_place(&raw mut (*at).receivers);
            OwnedSlot::init(&raw mut (*at).offer);
            OwnedSlot::init(&raw mut (*at).request);
            RawRobustMutex::init_in_place(&raw mut (*at).accepted);
            Endpoints::init_in_place(&raw mut (*at).ends);
        }
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> ShmType for Rendezvous<T, MAX_ENDPOINTS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Rendezvous")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64),
        ]);
}

impl<T> OwnedSlot<T> {
    constructor! {
        fn new() -> Self {
            Self {
                owner: RawRobustMutex::by_value(),
                state: AtomicU64::new(IDLE),
                newest_offer: UnsafeCell::new(REQUESTED),
                slot: Slot::new(),
            }
        }
    }

    /// Creates a slot in place, like [`new`](Self::new).
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RawRobustMutex::init_in_place(&raw mut (*at).owner);
            (&raw mut (*at).state).write(AtomicU64::new(IDLE));
            (&raw mut (*at).newest_offer).write(UnsafeCell::new(REQUESTED));
            Slot::init(&raw mut (*at).slot);
        }
    }

    fn state(&self, _lock: &Guard<'_>) -> u64 {
        // Relaxed: the lock orders this access after every change but a withdrawal, and `complete`
        // notices a withdrawal. The access is a read-modify-write instead of a load, because this
        // process may write the word later, and the model checker may miss executions in which a
        // process loads a word before it writes the word.
        self.state.fetch_or(0, Relaxed)
    }

    fn set_state(&self, state: u64, _lock: &Guard<'_>) {
        commit_word(&self.state, state);
    }

    /// Completes the exchange in which the slot has the state `waiting`.
    ///
    /// Returns false if the owner has withdrawn, or if the slot has another state.
    fn complete(&self, waiting: u64, _lock: &Guard<'_>) -> bool {
        // Release pairs with the Acquire of `withdraw`: the owner sees what this thread has done.
        self.state
            .compare_exchange(waiting, COMPLETED, Release, Relaxed)
            .is_ok()
    }

    /// Ends the wait of the owner, which could not lock the rendezvous again. The caller owns the
    /// slot.
    ///
    /// Returns false if the exchange has been completed.
    #[cold]
    fn withdraw(&self, waiting: u64) -> bool {
        // Acquire pairs with the Release of `complete`.
        self.state
            .compare_exchange(waiting, IDLE, Relaxed, Acquire)
            .is_ok()
    }

    /// Whether a living owner waits in this slot and the other side has not completed the exchange.
    fn is_waiting(&self, lock: &Guard<'_>) -> bool {
        self.state(lock) >= REQUESTED && self.owner.is_locked()
    }

    /// Makes the calling thread the owner of this slot. Returns `false` if the slot already has an
    /// owner.
    fn claim(&self, lock: &Guard<'_>) -> Result<bool, OperationError> {
        if self.owner.is_locked() {
            return Ok(false);
        }
        // The state of a previous owner is cleared before this thread becomes the owner. Otherwise,
        // if this thread died between the two steps, the old state would count as the state of this
        // thread.
        self.set_state(IDLE, lock);
        match self.owner.lock_with(Timeout::NonBlocking) {
            Ok(_) => Ok(true),
            Err(LockError::RobustList(error)) => Err(ChannelError::from(error).into()),
            // The lock was free, and correct processes take it only under the rendezvous's lock, so
            // a faulty peer has taken it.
            Err(_) => Ok(false),
        }
    }

    /// Ends the ownership of the slot. After that, the state of the slot is ignored.
    ///
    /// # Safety
    /// The calling thread is the owner, and does not use the slot after this call.
    unsafe fn release(&self) {
        // SAFETY: the calling thread holds `owner`.
        unsafe { self.owner.unlock() };
    }

    /// Returns a number that no other offer has. If this process dies before it uses the number,
    /// the gap in the numbering is harmless.
    fn next_offer(&self, _lock: &Guard<'_>) -> u64 {
        // SAFETY: the caller holds the rendezvous's lock, which excludes every writer.
        let number = self
            .newest_offer
            .with(|number| unsafe { number.read_volatile() });
        // Only a faulty peer makes the number wrap.
        let next = number.wrapping_add(1).max(REQUESTED);
        // SAFETY: the caller holds the rendezvous's lock, which excludes every other access.
        unsafe { commit(&self.newest_offer, next) };
        next
    }
}

impl<T, const MAX_ENDPOINTS: usize> Rendezvous<T, MAX_ENDPOINTS> {
    constructor! {
        /// Creates a rendezvous without handles. The function is `const`, so it can initialize a
        /// `static`.
        pub fn new() -> Static<Self> {
            Static::new(Self {
                lock: RobustMutex::by_value(()),
                senders: Condvar::new(),
                receivers: Condvar::new(),
                offer: OwnedSlot::new(),
                request: OwnedSlot::new(),
                accepted: RawRobustMutex::by_value(),
                ends: Endpoints::new(),
            })
        }
    }
}

/// The slot through which an item reached a receiver.
enum Arrival {
    /// A sender waits, and its item is in the offer slot. The offer has this number.
    Offered(u64),
    /// A sender that does not wait has put the item into the request slot. The item stays there
    /// while the receiver holds the lock, because another thread claims the slot only under the
    /// lock.
    Handed,
}

/// An item that has arrived, and the guard of the lock. Without a guard, the item is in the request
/// slot, and this thread still owns that slot.
type Arrived<'a> = (Option<Guard<'a>>, Arrival);

impl<T: Pod, const MAX_ENDPOINTS: usize> Rendezvous<T, MAX_ENDPOINTS> {
    fn lock_internal(&self, timeout: Timeout) -> Result<Guard<'_>, OperationError> {
        let locked = self.lock.lock_internal(timeout, SpinPolicy::Lock, |()| ());
        Ok(locked?)
    }

    /// Waits for a notification and then locks again. Returns `false` on a timeout.
    ///
    /// Fails with `Timeout` if a stopped process holds the lock. The caller then withdraws.
    fn wait<'a>(
        &'a self,
        condvar: &Condvar,
        guard: Guard<'a>,
        timeout: Timeout,
    ) -> Result<(Guard<'a>, bool), OperationError> {
        let (locked, in_time) = condvar.wait_robust_or_recheck(guard, timeout);
        let guard = locked.or_else(RobustLockError::mark_consistent)?;
        Ok((guard, in_time))
    }

    fn has_closed(&self, direction: Direction, _guard: &Guard<'_>) -> bool {
        // SAFETY: the guard holds the channel's lock.
        unsafe { self.ends.has_closed(direction) }
    }

    /// Hands the item to a waiting receiver, if there is one.
    fn hand_over(&self, item: &T) -> Result<(), OperationError> {
        let guard = self.lock_internal(Timeout::NonBlocking)?;
        if self.has_closed(Direction::Receiving, &guard) {
            return Err(OperationError::Disconnected);
        }
        if !self.request.is_waiting(&guard) {
            return Err(OperationError::Timeout);
        }
        // SAFETY: this thread holds the lock, so no other thread claims the slot, and the owner
        // reads the slot only after `COMPLETED`.
        unsafe { self.request.slot.put_from(item) };
        if !self.request.complete(REQUESTED, &guard) {
            return Err(OperationError::Timeout);
        }
        drop(guard);
        // All receivers are woken, because only the owner of the slot can take the item.
        self.receivers.notify_all();
        Ok(())
    }

    /// Waits for the offer slot and claims it.
    fn claim_offer(&self, timeout: Timeout) -> Result<Guard<'_>, OperationError> {
        let mut guard = self.lock_internal(timeout)?;
        let mut in_time = true;
        loop {
            if self.has_closed(Direction::Receiving, &guard) {
                return Err(OperationError::Disconnected);
            }
            match self.offer.claim(&guard) {
                Ok(true) => return Ok(guard),
                Ok(false) => {}
                Err(cause) => {
                    // This thread may have consumed the notification for the free slot, so it
                    // notifies another sender.
                    self.senders.notify_one();
                    return Err(cause);
                }
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            (guard, in_time) = self.wait(&self.senders, guard, timeout)?;
        }
    }

    /// Offers the item until a receiver takes it.
    fn offer(&self, item: &T, timeout: Timeout) -> Result<(), OperationError> {
        let mut guard = self.claim_offer(timeout)?;
        // SAFETY: this thread holds the lock and owns the slot. An earlier item in the slot is
        // `Pod`, so it needs no drop.
        unsafe { self.offer.slot.put_from(item) };
        let number = self.offer.next_offer(&guard);
        self.offer.set_state(number, &guard);
        let mut in_time = true;
        self.receivers.notify_one();
        let result = loop {
            if self.offer.state(&guard) == COMPLETED {
                break Ok(());
            }
            if self.has_closed(Direction::Receiving, &guard) {
                break Err(OperationError::Disconnected);
            }
            if !in_time {
                break Err(OperationError::Timeout);
            }
            (guard, in_time) = match self.wait(&self.senders, guard, timeout) {
                Ok(waited) => waited,
                Err(cause) => {
                    let is_withdrawn = self.offer.withdraw(number);
                    // SAFETY: `claim_offer` made this thread the owner.
                    unsafe { self.offer.release() };
                    // Without the lock, a sender that is about to sleep may miss the free slot
                    // until it rechecks.
                    self.senders.notify_one();
                    return if is_withdrawn { Err(cause) } else { Ok(()) };
                }
            };
        };
        // SAFETY: this thread still owns the slot and does not use the slot after this call.
        unsafe { self.offer.release() };
        drop(guard);
        self.senders.notify_one();
        result
    }

    /// Returns the number of the offer with which a living sender waits, if no receiver has
    /// accepted the offer.
    fn offered(&self, lock: &Guard<'_>) -> Option<u64> {
        // The sender may withdraw its offer at any step, so the state is read only once.
        let number = self.offer.state(lock);
        let is_waiting = number >= REQUESTED && self.offer.owner.is_locked();
        (is_waiting && !self.accepted.is_locked()).then_some(number)
    }

    /// Returns the item that has arrived, if any. `has_request` says whether this thread owns the
    /// request slot.
    fn arrival(
        &self,
        has_request: bool,
        lock: &Guard<'_>,
    ) -> Result<Option<Arrival>, OperationError> {
        if has_request && self.request.state(lock) == COMPLETED {
            return Ok(Some(Arrival::Handed));
        }
        if let Some(number) = self.offered(lock) {
            return Ok(Some(Arrival::Offered(number)));
        }
        match self.has_closed(Direction::Sending, lock) {
            true => Err(OperationError::Disconnected),
            false => Ok(None),
        }
    }

    /// Claims the request slot if it is free.
    fn claim_request(&self, lock: &Guard<'_>) -> Result<bool, OperationError> {
        let is_claimed = self.request.claim(lock)?;
        if is_claimed {
            self.request.set_state(REQUESTED, lock);
        }
        Ok(is_claimed)
    }

    /// Waits for an item. The returned guard holds the lock.
    fn wait_for_item(&self, timeout: Timeout) -> Result<Arrived<'_>, OperationError> {
        let mut guard = self.lock_internal(timeout)?;
        let (mut in_time, mut has_request) = (timeout != Timeout::NonBlocking, false);
        let result = loop {
            match self.arrival(has_request, &guard) {
                Ok(Some(arrival)) => break Ok(arrival),
                Ok(None) if in_time => {}
                Ok(None) => break Err(OperationError::Timeout),
                Err(cause) => break Err(cause),
            }
            if !has_request {
                has_request = self.claim_request(&guard)?;
            }
            (guard, in_time) = match self.wait(&self.receivers, guard, timeout) {
                Ok(waited) => waited,
                Err(_) if has_request && !self.request.withdraw(REQUESTED) => {
                    return Ok((None, Arrival::Handed));
                }
                Err(cause) => {
                    if has_request {
                        self.leave_request();
                    }
                    return Err(cause);
                }
            };
        };
        if has_request {
            // SAFETY: this thread still owns the slot and does not use the slot after this call.
            unsafe { self.request.release() };
            // This thread may have consumed the notification for an offer that it does not take,
            // and another receiver can now claim the request slot. All receivers are woken, because
            // a receiver in `accept` never claims the request slot.
            self.receivers.notify_all();
        }
        Ok((Some(guard), result?))
    }

    /// Releases the request slot, which this thread owns, without the lock.
    #[cold]
    fn leave_request(&self) {
        // SAFETY: `claim_request` made this thread the owner.
        unsafe { self.request.release() };
        // Without the lock, a receiver that is about to sleep may miss the free slot until it
        // rechecks.
        self.receivers.notify_all();
    }

    /// Receives an item: calls `copy` with its slot while holding the lock or the slot.
    ///
    /// Even if a faulty peer wrote to the slot, the bytes are a valid `T`, because every bit
    /// pattern is a valid `T`.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        copy: impl FnOnce(&Slot<T>) -> R,
    ) -> Result<R, RecvTimeoutError> {
        loop {
            let (guard, arrival) = self.wait_for_item(timeout)?;
            let Some(guard) = guard else {
                let copied = copy(&self.request.slot);
                self.leave_request();
                return Ok(copied);
            };
            let Arrival::Offered(number) = arrival else {
                return Ok(copy(&self.request.slot));
            };
            // The sender may withdraw its offer until this step.
            if self.offer.complete(number, &guard) {
                // No other sender claims the slot while this thread holds the lock.
                let copied = copy(&self.offer.slot);
                drop(guard);
                // All senders are woken, because only the owner of the offer can proceed.
                self.senders.notify_all();
                return Ok(copied);
            }
        }
    }

    /// Copies the offered item.
    fn read_offer(&self, _lock: &Guard<'_>) -> T {
        // SAFETY: the caller holds the lock, and the offer's owner has put an item into the slot.
        // Even if a faulty peer wrote to the slot, the bytes are a valid `T`, because every bit
        // pattern is a valid `T`. `T` is `Pod`, so copies do no harm.
        unsafe { self.offer.slot.take() }
    }

    /// Accepts an offered item. This needs no receiver handle, and is for models and tests.
    #[doc(hidden)]
    pub fn accept_unregistered(
        &self,
        timeout: Timeout,
    ) -> Result<Delivery<'_, T, MAX_ENDPOINTS>, RecvTimeoutError> {
        Ok(self.accept(timeout)?)
    }

    fn accept(&self, timeout: Timeout) -> Result<Delivery<'_, T, MAX_ENDPOINTS>, OperationError> {
        let mut guard = self.lock_internal(timeout)?;
        let mut in_time = true;
        let number = loop {
            if let Some(number) = self.offered(&guard) {
                break number;
            }
            if self.has_closed(Direction::Sending, &guard) {
                return Err(OperationError::Disconnected);
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            (guard, in_time) = self.wait(&self.receivers, guard, timeout)?;
        };
        if let Err(error) = self.accepted.lock_with(Timeout::NonBlocking) {
            drop(guard);
            // This thread cannot accept the offer; another receiver can.
            self.receivers.notify_one();
            let cause = match error {
                LockError::RobustList(error) => error.into(),
                // The lock was free, and correct processes take it only under the rendezvous's
                // lock, so a faulty peer has taken it.
                _ => ChannelError::Corrupted,
            };
            return Err(cause.into());
        }
        let item = self.read_offer(&guard);
        drop(guard);
        Ok(Delivery {
            rendezvous: self,
            item,
            number,
            token: OwnerToken::new(),
        })
    }

    /// The condition variable of the side opposite to `direction`.
    fn peers(&self, direction: Direction) -> &Condvar {
        match direction {
            Direction::Sending => &self.receivers,
            Direction::Receiving => &self.senders,
        }
    }

    fn attach(&self, direction: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        self.ends
            .attach(direction, &self.lock, self.peers(direction))
    }

    fn unregistered(&self, direction: Direction) -> RobustEndpoint<'_> {
        self.ends
            .unregistered(direction, &self.lock, self.peers(direction))
    }
}

impl OwnedSlot<()> {
    /// Reads which thread waits in a slot for items of any type.
    fn read_state(reader: &dyn MemoryReader) -> Option<WaitState> {
        let state = reader.read_u64(offset_of!(Self, state) as u64)?;
        let owner = OffsetReader(reader, offset_of!(Self, owner) as u64);
        let owner = RawRobustMutex::read_state(&owner)?;
        Some(match state >= REQUESTED {
            true => WaitState::from_lock(owner),
            false => WaitState::Vacant,
        })
    }
}

impl Rendezvous<(), 1> {
    /// Reads the state of a rendezvous for items of any type, with `ends` handles on each side.
    pub(crate) fn read_state(
        reader: &dyn MemoryReader,
        (size, align): (u64, u64),
        ends: Option<u64>,
    ) -> Option<RendezvousState> {
        let offer = (offset_of!(Self, offer) as u64).checked_next_multiple_of(align)?;
        let after_offer = || {
            // The sizes of the two slots are multiples of the alignment. The last two fields follow
            // the slots, and then comes padding that is shorter than the alignment.
            let tail = (offset_of!(Self, ends) - offset_of!(Self, accepted)) as u64;
            let tail = tail.checked_add(Endpoints::bytes(ends?)?)?;
            let slots = size.checked_sub(offer.checked_add(tail)?)?;
            let slot = slots / align.checked_mul(2)? * align;
            let accepted = offer + 2 * slot;
            Some((offer + slot, accepted, accepted + tail))
        };
        let slot = |offset| OwnedSlot::read_state(&OffsetReader(reader, offset));
        let (mut asked, mut accepted) = (WaitState::Unknown, WaitState::Unknown);
        let (mut senders, mut receivers) = (EndState::Unknown, EndState::Unknown);
        if let Some((request, offset, end)) = after_offer() {
            asked = slot(request)?;
            let lock = OffsetReader(reader, offset);
            accepted = WaitState::from_lock(RawRobustMutex::read_state(&lock)?);
            let handles = end - Endpoints::bytes(ends?)?;
            (senders, receivers) = Endpoints::states_of(&OffsetReader(reader, handles), ends);
        }
        Some(RendezvousState {
            lock: RobustMutex::read_state(&OffsetReader(reader, offset_of!(Self, lock) as u64))?,
            offered: slot(offer)?,
            asked,
            accepted,
            senders,
            receivers,
        })
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> Channel for Rendezvous<T, MAX_ENDPOINTS> {
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

impl<T: Pod, const MAX_ENDPOINTS: usize> Unregistered for Rendezvous<T, MAX_ENDPOINTS> {
    fn unregistered_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Receiving))
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> Buffer for Rendezvous<T, MAX_ENDPOINTS> {
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
        match timeout {
            Timeout::NonBlocking => self.hand_over(item)?,
            timeout => self.offer(item, timeout)?,
        }
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

    /// Returns 0, because a rendezvous never stores an item for a later receiver.
    fn len(&self) -> usize {
        0
    }

    fn capacity(&self) -> usize {
        0
    }
}

/// An item that a receiver has accepted and not yet acknowledged. Its sender waits.
///
/// Only one delivery exists at a time. Dropping the delivery leaves the item to another receiver. A
/// delivery cannot move to another thread. While a delivery exists, `recv` and `accept` block. If
/// the thread that has the delivery calls one of them without a timeout, the call never returns.
///
/// # Process death
/// If the receiver dies, the item remains offered, as if the delivery was dropped. If the sender
/// dies, or its timeout expires, the item is withdrawn, and [`acknowledge`](Self::acknowledge)
/// fails.
///
/// # Example
/// See [`Rendezvous`].
#[must_use = "dropping a delivery leaves the item to another receiver"]
pub struct Delivery<'a, T: Pod, const MAX_ENDPOINTS: usize = 8> {
    rendezvous: &'a Rendezvous<T, MAX_ENDPOINTS>,
    item: T,
    number: u64,
    token: OwnerToken,
}

/// The error of acknowledging an accepted item that could not be received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// The sender no longer waits: its timeout expired and it has its item back, or it died.
    Withdrawn,
    /// The operation failed for the reason that the contained [`ChannelError`] gives.
    Failed(ChannelError),
}

impl fmt::Display for AcknowledgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Withdrawn => f.write_str("the sender has withdrawn the item, or died"),
            Self::Failed(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for AcknowledgeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The text of the cause is the text of this error, so `source` returns the source of
            // the cause.
            Self::Failed(cause) => cause.source(),
            Self::Withdrawn => None,
        }
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> Delivery<'_, T, MAX_ENDPOINTS> {
    /// Takes the item. The sender's operation then returns.
    ///
    /// # Errors
    /// `Withdrawn` if the sender no longer waits, `Failed` with the cause otherwise. In both cases,
    /// the item is not received.
    pub fn acknowledge(self) -> Result<T, AcknowledgeError> {
        let (rendezvous, item) = (self.rendezvous, self.item);
        if !rendezvous.accepted.is_held_by(&self.token) {
            return Err(AcknowledgeError::Failed(ChannelError::Inherited));
        }
        let guard = rendezvous
            .lock_internal(Timeout::Infinite)
            .map_err(|error| match error {
                OperationError::Failed(cause) => AcknowledgeError::Failed(cause),
                // This match arm is never reached, because an infinite timeout never expires and a
                // lock is never disconnected.
                _ => AcknowledgeError::Failed(ChannelError::Corrupted),
            })?;
        let offer = &rendezvous.offer;
        let is_offered = offer.is_waiting(&guard) && offer.complete(self.number, &guard);
        drop(guard);
        drop(self);
        if !is_offered {
            return Err(AcknowledgeError::Withdrawn);
        }
        rendezvous.senders.notify_all();
        Ok(item)
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> Deref for Delivery<'_, T, MAX_ENDPOINTS> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> Drop for Delivery<'_, T, MAX_ENDPOINTS> {
    fn drop(&mut self) {
        let rendezvous = self.rendezvous;
        if !rendezvous.accepted.is_held_by(&self.token) {
            return;
        }
        // `accepted` is unlocked first, so that this thread can hold the rendezvous's lock even if
        // it holds the maximum number of robust locks.
        // SAFETY: this delivery holds `accepted`, and unlocks it only here.
        unsafe { rendezvous.accepted.unlock() };
        // A receiver that has found `accepted` locked is registered as a waiter before it unlocks
        // the rendezvous's lock, so it gets the notification. Locking fails only if a faulty peer
        // has overwritten the lock.
        drop(
            rendezvous
                .lock
                .lock()
                .or_else(RobustLockError::mark_consistent),
        );
        rendezvous.receivers.notify_one();
    }
}

/// The operations that only a [`Rendezvous`] has.
impl<'a, T: Pod, const MAX_ENDPOINTS: usize> Receiver<'a, Rendezvous<T, MAX_ENDPOINTS>> {
    /// Accepts an offered item, blocking until a sender offers one.
    ///
    /// The sender waits until the item is [acknowledged](Delivery::acknowledge).
    ///
    /// # Errors
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn accept(&self) -> Result<Delivery<'a, T, MAX_ENDPOINTS>, RecvError> {
        receiver::until_done(|| self.accept_with(Timeout::Infinite))
    }

    /// Accepts an offered item, waiting until the timeout expires.
    ///
    /// # Errors
    /// Returns the same errors as [`recv_with`](Self::recv_with).
    pub fn accept_with(
        &self,
        timeout: Timeout,
    ) -> Result<Delivery<'a, T, MAX_ENDPOINTS>, RecvTimeoutError> {
        self.owned_endpoint().map_err(OperationError::from)?;
        Ok(self.channel().accept(timeout)?)
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> fmt::Debug for Delivery<'_, T, MAX_ENDPOINTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delivery { .. }")
    }
}

impl<T, const MAX_ENDPOINTS: usize> fmt::Debug for Rendezvous<T, MAX_ENDPOINTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rendezvous { .. }")
    }
}
