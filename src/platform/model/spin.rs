//! Spinning changes no outcome, only how long it takes.

use super::{AtomicU32, Deadline, world};
use core::marker::PhantomData;

/// What a spin is for: all the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpinPolicy {
    /// A lock.
    Lock,
    /// A lock of turns.
    Turns,
    /// A permit, or a notification.
    Event,
    /// Items, or places for them.
    Items,
}

/// One wait at a word. It sees whatever it is asked for, without a look: the caller's next step finds out.
///
/// The first wait of each process does so, once: between two processes before a sleep, which shows all that
/// it can do to the other one; between more after a sleep, where it matters that there are others. That
/// keeps the models small.
#[derive(Debug)]
pub struct Spin<'a> {
    may_look: bool,
    word: PhantomData<&'a AtomicU32>,
}

impl Spin<'_> {
    /// Begins a wait at this word.
    pub fn on(_word: &AtomicU32, _purpose: SpinPolicy, _deadline: Option<Deadline>) -> Self {
        Self {
            may_look: world::population() <= 2 && world::may_look(),
            word: PhantomData,
        }
    }

    /// Whether there is one look more.
    pub fn is_worth_it(&self) -> bool {
        self.may_look
    }

    /// The same, and takes it.
    pub fn sees(&mut self, _like: impl Fn(u32) -> bool) -> bool {
        core::mem::take(&mut self.may_look)
    }

    /// Waits for nothing more: what it was to see is there or not.
    pub fn batch_waits(&mut self, _count: impl Fn(u32) -> u32) {}

    /// Nobody remembers it.
    pub fn has_paid(&self) {}

    /// Begins again, after a sleep.
    pub fn again(&mut self) {
        self.may_look = world::population() > 2 && world::may_look();
    }
}

/// Waits for nothing more, as [`Spin::batch_waits`].
pub fn batch_wait(_word: &AtomicU32, _deadline: Option<Deadline>, _count: impl Fn(u32) -> u32) {}

/// Others may run at every step anyway.
pub fn back_off(_pauses: u32) {}

/// Others may run at every step anyway.
pub fn give_way() {}
