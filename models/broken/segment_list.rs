//! Segment lists whose links and segments disagree after a death.

use interlatch::RobustMutex;
use interlatch::platform::{ShmSafe, ShmType, TypeInfo, UnsafeCell};
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch_check::FailureKind::WrongResult;
use interlatch_check::Model;
use interlatch_contract::segment_list::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "segment_list_that_links_before_it_creates",
            WrongResult,
            sender_death_keeps_the_list_consistent::<Flawed<LINKS_FIRST>>,
        ),
        Model::broken(
            "segment_list_that_removes_before_it_unlinks",
            WrongResult,
            receiver_death_keeps_the_list_consistent::<Flawed<REMOVES_FIRST>>,
        ),
        Model::broken(
            "segment_list_that_rejects_a_leftover_segment",
            WrongResult,
            sender_death_keeps_the_list_consistent::<Flawed<CREATES_ONCE>>,
        ),
        Model::broken(
            "segment_list_that_unlinks_before_it_copies",
            WrongResult,
            item_of_killed_receiver_is_in_the_list_or_copied::<Flawed<UNLINKS_FIRST>>,
        ),
    ]
}

/// A sender links a segment before creating it. After a death between these steps, the list names a
/// missing segment.
const LINKS_FIRST: u8 = 0;
/// A receiver removes a segment before unlinking it. After a death between these steps, the list
/// names a missing segment.
const REMOVES_FIRST: u8 = 1;
/// A send fails if its new segment already exists. A killed sender may have created that segment
/// without linking it.
const CREATES_ONCE: u8 = 2;
/// A receiver unlinks a segment before it copies the item. After a death between these steps, the
/// item is lost.
const UNLINKS_FIRST: u8 = 3;

const LIMIT: u64 = 2;
const SLOTS: usize = 3;
const FREE: u64 = 0;

/// Segments that hold one item each and are numbered from 1. The operations report a timeout
/// instead of waiting.
#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RobustMutex<()>,
    first: UnsafeCell<u64>,
    last: UnsafeCell<u64>,
    /// Number of the segment in each slot.
    numbers: [UnsafeCell<u64>; SLOTS],
    items: [UnsafeCell<u64>; SLOTS],
}

// SAFETY: the models run this type in one address space.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    unsafe fn init_in_place(at: *mut Self) {
        let nothing = || core::array::from_fn(|_| UnsafeCell::new(FREE));
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                lock: RobustMutex::new(()).into_inner(),
                first: UnsafeCell::new(1),
                last: UnsafeCell::new(0),
                numbers: nothing(),
                items: nothing(),
            });
        }
    }
}

impl<const FLAW: u8> ShmType for Flawed<FLAW> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

// SAFETY: only the holder of `lock` accesses the cells.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

fn get(number: &UnsafeCell<u64>) -> u64 {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the caller holds `lock`, so no other process accesses the cell.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8> Flawed<FLAW> {
    fn lock(&self) -> RobustMutexGuard<'_, ()> {
        let locked = self.lock.lock().or_else(RobustLockError::mark_consistent);
        locked.unwrap_or_else(|error| panic!("{error}"))
    }

    fn create(&self, number: u64, item: u64) {
        let slot = number as usize % SLOTS;
        let found = get(&self.numbers[slot]);
        let allowed = [FREE, number];
        let allowed = &allowed[..if FLAW == CREATES_ONCE { 1 } else { 2 }];
        assert!(
            allowed.contains(&found),
            "the segment exists already: {found}"
        );
        set(&self.numbers[slot], number);
        set(&self.items[slot], item);
    }
}

impl<const FLAW: u8> Unlimited for Flawed<FLAW> {
    fn send(&self, item: u64) -> bool {
        let _guard = self.lock();
        let number = get(&self.last) + 1;
        if number - get(&self.first) == LIMIT {
            return false;
        }
        if FLAW == LINKS_FIRST {
            set(&self.last, number);
        }
        self.create(number, item);
        set(&self.last, number);
        true
    }

    fn receive_into(&self, destination: &mut u64, _timeout: Timeout) -> Result<bool, Ended> {
        let _guard = self.lock();
        let number = get(&self.first);
        if number > get(&self.last) {
            return Ok(false);
        }
        let slot = number as usize % SLOTS;
        assert_eq!(
            get(&self.numbers[slot]),
            number,
            "the segment does not exist"
        );
        if FLAW == UNLINKS_FIRST {
            set(&self.first, number + 1);
        }
        *destination = get(&self.items[slot]);
        if FLAW == REMOVES_FIRST {
            set(&self.numbers[slot], FREE);
        }
        set(&self.first, number + 1);
        set(&self.numbers[slot], FREE);
        Ok(true)
    }

    fn close(&self) {}
}
