//! Waiting for a word, with the semantics of `futex(2)`.

use crate::Atomic;
use crate::clock::MAX_PROCESSES;
use crate::current;
use crate::event::{LocationId, Site};
use crate::operation::{Effect, Operation, RECHECKED, Update, Watched};
use crate::wait_queue::{self, bit};
use core::cell::Cell;
use core::ops::RangeInclusive;
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
            true => self.give_up(site),
        }
    }

    fn sleep(&self, expected: u32, watched: &[Watched], site: Site) -> Wake {
        match self.join(expected, site) {
            false => Wake::Changed,
            true => self.sleep_in_queue(watched, site),
        }
    }

    fn give_up(&self, site: Site) -> Wake {
        match self.leave(site) {
            true => Wake::GaveUp,
            false => Wake::Woken,
        }
    }

    fn sleep_in_queue(&self, watched: &[Watched], site: Site) -> Wake {
        match current::perform(Operation::Sleep(self.queue(), watched), site) {
            RECHECKED if self.leave(site) => Wake::Rechecked,
            _ => Wake::Woken,
        }
    }

    /// Leaves the queue. Returns false if a wake has already removed the process.
    fn leave(&self, site: Site) -> bool {
        let own = bit(current::process());
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
        let woken = self.wake_some(u64::MAX, count..=count, Location::caller());
        woken.count_ones()
    }

    /// Wakes as many of these processes as the range says. Returns the set of those that it woke.
    fn wake_some(&self, among: u64, count: RangeInclusive<u32>, site: Site) -> u64 {
        // The last call of the function has the final choice.
        let last = Cell::new(0);
        let wake = |waiting: u64, choice| {
            let subsets = || subsets(waiting & among, &count);
            let woken = subsets().nth(choice as usize);
            last.set(woken.expect("the choice is below the number of choices"));
            Effect {
                written: (last.get() != 0).then_some(waiting & !last.get()),
                choices: subsets().count() as u32,
                blocks: false,
            }
        };
        current::begin_step(site);
        self.update_queue(&wake, site);
        last.get()
    }

    /// Checks the word and joins its queue. Returns false if the word has another value.
    fn join(&self, expected: u32, site: Site) -> bool {
        current::begin_step(site);
        let load = Operation::Load(self.location, Relaxed, None);
        if current::perform(load, site) as u32 != expected {
            return false;
        }
        self.join_queue(site);
        true
    }

    fn join_queue(&self, site: Site) {
        let own = bit(current::process());
        let join = |waiting, _| Effect::only(Some(waiting | own));
        self.update_queue(&join, site);
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

/// A queue of waiting processes without a word: the heart of a condition variable.
///
/// With it, a model can use a condition variable that does what its contract says, and no more, in
/// place of the code of one. Accesses to the queue are steps in one order, and order no memory.
#[derive(Debug)]
pub struct WaitQueue(Atomic<u32>);

impl WaitQueue {
    /// Returns the queue in which the waiters of a word sleep.
    pub fn of(word: &Atomic<u32>) -> Self {
        Self(Atomic::at(word.location))
    }

    /// Creates an empty queue.
    #[expect(
        clippy::new_without_default,
        reason = "a queue exists only inside a model"
    )]
    pub fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Joins the queue. A wake from now on may remove the process, also before it sleeps.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn join(&self) {
        let site = Location::caller();
        current::begin_step(site);
        self.0.join_queue(site);
    }

    /// Sleeps in the queue, which the process has joined, until a wake removes the process. A
    /// recheck ends the sleep too.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn sleep(&self) -> Wake {
        self.0.sleep_in_queue(&[], Location::caller())
    }

    /// Sleeps like [`WaitQueue::sleep`], but no recheck ends the sleep.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn sleep_without_rechecks(&self) -> Wake {
        // No bit of this word can change.
        let unchanged = Watched {
            location: self.0.location,
            mask: 0,
            value: 0,
        };
        self.0.sleep_in_queue(&[unchanged], Location::caller())
    }

    /// Leaves the queue, as the kernel does for a process that has died.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn leave(&self) {
        self.0.leave(Location::caller());
    }

    /// Sleeps like [`WaitQueue::sleep`], but may give up at any time.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn sleep_or_give_up(&self) -> Wake {
        self.0.give_up(Location::caller())
    }

    /// Wakes as many processes of the queue as the range says, or all if there are fewer. The
    /// explorer tries every number and every choice of processes. Returns those that it woke.
    ///
    /// # Panics
    /// Panics outside of the processes of a model, and if the range is empty.
    #[track_caller]
    pub fn wake(&self, count: RangeInclusive<u32>) -> Woken {
        assert!(!count.is_empty(), "a wake of no number of processes");
        Woken(self.0.wake_some(u64::MAX, count, Location::caller()))
    }

    /// Wakes any of these processes that have joined the queue again since a wake. The explorer
    /// tries every choice.
    ///
    /// # Panics
    /// Panics outside of the processes of a model.
    #[track_caller]
    pub fn wake_again(&self, woken: &Woken) {
        if woken.0 != 0 {
            self.0.wake_some(woken.0, 0..=u32::MAX, Location::caller());
        }
    }
}

impl Clone for WaitQueue {
    /// Returns another handle of the same queue.
    fn clone(&self) -> Self {
        Self::of(&self.0)
    }
}

/// The processes that a wake has woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken(u64);

impl Woken {
    /// Returns the number of processes.
    pub fn count(&self) -> u32 {
        self.0.count_ones()
    }
}

/// Returns the subsets of the waiters whose size is in the range. If there are too few waiters,
/// returns the set of all.
fn subsets(waiting: u64, sizes: &RangeInclusive<u32>) -> impl Iterator<Item = u64> {
    let all = waiting.count_ones();
    let sizes = all.min(*sizes.start())..=all.min(*sizes.end());
    (0..1 << MAX_PROCESSES)
        .filter(move |subset: &u64| subset & !waiting == 0 && sizes.contains(&subset.count_ones()))
}
