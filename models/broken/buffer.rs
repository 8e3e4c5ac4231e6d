//! Bounded buffers with known bugs. Each bug breaks one promise of a buffer.

use interlatch::channel::{AttachError, CountsEndpoints, Direction, EndpointRef, Unregistered};
use interlatch::channel::{RecvTimeoutError, SendTimeoutError};
use interlatch::platform::{ShmSafe, ShmType, TypeInfo, UnsafeCell};
use interlatch::sync::RawMutex;
use interlatch::sync::{Condvar, LockGuard, RawCondvar, Timeout};
use interlatch::{Buffer, Channel};
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_contract::buffer;
use std::cell::RefCell;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "buffer_that_is_a_stack",
            WrongResult,
            buffer::keeps_order::<Flawed<IS_A_STACK>>,
        ),
        Model::broken(
            "buffer_that_exceeds_its_capacity",
            WrongResult,
            buffer::never_exceeds_capacity::<Flawed<EXCEEDS_ITS_CAPACITY>>,
        ),
        Model::broken(
            "buffer_that_pushes_unlocked",
            DataRace,
            buffer::items_of_both_senders_arrive::<Flawed<PUSHES_UNLOCKED>>,
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
            buffer::closed_buffer_can_be_drained::<Flawed<ENDS_BEFORE_DRAINED>>,
        ),
        Model::broken(
            "buffer_with_one_condvar_for_both_sides",
            Deadlock,
            buffer::delivers_each_once::<Flawed<ONE_CONDVAR_FOR_BOTH>>,
        ),
        Model::broken(
            "buffer_whose_timed_out_sender_leaves_its_item",
            WrongResult,
            buffer::timed_out_sender_keeps_its_item::<Flawed<TIMED_OUT_SENDER_LEAVES_ITS_ITEM>>,
        ),
        Model::broken(
            "buffer_whose_timed_out_receiver_takes_an_item",
            Deadlock,
            buffer::timed_out_receiver_takes_no_item::<Flawed<TIMED_OUT_RECEIVER_TAKES_ONE>>,
        ),
        Model::broken(
            "buffer_whose_batch_wakes_one_receiver",
            Deadlock,
            buffer::batch_wakes_every_receiver::<Flawed<BATCH_WAKES_ONE>>,
        ),
        Model::broken(
            "buffer_whose_batch_wakes_one_sender",
            Deadlock,
            buffer::batch_receive_wakes_every_sender::<Flawed<BATCH_WAKES_ONE>>,
        ),
        Model::broken(
            "buffer_that_loses_the_unsent_items_of_a_batch",
            WrongResult,
            buffer::failed_batch_send_keeps_its_items::<Flawed<LOSES_THE_UNSENT>>,
        ),
        Model::broken(
            "buffer_that_reverses_a_batch",
            WrongResult,
            buffer::batch_keeps_order::<Flawed<REVERSES_A_BATCH>>,
        ),
        Model::broken(
            "buffer_that_drops_received_items_of_a_batch",
            WrongResult,
            buffer::timed_out_batch_loses_no_item::<Flawed<DROPS_RECEIVED>>,
        ),
        Model::broken(
            "buffer_whose_batch_consumes_the_disconnection",
            Deadlock,
            buffer::failed_batch_send_keeps_its_items::<Flawed<BATCH_REOPENS>>,
        ),
        Model::broken(
            "buffer_that_delivers_an_item_alone_and_in_a_batch",
            WrongResult,
            buffer::single_items_and_batches_share_a_slot::<Flawed<DELIVERS_TWICE>>,
        ),
    ]
}

/// A receive takes the newest item first, so the items arrive in a wrong order.
const IS_A_STACK: u8 = 0;
/// The buffer accepts one item more than its capacity.
const EXCEEDS_ITS_CAPACITY: u8 = 1;
/// A send appends its item without holding the lock, so two senders race.
const PUSHES_UNLOCKED: u8 = 2;
/// A receive does not remove the first item, so the item arrives twice.
const DELIVERS_TWICE: u8 = 3;
/// Closing the buffer notifies no waiter, so the receivers hang.
const CLOSES_SILENTLY: u8 = 4;
/// Closing the buffer notifies only one waiter, so the other waiter hangs.
const CLOSE_WAKES_ONE: u8 = 5;
/// A receive reports the disconnection although items are left in the buffer.
const ENDS_BEFORE_DRAINED: u8 = 6;
/// Senders and receivers wait on one condition variable, and each operation calls `notify_one`.
///
/// A notification may wake a process of the wrong side, and a process of the right side hangs.
const ONE_CONDVAR_FOR_BOTH: u8 = 7;
/// A sender that times out appends its item to the buffer anyway.
const TIMED_OUT_SENDER_LEAVES_ITS_ITEM: u8 = 8;
/// A receiver takes an item but reports a timeout, so the other receiver hangs.
const TIMED_OUT_RECEIVER_TAKES_ONE: u8 = 9;
/// A batch operation passes several items but notifies only one waiter, so the other waiter hangs.
const BATCH_WAKES_ONE: u8 = 10;
/// A failed send of a batch drops the items that were not sent.
const LOSES_THE_UNSENT: u8 = 11;
/// A send of a batch sends the last item first.
const REVERSES_A_BATCH: u8 = 12;
/// A receive of a batch drops all items except the first.
const DROPS_RECEIVED: u8 = 13;
/// A batch that is disconnected opens the side again, so the next batch waits forever.
const BATCH_REOPENS: u8 = 14;

#[derive(Debug, Default)]
struct Inside {
    items: Vec<u64>,
    delivered: usize,
    handles: [u32; 2],
    closed: [bool; 2],
}

