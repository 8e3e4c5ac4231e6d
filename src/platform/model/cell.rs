//! loom's cell, which records each access.

use super::backend::WatchedCell;
use super::event::Action;
use super::{backend, death, world};
use core::alloc::Layout;
use core::panic::Location;

/// Memory that several processes may change.
///
/// The model fails with a data race if two conflicting accesses are not ordered.
#[derive(Debug)]
pub struct UnsafeCell<T> {
    number: u32,
    /// The cell whose accesses the engine checks.
    watched: WatchedCell,
    #[expect(clippy::disallowed_types, reason = "this is the seam")]
    value: core::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    /// Creates a cell with this value.
    #[track_caller]
    #[expect(clippy::disallowed_types, reason = "this is the seam")]
    pub fn new(value: T) -> Self {
        Self {
            number: world::new_number(Location::caller()),
            watched: WatchedCell::new(),
            value: core::cell::UnsafeCell::new(value),
        }
    }

    /// Creates a cell in place whose value has only zero bytes.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes of a cell, no other access to these bytes happens
    /// during the call, and zero bytes are a valid `T`.
    #[track_caller]
    pub unsafe fn init_zeroed(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, and zero bytes are a
        // valid `T`.
        unsafe { at.write(Self::new(core::mem::zeroed())) }
    }

    /// Calls `read` with a pointer to the value. A concurrent write fails the model.
    #[track_caller]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        let site = Location::caller();
        if !death::survives(site) {
            return read(self.value_of_destructor());
        }
        world::record(site, Action::CellRead { cell: self.number });
        self.watched.read(|| read(self.value.get()))
    }

    /// Calls `write` with a pointer to the value. Any concurrent access fails the model.
    #[track_caller]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        let site = Location::caller();
        if !death::survives(site) {
            return write(self.value_of_destructor());
        }
        world::record(site, Action::CellWrite { cell: self.number });
        self.watched.write(|| write(self.value.get()))
    }

    /// Returns the value for the destructors that run while a process unwinds.
    ///
    /// It is a copy, except after the end of an execution of `interlatch-engine`, where no process
    /// sees what the destructors change. There, a value that owns memory is not copied, because a
    /// destructor may move it.
    fn value_of_destructor(&self) -> *mut T {
        match backend::is_unwinding() && core::mem::needs_drop::<T>() {
            true => self.value.get(),
            false => self.copy(),
        }
    }

    /// Returns a copy for the destructors that run while a dying process unwinds.
    ///
    /// The copy lives until the execution ends. A value that a destructor moves out of the copy
    /// then exists twice. This is harmless, because models with deaths use only plain data as
    /// items.
    fn copy(&self) -> *mut T {
        let copy = world::scratch(Layout::new::<T>()).cast::<T>();
        // SAFETY: `scratch` returns memory for one `T`. Processes are coroutines of one thread, and
        // no access is in progress at a scheduling point.
        unsafe { copy.copy_from_nonoverlapping(self.value.get(), 1) };
        copy
    }
}

// SAFETY: loom checks that the types above the seam, which promise `Sync`, exclude every data race.
unsafe impl<T: Send> Sync for UnsafeCell<T> {}
