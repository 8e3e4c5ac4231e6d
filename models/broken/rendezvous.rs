//! Rendezvous whose sender and receiver disagree about the outcome.

use interlatch::channel::RecvTimeoutError;
use interlatch::channel::SendTimeoutError;
use interlatch::channel::{AttachError, CountsEndpoints, Direction, EndpointRef, Unregistered};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::{AtomicU32, AtomicU64, ShmSafe, ShmType, TypeInfo, UnsafeCell};
use interlatch::sync::Acquired;
use interlatch::sync::RobustLockError;
use interlatch::sync::RobustMutexGuard;
use interlatch::sync::{RawRobustMutex, Timeout};
use interlatch::{Buffer, Channel, Condvar, RobustMutex};
use interlatch_check::FailureKind::{Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_contract::rendezvous::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "rendezvous_that_withdraws_a_received_item",
            WrongResult,
            || item_is_received_or_returned::<Flawed<WITHDRAWS_RECEIVED>>(2),
        ),
        Model::broken(
            "rendezvous_that_does_not_wait",
            WrongResult,
            send_returns_after_the_item_is_received::<Flawed<DOES_NOT_WAIT>>,
        ),
        Model::broken(
            "rendezvous_that_wakes_no_sender",
            Deadlock,
            send_returns_after_the_item_is_received::<Flawed<WAKES_NO_SENDER>>,
        ),
        Model::broken(
            "rendezvous_that_keeps_offers_after_owner_death",
            WrongResult,
            || item_of_killed_sender_is_received_or_withdrawn::<Flawed<KEEPS_DEAD_OFFERS>>(2),
        ),
        Model::broken(
            "rendezvous_that_offers_before_it_fills",
            WrongResult,
            || item_of_killed_sender_is_received_or_withdrawn::<Flawed<OFFERS_FIRST>>(2),
        ),
        Model::broken(
            "rendezvous_whose_non_blocking_send_trusts_an_acceptor",
            WrongResult,
            non_blocking_send_passes_an_acceptor::<FlawedMix<TRUSTS_ACCEPTORS>>,
        ),
        Model::broken(
            "rendezvous_that_takes_over_the_item_of_a_dead_acceptor",
            WrongResult,
            item_of_killed_acceptor_is_received_by_value::<FlawedMix<TAKES_OVER>>,
        ),
    ]
}

/// A timed-out sender takes its item back without checking whether a receiver took the item.
///
/// As a result, the item is both received and returned to its sender.
const WITHDRAWS_RECEIVED: u8 = 0;
/// A send returns before a receiver takes the item, like a send into a buffer with one slot.
const DOES_NOT_WAIT: u8 = 1;
/// A receiver takes the item but does not notify the sender, so the sender hangs.
const WAKES_NO_SENDER: u8 = 2;
/// An offered item stays valid after its sender dies, so a receiver gets an item that should be
/// withdrawn.
const KEEPS_DEAD_OFFERS: u8 = 3;
/// A sender publishes its offer before it writes the item. After a death between these steps, a
/// receiver gets a wrong item.
const OFFERS_FIRST: u8 = 4;

const NOTHING: u64 = 0;
const OFFERED: u64 = 1;
const TAKEN: u64 = 2;

/// A broken rendezvous for one sender and one receiver.
#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RobustMutex<()>,
    changed: Condvar,
    holder: RawRobustMutex,
    state: UnsafeCell<u64>,
    item: UnsafeCell<u64>,
}

// SAFETY: the models run this type in one address space.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                lock: RobustMutex::new(()).into_inner(),
                changed: Condvar::new(),
                holder: RawRobustMutex::new().into_inner(),
                state: UnsafeCell::new(NOTHING),
                item: UnsafeCell::new(0),
            });
        }
    }
}

impl<const FLAW: u8> ShmType for Flawed<FLAW> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

// SAFETY: only the holder of `lock` accesses the cells.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

