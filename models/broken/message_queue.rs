//! Message queues that wake the wrong one, or that a death leaves in disorder.

use interlatch::channel::message_queue::{
    MessageQueueExt, MessageType, Oversize, ReceiveMessageError, Received, Select, SendMessageError,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Condvar, RobustMutex};
use interlatch_check::FailureKind::{self, DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use interlatch_contract::message_queue;

pub fn models() -> Vec<Model> {
    use message_queue::*;
    vec![
        broken(
            "message_queue_that_wakes_one_receiver",
            Deadlock,
            receiver_of_another_type_takes_no_wakeup::<Flawed<WAKES_ONE_RECEIVER, 2>>,
        ),
        broken(
            "message_queue_that_wakes_one_sender",
            Deadlock,
            sender_of_a_longer_message_takes_no_wakeup::<Flawed<WAKES_ONE_SENDER, 3>>,
        ),
        broken(
            "message_queue_that_numbers_before_it_fills",
            WrongResult,
            || killed_send_completes_or_has_no_effect::<Flawed<NUMBERS_FIRST, 2>>(2),
        ),
        broken(
            "message_queue_that_trusts_the_count_after_owner_death",
            WrongResult,
            || killed_receive_completes_or_has_no_effect::<Flawed<BELIEVES_THE_COUNT, 3>>(2),
        ),
        broken(
            "message_queue_that_copies_after_unlocking",
            DataRace,
            || keeps_order_within_a_type::<Flawed<COPIES_OUTSIDE, 1>>(),
        ),
        broken(
            "message_queue_that_delivers_the_newest_first",
            WrongResult,
            || keeps_order_within_a_type::<Flawed<NEWEST_FIRST, 2>>(),
        ),
    ]
}

fn broken<S: ShmSafe + 'static>(
    bug: &str,
    kind: FailureKind,
    build: impl Fn() -> Scenario<S> + Send + Sync + 'static,
) -> Model {
    Model::broken(bug, kind, build)
}

/// An arrival wakes one receiver, whatever that one waits for.
const WAKES_ONE_RECEIVER: u8 = 0;
/// Room that is free again wakes one sender, whatever that one needs.
const WAKES_ONE_SENDER: u8 = 1;
/// Says that the message is there before it is.
const NUMBERS_FIRST: u8 = 2;
/// Whoever gets the lock from the dead does not count anew.
const BELIEVES_THE_COUNT: u8 = 3;
/// Gives the place back, unlocks, and copies then.
const COPIES_OUTSIDE: u8 = 4;
/// Looks from the wrong end.
const NEWEST_FIRST: u8 = 5;

/// A few places under a robust lock, for messages whose bytes are all the same.
struct Flawed<const FLAW: u8, const PLACES: usize> {
    lock: RobustMutex<()>,
    arrived: Condvar,
    left: Condvar,
    messages: RaceCell,
    sent: RaceCell,
    places: [Place; PLACES],
}

/// A place is free while its number is 0; the numbers are in the order of the messages.
struct Place {
    number: RaceCell,
    kind: RaceCell,
    length: RaceCell,
    byte: RaceCell,
}

// SAFETY: the models run it in one address space.
unsafe impl<const FLAW: u8, const PLACES: usize> ShmSafe for Flawed<FLAW, PLACES> {
    fn initial() -> Self {
        let place = || Place {
            number: RaceCell::new(0),
            kind: RaceCell::new(0),
            length: RaceCell::new(0),
            byte: RaceCell::new(0),
        };
        Self {
            lock: RobustMutex::new(()),
            arrived: Condvar::new(),
            left: Condvar::new(),
            messages: RaceCell::new(0),
            sent: RaceCell::new(0),
            places: core::array::from_fn(|_| place()),
        }
    }
}

