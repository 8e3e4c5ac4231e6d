//! What the contracts of locks, semaphores and condition variables consist of: a counter whose
//! operations are single steps, and a queue of waiters.
//!
//! A model that is built on contracts has fewer executions than one with the code of its parts.
//! Only `interlatch-engine` has such steps. No process that waits may die, because the queue
//! would keep the dead process.

use super::event::{Action, Site};
use super::{backend, choice, death, world};
use crate::platform::Wake;
use core::panic::Location;
use core::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

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
        self.record(site, Acquire, read, left(read));
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
        self.record(site, Acquire, read, left(read));
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
        self.record(site, Release, read, sum(read));
        given.map(|_| ())
    }

    fn record(&self, site: Site, order: Ordering, read: u32, written: Option<u32>) {
        let action = Action::Update {
            word: self.number,
            order: if written.is_some() { order } else { Relaxed },
            read: read.into(),
            written: written.map(u64::from),
        };
        world::record(site, action);
        if written.is_some() {
            world::note_change();
        }
    }
}

/// The waiters of a condition variable.
#[derive(Debug)]
pub struct Waiters {
    number: u32,
    inner: interlatch_engine::WaitQueue,
}

impl Waiters {
    /// Creates an empty queue.
    #[expect(
        clippy::new_without_default,
        reason = "a queue exists only inside a model"
    )]
    #[track_caller]
    pub fn new() -> Self {
        backend::require_graphs("a contract");
        Self {
            number: world::new_number(Location::caller()),
            inner: interlatch_engine::WaitQueue::new(),
        }
    }

    /// Joins the queue, calls `unlock`, and sleeps until a wake removes the process from the queue.
    /// If `timed`, or if the wait may be interrupted, the process may also leave the queue by
    /// itself.
    #[track_caller]
    pub fn wait(&self, unlock: impl FnOnce(), timed: bool) -> Wake {
        let site = Location::caller();
        if !death::survives(site) {
            unlock();
            return Wake::Woken;
        }
        world::step(|| self.inner.join());
        unlock();
        self.sleep(timed, site)
    }

    fn sleep(&self, timed: bool, site: Site) -> Wake {
        let interrupted = world::is_interrupted(choice::choose_bool);
        let (word, expected) = (self.number, 0);
        let action = Action::Wait {
            word,
            expected,
            timed,
        };
        world::record(site, action);
        world::set_asleep(Some((word, site)));
        let wake = world::step(|| match timed || interrupted {
            true => self.inner.sleep_or_give_up(),
            false => self.inner.sleep(),
        });
        world::set_asleep(None);
        let wake = match wake {
            interlatch_engine::Wake::GaveUp if interrupted => Wake::Interrupted,
            interlatch_engine::Wake::GaveUp => Wake::TimedOut,
            _ => Wake::Woken,
        };
        world::record(site, Action::Awake { word, wake });
        wake
    }

    /// Wakes at least `count` waiters, or all if there are fewer, and then any of those again that
    /// have joined the queue again. The explorer chooses which.
    #[track_caller]
    pub fn wake(&self, count: u32) {
        let site = Location::caller();
        if death::survives(site) {
            let woken = world::step(|| self.inner.wake(count..=u32::MAX));
            let action = Action::Wake {
                word: self.number,
                count,
                woken: woken.count(),
            };
            world::record(site, action);
            world::step(|| self.inner.wake_again(&woken));
        }
    }
}
