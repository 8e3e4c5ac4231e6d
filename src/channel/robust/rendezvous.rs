//! A buffer of no place: an item passes from hand to hand.
//!
//! **Promise.** A send returns when a receiver has taken the item, or the item comes back: exactly one of
//! the two, also if a time runs out or the other side dies in the middle.
//!
//! **Source.** Hoare, *Communicating sequential processes* (1978); the cell with its holder is that of
//! [`RobustSemaphorePair`](crate::RobustSemaphorePair).
//!
//! | cell | held by | state | who makes the step |
//! | --- | --- | --- | --- |
//! | offer | the sender that waits | nothing, offered | that sender |
//! | | | offered, taken | a receiver |
//! | ask | a receiver that waits | nothing, asked | that receiver |
//! | | | asked, given | a sender that does not wait |
//!
//! **Why it is correct.** A cell is held by a robust lock, so it is free when its holder has died, whatever
//! its state says; an offer counts only while it is held. Every step is one write of one word, under one
//! lock, and the item is in its place before the step that says so. A sender looks under the lock whether
//! its offer was taken, and withdraws it in the same visit if not.

use super::endpoints::{Endpoints, RobustEndpoint};
use crate::channel::slot::Slot;
use crate::channel::{
    AttachError, Buffer, Channel, ChannelError, Direction, EndState, OperationError, RecvError,
    RecvTimeoutError, RendezvousState, SendTimeoutError, Unregistered, WaitState, receiver,
};
use crate::platform::robust::commit;
use crate::platform::{
    MemoryReader, OffsetReader, Parameter, Pod, ShmSafe, ShmType, TypeInfo, UnsafeCell, constructor,
};
use crate::sync::{
    Condvar, LockError, OwnerToken, RawRobustMutex, RobustLockError, RobustMutex, RobustMutexGuard,
    Timeout,
};
use core::fmt;
use core::mem::offset_of;
use core::ops::Deref;

/// A buffer without a place: [`Sender::send`](crate::Sender::send) returns when a receiver has taken the item.
/// It survives the death of its users; for at most `ENDS` senders and as many receivers at one time.
///
/// | call | what it does |
/// | --- | --- |
/// | `send`, `send_timeout` | offers the item, and waits until it is taken; or gives up, and takes it back |
/// | `try_send` | gives the item to a receiver that is waiting in `recv` already, or takes it back |
/// | `recv`, `try_recv`, `recv_timeout` | takes an item that is offered |
/// | [`Receiver::accept`](crate::Receiver::accept) | shows the item; it is taken when it is [acknowledged](Delivery::acknowledge), and the sender waits until then |
///
/// `len` and `capacity` are 0.
///
/// # Fairness
/// None: of several senders or receivers that wait, any may be the next.
///
/// # Panics
/// None.
///
/// # Process death
/// | who dies | what happens |
/// | --- | --- |
/// | a sender that waits | its item is withdrawn, unless it was taken already |
/// | a receiver before it has taken | the item stays offered, to the next one |
/// | a receiver that has accepted, and not acknowledged | the same |
/// | a receiver after it has taken | the item has gone with it, and the sender was told that it was taken |
/// | a receiver that waits, while a `try_send` gives it an item | the same |
/// | the last receiver, or the last sender | the other side hears that it is disconnected |
///
/// Others hear of a death at once if they ask then, or within the
/// [`recheck_interval`](crate::platform::futex) if they sleep. Handles, leaks and many locks are as of
/// [`RobustMonitorBuffer`](super::RobustMonitorBuffer). A sender whose time is over asks for the lock inside
/// however long that takes: only there it learns whether the item was taken. So it waits for a process that
/// is stopped just there.
///
/// # Example
/// ```
/// use interlatch::{Channel, Rendezvous};
///
/// static MEETING: Rendezvous<u64> = Rendezvous::new();
///
/// std::thread::scope(|scope| {
///     let receiver = MEETING.receiver().unwrap();
///     scope.spawn(|| {
///         let sender = MEETING.sender().unwrap();
///         sender.send(7).unwrap();
///         sender.send(8).unwrap();
///     });
///     assert_eq!(receiver.recv(), Ok(7));
///     let delivery = receiver.accept().unwrap();
///     assert_eq!(*delivery, 8, "its sender waits");
///     assert_eq!(delivery.acknowledge(), Ok(8));
/// });
/// ```
#[repr(C)]
pub struct Rendezvous<T, const ENDS: usize = 8> {
    lock: RobustMutex<()>,
    /// Senders wait here: for the cell, or for a receiver.
    senders: Condvar,
    /// Receivers wait here.
    receivers: Condvar,
    offer: Cell<T>,
    ask: Cell<T>,
    /// Held by the receiver that has accepted the offer.
    accepted: RawRobustMutex,
    ends: Endpoints<ENDS>,
}