impl<const FLAW: u8, const PLACES: usize> Flawed<FLAW, PLACES> {
    fn lock(&self) -> RobustMutexGuard<'_, ()> {
        self.in_order(self.lock.lock())
    }

    fn in_order<'a>(
        &self,
        locked: Result<RobustMutexGuard<'a, ()>, RobustLockError<'a, ()>>,
    ) -> RobustMutexGuard<'a, ()> {
        if matches!(locked, Err(RobustLockError::OwnerDied(_))) && FLAW != BELIEVES_THE_COUNT {
            self.messages.set(self.full().count() as u64);
        }
        let guard = locked.or_else(RobustLockError::mark_consistent);
        guard.unwrap_or_else(|error| panic!("{error}"))
    }

    fn full(&self) -> impl DoubleEndedIterator<Item = &Place> {
        self.places.iter().filter(|place| place.number.get() != 0)
    }

    fn push(&self, kind: MessageType, bytes: &[u8]) -> bool {
        let (length, most) = (bytes.len() as u64, self.places.len() as u64);
        let used: u64 = self.full().map(|place| place.length.get()).sum();
        let free = self.places.iter().find(|place| place.number.get() == 0);
        let (Some(place), true, true) = (
            free,
            self.messages.get() < most,
            used + length <= self.longest() as u64,
        ) else {
            return false;
        };
        let number = self.sent.get() + 1;
        self.sent.set(number);
        if FLAW == NUMBERS_FIRST {
            place.number.set(number);
        }
        place.kind.set(kind.get() as u64);
        place.length.set(length);
        place
            .byte
            .set(bytes.first().map_or(0, |byte| u64::from(*byte)));
        if FLAW != NUMBERS_FIRST {
            place.number.set(number);
        }
        self.messages.set(self.messages.get() + 1);
        true
    }

    fn find(&self, select: Select) -> Option<&Place> {
        let Select::Type(kind) = select else {
            return self.full().min_by_key(|place| place.number.get());
        };
        let asked = self
            .full()
            .filter(|place| place.kind.get() == kind.get() as u64);
        match FLAW {
            NEWEST_FIRST => asked.max_by_key(|place| place.number.get()),
            _ => asked.min_by_key(|place| place.number.get()),
        }
    }

    fn copy_out(&self, place: &Place, room: &mut [u8]) -> Received {
        let (number, length) = (place.kind.get() as i64, place.length.get() as usize);
        room[..length].fill(place.byte.get() as u8);
        let kind = MessageType::new(number).unwrap_or(MessageType::LOWEST);
        Received { kind, length }
    }

    fn forget(&self, place: &Place) {
        place.number.set(0);
        self.messages.set(self.messages.get() - 1);
    }
}

impl<const FLAW: u8, const PLACES: usize> MessageQueueExt for Flawed<FLAW, PLACES> {
    fn longest(&self) -> usize {
        PLACES * 96 - 1
    }

    fn send_with(
        &self,
        kind: MessageType,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<(), SendMessageError> {
        let mut guard = self.lock();
        while !self.push(kind, bytes) {
            if timeout == Timeout::NonBlocking {
                return Err(SendMessageError::Full);
            }
            guard = self.in_order(self.left.wait_robust(guard, timeout).0);
        }
        drop(guard);
        match FLAW {
            WAKES_ONE_RECEIVER => self.arrived.notify_one(),
            _ => self.arrived.notify_all(),
        }
        Ok(())
    }

    fn receive_into(
        &self,
        select: Select,
        room: &mut [u8],
        _fit: Oversize,
        timeout: Timeout,
    ) -> Result<Received, ReceiveMessageError> {
        let mut guard = self.lock();
        let place = loop {
            if let Some(place) = self.find(select) {
                break place;
            }
            if timeout == Timeout::NonBlocking {
                return Err(ReceiveMessageError::NoMessage);
            }
            guard = self.in_order(self.arrived.wait_robust(guard, timeout).0);
        };
        if FLAW == COPIES_OUTSIDE {
            self.forget(place);
            drop(guard);
            self.left.notify_all();
            return Ok(self.copy_out(place, room));
        }
        let received = self.copy_out(place, room);
        self.forget(place);
        drop(guard);
        match FLAW {
            WAKES_ONE_SENDER => self.left.notify_one(),
            _ => self.left.notify_all(),
        }
        Ok(received)
    }
}
