//! loom's cell, with each access recorded.

use super::event::Action;
use super::world;
use core::alloc::Layout;
use core::panic::Location;

/// Memory that several processes may change. An access that does not happen after every
/// conflicting one is reported as a data race.
#[derive(Debug)]
pub struct UnsafeCell<T> {
    number: u32,
    /// loom watches the accesses of this one.
    watched: loom::cell::UnsafeCell<()>,
    #[expect(clippy::disallowed_types, reason = "this is the seam")]
    value: core::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    #[track_caller]
    #[expect(clippy::disallowed_types, reason = "this is the seam")]
    pub fn new(value: T) -> Self {
        Self {
            number: world::number(Location::caller()),
            watched: loom::cell::UnsafeCell::new(()),
            value: core::cell::UnsafeCell::new(value),
        }
    }

    /// Reads. A concurrent write fails the model.
    #[track_caller]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        let site = Location::caller();
        if !world::lives(site) {
            return read(self.copy());
        }
        world::record(site, Action::CellRead { cell: self.number });
        self.watched.with(|_| read(self.value.get()))
    }

    /// Writes. Any concurrent access fails the model.
    #[track_caller]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        let site = Location::caller();
        if !world::lives(site) {
            return write(self.copy());
        }
        world::record(site, Action::CellWrite { cell: self.number });
        self.watched.with_mut(|_| write(self.value.get()))
    }

    /// For a dead process, whose destructors run although they should not: a copy that lasts as long
    /// as the execution. What is taken out of it is there twice then, which is well as long as models
    /// that have deaths have plain items.
    fn copy(&self) -> *mut T {
        let copy = world::room_for(Layout::new::<T>()).cast::<T>();
        // SAFETY: the room is for one of this type. Processes are coroutines of one thread, and none
        // is in the middle of an access.
        unsafe { copy.copy_from_nonoverlapping(self.value.get(), 1) };
        copy
    }
}

// SAFETY: as for core's cell wrapped in a `Sync` type above the seam: loom checks every access.
unsafe impl<T: Send> Sync for UnsafeCell<T> {}