fn repaired<'a>(locked: interlatch::sync::RobustLockResult<'a, ()>) -> RobustMutexGuard<'a, ()> {
    let locked = locked.or_else(RobustLockError::mark_consistent);
    locked.unwrap_or_else(|error| panic!("{error}"))
}

fn get(number: &UnsafeCell<u64>) -> u64 {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8> Flawed<FLAW> {
    fn wait<'a>(
        &'a self,
        guard: RobustMutexGuard<'a, ()>,
        timeout: Timeout,
    ) -> (RobustMutexGuard<'a, ()>, bool) {
        match self.changed.wait_robust(guard, timeout) {
            (Err(RobustLockError::TimedOut), in_time) => (repaired(self.lock.lock()), in_time),
            (locked, in_time) => (repaired(locked), in_time),
        }
    }

    fn is_offered(&self) -> bool {
        get(&self.state) == OFFERED && (FLAW == KEEPS_DEAD_OFFERS || self.holder.is_locked())
    }
}

impl<const FLAW: u8> Channel for Flawed<FLAW> {
    type SendEndpoint<'a> = EndpointRef<'a, Self>;
    type RecvEndpoint<'a> = EndpointRef<'a, Self>;

    fn attach_sender(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        EndpointRef::new(self, Direction::Sending)
    }

    fn attach_receiver(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        EndpointRef::new(self, Direction::Receiving)
    }
}

impl<const FLAW: u8> Unregistered for Flawed<FLAW> {
    fn unregistered_sender(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Receiving))
    }
}

impl<const FLAW: u8> Buffer for Flawed<FLAW> {
    type Item = u64;

    fn send_with(
        &self,
        _endpoint: &EndpointRef<'_, Self>,
        item: u64,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<u64>> {
        if timeout == Timeout::NonBlocking {
            return Err(SendTimeoutError::Timeout(item));
        }
        // The kernel marks the words of a dead process from the newest to the oldest. If the
        // holder's word is the older one, a receiver finds the lock free and the holder's word
        // still held.
        let is_holder = FLAW == OFFERS_FIRST && self.holder.lock_with(Timeout::NonBlocking).is_ok();
        let mut guard = repaired(self.lock.lock());
        assert!(is_holder || self.holder.lock_with(Timeout::NonBlocking).is_ok());
        if FLAW == OFFERS_FIRST {
            set(&self.state, OFFERED);
        }
        set(&self.item, item);
        set(&self.state, OFFERED);
        self.changed.notify_one();
        let mut in_time = FLAW != DOES_NOT_WAIT;
        while get(&self.state) == OFFERED && in_time {
            (guard, in_time) = self.wait(guard, timeout);
        }
        let is_owned = match FLAW {
            WITHDRAWS_RECEIVED => in_time,
            DOES_NOT_WAIT => true,
            _ => get(&self.state) == TAKEN,
        };
        if FLAW != DOES_NOT_WAIT {
            set(&self.state, NOTHING);
            // SAFETY: this function has acquired the lock `holder` above.
            unsafe { self.holder.unlock() };
        }
        drop(guard);
        match is_owned {
            true => Ok(()),
            false => Err(SendTimeoutError::Timeout(item)),
        }
    }

    fn recv_with(
        &self,
        _endpoint: &EndpointRef<'_, Self>,
        timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        let mut guard = repaired(self.lock.lock());
        let mut in_time = true;
        while !self.is_offered() {
            if !in_time {
                return Err(RecvTimeoutError::Timeout);
            }
            (guard, in_time) = self.wait(guard, timeout);
        }
        let item = get(&self.item);
        set(&self.state, TAKEN);
        drop(guard);
        if FLAW != WAKES_NO_SENDER {
            self.changed.notify_one();
        }
        Ok(item)
    }

    fn len(&self) -> usize {
        0
    }

    fn capacity(&self) -> usize {
        0
    }
}

impl<const FLAW: u8> CountsEndpoints for Flawed<FLAW> {
    fn join(&self, _end: Direction) -> Result<(), AttachError> {
        Ok(())
    }

