//! Choices that the checker enumerates.
//!
//! A coin is an atomic that the kernel thread has set to 1 before any process ran, and that no
//! process has been told of: a Relaxed load may return either value, and loom tries both.

use super::event::Action;
use super::world;
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;
use loom::sync::atomic::AtomicU32;
use std::sync::Arc;

/// The coins of one execution; each is used once.
#[derive(Clone, Debug)]
pub struct Choices(Arc<[AtomicU32]>);

impl Choices {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn toss(&self) {
        for coin in self.0.iter() {
            coin.store(1, Relaxed);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn side(&self, index: usize) -> bool {
        self.0[index].load(Relaxed) == 1
    }
}

/// One of `0..count`, every one of them in some execution.
///
/// # Panics
/// When the model's coins are used up: a limit that was hit is a failure, not a pass.
#[track_caller]
pub fn choose(count: u32) -> u32 {
    let mut chosen = 0;
    while chosen + 1 < count && flip() {
        chosen += 1;
    }
    if count > 1 {
        world::record(Location::caller(), Action::Choice { chosen, count });
    }
    chosen
}

/// A choice of two.
pub(super) fn flip() -> bool {
    let (coins, index) = world::next_coin();
    world::step(|| coins.side(index))
}
