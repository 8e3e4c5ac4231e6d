//! Broken rings: in each of them, one step is left out or moved.

use interlatch::channel::{Channel, Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::{
    AtomicU32, AtomicU64, ShmSafe, ShmType, TypeInfo, UnsafeCell, asymmetric, futex,
};
use interlatch::sync::Timeout;
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_contract::ring::{
    self, MixedReceives, MixedRing, MixedSends, Receives, Ring, Sends, SmallRing,
};

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("ring_without_heavy_barrier", Deadlock, || {
            ring::keeps_order::<Flawed<NO_HEAVY, 1>>()
        }),
        Model::broken("ring_with_two_light_barriers", Deadlock, || {
            ring::keeps_order::<Flawed<TWO_LIGHT, 1>>().choices(20)
        }),
        #[cfg(loom)]
        Model::broken("ring_with_two_heavy_barriers", WrongResult, || {
            crate::calls::items_without_waiting_cost_no_heavy_barrier::<Flawed<TWO_HEAVY, 2>>()
        }),
        Model::broken("ring_without_light_barrier", Deadlock, || {
            ring::keeps_order::<Flawed<NO_LIGHT, 1>>()
        }),
        Model::broken("ring_that_rechecks_before_it_registers", Deadlock, || {
            ring::keeps_order::<Flawed<RECHECKS_FIRST, 1>>()
        }),
        Model::broken("ring_that_wakes_before_it_publishes", Deadlock, || {
            ring::keeps_order::<Flawed<WAKES_FIRST, 1>>()
        }),
        Model::broken("ring_that_publishes_before_it_fills", DataRace, || {
            ring::keeps_order::<Flawed<PUBLISHES_FIRST, 1>>()
        }),
        Model::broken("ring_that_frees_a_slot_before_it_copies", DataRace, || {
            ring::keeps_order::<Flawed<FREES_FIRST, 1>>()
        }),
        Model::broken("ring_with_relaxed_positions", DataRace, || {
            ring::keeps_order::<Flawed<RELAXED, 1>>()
        }),
        Model::broken(
            "ring_that_disconnects_before_its_last_item",
            WrongResult,
            ring::disconnection_follows_the_last_item::<Flawed<ENDS_EARLY, 2>>,
        ),
        #[cfg(loom)]
        Model::broken("ring_whose_successor_restarts_at_0", DataRace, || {
            interlatch_contract::ring_successor::successor_of_a_dead_sender_reaches_the_receiver::<
                Flawed<RESTARTS, 1>,
            >()
        }),
        Model::broken(
            "ring_whose_loan_sends_all_of_its_slots",
            WrongResult,
            ring::items_slices_and_loans_keep_order::<FlawedMix<SENDS_WHOLE_LOAN>>,
        ),
        Model::broken(
            "ring_whose_borrow_receives_all_of_its_items",
            WrongResult,
            ring::items_slices_and_loans_keep_order::<FlawedMix<RECEIVES_WHOLE_BORROW>>,
        ),
        Model::broken(
            "ring_that_publishes_a_value_with_the_next_item",
            WrongResult,
            ring::killed_mixed_sender_leaves_a_prefix::<FlawedMix<PUBLISHES_LATE>>,
        ),
    ]
}

/// A sleeper rechecks the ring without the heavy barrier, so it misses a new position and hangs.
const NO_HEAVY: u8 = 0;
/// A waker reads the sleep flag without the light barrier, so it misses the flag and the sleeper
/// hangs.
const NO_LIGHT: u8 = 1;
/// A sleeper rechecks the ring before it sets its sleep flag, so it misses a position that is
/// published between these steps.
const RECHECKS_FIRST: u8 = 2;
/// A waker reads the sleep flag before it publishes its position. A process that begins to sleep
/// between these steps hangs.
const WAKES_FIRST: u8 = 3;
/// The sender publishes its position before it writes the item, so the receiver races with the
/// write.
const PUBLISHES_FIRST: u8 = 4;
/// The receiver publishes its position before it copies the item, so the sender races with the
/// copy.
const FREES_FIRST: u8 = 5;
/// Stores and loads of the positions are Relaxed instead of Release and Acquire, so accesses to the
/// slots race.
const RELAXED: u8 = 6;
/// A receiver that finds an empty ring and then a closed side does not check the ring again, so it
/// loses an item.
const ENDS_EARLY: u8 = 7;

