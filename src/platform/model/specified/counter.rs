//! A counter whose operations are single steps: the contract of a lock or a semaphore.

use super::record;
use crate::platform::model::{backend, death, world};
use core::panic::Location;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A number of permits.
#[derive(Debug)]
pub struct Counter {
    number: u32,
    inner: interlatch_engine::AtomicU32,
}

impl Counter {
    /// Creates a counter with this number of permits.
    #[track_caller]
    pub fn new(permits: u32) -> Self {
        backend::require_graphs("a contract");
        Self {
            number: world::new_number(Location::caller()),
            inner: interlatch_engine::AtomicU32::new(permits),
        }
    }

    /// Takes up to `max` permits in one step, as soon as there is one. Returns their number.
    ///
    /// The step is an Acquire: every earlier [`give`](Self::give) happens before it.
    #[track_caller]
    pub fn take(&self, max: u32) -> u32 {
        let site = Location::caller();
        if max == 0 || !death::survives(site) {
            return max;
        }
        let left = |permits: u32| (permits > 0).then(|| permits - permits.min(max));
        let read = world::step(|| self.inner.update_when(Acquire, left));
        record(self.number, site, Acquire, read, left(read));
        // A process that is unwound reads 0, and must not repeat its call.
        if backend::is_unwinding() {
            max
        } else {
            read.min(max)
        }
    }

    /// Takes up to `max` permits in one step, if it finds one. Returns their number.
    ///
    /// The step need not find permits that were given shortly before, without synchronization.
    #[track_caller]
    pub fn try_take(&self, max: u32) -> u32 {
        let site = Location::caller();
        if max == 0 || !death::survives(site) {
            return max;
        }
        let left = |permits: u32| (permits > 0).then(|| permits - permits.min(max));
        let taken = world::step(|| self.inner.fetch_update(Acquire, Relaxed, left));
        let (Ok(read) | Err(read)) = taken;
        record(self.number, site, Acquire, read, left(read));
        read.min(max)
    }

    /// Gives `count` permits in one step, which is a Release. If there would be more than `limit`,
    /// returns the number of permits instead.
    #[track_caller]
    pub fn give(&self, count: u32, limit: u32) -> Result<(), u32> {
        let site = Location::caller();
        if !death::survives(site) {
            return Ok(());
        }
        let sum = |permits: u32| permits.checked_add(count).filter(|sum| *sum <= limit);
        let given = world::step(|| self.inner.fetch_update(Release, Relaxed, sum));
        let (Ok(read) | Err(read)) = given;
        record(self.number, site, Release, read, sum(read));
        given.map(|_| ())
    }
}
