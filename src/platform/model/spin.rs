//! The model of adaptive spinning. On Linux, spinning affects only the time that a wait takes,
//! never its outcome.

use super::{AtomicU32, Deadline, choice, world};
use core::marker::PhantomData;

/// What a waiter spins for. All policies have the same effect in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpinPolicy {
    /// A lock.
    Lock,
    /// A lock that each thread acquires in quick succession to begin and finish turns.
    Turns,
    /// A permit or a notification.
    Event,
    /// Items or free slots.
    Items,
}

/// Models the spin phase of a wait: the first check reports that the condition may hold, without
/// loading the word.
///
/// The caller's next read-modify-write finds the true value of the word. Only the first wait of
/// each process spins, which keeps the models small. In a model of two processes, that wait spins
/// before it sleeps, which is enough to show every effect on the other process. In a model of more
/// processes, that wait spins after a sleep, because a third process may then have been faster than
/// the woken waiter. A scenario may let each of several waits spin or not, so that spinners meet
/// sleepers.
#[derive(Debug)]
pub struct Spin<'a> {
    is_enabled: bool,
    word: PhantomData<&'a AtomicU32>,
}

impl Spin<'_> {
    /// Begins a wait on this word.
    pub fn new(_word: &AtomicU32, _policy: SpinPolicy, _deadline: Option<Deadline>) -> Self {
        Self {
            is_enabled: spins(world::population() <= 2),
            word: PhantomData,
        }
    }

    /// Whether the next check of this wait reports that the condition may hold.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Returns true on the first call, to report that the condition may hold, and false on every
    /// later call.
    pub fn wait_until(&mut self, _condition: impl Fn(u32) -> bool) -> bool {
        core::mem::take(&mut self.is_enabled)
    }

    /// Does nothing, because loom already explores every number of permits that the caller can
    /// find.
    pub fn wait_for_batch(&mut self, _count: impl Fn(u32) -> u32) {}

    /// Does nothing: the model keeps no predictions.
    pub fn record_success(&self) {}

    /// Starts a new spin after the process has slept.
    pub fn restart(&mut self) {
        self.is_enabled = spins(world::population() > 2);
    }
}

/// Whether a wait spins. `is_typical` says whether it spins in a scenario without a choice.
fn spins(is_typical: bool) -> bool {
    match world::spins_by_choice() {
        true => world::may_spin() && choice::choose_bool(),
        false => is_typical && world::may_spin(),
    }
}

/// Does nothing, because loom already explores every number of permits that the caller can find.
pub fn batch_wait(_word: &AtomicU32, _deadline: Option<Deadline>, _count: impl Fn(u32) -> u32) {}

/// Does nothing, because loom already lets other processes run at every step.
pub fn back_off(_pauses: u32) {}

/// Does nothing, because loom already lets other processes run at every step.
pub fn yield_now() {}
