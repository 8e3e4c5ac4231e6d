//! Bounded buffers that break one promise each.

use interlatch::buffer::{Counted, CountsEnds, End};
use interlatch::check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch::check::Model;
use interlatch::contract::buffer;
use interlatch::platform::{InPlace, UnsafeCell};
use interlatch::sync::{Condition, Condvar, Held, Lock, Patience};
use interlatch::{Buffer, Disconnected, RawMutex, RecvTimeoutError, SendTimeoutError};

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "buffer_that_is_a_stack",
            WrongResult,
            buffer::keeps_order::<Flawed<IS_A_STACK>>,
        ),
        Model::broken(
            "buffer_that_holds_one_too_many",
            WrongResult,
            buffer::never_exceeds_capacity::<Flawed<HOLDS_ONE_TOO_MANY>>,
        ),
        Model::broken(
            "buffer_that_pushes_unlocked",
            DataRace,
            buffer::two_senders_are_both_heard::<Flawed<PUSHES_UNLOCKED>>,
        ),
        Model::broken(
            "buffer_that_delivers_twice",
            WrongResult,
            buffer::keeps_order::<Flawed<DELIVERS_TWICE>>,
        ),
        Model::broken(
            "buffer_that_closes_silently",
            Deadlock,
            buffer::closing_wakes_every_receiver::<Flawed<CLOSES_SILENTLY>>,
        ),
        Model::broken(
            "buffer_whose_close_wakes_one_receiver",
            Deadlock,
            buffer::closing_wakes_every_receiver::<Flawed<CLOSE_WAKES_ONE>>,
        ),
        Model::broken(
            "buffer_whose_close_wakes_one_sender",
            Deadlock,
            buffer::closing_wakes_every_sender::<Flawed<CLOSE_WAKES_ONE>>,
        ),
        Model::broken(
            "buffer_that_ends_before_it_is_drained",
            WrongResult,
            buffer::closing_lets_receivers_drain_and_end::<Flawed<ENDS_BEFORE_DRAINED>>,
        ),
        Model::broken(
            "buffer_with_one_condition_for_both",
            Deadlock,
            buffer::delivers_each_once::<Flawed<ONE_CONDITION_FOR_BOTH>>,
        ),
        Model::broken(
            "buffer_whose_timed_out_sender_leaves_its_item",
            WrongResult,
            buffer::an_impatient_sender_leaves_nothing_behind::<
                Flawed<TIMED_OUT_SENDER_LEAVES_ITS_ITEM>,
            >,
        ),
        Model::broken(
            "buffer_whose_timed_out_receiver_takes_one",
            Deadlock,
            buffer::an_impatient_receiver_takes_nothing_along::<Flawed<TIMED_OUT_RECEIVER_TAKES_ONE>>,
        ),
    ]
}

/// Hands out the newest item.
const IS_A_STACK: u8 = 0;
/// Has room for one more than it says.
const HOLDS_ONE_TOO_MANY: u8 = 1;
/// Appends outside the lock.
const PUSHES_UNLOCKED: u8 = 2;
/// Hands out an item and forgets to take it out the first time.
const DELIVERS_TWICE: u8 = 3;
/// Tells nobody that it was closed.
const CLOSES_SILENTLY: u8 = 4;
/// Tells one.
const CLOSE_WAKES_ONE: u8 = 5;
/// Reports the end although there are items left.
const ENDS_BEFORE_DRAINED: u8 = 6;
/// "Not full" and "not empty" are one condition variable, with `notify_one`.
const ONE_CONDITION_FOR_BOTH: u8 = 7;
/// A sender whose time is over has put its item in all the same.
const TIMED_OUT_SENDER_LEAVES_ITS_ITEM: u8 = 8;
/// A receiver whose time is over takes an item, and says that it did not.
const TIMED_OUT_RECEIVER_TAKES_ONE: u8 = 9;

#[derive(Debug, Default)]
struct Inside {
    items: Vec<u64>,
    delivered: usize,
    handles: [u32; 2],
    closed: [bool; 2],
}

/// A monitor of capacity 1 around a vector.
#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RawMutex,
    not_full: Condvar,
    not_empty: Condvar,
    inside: UnsafeCell<Inside>,
}

// SAFETY: the models run it in one address space.
unsafe impl<const FLAW: u8> InPlace for Flawed<FLAW> {
    fn initial() -> Self {
        Self {
            lock: RawMutex::new(),
            not_full: Condvar::new(),
            not_empty: Condvar::new(),
            inside: UnsafeCell::new(Inside::default()),
        }
    }
}

// SAFETY: accessed under the lock, or the checker finds it.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