/// A sleeper uses the light barrier, as the waker does. So both may read old values, and the
/// sleeper hangs.
const TWO_LIGHT: u8 = 8;
/// A waker uses the heavy barrier, as the sleeper does. So each item costs a system call.
const TWO_HEAVY: u8 = 9;
/// A successor begins at position 0, so it sends into a slot that holds an item of the dead sender,
/// and races with the receiver.
const RESTARTS: u8 = 10;

const ASLEEP: u32 = 1;
const CLOSED: u32 = 2;

/// A simplified `RingBuffer` that does not track its handles, so the ring does not notice deaths.
#[derive(Debug)]
struct Flawed<const FLAW: u8, const SLOTS: usize> {
    positions: [AtomicU64; 2],
    /// Copies of the positions, for loads behind the light barrier.
    short_positions: [AtomicU32; 2],
    flags: [AtomicU32; 2],
    slots: [UnsafeCell<u64>; SLOTS],
    attached: [AtomicU32; 2],
}

const SENDER: usize = 0;
const RECEIVER: usize = 1;

// SAFETY: the models run this type in one address space.
unsafe impl<const FLAW: u8, const SLOTS: usize> ShmSafe for Flawed<FLAW, SLOTS> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe {
            at.write(Self {
                positions: [AtomicU64::new(0), AtomicU64::new(0)],
                short_positions: [AtomicU32::new(0), AtomicU32::new(0)],
                flags: [AtomicU32::new(0), AtomicU32::new(0)],
                slots: core::array::from_fn(|_| UnsafeCell::new(0)),
                attached: [AtomicU32::new(0), AtomicU32::new(0)],
            });
        }
    }
}

impl<const FLAW: u8, const SLOTS: usize> ShmType for Flawed<FLAW, SLOTS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

// SAFETY: the positions say which side may access a slot. The checker detects any other access.
unsafe impl<const FLAW: u8, const SLOTS: usize> Sync for Flawed<FLAW, SLOTS> {}

/// The handle of the sender or of the receiver.
struct Cursor<'a, const FLAW: u8, const SLOTS: usize> {
    ring: &'a Flawed<FLAW, SLOTS>,
    side: usize,
    position: u64,
}

impl<const FLAW: u8, const SLOTS: usize> Ring for Flawed<FLAW, SLOTS> {
    fn sender(&self) -> Option<impl Sends + '_> {
        self.attach(SENDER)
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        self.attach(RECEIVER)
    }
}

impl<const FLAW: u8, const SLOTS: usize> Flawed<FLAW, SLOTS> {
    fn attach(&self, side: usize) -> Option<Cursor<'_, FLAW, SLOTS>> {
        let is_free = self.attached[side].swap(1, Relaxed) == 0;
        (is_free || FLAW == RESTARTS).then_some(Cursor {
            ring: self,
            side,
            position: 0,
        })
    }
}

