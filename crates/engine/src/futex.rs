//! Waiting for a word, with the semantics of `futex(2)`.

use crate::Atomic;
use crate::clock::MAX_PROCESSES;
use crate::current;
use crate::event::{LocationId, Site};
use crate::execution::Actor;
use crate::operation::{Effect, Operation, Update};
use crate::wait_queue::{self, bit};
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Another process woke the waiter.
    Woken,
    /// The word did not have the expected value, so the process did not sleep.
    Changed,
    /// The waiter gave up: its time was over, or a signal arrived.
    GaveUp,
}

impl Atomic<u32> {
    /// Sleeps until another process wakes the word, if the word has this value.
    ///
    /// A wake orders no memory. As with the kernel's futex, a process whose check of the word comes
    /// after a change does not sleep.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn wait(&self, expected: u32) -> Wake {
        let (queue, site) = (self.queue(), Location::caller());
        if !self.join(expected, site) {
            return Wake::Changed;
        }
        current::perform(Operation::Sleep(queue), site);
        Wake::Woken
    }

    /// Sleeps like [`Atomic::wait`], but may give up at any time.
    ///
    /// This stands for a wait with a timeout and for one that a signal interrupts.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn wait_or_give_up(&self, expected: u32) -> Wake {
        let site = Location::caller();
        if !self.join(expected, site) {
            return Wake::Changed;
        }
        let own = bit(process());
        let leave = |waiting, _| Effect::only((waiting & own != 0).then_some(waiting & !own));
        let waiting = self.update_queue(&leave, site);
        if waiting & own == 0 {
            Wake::Woken
        } else {
            Wake::GaveUp
        }
    }

    /// Wakes at most `count` waiters of the word and returns how many it woke. The explorer tries
    /// every choice of waiters.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn wake(&self, count: u32) -> u32 {
        let wake = |waiting: u64, choice| {
            let woken = chosen(waiting, count, choice);
            Effect {
                written: (woken != 0).then_some(waiting & !woken),
                choices: choices(waiting, count),
            }
        };
        current::begin_step(Location::caller());
        let waiting = self.update_queue(&wake, Location::caller());
        waiting.count_ones().min(count)
    }

    /// Checks the word and joins its queue. Returns false if the word has another value.
    fn join(&self, expected: u32, site: Site) -> bool {
        current::begin_step(site);
        let load = Operation::Load(self.location, Relaxed, None);
        if current::perform(load, site) as u32 != expected {
            return false;
        }
        let own = bit(process());
        let join = |waiting, _| Effect::only(Some(waiting | own));
        self.update_queue(&join, site);
        true
    }

    fn update_queue(&self, effect: &dyn Fn(u64, u32) -> Effect, site: Site) -> u64 {
        let update = Update {
            location: self.queue(),
            success: Relaxed,
            failure: Relaxed,
            effect,
        };
        current::perform(Operation::Update(update), site)
    }

    fn queue(&self) -> LocationId {
        wait_queue::of(self.location)
    }
}

fn process() -> usize {
    match current::actor() {
        Actor::Process(process) => process,
        Actor::Setup | Actor::Verify => panic!("only the processes of a model wait"),
    }
}

/// Returns the number of ways to choose `count` of the waiters, or all if there are fewer.
fn choices(waiting: u64, count: u32) -> u32 {
    subsets(waiting, count).count() as u32
}

/// Returns the waiters that the wake wakes with this choice.
fn chosen(waiting: u64, count: u32, choice: u32) -> u64 {
    let mut subsets = subsets(waiting, count);
    let chosen = subsets.nth(choice as usize);
    chosen.expect("the choice is below the number of choices")
}

/// Returns the subsets of the waiters with `count` members, or the set of all if there are fewer.
fn subsets(waiting: u64, count: u32) -> impl Iterator<Item = u64> {
    let size = count.min(waiting.count_ones());
    (0..1 << MAX_PROCESSES)
        .filter(move |subset: &u64| subset & !waiting == 0 && subset.count_ones() == size)
}