/// A place for an item on its way, of the process that waits there.
#[repr(C)]
struct Cell<T> {
    holder: RawRobustMutex,
    /// `NOTHING`; the number of an offer, or `ASKED`; `DONE`.
    state: UnsafeCell<u64>,
    /// How many offers there were.
    number: UnsafeCell<u64>,
    slot: Slot<T>,
}

const NOTHING: u64 = 0;
/// Taken, or given.
const DONE: u64 = 1;
/// A receiver waits for an item. Offers have this number and larger ones.
const ASKED: u64 = 2;

// SAFETY: everything but the locks is accessed under the lock only, and items move from the one that sends
// to the one that receives.
unsafe impl<T: Send, const ENDS: usize> Sync for Rendezvous<T, ENDS> {}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`, numbers that are only compared, and items that are valid
// for every bit pattern.
unsafe impl<T: Pod, const ENDS: usize> ShmSafe for Rendezvous<T, ENDS> {
    fn initial() -> Self {
        Self::new()
    }
}

impl<T: Pod, const ENDS: usize> ShmType for Rendezvous<T, ENDS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Rendezvous")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("MAX_ENDPOINTS", ENDS as u64),
        ]);
}

impl<T> Cell<T> {
    constructor! {
        fn new() -> Self {
            Self {
                holder: RawRobustMutex::new(),
                state: UnsafeCell::new(NOTHING),
                number: UnsafeCell::new(ASKED),
                slot: Slot::new(),
            }
        }
    }

    /// The caller holds the lock, as in all that follows.
    fn state(&self) -> u64 {
        // SAFETY: the lock is held.
        self.state.with(|state| unsafe { state.read_volatile() })
    }

    fn set(&self, state: u64) {
        // SAFETY: the lock is held.
        unsafe { commit(&self.state, state) };
    }

    /// Whether somebody waits here who lives, and nobody has come yet.
    fn is_waiting(&self) -> bool {
        self.state() >= ASKED && self.holder.is_locked()
    }

    /// Becomes the one that waits here, if nobody does.
    fn enter(&self) -> Result<bool, OperationError> {
        if self.holder.is_locked() {
            return Ok(false);
        }
        // What the last one has left: first, since whoever comes after this one, should it die, must not
        // find that state with its lock.
        self.set(NOTHING);
        match self.holder.lock_with(Timeout::NonBlocking) {
            Ok(_) => Ok(true),
            // This thread holds too many.
            Err(LockError::Refused(error)) => Err(ChannelError::from(error).into()),
            // It was free, and is taken under the lock only; or a faulty peer was here.
            Err(_) => Ok(false),
        }
    }

    /// Goes. The caller is the one that waits here. Its state counts no more, as that of a dead one.
    fn leave(&self) {
        // SAFETY: the caller is the holder.
        unsafe { self.holder.unlock() };
    }

    /// A number that no offer has had. A death before it is used leaves a gap, which does no harm.
    fn next_number(&self) -> u64 {
        // SAFETY: the lock is held.
        let number = self.number.with(|number| unsafe { number.read_volatile() });
        // Only a faulty peer gets to the end.
        let next = number.wrapping_add(1).max(ASKED);
        // SAFETY: the lock is held.
        unsafe { commit(&self.number, next) };
        next
    }
}

impl<T, const ENDS: usize> Rendezvous<T, ENDS> {
    constructor! {
        /// One at which nobody is. It is `const`, for statics.
        pub fn new() -> Self {
            Self {
                lock: RobustMutex::new(()),
                senders: Condvar::new(),
                receivers: Condvar::new(),
                offer: Cell::new(),
                ask: Cell::new(),
                accepted: RawRobustMutex::new(),
                ends: Endpoints::new(),
            }
        }
    }
}

impl<T, const ENDS: usize> Default for Rendezvous<T, ENDS> {
    fn default() -> Self {
        Self::new()
    }
}

type Guard<'a> = RobustMutexGuard<'a, ()>;

impl<T: Pod, const ENDS: usize> Rendezvous<T, ENDS> {
    fn visit(&self, timeout: Timeout) -> Result<Guard<'_>, OperationError> {
        let locked = self.lock.lock_with(timeout.for_internal_lock());
        Ok(locked.or_else(RobustLockError::mark_consistent)?)
    }

    /// Waits, and comes back with the lock however long that takes; false if the time was over.
    fn wait<'a>(
        &'a self,
        condition: &Condvar,
        guard: Guard<'a>,
        timeout: Timeout,
    ) -> Result<(Guard<'a>, bool), OperationError> {
        let (locked, in_time) = condition.wait_robust(guard, timeout);
        let guard = match locked {
            // Whatever was decided meanwhile has to be learnt.
            Err(RobustLockError::TimedOut) => self.lock.lock(),
            locked => locked,
        };
        Ok((guard.or_else(RobustLockError::mark_consistent)?, in_time))
    }

    /// Gives the item to a receiver that waits, if one does.
    fn give(&self, item: T) -> Result<(), OperationError> {
        let guard = self.visit(Timeout::NonBlocking)?;
        // SAFETY: the guard holds the lock of the channel.
        if unsafe { self.ends.has_closed(Direction::Receiving) } {
            return Err(OperationError::Disconnected);
        }
        if !self.ask.is_waiting() {
            return Err(OperationError::Timeout);
        }
        // SAFETY: the lock is held, and the holder looks into the place when it is told to.
        unsafe { self.ask.slot.put(item) };
        self.ask.set(DONE);
        drop(guard);
        // All of them: only one can take what is there.
        self.receivers.notify_all();
        Ok(())
    }

    /// Comes to the place where one sender at a time waits; the lock is held then.
    fn come_to_offer(&self, timeout: Timeout) -> Result<Guard<'_>, OperationError> {
        let mut guard = self.visit(timeout)?;
        let mut in_time = true;
        loop {
            // SAFETY: the guard holds the lock of the channel.
            if unsafe { self.ends.has_closed(Direction::Receiving) } {
                return Err(OperationError::Disconnected);
            }
            match self.offer.enter() {
                Ok(true) => return Ok(guard),
                Ok(false) => {}
                Err(refused) => {
                    // It may have been told of the place, which is for another one then.
                    self.senders.notify_one();
                    return Err(refused);
                }
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            (guard, in_time) = self.wait(&self.senders, guard, timeout)?;
        }
    }

    /// Offers the item until it is taken.
    fn offer(&self, item: T, timeout: Timeout) -> Result<(), OperationError> {
        let mut guard = self.come_to_offer(timeout)?;
        // SAFETY: the lock is held, and so is the place: what was in it was copied out, and is plain.
        unsafe { self.offer.slot.put(item) };
        self.offer.set(self.offer.next_number());
        let mut in_time = true;
        self.receivers.notify_one();
        let result = loop {
            if self.offer.state() == DONE {
                break Ok(());
            }
            // SAFETY: the guard holds the lock of the channel.
            if unsafe { self.ends.has_closed(Direction::Receiving) } {
                break Err(OperationError::Disconnected);
            }
            if !in_time {
                break Err(OperationError::Timeout);
            }
            (guard, in_time) = match self.wait(&self.senders, guard, timeout) {
                Ok(waited) => waited,
                Err(refused) => {
                    // The lock is not to be had any more: a faulty peer.
                    // SAFETY: this one is the holder.
                    unsafe { self.offer.holder.unlock() };
                    return Err(refused);
                }
            };
        };
        self.offer.leave();
        drop(guard);
        self.senders.notify_one();
        result
    }

    /// Whether there is an offer, and nobody has accepted it.
    fn is_offered(&self) -> bool {
        self.offer.is_waiting() && !self.accepted.is_locked()
    }

    /// Waits for an offer; the lock is held then. `Ok(Err(_))` is an item that was given meanwhile.
    fn come_to_take(&self, timeout: Timeout) -> Result<Result<Guard<'_>, T>, OperationError> {
        let mut guard = self.visit(timeout)?;
        let (mut in_time, mut asks) = (true, false);
        let result = loop {
            if asks && self.ask.state() == DONE {
                // SAFETY: the lock is held, and what was given is in its place; it is plain.
                break Ok(Err(unsafe { self.ask.slot.take() }));
            }
            if self.is_offered() {
                break Ok(Ok(()));
            }
            // SAFETY: the guard holds the lock of the channel.
            if unsafe { self.ends.has_closed(Direction::Sending) } {
                break Err(OperationError::Disconnected);
            }
            if !in_time || timeout == Timeout::NonBlocking {
                break Err(OperationError::Timeout);
            }
            if !asks {
                match self.ask.enter() {
                    Ok(true) => {
                        self.ask.set(ASKED);
                        asks = true;
                    }
                    Ok(false) => {}
                    Err(refused) => {
                        // As in `come_to_offer`.
                        self.receivers.notify_all();
                        return Err(refused);
                    }
                }
            }
            (guard, in_time) = match self.wait(&self.receivers, guard, timeout) {
                Ok(waited) => waited,
                Err(refused) => {
                    if asks {
                        // As in `offer`.
                        // SAFETY: this one is the holder.
                        unsafe { self.ask.holder.unlock() };
                    }
                    return Err(refused);
                }
            };
        };
        if asks {
            self.ask.leave();
            // It may have been told of an offer that it leaves; and another one can ask now. All of them: who
            // accepts does not ask.
            self.receivers.notify_all();
        }
        Ok(result?.map(|()| guard))
    }

    /// The item that is offered. The caller holds the lock.
    fn look(&self) -> T {
        // SAFETY: the lock is held. The place has an item, or whatever a faulty peer has made one; it is
        // plain, so it may be copied out again.
        unsafe { self.offer.slot.take() }
    }

    /// Accepts an offer, as long as timeout lasts; for who has a [`Receiver`](crate::Receiver) see
    /// [`Receiver::accept`](crate::Receiver::accept).
    ///
    /// # Errors
    /// In time there was none, or all senders are gone.
    pub fn accept_with(&self, timeout: Timeout) -> Result<Delivery<'_, T, ENDS>, RecvTimeoutError> {
        Ok(self.accepted_with(timeout)?)
    }

    fn accepted_with(&self, timeout: Timeout) -> Result<Delivery<'_, T, ENDS>, OperationError> {
        let mut guard = self.visit(timeout)?;
        let mut in_time = true;
        while !self.is_offered() {
            // SAFETY: the guard holds the lock of the channel.
            if unsafe { self.ends.has_closed(Direction::Sending) } {
                return Err(OperationError::Disconnected);
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            (guard, in_time) = self.wait(&self.receivers, guard, timeout)?;
        }
        match self.accepted.lock_with(Timeout::NonBlocking) {
            Ok(_) => {}
            // The offer is for another receiver.
            Err(error) => {
                drop(guard);
                self.receivers.notify_one();
                return Err(match error {
                    LockError::Refused(error) => ChannelError::RobustList(error),
                    // It was free, and is taken under the lock only: a faulty peer was here.
                    _ => ChannelError::Corrupted,
                }
                .into());
            }
        }
        let (item, number) = (self.look(), self.offer.state());
        drop(guard);
        Ok(Delivery {
            place: self,
            item,
            number,
            stamp: OwnerToken::new(),
        })
    }
}

impl Cell<()> {
    /// Who waits in the one that these words are, whatever its items.
    fn read_state(words: &dyn MemoryReader) -> Option<WaitState> {
        let state = words.read_u64(offset_of!(Self, state) as u64)?;
        let holder = OffsetReader(words, offset_of!(Self, holder) as u64);
        let holder = RawRobustMutex::read_state(&holder)?;
        Some(match state >= ASKED {
            true => WaitState::from_lock(holder),
            false => WaitState::Vacant,
        })
    }
}

impl Rendezvous<(), 1> {
    /// The state of the one that these words are, whatever its items, with so many handles at each end.
    pub(crate) fn read_state(
        words: &dyn MemoryReader,
        (size, align): (u64, u64),
        ends: Option<u64>,
    ) -> Option<RendezvousState> {
        let offer = (offset_of!(Self, offer) as u64).checked_next_multiple_of(align)?;
        let behind = || {
            // Behind the two cells, each of whole alignments, are the last two fields, and less than one
            // alignment of nothing.
            let last = (offset_of!(Self, ends) - offset_of!(Self, accepted)) as u64;
            let last = last.checked_add(Endpoints::bytes(ends?)?)?;
            let cells = size.checked_sub(offer.checked_add(last)?)?;
            let cell = cells / align.checked_mul(2)? * align;
            let accepted = offer + 2 * cell;
            Some((offer + cell, accepted, accepted + last))
        };
        let cell = |at| Cell::read_state(&OffsetReader(words, at));
        let (mut asked, mut accepted) = (WaitState::Unknown, WaitState::Unknown);
        let (mut senders, mut receivers) = (EndState::Unknown, EndState::Unknown);
        if let Some((ask, at, end)) = behind() {
            asked = cell(ask)?;
            accepted = WaitState::from_lock(RawRobustMutex::read_state(&OffsetReader(words, at))?);
            let handles = end - Endpoints::bytes(ends?)?;
            (senders, receivers) = Endpoints::states_of(&OffsetReader(words, handles), ends);
        }
        Some(RendezvousState {
            lock: RobustMutex::read_state(&OffsetReader(words, offset_of!(Self, lock) as u64))?,
            offered: cell(offer)?,
            asked,
            accepted,
            senders,
            receivers,
        })
    }
}

impl<T: Pod, const ENDS: usize> Rendezvous<T, ENDS> {
    fn attach(&self, direction: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        self.ends
            .attach(direction, &self.lock, self.waiters(direction))
    }

    fn unregistered(&self, direction: Direction) -> RobustEndpoint<'_> {
        self.ends
            .unregistered(direction, &self.lock, self.waiters(direction))
    }

    /// Where the other side waits for this one.
    fn waiters(&self, direction: Direction) -> &Condvar {
        match direction {
            Direction::Sending => &self.receivers,
            Direction::Receiving => &self.senders,
        }
    }
}

impl<T: Pod, const ENDS: usize> Channel for Rendezvous<T, ENDS> {
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

impl<T: Pod, const ENDS: usize> Unregistered for Rendezvous<T, ENDS> {
    fn unregistered_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Receiving))
    }
}

impl<T: Pod, const ENDS: usize> Buffer for Rendezvous<T, ENDS> {
    type Item = T;
    fn send_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        let sent = match timeout {
            Timeout::NonBlocking => self.give(item),
            timeout => self.offer(item, timeout),
        };
        sent.map_err(|error| error.with(item))
    }

    fn recv_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        let guard = match self.come_to_take(timeout)? {
            Ok(guard) => guard,
            Err(given) => return Ok(given),
        };
        let item = self.look();
        self.offer.set(DONE);
        drop(guard);
        // All of them: only one knows what to do with it.
        self.senders.notify_all();
        Ok(item)
    }

    /// None is ever between the two sides.
    fn len(&self) -> usize {
        0
    }

    fn capacity(&self) -> usize {
        0
    }
}

/// An item that was accepted and not yet taken: its sender waits. There is one at a time.
///
/// Dropping it leaves the item to another receiver. It stays on its thread; while it is there, `recv` and
/// `accept` by the same thread wait, like those of others, until it ends: without a time, for ever.
///
/// # Process death
/// As dropping it: the item stays offered. If the sender dies, or gives up, the item is withdrawn, which
/// [`acknowledge`](Self::acknowledge) says.
///
/// # Example
/// See [`Rendezvous`].
#[must_use = "dropping this leaves the item to another receiver"]
pub struct Delivery<'a, T: Pod, const ENDS: usize = 8> {
    place: &'a Rendezvous<T, ENDS>,
    item: T,
    number: u64,
    stamp: OwnerToken,
}

/// The sender has taken its item back, or died, before the item was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender has withdrawn the item: expected it to wait for the acknowledgement")]
pub struct Withdrawn;

impl<T: Pod, const ENDS: usize> Delivery<'_, T, ENDS> {
    /// Takes the item: its sender goes on.
    ///
    /// # Errors
    /// The sender does not wait any more, and has its item back.
    pub fn acknowledge(self) -> Result<T, Withdrawn> {
        let (place, item) = (self.place, self.item);
        if !place.accepted.is_held_by(&self.stamp) {
            return Err(Withdrawn);
        }
        let locked = place.lock.lock().or_else(RobustLockError::mark_consistent);
        let guard = locked.map_err(|_| Withdrawn)?;
        let is_there = place.offer.is_waiting() && place.offer.state() == self.number;
        if is_there {
            place.offer.set(DONE);
        }
        drop(guard);
        drop(self);
        if !is_there {
            return Err(Withdrawn);
        }
        place.senders.notify_all();
        Ok(item)
    }
}

impl<T: Pod, const ENDS: usize> Deref for Delivery<'_, T, ENDS> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: Pod, const ENDS: usize> Drop for Delivery<'_, T, ENDS> {
    fn drop(&mut self) {
        let place = self.place;
        if !place.accepted.is_held_by(&self.stamp) {
            return;
        }
        // Under the lock: whoever looks for an offer either finds it or is told. Not to be had only where
        // this thread holds too many; who waits then looks again by itself.
        let guard = place.lock.lock().or_else(RobustLockError::mark_consistent);
        // SAFETY: a delivery is made only by locking, and ends only once.
        unsafe { place.accepted.unlock() };
        drop(guard);
        place.receivers.notify_one();
    }
}

impl<'a, T: Pod, const ENDS: usize> crate::channel::Receiver<'a, Rendezvous<T, ENDS>> {
    /// Accepts an item that is offered, waiting for one. Its sender waits until it is
    /// [acknowledged](Delivery::acknowledge).
    ///
    /// # Errors
    /// As of [`recv`](Self::recv).
    pub fn accept(&self) -> Result<Delivery<'a, T, ENDS>, RecvError> {
        receiver::until_done(|| self.accept_with(Timeout::Infinite))
    }

    /// Accepts an item as long as timeout lasts.
    ///
    /// # Errors
    /// As of [`recv_with`](Self::recv_with).
    pub fn accept_with(&self, timeout: Timeout) -> Result<Delivery<'a, T, ENDS>, RecvTimeoutError> {
        match self.owned_endpoint() {
            Ok(_) => self.channel().accept_with(timeout),
            Err(cause) => Err(RecvTimeoutError::Failed(cause)),
        }
    }
}

impl<T: Pod, const ENDS: usize> fmt::Debug for Delivery<'_, T, ENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delivery { .. }")
    }
}

impl<T, const ENDS: usize> fmt::Debug for Rendezvous<T, ENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rendezvous { .. }")
    }
}
