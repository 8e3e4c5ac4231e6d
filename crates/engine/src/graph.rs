//! Execution graphs: events, reads-from and modification order.
//!
//! Coherence and atomicity hold by construction: a read is added only with sources, and a write
//! only at positions, that the axioms allow. `sequential` checks the axiom of sequential
//! consistency.

use crate::clock::{Clock, MAX_PROCESSES};
use crate::event::{Event, EventId, INITIAL, Kind, Label, LocationId, is_acquire, is_release};
use crate::sequential::is_light;
use core::sync::atomic::Ordering;

/// A shared variable.
#[derive(Clone, Debug)]
pub struct Variable {
    pub initial: u64,
    /// The modification order. The first entry is [`INITIAL`].
    pub order: Vec<EventId>,
    /// The reads, in no particular order.
    pub readers: Vec<EventId>,
}

impl Variable {
    pub fn new() -> Self {
        Self {
            initial: 0,
            order: vec![INITIAL],
            readers: Vec::new(),
        }
    }

    /// Returns the position of this write in the modification order.
    pub fn position(&self, write: EventId) -> usize {
        let position = self.order.iter().rposition(|other| *other == write);
        position.expect("the write is in the modification order of its location")
    }
}

/// An execution graph. While a graph is replayed, only the replayed events are complete.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The events of each process in program order.
    pub events: Vec<Vec<Event>>,
    pub variables: Vec<Variable>,
    pub next_stamp: u32,
    /// Whether there is an event with the ordering `SeqCst`.
    pub has_sequential: bool,
}

impl Graph {
    pub fn event(&self, id: EventId) -> &Event {
        &self.events[id.process()][id.index()]
    }

    pub fn event_mut(&mut self, id: EventId) -> &mut Event {
        &mut self.events[id.process()][id.index()]
    }

    pub fn variable(&self, location: LocationId) -> &Variable {
        &self.variables[location as usize]
    }

    pub fn variable_mut(&mut self, location: LocationId) -> &mut Variable {
        &mut self.variables[location as usize]
    }

    /// Returns the value that this write stores.
    pub fn value(&self, location: LocationId, write: EventId) -> u64 {
        if write == INITIAL {
            self.variable(location).initial
        } else {
            self.event(write).value
        }
    }

    /// Returns the last position in the modification order that a process with this clock has
    /// observed. By coherence, its next read returns this write or a later one, and its next write
    /// comes after this position.
    pub fn observed(&self, location: LocationId, clock: &Clock) -> usize {
        let variable = self.variable(location);
        let mut order = variable.order.iter();
        let mut observed = order.rposition(|write| clock.contains(*write));
        // By coherence, the last read of a process has the largest position of its reads.
        let mut has_read = [false; MAX_PROCESSES];
        for read in variable.readers.iter().rev() {
            if clock.contains(*read) && !core::mem::replace(&mut has_read[read.process()], true) {
                let source = self.event(*read).label.source;
                observed = observed.max(Some(variable.position(source)));
            }
        }
        observed.unwrap_or(0)
    }

    /// Whether a read-modify-write follows the write at this position. Then by atomicity no other
    /// write may come between the two.
    pub fn is_updated(&self, location: LocationId, position: usize) -> bool {
        is_updated(&self.variable(location).order, position, |id| {
            self.event(id).label
        })
    }

    /// Returns the events whose values the process observes before the event with this identifier,
    /// which may be its next event.
    pub fn observed_before(&self, id: EventId) -> Clock {
        let last = id.previous();
        last.map_or_else(Clock::default, |last| self.event(last).observed)
    }

    /// Returns the label of a new event.
    pub fn new_label(&mut self, kind: Kind, location: LocationId, source: EventId) -> Label {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        Label {
            kind,
            location,
            source,
            choice: 0,
            stamp,
        }
    }

    /// Appends an event to its process and computes its clocks. The clocks of its predecessor and
    /// of its source must be complete. Returns the event's identifier.
    pub fn push(&mut self, process: usize, event: Event) -> EventId {
        let id = EventId::new(process, self.events[process].len());
        self.has_sequential |= event.ordering == Ordering::SeqCst || is_light(&event);
        self.events[process].push(event);
        self.compute_clocks(id);
        id
    }