/// A monitor around a vector. Its capacity is 1, or 2 for the scenarios of batches.
#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RawMutex,
    not_full: Condvar,
    not_empty: Condvar,
    inside: UnsafeCell<Inside>,
}

// SAFETY: the models run this type in one address space.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe {
            at.write(Self {
                lock: RawMutex::new(),
                not_full: Condvar::new(),
                not_empty: Condvar::new(),
                inside: UnsafeCell::new(Inside::default()),
            });
        }
    }
}

impl<const FLAW: u8> ShmType for Flawed<FLAW> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

// SAFETY: only the holder of `lock` accesses `inside`. The checker detects any access without the
// lock.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

impl<const FLAW: u8> Flawed<FLAW> {
    const CAPACITY: usize = match FLAW {
        BATCH_WAKES_ONE | DROPS_RECEIVED => 2,
        _ => 1,
    };
    const ROOM: usize = match FLAW {
        EXCEEDS_ITS_CAPACITY | IS_A_STACK => 2,
        _ => Self::CAPACITY,
    };

    /// Waits until `step` succeeds, repeats `step` while it succeeds, and notifies one waiter.
    fn pass(&self, wait: &Condvar, notify: &Condvar, step: impl Fn(&mut Inside) -> bool) {
        let mut held = self.lock.lock();
        while !self.change(&step) {
            self.wait(wait, &mut held, Timeout::Infinite);
        }
        while self.change(&step) {}
        drop(held);
        notify.notify_one();
    }

    fn send_each(
        &self,
        endpoint: &EndpointRef<'_, Self>,
        items: &mut Vec<u64>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        while let Some(item) = items.first() {
            if let Err(error) = self.send_with(endpoint, *item, timeout) {
                return Err(error.map(drop));
            }
            items.remove(0);
        }
        Ok(())
    }

    fn change<R>(&self, change: impl FnOnce(&mut Inside) -> R) -> R {
        // SAFETY: the caller holds `lock`. The checker detects any access without the lock.
        self.inside
            .with_mut(|inside| change(unsafe { &mut *inside }))
    }

    fn not_empty(&self) -> &Condvar {
        if FLAW == ONE_CONDVAR_FOR_BOTH {
            &self.not_full
        } else {
            &self.not_empty
        }
    }

    fn wait(&self, on: &Condvar, held: &mut LockGuard<'_, RawMutex>, timeout: Timeout) -> bool {
        on.wait_with(held, timeout)
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

fn side(end: Direction) -> usize {
    match end {
        Direction::Sending => 0,
        Direction::Receiving => 1,
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
        let room = Self::ROOM;
        if FLAW == PUSHES_UNLOCKED {
            self.change(|inside| inside.items.push(item));
            self.not_empty().notify_one();
            return Ok(());
        }
        let mut held = self.lock.lock();
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
            in_time = self.wait(&self.not_full, &mut held, timeout);
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

    fn recv_with(
        &self,
        _endpoint: &EndpointRef<'_, Self>,
        timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        let mut held = self.lock.lock();
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
            in_time = self.wait(self.not_empty(), &mut held, timeout);
        }
    }

    fn send_many_with(
        &self,
        endpoint: &EndpointRef<'_, Self>,
        items: &mut Vec<u64>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        if FLAW == REVERSES_A_BATCH {
            items.reverse();
        }
        while FLAW == BATCH_WAKES_ONE && !items.is_empty() {
            let rest = RefCell::new(&mut *items);
            self.pass(&self.not_full, &self.not_empty, |inside| {
                let goes = inside.items.len() < Self::ROOM && !rest.borrow().is_empty();
                inside
                    .items
                    .extend(goes.then(|| rest.borrow_mut().remove(0)));
                goes
            });
        }
        let sent = self.send_each(endpoint, items, timeout);
        if FLAW == LOSES_THE_UNSENT {
            items.clear();
        }
        if FLAW == BATCH_REOPENS && sent == Err(SendTimeoutError::Disconnected(())) {
            self.change(|inside| inside.closed[1] = false);
        }
        sent
    }

    fn recv_many_with(
        &self,
        endpoint: &EndpointRef<'_, Self>,
        items: &mut Vec<u64>,
        most: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        let before = items.len();
        if FLAW == BATCH_WAKES_ONE {
            let received = RefCell::new(&mut *items);
            self.pass(&self.not_empty, &self.not_full, |inside| {
                let room = received.borrow().len() < before + most;
                let item = room.then(|| Self::pop(inside)).flatten();
                received.borrow_mut().extend(item);
                item.is_some()
            });
            return Ok(items.len() - before);
        }
        if most > 0 {
            items.push(self.recv_with(endpoint, timeout)?);
        }
        if FLAW == DROPS_RECEIVED && most > 1 {
            let _ = self.recv_with(endpoint, Timeout::NonBlocking);
        }
        Ok(items.len() - before)
    }

    fn len(&self) -> usize {
        let _held = self.lock.lock();
        self.change(|inside| inside.items.len())
    }

    fn capacity(&self) -> usize {
        Self::CAPACITY
    }
}

impl<const FLAW: u8> CountsEndpoints for Flawed<FLAW> {
    fn join(&self, end: Direction) -> Result<(), AttachError> {
        let _held = self.lock.lock();
        self.change(|inside| inside.handles[side(end)] += 1);
        Ok(())
    }

    fn leave(&self, end: Direction) {
        let held = self.lock.lock();
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
            Direction::Sending => self.not_empty(),
            Direction::Receiving => &self.not_full,
        };
        if FLAW == CLOSE_WAKES_ONE {
            other.notify_one()
        } else {
            other.notify_all()
        }
    }
}
