//! The spin of the model. Spinning affects only the time that a wait takes, never an outcome.

use super::{AtomicU32, Deadline, world};
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

/// The spinning phase of one wait, which claims once to have seen the condition, without a load.
///
/// The caller's next read-modify-write finds the true value. Only the first wait of each process
/// spins, which keeps the models small. With two processes, that wait spins before it sleeps, which
/// shows every effect on the other process. With more than two processes, that wait spins after a
/// sleep, where the presence of other processes matters.
#[derive(Debug)]
pub struct Spin<'a> {
    is_enabled: bool,
    word: PhantomData<&'a AtomicU32>,
}

impl Spin<'_> {
    /// Begins a wait on this word.
    pub fn new(_word: &AtomicU32, _policy: SpinPolicy, _deadline: Option<Deadline>) -> Self {
        Self {
            is_enabled: world::population() <= 2 && world::may_spin(),
            word: PhantomData,
        }
    }

    /// Whether this wait still claims to see its condition once.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Returns true on the first call, to claim that the condition holds, and false afterwards.
    pub fn wait_until(&mut self, _condition: impl Fn(u32) -> bool) -> bool {
        core::mem::take(&mut self.is_enabled)
    }

    /// Does nothing: loom explores every number of permits that the caller can find.
    pub fn wait_for_batch(&mut self, _count: impl Fn(u32) -> u32) {}

    /// Does nothing: the model keeps no predictions.
    pub fn record_success(&self) {}

    /// Spins again after a sleep.
    pub fn restart(&mut self) {
        self.is_enabled = world::population() > 2 && world::may_spin();
    }
}

/// Does nothing: loom explores every number of permits that the caller can find.
pub fn batch_wait(_word: &AtomicU32, _deadline: Option<Deadline>, _count: impl Fn(u32) -> u32) {}

/// Does nothing: other processes may run at every step anyway.
pub fn back_off(_pauses: u32) {}

/// Does nothing: other processes may run at every step anyway.
pub fn yield_now() {}