    fn compute_clocks(&mut self, id: EventId) {
        let mut event = *self.event(id);
        if let Some(last) = id.previous().map(|last| self.event(last)) {
            event.happens_before = last.happens_before;
            event.observed = last.observed;
            event.prefix = last.prefix;
            event.acquirable = last.acquirable;
            event.fenced = last.fenced;
        }
        event.happens_before.add(id);
        event.prefix.add(id);
        match event.label.kind {
            Kind::Read | Kind::UpdateRead => self.synchronize(&mut event),
            Kind::Write | Kind::UpdateWrite => event.released = self.released(id, &event),
            Kind::Fence if is_acquire(event.ordering) => {
                event.happens_before.join(&event.acquirable);
            }
            Kind::Awake => event.prefix.join(&self.event(event.label.source).prefix),
            Kind::Recheck => {
                let all = self.added_before(event.label.choice);
                event.prefix.join(&all);
                event.observed.join(&all);
            }
            Kind::Fence | Kind::Choice | Kind::Death => {}
        }
        if event.label.kind == Kind::Fence && is_release(event.ordering) {
            event.fenced = event.happens_before;
        }
        event.acquirable.join(&event.happens_before);
        event.observed.join(&event.happens_before);
        *self.event_mut(id) = event;
    }

    /// Returns the events whose stamp is below this one.
    fn added_before(&self, stamp: u32) -> Clock {
        let mut clock = Clock::default();
        for (process, events) in self.events.iter().enumerate() {
            let count = events.partition_point(|event| event.label.stamp < stamp);
            if let Some(last) = count.checked_sub(1) {
                clock.add(EventId::new(process, last));
            }
        }
        clock
    }

    /// Adds to a read what its source has released.
    fn synchronize(&self, read: &mut Event) {
        let source = read.label.source;
        if source == INITIAL {
            return;
        }
        let write = self.event(source);
        read.prefix.join(&write.prefix);
        if is_acquire(read.ordering) {
            read.happens_before.join(&write.released);
        } else {
            read.acquirable.join(&write.released);
        }
    }

    /// Returns what a write releases. An update also passes on what its source has released: both
    /// are in one release sequence.
    fn released(&self, id: EventId, write: &Event) -> Clock {
        let mut released = if is_release(write.ordering) {
            write.happens_before
        } else {
            write.fenced
        };
        if write.label.kind == Kind::UpdateWrite {
            let read = id.previous().expect("its read precedes an UpdateWrite");
            let source = self.event(read).label.source;
            if source != INITIAL {
                released.join(&self.event(source).released);
            }
        }
        released
    }

    /// Returns the last write in the modification order of a location.
    pub fn last_write(&self, location: LocationId) -> EventId {
        let order = &self.variable(location).order;
        *order.last().expect("the order contains the initial write")
    }

    /// Returns the outline of the first events of each process, whose number `keep` returns.
    pub fn outline(&self, keep: impl Fn(usize) -> usize) -> Outline {
        let is_kept = |id: &EventId| *id == INITIAL || id.index() < keep(id.process());
        let labels = |(process, events): (usize, &Vec<Event>)| {
            let kept = &events[..keep(process)];
            kept.iter().map(|event| event.label).collect()
        };
        let order = |variable: &Variable| variable.order.iter().copied().filter(is_kept).collect();
        Outline {
            labels: self.events.iter().enumerate().map(labels).collect(),
            orders: self.variables.iter().map(order).collect(),
            next_stamp: self.next_stamp,
        }
    }
}

/// A graph without what a replay computes: values, orderings and clocks.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// The labels of each process in program order.
    pub labels: Vec<Vec<Label>>,
    /// The modification order of each location.
    pub orders: Vec<Vec<EventId>>,
    pub next_stamp: u32,
}

impl Outline {
    pub fn label_mut(&mut self, id: EventId) -> &mut Label {
        &mut self.labels[id.process()][id.index()]
    }

    pub fn is_updated(&self, location: LocationId, position: usize) -> bool {
        is_updated(&self.orders[location as usize], position, |id| {
            self.labels[id.process()][id.index()]
        })
    }
}

fn is_updated(order: &[EventId], position: usize, label: impl Fn(EventId) -> Label) -> bool {
    let Some(next) = order.get(position + 1) else {
        return false;
    };
    let read = match label(*next).kind {
        Kind::UpdateWrite => next.previous().expect("its read precedes an UpdateWrite"),
        _ => return false,
    };
    label(read).source == order[position]
}
