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
pub struct Choices {
    choices: Arc<[AtomicU32]>,
    barrier: Arc<AtomicU32>,
}

impl Choices {
    pub fn new(count: usize) -> Self {
        Self {
            choices: (0..count).map(|_| AtomicU32::new(0)).collect(),
            barrier: Arc::new(AtomicU32::new(0)),
        }
    }

    /// Stores 1 in every choice, so that a later load may return 0 or 1.
    pub fn open(&self) {
        for choice in self.choices.iter() {
            choice.store(1, Relaxed);
        }
    }

    pub fn len(&self) -> usize {
        self.choices.len()
    }

    pub fn read(&self, index: usize) -> bool {
        self.choices[index].load(Relaxed) == 1
    }

    /// Writes a word that all barriers share, so that loom tries both orders of any two barriers.
    pub fn conflict_with_barriers(&self) {
        self.barrier.fetch_add(1, Relaxed);
    }
}
