//! Wait queues in the graph.
//!
//! The wait queue of a word is a location of its own. Its value is the set of the processes that
//! wait. A process checks the word, and then joins the queue with a read-modify-write. A wake is a
//! read-modify-write that removes waiters, or only a read if there are none.
//!
//! The kernel checks the word and joins the queue under the lock of the queue. So if another
//! process accesses the queue before, the check must return a value at least as new as every value
//! that this process knew.
//!
//! **A wake orders no memory**, because the kernel does not promise that it does. The end of a sleep
//! comes after the wake, but what the waker did does not happen before it.

use crate::event::{EventId, Kind, LocationId};
use crate::graph::Graph;

/// Returns the location of the wait queue of a word.
pub fn of(word: LocationId) -> LocationId {
    word + 1
}

/// Whether the location is a wait queue.
pub fn is_queue(location: LocationId) -> bool {
    location % 2 == 1
}

/// Returns the set that contains only this process.
pub fn bit(process: usize) -> u64 {
    1 << process
}

/// An access to a queue.
struct Access {
    read: EventId,
    /// The position of its source: the access comes after this write, and before the next one.
    position: usize,
    is_write: bool,
    /// If the access joins the queue: the position of the value of the word that was checked.
    checked: Option<usize>,
}

impl Graph {
    /// Returns the write that removed a process from a queue that it has joined, if there is one.
    pub fn waker(&self, process: usize, queue: LocationId) -> Option<EventId> {
        let order = &self.variable(queue).order;
        let waits_after = |index: usize| self.value(queue, order[index]) & bit(process) != 0;
        let joins = |index: &usize| {
            order[*index].process() == process && waits_after(*index) && !waits_after(*index - 1)
        };
        let join = (1..order.len()).rev().find(joins)?;
        let mut later = order[join + 1..].iter().copied();
        later.find(|write| self.event(*write).value & bit(process) == 0)
    }

    /// Whether the accesses to all queues are consistent with the checks of their words.
    pub fn has_current_checks(&self) -> bool {
        let reads = self
            .events
            .iter()
            .enumerate()
            .flat_map(|(process, events)| {
                let events = events.iter().enumerate();
                let reads = events.filter(|(_, event)| event.label.kind == Kind::UpdateRead);
                reads.map(move |(index, _)| EventId::new(process, index))
            });
        reads
            .into_iter()
            .all(|read| self.is_consistent_access(read))
    }

    /// Whether an access is consistent with the checks of the processes that have joined the queue.
    /// Accesses to other locations are.
    pub fn is_consistent_access(&self, read: EventId) -> bool {
        let queue = self.event(read).label.location;
        if !is_queue(queue) {
            return true;
        }
        let one = self.access(read);
        let others = &self.variable(queue).readers;
        let mut others = others.iter().filter(|other| **other != read);
        others.all(|other| {
            let other = self.access(*other);
            self.is_consistent_pair(&one, &other) && self.is_consistent_pair(&other, &one)
        })
    }

    /// Whether `later`, if it comes later and joins the queue, has checked a value as new as each
    /// one that the process of `earlier` knew.
    fn is_consistent_pair(&self, earlier: &Access, later: &Access) -> bool {
        let Some(checked) = later.checked else {
            return true;
        };
        let is_earlier = earlier.position < later.position
            || (earlier.position == later.position && !earlier.is_write);
        let event = self.event(earlier.read);
        let word = event.label.location - 1;
        !is_earlier || self.observed(word, &event.observed) <= checked
    }

    fn access(&self, read: EventId) -> Access {
        let event = self.event(read);
        let variable = self.variable(event.label.location);
        let written = self.events[read.process()].get(read.index() + 1);
        let written = written.filter(|next| next.label.kind == Kind::UpdateWrite);
        let joins = written.is_some_and(|write| write.value & !event.value != 0);
        let word = event.label.location - 1;
        let check = read
            .previous()
            .filter(|_| joins)
            .map(|check| self.event(check).label);
        let check = check.filter(|check| check.kind == Kind::Read && check.location == word);
        let checked = check.map(|check| self.variable(word).position(check.source));
        Access {
            read,
            position: variable.position(event.label.source),
            is_write: written.is_some(),
            checked,
        }
    }
}
