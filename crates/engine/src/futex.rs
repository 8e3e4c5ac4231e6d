//! Waiting for a word, with the semantics of `futex(2)`.

use crate::Atomic;
use crate::clock::MAX_PROCESSES;
use crate::current;
use crate::event::{LocationId, Site};
use crate::execution::Actor;
use crate::operation::{Effect, Operation, RECHECKED, Update, Watched};
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
    /// A process had died, no process could run, and a watched word had changed: see
    /// [`Setup::recheck_after_deaths`](crate::Setup::recheck_after_deaths).
    Rechecked,
}

/// A word that a sleeper watches, with the value that it had.
#[derive(Clone, Copy, Debug)]
pub struct WatchedWord(Watched);

impl WatchedWord {
    /// Watches a word.
    pub fn new(word: &Atomic<u32>, value: u32) -> Self {
        Self(Watched {
            location: word.location,
            mask: u64::MAX,
            value: value.into(),
        })
    }

    /// Watches the low half of a word with 64 bits.
    pub fn low_half(word: &Atomic<u64>, value: u64) -> Self {
        Self(Watched {
            location: word.location,
            mask: u32::MAX.into(),
            value,
        })
    }
}

impl Atomic<u32> {
    /// Sleeps until another process wakes the word, if the word has this value. A recheck ends the
    /// sleep too.
    ///
    /// A wake orders no memory. As with the kernel's futex, a process whose check of the word comes
    /// after a change does not sleep.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn wait(&self, expected: u32) -> Wake {
        self.sleep(expected, &[], Location::caller())
    }

    /// Sleeps like [`Atomic::wait`]. A recheck ends the sleep only if this word or another watched
    /// word has changed.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn wait_watching(&self, expected: u32, others: &[WatchedWord]) -> Wake {
        let own = WatchedWord::new(self, expected);
        let words = core::iter::once(&own).chain(others);
        let watched: Vec<Watched> = words.map(|word| word.0).collect();
        self.sleep(expected, &watched, Location::caller())
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
        match self.join(expected, site) {
            false => Wake::Changed,
            true if self.leave(site) => Wake::GaveUp,
            true => Wake::Woken,
        }
    }

    fn sleep(&self, expected: u32, watched: &[Watched], site: Site) -> Wake {
        if !self.join(expected, site) {
            return Wake::Changed;
        }
        match current::perform(Operation::Sleep(self.queue(), watched), site) {
            RECHECKED if self.leave(site) => Wake::Rechecked,
            _ => Wake::Woken,
        }
    }

    /// Leaves the queue. Returns false if a wake has already removed the process.
    fn leave(&self, site: Site) -> bool {
        let own = bit(process());
        let leave = |waiting, _| Effect::only((waiting & own != 0).then_some(waiting & !own));
        self.update_queue(&leave, site) & own != 0
    }

    /// Returns the number of processes that wait for the word.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn waiting(&self) -> u32 {
        let look = |_, _| Effect::only(None);
        self.update_queue(&look, Location::caller()).count_ones()
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
