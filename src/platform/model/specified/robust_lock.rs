//! The contract of a robust lock, in place of its code.

use super::{is_selected, record};
use crate::platform::model::robust::{Owner, RobustWord};
use crate::platform::model::{backend, choice, death, world};
use crate::platform::robust::{OWNER, OWNER_DIED};
use core::panic::Location;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The contract of a robust lock, in place of its code.
#[derive(Clone, Copy, Debug)]
pub struct RobustLock(());

impl RobustLock {
    /// Returns the contract, if it stands in for the code.
    pub fn selected() -> Option<Self> {
        is_selected("RawRobustMutex").then_some(Self(()))
    }

    /// Takes the word in one step, if it has no owner, and returns the word before the step. Waits
    /// while `waits` returns true for the word.
    #[track_caller]
    pub fn lock(self, robust: &RobustWord, owner: &Owner, waits: impl Fn(u32) -> bool) -> u32 {
        let site = Location::caller();
        if !death::survives(site) {
            return 0;
        }
        let word = robust.word();
        let taken = |found: u32| (found & OWNER == 0).then(|| owner.id());
        let read = world::step(|| {
            let inner = word.inner.as_graphs();
            if waits(owner.id()) {
                let when = |found| (!waits(found)).then(|| taken(found).unwrap_or(found));
                return inner.update_when(Acquire, when);
            }
            let (Ok(read) | Err(read)) = inner.fetch_update(Acquire, Relaxed, taken);
            read
        });
        if backend::is_unwinding() {
            return 0;
        }
        record(word.number(), site, Acquire, read, taken(read));
        if taken(read).is_some() {
            robust.hold();
        }
        read
    }

    /// Replaces the word in one step. The process no longer holds it.
    #[track_caller]
    pub fn unlock(self, robust: &RobustWord, value: u32) {
        let site = Location::caller();
        if death::survives(site) {
            let word = robust.word();
            let read = world::step(|| word.inner.as_graphs().swap(value, Release));
            record(word.number(), site, Release, read, Some(value));
            robust.drop_hold();
        }
    }
}

/// Frees the words of a dead process, in any order.
pub fn free_words(mut held: Vec<&RobustWord>, dead: u32) {
    let site = Location::caller();
    while !held.is_empty() {
        let index = match held.len() {
            1 => 0,
            count => choice::choose(count as u32) as usize,
        };
        let word = held.remove(index).word();
        let marked = |found: u32| (found & OWNER == dead).then_some(OWNER_DIED);
        let freed = world::step(|| {
            word.inner
                .as_graphs()
                .fetch_update(Release, Relaxed, marked)
        });
        let (Ok(read) | Err(read)) = freed;
        record(word.number(), site, Release, read, marked(read));
    }
}