    fn leave(&self, _end: Direction) {}
}

/// A non-blocking send succeeds if a receiver waits in `accept`, which takes no such item.
const TRUSTS_ACCEPTORS: u8 = 0;
/// A receiver takes the item that a dead receiver has accepted, and its sender learns nothing of
/// this. The item is both received and returned to its sender.
const TAKES_OVER: u8 = 1;

/// A rendezvous in which accepting an item disturbs the operations by value.
#[repr(C)]
#[derive(Debug, ShmSafe)]
struct FlawedMix<const FLAW: u8> {
    rendezvous: SmallRendezvous,
    /// 1 while a receiver accepts.
    is_accepting: AtomicU32,
    /// The lock of the receiver that accepts, and the item that it has accepted, or 0.
    acceptor: RawRobustMutex,
    accepted: AtomicU64,
}

impl<const FLAW: u8> Channel for FlawedMix<FLAW> {
    type SendEndpoint<'a> = <SmallRendezvous as Channel>::SendEndpoint<'a>;
    type RecvEndpoint<'a> = <SmallRendezvous as Channel>::RecvEndpoint<'a>;

    fn attach_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError> {
        self.rendezvous.attach_sender()
    }

    fn attach_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError> {
        self.rendezvous.attach_receiver()
    }
}

impl<const FLAW: u8> Unregistered for FlawedMix<FLAW> {
    fn unregistered_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError> {
        self.rendezvous.unregistered_sender()
    }

    fn unregistered_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError> {
        self.rendezvous.unregistered_receiver()
    }
}

impl<const FLAW: u8> Buffer for FlawedMix<FLAW> {
    type Item = u64;

    fn send_with(
        &self,
        endpoint: &Self::SendEndpoint<'_>,
        item: u64,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<u64>> {
        let sent = self.rendezvous.send_with(endpoint, item, timeout);
        let is_trusted = FLAW == TRUSTS_ACCEPTORS
            && timeout == Timeout::NonBlocking
            && self.is_accepting.fetch_or(0, Relaxed) == 1;
        if is_trusted { Ok(()) } else { sent }
    }

    fn recv_with(
        &self,
        endpoint: &Self::RecvEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        let received = self.rendezvous.recv_with(endpoint, timeout);
        match received {
            Err(_) if FLAW == TAKES_OVER => self.take_over().ok_or(RecvTimeoutError::Timeout),
            received => received,
        }
    }

    fn len(&self) -> usize {
        0
    }

    fn capacity(&self) -> usize {
        0
    }
}

impl<const FLAW: u8> FlawedMix<FLAW> {
    /// Takes the item that a dead receiver has accepted.
    fn take_over(&self) -> Option<u64> {
        let acquired = self.acceptor.lock_with(Timeout::NonBlocking).ok()?;
        // SAFETY: this thread locked `acceptor` above.
        unsafe { self.acceptor.unlock() };
        if acquired == Acquired::Clean {
            return None;
        }
        match self.accepted.swap(0, Relaxed) {
            0 => None,
            item => Some(item),
        }
    }
}

impl<const FLAW: u8> Accepts for FlawedMix<FLAW> {
    fn accept_and_acknowledge(&self, timeout: Timeout) -> Option<u64> {
        self.acceptor.lock_with(Timeout::NonBlocking).ok()?;
        self.is_accepting.swap(1, Relaxed);
        let delivery = self.rendezvous.accept_unregistered(timeout).ok();
        let acknowledged = delivery.and_then(|delivery| {
            self.accepted.swap(*delivery, Relaxed);
            delivery.acknowledge().ok()
        });
        self.accepted.swap(0, Relaxed);
        self.is_accepting.swap(0, Relaxed);
        // SAFETY: this thread locked `acceptor` above.
        unsafe { self.acceptor.unlock() };
        acknowledged
    }
}
