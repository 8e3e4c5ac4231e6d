//! Spinning changes no outcome, only how long it takes.

use super::{AtomicU32, Deadline, world};
use core::marker::PhantomData;

/// What a spin is for: all the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A lock.
    Lock,
    /// A permit, or a notification.
    Event,
}

/// One wait at a word. It sees whatever it is asked for, without a look: the caller's next step finds out. Once
/// between two processes, which shows all that a spin can do; not at all between more, to keep their
/// models small.
#[derive(Debug)]
pub struct Spin<'a> {
    looks: u32,
    word: PhantomData<&'a AtomicU32>,
}

impl Spin<'_> {
    /// Begins a wait at this word.
    pub fn on(_word: &AtomicU32, _purpose: For, _deadline: Option<Deadline>) -> Self {
        Self {
            looks: u32::from(world::population() <= 2),
            word: PhantomData,
        }
    }

    /// Whether there is one look more.
    pub fn is_worth_it(&self) -> bool {
        self.looks > 0
    }

    /// The same, and takes it.
    pub fn sees(&mut self, _like: impl Fn(u32) -> bool) -> bool {
        let sees = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        sees
    }

    /// Nobody remembers it.
    pub fn has_paid(&self) {}

    /// Begins again, after a sleep.
    pub fn again(&mut self) {
        self.looks = 1;
    }
}

/// Others may run at every step anyway.
pub fn give_way() {}
