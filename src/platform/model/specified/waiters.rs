//! A queue of waiters: the contract of a condition variable.

use super::is_selected;
use crate::platform::Wake;
use crate::platform::model::event::{Action, Site};
use crate::platform::model::{AtomicU32, backend, death, world};
use core::panic::Location;

/// Removes a dead process from the waiters that it has joined.
pub fn leave_waiters() {
    if let Some(waiters) = world::take_joined() {
        world::step(|| waiters.leave());
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

    /// Returns the waiters of the condition variable with this word, if the contract stands in for
    /// the code.
    pub fn of_condvar(word: &AtomicU32) -> Option<Self> {
        is_selected("Condvar").then(|| Self {
            number: word.number(),
            inner: interlatch_engine::WaitQueue::of(word.inner.as_graphs()),
        })
    }

    /// Joins the queue, calls `unlock`, and sleeps until a wake removes the process from the queue.
    /// If `timed`, the process may also leave the queue by itself. If `rechecks`, a recheck ends
    /// the sleep. Signals have no effect, because the code of a condition variable waits again.
    #[track_caller]
    pub fn wait(&self, unlock: impl FnOnce(), timed: bool, rechecks: bool) -> Wake {
        let site = Location::caller();
        if !death::survives(site) {
            unlock();
            return Wake::Woken;
        }
        world::step(|| self.inner.join());
        world::set_joined(Some(self.inner.clone()));
        unlock();
        let wake = self.sleep(timed, rechecks, site);
        world::set_joined(None);
        wake
    }

    fn sleep(&self, timed: bool, rechecks: bool, site: Site) -> Wake {
        let (word, expected) = (self.number, 0);
        let action = Action::Wait {
            word,
            expected,
            timed,
        };
        world::record(site, action);
        world::set_asleep(Some((word, site)));
        let wake = world::step(|| match rechecks {
            _ if timed => self.inner.sleep_or_give_up(),
            true => self.inner.sleep(),
            false => self.inner.sleep_without_rechecks(),
        });
        world::set_asleep(None);
        let wake = match wake {
            interlatch_engine::Wake::GaveUp => Wake::TimedOut,
            interlatch_engine::Wake::Rechecked => Wake::Recheck,
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