impl<const FLAW: u8> Flawed<FLAW> {
    fn change<R>(&self, change: impl FnOnce(&mut Inside) -> R) -> R {
        // SAFETY: under the lock, or the checker finds it.
        self.inside
            .with_mut(|inside| change(unsafe { &mut *inside }))
    }

    fn not_empty(&self) -> &Condvar {
        if FLAW == ONE_CONDITION_FOR_BOTH {
            &self.not_full
        } else {
            &self.not_empty
        }
    }

    fn wait(&self, on: &Condvar, held: &mut Held<'_, RawMutex>, patience: Patience) -> bool {
        on.wait_within(held, patience)
    }

    fn pop(inside: &mut Inside) -> Option<u64> {
        if inside.items.is_empty() {
            return None;
        }
        inside.delivered += 1;
        if FLAW == DELIVERS_TWICE && inside.delivered == 1 {
            return Some(inside.items[0]);
        }
        Some(inside.items.remove(0))
    }
}

fn side(end: End) -> usize {
    match end {
        End::Sending => 0,
        End::Receiving => 1,
    }
}

impl<const FLAW: u8> Buffer for Flawed<FLAW> {
    type Item = u64;
    type Seat<'a> = Counted<'a, Self>;
    type AttachError = Disconnected;

    fn send_within(&self, item: u64, patience: Patience) -> Result<(), SendTimeoutError<u64>> {
        let room = if FLAW == HOLDS_ONE_TOO_MANY || FLAW == IS_A_STACK {
            2
        } else {
            1
        };
        if FLAW == PUSHES_UNLOCKED {
            self.change(|inside| inside.items.push(item));
            self.not_empty().notify_one();
            return Ok(());
        }
        let mut held = self.lock.hold();
        let mut in_time = true;
        while self.change(|inside| inside.items.len() >= room) {
            if self.change(|inside| inside.closed[1]) {
                return Err(SendTimeoutError::Disconnected(item));
            }
            if !in_time {
                if FLAW == TIMED_OUT_SENDER_LEAVES_ITS_ITEM {
                    self.change(|inside| inside.items.push(item));
                }
                return Err(SendTimeoutError::Timeout(item));
            }
            in_time = self.wait(&self.not_full, &mut held, patience);
        }
        if self.change(|inside| inside.closed[1]) {
            return Err(SendTimeoutError::Disconnected(item));
        }
        self.change(|inside| match FLAW {
            IS_A_STACK => inside.items.insert(0, item),
            _ => inside.items.push(item),
        });
        drop(held);
        self.not_empty().notify_one();
        Ok(())
    }

    fn recv_within(&self, patience: Patience) -> Result<u64, RecvTimeoutError> {
        let mut held = self.lock.hold();
        let mut in_time = true;
        loop {
            let closed = self.change(|inside| inside.closed[0]);
            if FLAW == ENDS_BEFORE_DRAINED && closed {
                return Err(RecvTimeoutError::Disconnected);
            }
            if FLAW == TIMED_OUT_RECEIVER_TAKES_ONE && !in_time {
                let _ = self.change(Self::pop);
                return Err(RecvTimeoutError::Timeout);
            }
            if let Some(item) = self.change(Self::pop) {
                drop(held);
                self.not_full.notify_one();
                return Ok(item);
            }
            if closed {
                return Err(RecvTimeoutError::Disconnected);
            }
            if !in_time {
                return Err(RecvTimeoutError::Timeout);
            }
            in_time = self.wait(self.not_empty(), &mut held, patience);
        }
    }

    fn len(&self) -> usize {
        let _held = self.lock.hold();
        self.change(|inside| inside.items.len())
    }

    fn capacity(&self) -> usize {
        1
    }

    fn attach(&self, end: End) -> Result<Counted<'_, Self>, Disconnected> {
        Counted::new(self, end)
    }
}

impl<const FLAW: u8> CountsEnds for Flawed<FLAW> {
    fn join(&self, end: End) -> Result<(), Disconnected> {
        let _held = self.lock.hold();
        self.change(|inside| inside.handles[side(end)] += 1);
        Ok(())
    }

    fn leave(&self, end: End) {
        let held = self.lock.hold();
        let last = self.change(|inside| {
            inside.handles[side(end)] -= 1;
            inside.closed[side(end)] = inside.handles[side(end)] == 0;
            inside.closed[side(end)]
        });
        drop(held);
        if !last || FLAW == CLOSES_SILENTLY {
            return;
        }
        let other = match end {
            End::Sending => self.not_empty(),
            End::Receiving => &self.not_full,
        };
        if FLAW == CLOSE_WAKES_ONE {
            other.notify_one()
        } else {
            other.notify_all()
        }
    }
}
