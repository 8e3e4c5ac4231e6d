//! Contracts in place of code, which only the model has.

use super::AtomicU32;
use super::robust::{Owner, RobustWord};
use crate::platform::Wake;
use core::convert::Infallible;

/// The contract of a robust lock, in place of its code.
#[derive(Clone, Copy, Debug)]
pub struct RobustLock(Infallible);

impl RobustLock {
    /// Returns `None`: a program runs the code.
    #[inline(always)]
    pub const fn selected() -> Option<Self> {
        None
    }

    /// Is never called.
    pub fn lock(self, _: &RobustWord, _: &Owner, _: impl Fn(u32) -> bool) -> u32 {
        match self.0 {}
    }

    /// Is never called.
    pub fn unlock(self, _: &RobustWord, _: u32) {
        match self.0 {}
    }
}

/// The contract of a condition variable, in place of its code.
#[derive(Debug)]
pub struct Waiters(Infallible);

impl Waiters {
    /// Returns `None`: a program runs the code.
    #[inline(always)]
    pub const fn of_condvar(_: &AtomicU32) -> Option<Self> {
        None
    }

    /// Is never called.
    pub fn wait(&self, _: impl FnOnce(), _: bool, _: bool) -> Wake {
        match self.0 {}
    }

    /// Is never called.
    pub fn wake(&self, _: u32) {
        match self.0 {}
    }
}