impl<const FLAW: u8, const SLOTS: usize> Cursor<'_, FLAW, SLOTS> {
    /// Returns whether there is a free slot for the sender, or an item for the receiver.
    fn is_ready(&self, other: u64) -> bool {
        match self.side {
            SENDER => self.position - other < SLOTS as u64,
            _ => other > self.position,
        }
    }

    fn check(&self) -> bool {
        let order = if FLAW == RELAXED { Relaxed } else { Acquire };
        self.is_ready(self.ring.positions[1 - self.side].load(order))
    }

    fn is_ready_after_light_barrier(&self) -> bool {
        let other = 1 - self.side;
        let position = asymmetric::load_after_light_barrier(&self.ring.short_positions[other]);
        let is_ready = self.is_ready(position.into());
        if is_ready {
            // The next check then reads no older position.
            self.ring.positions[other].fetch_or(0, Relaxed);
        }
        is_ready
    }

    /// Waits for an item or a free slot. Returns false if the other side is closed and no item or
    /// free slot is left.
    fn wait(&self) -> bool {
        let (own, other_flags) = (&self.ring.flags[self.side], &self.ring.flags[1 - self.side]);
        let position = &self.ring.positions[1 - self.side];
        while !self.check() {
            if other_flags.fetch_or(0, Acquire) & CLOSED != 0 {
                return FLAW != ENDS_EARLY && self.check();
            }
            if FLAW == RECHECKS_FIRST
                && self.is_ready(asymmetric::load_after_heavy_barrier(position))
            {
                continue;
            }
            own.fetch_or(ASLEEP, Acquire);
            let is_ready = match FLAW {
                NO_HEAVY => self.check(),
                TWO_LIGHT => self.is_ready_after_light_barrier(),
                RECHECKS_FIRST => false,
                _ => self.is_ready(asymmetric::load_after_heavy_barrier(position)),
            };
            if !is_ready && other_flags.fetch_or(0, Acquire) & CLOSED == 0 {
                futex::wait(own, ASLEEP, None);
            }
            own.fetch_and(!ASLEEP, Relaxed);
        }
        true
    }

    fn wake(&self) {
        let flags = &self.ring.flags[1 - self.side];
        let found = match FLAW {
            NO_LIGHT => flags.load(Relaxed),
            TWO_HEAVY => {
                asymmetric::load_after_heavy_barrier(&self.ring.positions[self.side]);
                flags.fetch_or(0, Relaxed)
            }
            _ => asymmetric::load_after_light_barrier(flags),
        };
        if found & ASLEEP != 0 && flags.fetch_and(!ASLEEP, Release) & ASLEEP != 0 {
            futex::wake(flags, 1);
        }
    }

    fn publish(&self) {
        if FLAW == WAKES_FIRST {
            self.wake();
        }
        let order = if FLAW == RELAXED { Relaxed } else { Release };
        self.ring.positions[self.side].store(self.position + 1, order);
        if FLAW == TWO_LIGHT {
            self.ring.short_positions[self.side].store(self.position as u32 + 1, Relaxed);
        }
        if FLAW != WAKES_FIRST {
            self.wake();
        }
    }

    fn slot(&self) -> &UnsafeCell<u64> {
        &self.ring.slots[self.position as usize % SLOTS]
    }
}

impl<const FLAW: u8, const SLOTS: usize> Sends for Cursor<'_, FLAW, SLOTS> {
    fn send(&mut self, items: &[u64], _timeout: Timeout) -> Result<usize, SendTimeoutError<()>> {
        for item in items {
            if !self.wait() {
                return Err(SendTimeoutError::Disconnected(()));
            }
            if FLAW == PUBLISHES_FIRST {
                self.publish();
            }
            // SAFETY: the implementation of `Sync` for this type says which process may access the
            // cell.
            self.slot().with_mut(|slot| unsafe { *slot = *item });
            if FLAW != PUBLISHES_FIRST {
                self.publish();
            }
            self.position += 1;
        }
        Ok(items.len())
    }
}

impl<const FLAW: u8, const SLOTS: usize> Receives for Cursor<'_, FLAW, SLOTS> {
    fn recv(&mut self, items: &mut [u64], _timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        if !self.wait() {
            return Err(RecvTimeoutError::Disconnected);
        }
        if FLAW == FREES_FIRST {
            self.publish();
        }
        // SAFETY: the implementation of `Sync` for this type says which process may access the
        // cell.
        items[0] = self.slot().with(|slot| unsafe { *slot });
        if FLAW != FREES_FIRST {
            self.publish();
        }
        self.position += 1;
        Ok(1)
    }
}

