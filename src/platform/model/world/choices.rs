//! The nondeterministic choices of an execution.

use core::sync::atomic::Ordering::Relaxed;
use loom::sync::atomic::AtomicU32;
use std::sync::Arc;

/// The binary choices of one execution. Each choice is read once.
///
/// A choice is an atomic that the kernel thread sets to 1 before any process runs. No process
/// synchronizes with this store. So a process's Relaxed load of the choice may return 0 or 1, and
/// loom tries both.
#[derive(Clone, Debug)]
pub struct Choices(Arc<[AtomicU32]>);

impl Choices {
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU32::new(0)).collect())
    }

    /// Stores 1 in every choice, so that a later load may return 0 or 1.
    pub fn open(&self) {
        for choice in self.0.iter() {
            choice.store(1, Relaxed);
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn read(&self, index: usize) -> bool {
        self.0[index].load(Relaxed) == 1
    }
}
