//! The two engines behind the seam: loom, and `interlatch-engine`, which explores execution graphs.
//!
//! A run uses one of the two. A word or cell belongs to the engine that was selected when it was
//! created.

use super::world;
use core::cell::Cell;
use core::sync::atomic::Ordering;
use interlatch_engine as graphs;

/// An engine that explores models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The crate loom.
    Loom,
    /// The crate `interlatch-engine`.
    Graphs,
}

thread_local! {
    static SELECTED: Cell<Backend> = const { Cell::new(Backend::Loom) };
}

/// Selects the engine for every model that this thread runs from now on.
pub fn select(backend: Backend) {
    SELECTED.set(backend);
}

/// Returns the engine that runs models on this thread.
pub fn selected() -> Backend {
    SELECTED.get()
}

/// Whether `interlatch-engine` runs the model.
pub(super) fn is_graphs() -> bool {
    selected() == Backend::Graphs
}

/// Whether the running process is unwound, because the execution ended before the process has.
pub(super) fn is_unwinding() -> bool {
    is_graphs() && graphs::is_unwinding()
}

/// Fails the model, because loom does not have this.
pub(super) fn require_graphs(what: &str) {
    assert!(
        is_graphs(),
        "bad model: {what} in a model of loom, which has none; declare it with `Model::over`"
    );
}

/// Defines an atomic of one of the two engines.
macro_rules! word {
    ($name:ident, $loom:ident, $value:ty) => {
        #[derive(Debug)]
        pub(super) enum $name {
            Loom(loom::sync::atomic::$loom),
            Graphs(graphs::Atomic<$value>),
        }

        #[allow(dead_code, reason = "not every width needs each operation")]
        impl $name {
            pub fn new(value: $value) -> Self {
                match is_graphs() {
                    true => Self::Graphs(graphs::Atomic::new(value)),
                    false => Self::Loom(loom::sync::atomic::$loom::new(value)),
                }
            }

            /// Returns the atomic of `interlatch-engine`.
            pub fn as_graphs(&self) -> &graphs::Atomic<$value> {
                match self {
                    Self::Graphs(word) => word,
                    Self::Loom(_) => panic!("bad model: a word of loom in a model of graphs"),
                }
            }

            /// # Safety
            /// No store happens at the same time.
            pub unsafe fn unsync_load(&self) -> $value {
                match self {
                    // SAFETY: the caller keeps this promise.
                    Self::Loom(word) => unsafe { word.unsync_load() },
                    Self::Graphs(word) => word.load(Ordering::Relaxed),
                }
            }

            pub fn load(&self, order: Ordering) -> $value {
                match self {
                    Self::Loom(word) => word.load(order),
                    Self::Graphs(word) => word.load(order),
                }
            }

            pub fn store(&self, value: $value, order: Ordering) {
                match self {
                    Self::Loom(word) => word.store(value, order),
                    Self::Graphs(word) => word.store(value, order),
                }
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                match self {
                    Self::Loom(word) => word.swap(value, order),
                    Self::Graphs(word) => word.swap(value, order),
                }
            }

            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                match self {
                    Self::Loom(word) => word.fetch_add(value, order),
                    Self::Graphs(word) => word.fetch_add(value, order),
                }
            }

            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                match self {
                    Self::Loom(word) => word.fetch_sub(value, order),
                    Self::Graphs(word) => word.fetch_sub(value, order),
                }
            }

            pub fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                match self {
                    Self::Loom(word) => word.fetch_or(bits, order),
                    Self::Graphs(word) => word.fetch_or(bits, order),
                }
            }

            pub fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                match self {
                    Self::Loom(word) => word.fetch_and(bits, order),
                    Self::Graphs(word) => word.fetch_and(bits, order),
                }
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                match self {
                    Self::Loom(word) => word.compare_exchange(current, new, success, failure),
                    Self::Graphs(word) => word.compare_exchange(current, new, success, failure),
                }
            }
        }
    };
}

word!(Word32, AtomicU32, u32);
word!(Word64, AtomicU64, u64);
word!(WordUsize, AtomicUsize, usize);

/// The cell whose accesses an engine checks.
#[derive(Debug)]
pub(super) enum WatchedCell {
    Loom(loom::cell::UnsafeCell<()>),
    Graphs(graphs::RaceCell<()>),
}

impl WatchedCell {
    pub fn new() -> Self {
        match is_graphs() {
            true => Self::Graphs(graphs::RaceCell::new(())),
            false => Self::Loom(loom::cell::UnsafeCell::new(())),
        }
    }

    /// Calls `access` as a read of the cell.
    pub fn read<R>(&self, access: impl FnOnce() -> R) -> R {
        match self {
            Self::Loom(cell) => cell.with(|_| access()),
            Self::Graphs(cell) => {
                world::step(|| cell.with(|()| ()));
                access()
            }
        }
    }

    /// Calls `access` as a write of the cell.
    pub fn write<R>(&self, access: impl FnOnce() -> R) -> R {
        match self {
            Self::Loom(cell) => cell.with_mut(|_| access()),
            Self::Graphs(cell) => {
                world::step(|| cell.with_mut(|()| ()));
                access()
            }
        }
    }
}
