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
    /// Panics outside of a model. The function panics if it performs an operation or writes the
    /// cell.
    #[track_caller]
    pub fn with<R>(&self, function: impl FnOnce(&T) -> R) -> R {
        let _inside = current::access(self.number, false, Location::caller());
        function(&self.value.borrow())
    }

    /// Writes the value.
    ///
    /// # Panics
    /// Panics outside of a model. The function panics if it performs an operation or accesses the
    /// cell.
    #[track_caller]
    pub fn with_mut<R>(&self, function: impl FnOnce(&mut T) -> R) -> R {
        let _inside = current::access(self.number, true, Location::caller());
        function(&mut self.value.borrow_mut())
    }
}

impl<T: ?Sized> fmt::Debug for RaceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RaceCell({})", self.number)
    }
}
