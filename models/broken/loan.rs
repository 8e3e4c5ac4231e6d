//! Broken loans of slots: the slots do not record their holder in a robust lock, or operations by
//! value ignore that lock.

use interlatch::channel::RecvTimeoutError;
use interlatch::channel::SendTimeoutError;
use interlatch::channel::{AttachError, CountsEndpoints, Direction, EndpointRef, Unregistered};
use interlatch::platform::{ShmSafe, ShmType, TypeInfo, UnsafeCell, load_latest};
use interlatch::sync::RawRobustMutex;
use interlatch::sync::RobustLockError;
use interlatch::sync::RobustMutexGuard;
use interlatch::sync::Timeout;
use interlatch::{Buffer, Channel, RobustMutex};
use interlatch_check::FailureKind::{DataRace, WrongResult};
use interlatch_check::Model;
use interlatch_contract::loan::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "loan_marked_by_a_flag",
            WrongResult,
            sender_death_frees_its_loan::<Flawed<MARKED_BY_A_FLAG>>,
        ),
        Model::broken(
            "loan_visible_before_it_is_sent",
            DataRace,
            sender_death_frees_its_loan::<Flawed<VISIBLE_EARLY>>,
        ),
        Model::broken(
            "dead_loan_looked_at_without_acquire",
            DataRace,
            send_by_value_reuses_the_slot_of_a_dead_loan::<Flawed<LOOKS_RELAXED>>,
        ),
        Model::broken(
            "dead_borrower_looked_at_without_acquire",
            DataRace,
            receive_by_value_gets_the_item_of_a_dead_borrower::<Flawed<LOOKS_RELAXED>>,
        ),
        Model::broken(
            "value_sent_into_a_lent_slot",
            DataRace,
            send_by_value_reuses_the_slot_of_a_dead_loan::<Flawed<IGNORES_LOANS>>,
        ),
    ]
}

/// A plain flag marks a borrowed slot. The kernel does not clear the flag after a death, so the
/// slot is lost.
const MARKED_BY_A_FLAG: u8 = 0;
/// A sender marks the slot as full when it borrows the slot, so the reader races with the sender.
const VISIBLE_EARLY: u8 = 1;
/// The slot has a robust lock, and an operation by value looks at the lock without Acquire. So it
/// does not synchronize with a dead holder of the slot.
const LOOKS_RELAXED: u8 = 2;
/// An operation by value does not look at the lock of the slot.
const IGNORES_LOANS: u8 = 3;

const EMPTY: u64 = 0;
const LENT: u64 = 1;
const FULL: u64 = 2;

#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RobustMutex<()>,
    /// The lock of the slot, which only some of the flawed buffers use.
    holder: RawRobustMutex,
    state: UnsafeCell<u64>,
    item: UnsafeCell<u64>,
}

// SAFETY: the models run this type in one address space.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The locks stay
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                lock: RobustMutex::new(()).into_inner(),
                holder: RawRobustMutex::new().into_inner(),
                state: UnsafeCell::new(EMPTY),
                item: UnsafeCell::new(0),
            });
        }
    }
}

impl<const FLAW: u8> ShmType for Flawed<FLAW> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

// SAFETY: only the holder of `lock` accesses `state`, and only the holder of the slot accesses
// `item`, or the holder of `lock` if the slot has no holder. The checker detects any other access.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

fn get(number: &UnsafeCell<u64>) -> u64 {
    // SAFETY: the implementation of `Sync` for this type says which process may access the cell.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the implementation of `Sync` for this type says which process may access the cell.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8> Flawed<FLAW> {
    fn lock(&self) -> RobustMutexGuard<'_, ()> {
        let locked = self.lock.lock().or_else(RobustLockError::mark_consistent);
        locked.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Changes the slot's state from `from` to `to`. Returns false if the state is not `from`.
    fn transition(&self, from: u64, to: u64) -> bool {
        let _guard = self.lock();
        let is_from = get(&self.state) == from;
        if is_from {
            set(&self.state, to);
        }
        is_from
    }
}

/// The buffers whose slot has a robust lock.
impl<const FLAW: u8> Flawed<FLAW> {
    const HAS_HOLDER: bool = FLAW == LOOKS_RELAXED || FLAW == IGNORES_LOANS;

    /// Runs `action` as the holder of the slot if the state is `from`, and then changes the state
    /// to `to`.
    fn with_slot<R>(&self, from: u64, to: u64, action: impl FnOnce() -> R) -> Option<R> {
        let guard = self.lock();
        let is_free = get(&self.state) == from;
        if !is_free || self.holder.lock_with(Timeout::NonBlocking).is_err() {
            return None;
        }
        drop(guard);
        let result = action();
        let _guard = self.lock();
        // SAFETY: this thread locked `holder` above.
        unsafe { self.holder.unlock() };
        set(&self.state, to);
        Some(result)
    }

    /// Runs `action` under the lock if the state is `from` and the slot seems to have no holder,
    /// and then changes the state to `to`.
    fn by_value<R>(&self, from: u64, to: u64, action: impl FnOnce() -> R) -> Option<R> {
        const OWNER: u32 = 0x3fff_ffff;
        let _guard = self.lock();
        let is_held = FLAW == LOOKS_RELAXED && load_latest(self.holder.word()) & OWNER != 0;
        if get(&self.state) != from || is_held {
            return None;
        }
        let result = action();
        set(&self.state, to);
        Some(result)
    }
}

impl<const FLAW: u8> Lends for Flawed<FLAW> {
    fn fill(&self, item: u64, _timeout: Timeout, before_send: impl FnOnce()) -> bool {
        if Self::HAS_HOLDER {
            let filled = self.with_slot(EMPTY, FULL, || set(&self.item, item));
            return filled.is_some();
        }
        let lent = if FLAW == VISIBLE_EARLY { FULL } else { LENT };
        if !self.transition(EMPTY, lent) {
            return false;
        }
        set(&self.item, item);
        before_send();
        lent == FULL || self.transition(LENT, FULL)
    }

    fn spoil(&self, _timeout: Timeout) {}

    fn read(&self, _timeout: Timeout) -> Result<u64, RecvTimeoutError> {
        if Self::HAS_HOLDER {
            let read = self.with_slot(FULL, EMPTY, || get(&self.item));
            return read.ok_or(RecvTimeoutError::Timeout);
        }
        if !self.transition(FULL, LENT) {
            return Err(RecvTimeoutError::Timeout);
        }
        let item = get(&self.item);
        self.transition(LENT, EMPTY);
        Ok(item)
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
        let is_sent = match Self::HAS_HOLDER {
            true => self
                .by_value(EMPTY, FULL, || set(&self.item, item))
                .is_some(),
            false => self.fill(item, timeout, || {}),
        };
        match is_sent {
            true => Ok(()),
            false => Err(SendTimeoutError::Timeout(item)),
        }
    }

    fn recv_with(
        &self,
        _endpoint: &EndpointRef<'_, Self>,
        timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        if Self::HAS_HOLDER {
            let received = self.by_value(FULL, EMPTY, || get(&self.item));
            return received.ok_or(RecvTimeoutError::Timeout);
        }
        self.read(timeout)
    }

    fn len(&self) -> usize {
        0
    }

    fn capacity(&self) -> usize {
        1
    }
}

impl<const FLAW: u8> CountsEndpoints for Flawed<FLAW> {
    fn join(&self, _end: Direction) -> Result<(), AttachError> {
        Ok(())
    }

    fn leave(&self, _end: Direction) {}
}
