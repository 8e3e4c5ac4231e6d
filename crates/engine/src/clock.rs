//! Vector clocks, which represent sets of events that are closed under program order.

use crate::event::{EventId, INITIAL};

/// The maximum number of processes of a model.
pub const MAX_PROCESSES: usize = 8;

/// For each process, the number of its first events that the set contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock([u16; MAX_PROCESSES]);

impl Clock {
    /// Adds the events of the other set.
    pub fn join(&mut self, other: &Self) {
        for (one, other) in self.0.iter_mut().zip(&other.0) {
            *one = (*one).max(*other);
        }
    }

    /// Whether the set contains this event. Every set contains the initial writes.
    pub fn contains(&self, event: EventId) -> bool {
        event == INITIAL || event.index < self.0[event.process()]
    }

    /// Adds an event of a process whose earlier events are in the set.
    pub fn add(&mut self, event: EventId) {
        self.0[event.process()] = event.index + 1;
    }

    /// Returns the number of events of this process in the set.
    pub fn count(&self, process: usize) -> usize {
        usize::from(self.0[process])
    }
}
