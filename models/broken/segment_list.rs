//! Chains whose links and segments do not agree where a process dies.

use interlatch::RobustMutex;
use interlatch::platform::{ShmSafe, UnsafeCell};
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
            sender_death_keeps_the_list_consistent::<Flawed<MAKES_ONCE>>,
        ),
    ]
}

/// `last` says that a segment is there before it is.
const LINKS_FIRST: u8 = 0;
/// A segment is removed while `first` still leads to it.
const REMOVES_FIRST: u8 = 1;
/// A segment that is there already, though nobody has linked it, is an error.
const MAKES_ONCE: u8 = 2;

const LIMIT: u64 = 2;
const PLACES: usize = 3;
const NOBODY: u64 = 0;

/// Segments of one item, numbered from 1. Nobody waits: the scenarios here have little timeout.
#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RobustMutex<()>,
    first: UnsafeCell<u64>,
    last: UnsafeCell<u64>,
    /// Whose each is, and its item.
    numbers: [UnsafeCell<u64>; PLACES],
    items: [UnsafeCell<u64>; PLACES],
}

// SAFETY: the models run it in one address space.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    fn initial() -> Self {
        let nothing = || core::array::from_fn(|_| UnsafeCell::new(NOBODY));
        Self {
            lock: RobustMutex::new(()),
            first: UnsafeCell::new(1),
            last: UnsafeCell::new(0),
            numbers: nothing(),
            items: nothing(),
        }
    }
}

// SAFETY: accessed under the lock.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

fn get(number: &UnsafeCell<u64>) -> u64 {
    // SAFETY: under the lock.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: under the lock.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8> Flawed<FLAW> {
    fn lock(&self) -> RobustMutexGuard<'_, ()> {
        let locked = self.lock.lock().or_else(RobustLockError::mark_consistent);
        locked.unwrap_or_else(|error| panic!("{error}"))
    }

    fn make(&self, number: u64, item: u64) {
        let at = number as usize % PLACES;
        let found = get(&self.numbers[at]);
        let may_be = [NOBODY, number];
        let may_be = &may_be[..if FLAW == MAKES_ONCE { 1 } else { 2 }];
        assert!(may_be.contains(&found), "there is one already: {found}");
        set(&self.numbers[at], number);
        set(&self.items[at], item);
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
        self.make(number, item);
        set(&self.last, number);
        true
    }

    fn take(&self, _patience: Timeout) -> Result<Option<u64>, Ended> {
        let _guard = self.lock();
        let number = get(&self.first);
        if number > get(&self.last) {
            return Ok(None);
        }
        let at = number as usize % PLACES;
        assert_eq!(get(&self.numbers[at]), number, "it is not there");
        let item = get(&self.items[at]);
        if FLAW == REMOVES_FIRST {
            set(&self.numbers[at], NOBODY);
        }
        set(&self.first, number + 1);
        set(&self.numbers[at], NOBODY);
        Ok(Some(item))
    }

    fn close(&self) {}
}
