//! loom's cell, with each access recorded.

use super::event::Action;
use super::world;
use core::panic::Location;

/// Memory that several processes may change. An access that does not happen after every
/// conflicting one is reported as a data race.
#[derive(Debug)]
pub struct UnsafeCell<T> {
    number: u32,
    inner: loom::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self {
            number: world::number(Location::caller()),
            inner: loom::cell::UnsafeCell::new(value),
        }
    }

    /// Reads. A concurrent write fails the model.
    #[track_caller]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        world::record(Location::caller(), Action::CellRead { cell: self.number });
        self.inner.with(read)
    }

    /// Writes. Any concurrent access fails the model.
    #[track_caller]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        world::record(Location::caller(), Action::CellWrite { cell: self.number });
        self.inner.with_mut(write)
    }
}

// SAFETY: as for core's cell wrapped in a `Sync` type above the seam: loom checks every access.
unsafe impl<T: Send> Sync for UnsafeCell<T> {}