impl<const FLAW: u8, const SLOTS: usize> Drop for Cursor<'_, FLAW, SLOTS> {
    fn drop(&mut self) {
        self.ring.flags[self.side].fetch_or(CLOSED, Release);
        let other_flags = &self.ring.flags[1 - self.side];
        if other_flags.fetch_and(!ASLEEP, Release) & ASLEEP != 0 {
            futex::wake(other_flags, 1);
        }
    }
}

/// A loan sends the slots that its borrower did not fill, so the receiver gets items that were not
/// sent.
const SENDS_WHOLE_LOAN: u8 = 0;
/// A borrow receives the items that its borrower leaves in the ring, so an item is lost.
const RECEIVES_WHOLE_BORROW: u8 = 1;
/// A send by value publishes its item with the next send. If the sender dies before that, an item
/// is lost whose send has returned.
const PUBLISHES_LATE: u8 = 2;

/// A ring in which one way of passing items is wrong beside the other ways.
#[repr(transparent)]
#[derive(Debug, ShmSafe)]
struct FlawedMix<const FLAW: u8>(SmallRing<2>);

struct FlawedSender<'a, const FLAW: u8> {
    sender: Sender<'a, SmallRing<2>>,
    unpublished: Option<u64>,
}

struct FlawedReceiver<'a, const FLAW: u8>(Receiver<'a, SmallRing<2>>);

impl<const FLAW: u8> Ring for FlawedMix<FLAW> {
    fn sender(&self) -> Option<impl Sends + '_> {
        Channel::sender(&self.0).ok()
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        Channel::receiver(&self.0).ok()
    }
}

impl<const FLAW: u8> MixedRing for FlawedMix<FLAW> {
    fn mixed_sender(&self) -> Option<impl MixedSends + '_> {
        let sender = Channel::sender(&self.0).ok()?;
        Some(FlawedSender::<FLAW> {
            sender,
            unpublished: None,
        })
    }

    fn mixed_receiver(&self) -> Option<impl MixedReceives + '_> {
        Channel::receiver(&self.0).ok().map(FlawedReceiver::<FLAW>)
    }
}

impl<const FLAW: u8> FlawedSender<'_, FLAW> {
    fn publish(&mut self, timeout: Timeout) -> bool {
        let unpublished = self.unpublished.take();
        unpublished.is_none_or(|item| self.sender.send_value(item, timeout))
    }
}

impl<const FLAW: u8> MixedSends for FlawedSender<'_, FLAW> {
    fn send_value(&mut self, item: u64, timeout: Timeout) -> bool {
        if FLAW == PUBLISHES_LATE {
            self.unpublished = Some(item);
            return true;
        }
        self.sender.send_value(item, timeout)
    }

    fn send_slice_of_one(&mut self, item: u64, timeout: Timeout) -> bool {
        self.publish(timeout) && self.sender.send_slice_of_one(item, timeout)
    }

    fn send_in_place(&mut self, item: u64, timeout: Timeout) -> bool {
        if FLAW != SENDS_WHOLE_LOAN {
            return self.publish(timeout) && self.sender.send_in_place(item, timeout);
        }
        let Ok(mut loan) = self.sender.loan_with(2, timeout) else {
            return false;
        };
        loan[0] = item;
        loan.send();
        true
    }
}

impl<const FLAW: u8> Receives for FlawedReceiver<'_, FLAW> {
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        Receives::recv(&mut self.0, items, timeout)
    }
}

impl<const FLAW: u8> MixedReceives for FlawedReceiver<'_, FLAW> {
    fn recv_first_in_place(&mut self, timeout: Timeout) -> Option<u64> {
        if FLAW != RECEIVES_WHOLE_BORROW {
            return self.0.recv_first_in_place(timeout);
        }
        let borrowed = self.0.borrow_with(2, timeout).ok()?;
        let item = borrowed[0];
        borrowed.receive();
        Some(item)
    }
}
