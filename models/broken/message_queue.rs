//! Message queues that wake the wrong process, or that are inconsistent after a death.

use interlatch::channel::message_queue::{
    LengthPolicy, MessageQueueExt, MessageType, Received, Select,
};
use interlatch::channel::{RecvTimeoutError, SendTimeoutError};
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
            || killed_receive_completes_or_has_no_effect::<Flawed<TRUSTS_THE_COUNT, 3>>(2),
        ),
        broken(
            "message_queue_that_copies_after_unlocking",
            DataRace,
            keeps_order_within_a_type::<Flawed<COPIES_UNLOCKED, 1>>,
        ),
        broken(
            "message_queue_that_delivers_the_newest_first",
            WrongResult,
            keeps_order_within_a_type::<Flawed<NEWEST_FIRST, 2>>,
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

/// A send wakes only one receiver. If that receiver waits for another type, the right receiver
/// hangs.
const WAKES_ONE_RECEIVER: u8 = 0;
/// A receive wakes only one sender. If its message does not fit, a sender whose message fits hangs.
const WAKES_ONE_SENDER: u8 = 1;
/// A send marks the slot as used before it writes the message. After a death between these steps, a
/// receiver gets a torn message.
const NUMBERS_FIRST: u8 = 2;
/// A process does not recount the messages after an owner death, so the count is wrong and free
/// space is lost.
const TRUSTS_THE_COUNT: u8 = 3;
/// A receive frees the slot and unlocks before it copies the message, so the next sender races with
/// the copy.
const COPIES_UNLOCKED: u8 = 4;
/// A receive takes the newest message of a type instead of the oldest, so the order is wrong.
const NEWEST_FIRST: u8 = 5;

/// Slots that a robust mutex protects. All bytes of a message are equal.
#[repr(C)]
#[derive(ShmSafe)]
struct Flawed<const FLAW: u8, const SLOTS: usize> {
    lock: RobustMutex<()>,
    arrived: Condvar,
    left: Condvar,
    messages: RaceCell,
    sent: RaceCell,
    slots: [Slot; SLOTS],
}

/// A slot for one message.
#[repr(C)]
#[derive(ShmSafe)]
struct Slot {
    /// Position in the order of the messages, or 0 if the slot is free.
    number: RaceCell,
    kind: RaceCell,
    length: RaceCell,
    byte: RaceCell,
}

impl<const FLAW: u8, const SLOTS: usize> Flawed<FLAW, SLOTS> {
    fn lock(&self) -> RobustMutexGuard<'_, ()> {
        self.repaired(self.lock.lock())
    }

    fn repaired<'a>(
        &self,
        locked: Result<RobustMutexGuard<'a, ()>, RobustLockError<'a, ()>>,
    ) -> RobustMutexGuard<'a, ()> {
        if matches!(locked, Err(RobustLockError::OwnerDied(_))) && FLAW != TRUSTS_THE_COUNT {
            self.messages.set(self.full().count() as u64);
        }
        let guard = locked.or_else(RobustLockError::mark_consistent);
        guard.unwrap_or_else(|error| panic!("{error}"))
    }

    fn full(&self) -> impl DoubleEndedIterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.number.get() != 0)
    }

    fn push(&self, kind: MessageType, bytes: &[u8]) -> bool {
        let (length, max) = (bytes.len() as u64, self.slots.len() as u64);
        let used: u64 = self.full().map(|slot| slot.length.get()).sum();
        let free = self.slots.iter().find(|slot| slot.number.get() == 0);
        let (Some(slot), true, true) = (
            free,
            self.messages.get() < max,
            used + length <= self.max_length() as u64,
        ) else {
            return false;
        };
        let number = self.sent.get() + 1;
        self.sent.set(number);
        if FLAW == NUMBERS_FIRST {
            slot.number.set(number);
        }
        slot.kind.set(kind.get() as u64);
        slot.length.set(length);
        slot.byte
            .set(bytes.first().map_or(0, |byte| u64::from(*byte)));
        if FLAW != NUMBERS_FIRST {
            slot.number.set(number);
        }
        self.messages.set(self.messages.get() + 1);
        true
    }

    fn find(&self, select: Select) -> Option<&Slot> {
        let Select::Type(kind) = select else {
            return self.full().min_by_key(|slot| slot.number.get());
        };
        let matching = self
            .full()
            .filter(|slot| slot.kind.get() == kind.get() as u64);
        match FLAW {
            NEWEST_FIRST => matching.max_by_key(|slot| slot.number.get()),
            _ => matching.min_by_key(|slot| slot.number.get()),
        }
    }

    fn copy_out(&self, slot: &Slot, room: &mut [u8]) -> Received {
        let (number, length) = (slot.kind.get() as i64, slot.length.get() as usize);
        room[..length].fill(slot.byte.get() as u8);
        let kind = MessageType::new(number).unwrap_or(MessageType::LOWEST);
        Received::new(kind, length)
    }

    fn free(&self, slot: &Slot) {
        slot.number.set(0);
        self.messages.set(self.messages.get() - 1);
    }
}

impl<const FLAW: u8, const SLOTS: usize> MessageQueueExt for Flawed<FLAW, SLOTS> {
    fn max_length(&self) -> usize {
        SLOTS * 96 - 1
    }

    fn send_with(
        &self,
        kind: MessageType,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let mut guard = self.lock();
        while !self.push(kind, bytes) {
            if timeout == Timeout::NonBlocking {
                return Err(SendTimeoutError::Timeout(()));
            }
            guard = self.repaired(self.left.wait_robust(guard, timeout).0);
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
        _fit: LengthPolicy,
        timeout: Timeout,
    ) -> Result<Received, RecvTimeoutError> {
        let mut guard = self.lock();
        let slot = loop {
            if let Some(slot) = self.find(select) {
                break slot;
            }
            if timeout == Timeout::NonBlocking {
                return Err(RecvTimeoutError::Timeout);
            }
            guard = self.repaired(self.arrived.wait_robust(guard, timeout).0);
        };
        if FLAW == COPIES_UNLOCKED {
            self.free(slot);
            drop(guard);
            self.left.notify_all();
            return Ok(self.copy_out(slot, room));
        }
        let received = self.copy_out(slot, room);
        self.free(slot);
        drop(guard);
        match FLAW {
            WAKES_ONE_SENDER => self.left.notify_one(),
            _ => self.left.notify_all(),
        }
        Ok(received)
    }
}
