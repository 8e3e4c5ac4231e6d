//! Memory that is not atomic.

use crate::current;
use core::cell::RefCell;
use core::fmt;
use core::panic::Location;

/// A variable that is not atomic.
///
/// An execution fails if two processes access the cell, at least one of them to write, and neither
/// access happens before the other.
pub struct RaceCell<T: ?Sized> {
    number: usize,
    value: RefCell<T>,
}

impl<T> RaceCell<T> {
    /// Creates a cell.
    ///
    /// # Panics
    /// Panics outside of a model.
    pub fn new(value: T) -> Self {
        let actor = current::actor();
        Self {
            number: current::with(|execution| execution.new_cell(actor)),
            value: RefCell::new(value),
        }
    }
}

impl<T: ?Sized> RaceCell<T> {
    /// Reads the value.
    ///
    /// # Panics
    /// Panics outside of a model, and if the process writes the cell at the same time.
    #[track_caller]
    pub fn with<R>(&self, function: impl FnOnce(&T) -> R) -> R {
        let site = Location::caller();
        current::access(self.number, false, site);
        match self.value.try_borrow() {
            Ok(value) => function(&value),
            Err(_) => current::fail_as_race(self.number, site),
        }
    }

    /// Writes the value.
    ///
    /// # Panics
    /// Panics outside of a model, and if the process accesses the cell at the same time.
    #[track_caller]
    pub fn with_mut<R>(&self, function: impl FnOnce(&mut T) -> R) -> R {
        let site = Location::caller();
        current::access(self.number, true, site);
        match self.value.try_borrow_mut() {
            Ok(mut value) => function(&mut value),
            Err(_) => current::fail_as_race(self.number, site),
        }
    }
}

impl<T: ?Sized> fmt::Debug for RaceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RaceCell({})", self.number)
    }
}
