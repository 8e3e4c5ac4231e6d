//! The operations that a process performs, and how they extend the graph.
//!
//! While a graph is replayed, the graph answers each operation. After that, each operation adds
//! events, and puts every other graph that the operation could lead to on the stack.

use crate::event::{Event, EventId, Kind, LocationId, Site};
use crate::execution::{Execution, Status};
use crate::revisit;
use crate::sequential;
use core::sync::atomic::Ordering;

/// Returns the value that a read-modify-write stores, or `None` if the operation only reads.
pub type Update<'a> = &'a dyn Fn(u64) -> Option<u64>;

/// An operation of a process.
#[derive(Clone, Copy)]
pub enum Operation<'a> {
    /// Reads the location. Blocks until the value satisfies the condition, if there is one.
    Load(LocationId, Ordering, Option<&'a dyn Fn(u64) -> bool>),
    Store(LocationId, Ordering, u64),
    /// Reads and, if the function returns a value, writes. The second ordering is that of an
    /// operation that only reads.
    Update(LocationId, Ordering, Ordering, Update<'a>),
    Fence(Ordering),
    /// Chooses a number below this one.
    Choose(u32),
}

impl Operation<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Load(..) => Kind::Read,
            Self::Store(..) => Kind::Write,
            Self::Update(..) => Kind::UpdateRead,
            Self::Fence(_) => Kind::Fence,
            Self::Choose(_) => Kind::Choice,
        }
    }

    fn location(&self) -> LocationId {
        match *self {
            Self::Load(location, ..) | Self::Store(location, ..) | Self::Update(location, ..) => {
                location
            }
            Self::Fence(_) | Self::Choose(_) => 0,
        }
    }
}

/// The result of an attempt to perform an operation.
pub enum Step {
    /// The operation is done, with this result.
    Done(u64),
    /// The process must wait until the explorer resumes it.
    Suspend,
}

impl Execution {
    /// Performs an operation of a process, unless another process must run first.
    pub fn step(&mut self, process: usize, operation: Operation<'_>, site: Site) -> Step {
        if self.is_over() {
            return Step::Suspend;
        }
        let index = self.graph.events[process].len();
        if index >= self.max_steps {
            self.fail_with_limit();
            return Step::Suspend;
        }
        let recorded = self.outline.labels[process].get(index).copied();
        match recorded {
            Some(label) => {
                if (label.kind, label.location) != (operation.kind(), operation.location()) {
                    self.fail_as_nondeterministic(site);
                    return Step::Suspend;
                }
                self.repeat(process, operation, site)
            }
            None if self.is_replaying || self.scheduled != process => Step::Suspend,
            None => self.extend(process, operation, site),
        }
    }

    /// Performs an operation whose event is in the graph that is replayed.
    fn repeat(&mut self, process: usize, operation: Operation<'_>, site: Site) -> Step {
        let index = self.graph.events[process].len();
        let label = self.outline.labels[process][index];
        let source = label.source;
        let mut event = new_event(label, site);
        match operation {
            Operation::Load(_, ordering, condition) => {
                if !self.is_replayed(source) {
                    return Step::Suspend;
                }
                event.ordering = ordering;
                event.value = self.graph.value(label.location, source);
                self.push_read(process, event);
                self.check_condition(process, event.value, condition)
            }
            Operation::Store(_, ordering, value) => {
                event.ordering = ordering;
                event.value = value;
                self.graph.push(process, event);
                Step::Done(0)
            }
            Operation::Update(location, ordering, failure, update) => {
                // The write of the last event may be missing. It is added after the replay.
                let is_last = index + 1 == self.outline.labels[process].len();
                if (self.is_replaying && is_last) || !self.is_replayed(source) {
                    return Step::Suspend;
                }
                event.value = self.graph.value(location, source);
                let written = update(event.value);
                event.ordering = written.map_or(failure, |_| ordering);
                self.push_read(process, event);
                match written {
                    Some(value) if is_last => self.add_write(process, location, ordering, value, site),
                    Some(value) => {
                        let mut write = new_event(self.outline.labels[process][index + 1], site);
                        write.ordering = ordering;
                        write.value = value;
                        self.graph.push(process, write);
                    }
                    None => {}
                }
                self.done(event.value)
            }
            Operation::Fence(ordering) => {
                event.ordering = ordering;
                self.graph.push(process, event);
                Step::Done(0)
            }
            Operation::Choose(_) => {
                self.graph.push(process, event);
                Step::Done(u64::from(label.choice))
            }
        }
    }

    /// Performs an operation that is new in the graph.
    fn extend(&mut self, process: usize, operation: Operation<'_>, site: Site) -> Step {
        match operation {
            Operation::Load(location, ordering, condition) => {
                let value = self.add_read(process, location, ordering, condition, site);
                match self.done(value) {
                    Step::Done(value) => self.check_condition(process, value, condition),
                    suspended @ Step::Suspend => suspended,
                }
            }
            Operation::Store(location, ordering, value) => {
                self.add_write_at_each_position(process, location, ordering, value, site);
                self.done(0)
            }
            Operation::Update(location, ordering, failure, update) => {
                let value = self.add_update(process, location, (ordering, failure), update, site);
                self.done(value)
            }
            Operation::Fence(ordering) => {
                let label = self.graph.new_label(Kind::Fence, 0, crate::event::INITIAL);
                let mut event = new_event(label, site);
                event.ordering = ordering;
                let id = self.graph.push(process, event);
                self.check_sequential(id);
                self.done(0)
            }
            Operation::Choose(count) => {
                for choice in (1..count).rev() {
                    let mut label = self.graph.new_label(Kind::Choice, 0, crate::event::INITIAL);
                    label.choice = choice;
                    self.push_alternative(process, label);
                }
                let label = self.graph.new_label(Kind::Choice, 0, crate::event::INITIAL);
                self.graph.push(process, new_event(label, site));
                Step::Done(0)
            }
        }
    }

    /// Adds a read of the last write, and pushes a graph for each older write that the process may
    /// read. Returns the value.
    ///
    /// A read whose condition the older value does not satisfy blocks for ever, so its graph is
    /// not pushed.
    fn add_read(
        &mut self,
        process: usize,
        location: LocationId,
        ordering: Ordering,
        condition: Option<&dyn Fn(u64) -> bool>,
        site: Site,
    ) -> u64 {
        for source in self.older_sources(process, location) {
            let value = self.graph.value(location, source);
            if condition.is_none_or(|condition| condition(value)) {
                let label = self.graph.new_label(Kind::Read, location, source);
                self.push_alternative(process, label);
            }
        }
        let source = self.graph.last_write(location);
        let label = self.graph.new_label(Kind::Read, location, source);
        let mut event = new_event(label, site);
        event.ordering = ordering;
        event.value = self.graph.value(location, source);
        let id = self.push_read(process, event);
        self.check_sequential(id);
        event.value
    }

    /// Returns the writes that the process may read, except the last one.
    fn older_sources(&self, process: usize, location: LocationId) -> Vec<EventId> {
        let clock = self.clock(process);
        let first = self.graph.observed(location, &clock);
        let (_, older) = self.graph.variable(location).order[first..]
            .split_last()
            .expect("the last write may always be read");
        older.to_vec()
    }

    /// Adds a read-modify-write of the last write, and pushes the graphs for the older writes.
    fn add_update(
        &mut self,
        process: usize,
        location: LocationId,
        (ordering, failure): (Ordering, Ordering),
        update: Update<'_>,
        site: Site,
    ) -> u64 {
        for source in self.older_sources(process, location) {
            let position = self.graph.variable(location).position(source);
            let written = update(self.graph.value(location, source));
            match written {
                Some(value) if self.graph.is_updated(location, position) => {
                    let write = (location, ordering, value);
                    self.revisit_from_taken_place(process, source, write, site);
                }
                _ => {
                    let label = self.graph.new_label(Kind::UpdateRead, location, source);
                    self.push_alternative(process, label);
                }
            }
        }
        let source = self.graph.last_write(location);
        let label = self.graph.new_label(Kind::UpdateRead, location, source);
        let mut event = new_event(label, site);
        event.value = self.graph.value(location, source);
        let written = update(event.value);
        event.ordering = written.map_or(failure, |_| ordering);
        let id = self.push_read(process, event);
        match written {
            Some(value) => self.add_write(process, location, ordering, value, site),
            None => self.check_sequential(id),
        }
        event.value
    }

    /// Pushes the graphs in which earlier reads read from an update that has no place in this
    /// graph, because another update reads from the same write. Leaves this graph unchanged.
    fn revisit_from_taken_place(
        &mut self,
        process: usize,
        source: EventId,
        (location, ordering, value): (LocationId, Ordering, u64),
        site: Site,
    ) {
        let count = self.graph.events[process].len();
        let label = self.graph.new_label(Kind::UpdateRead, location, source);
        let mut read = new_event(label, site);
        read.ordering = ordering;
        read.value = self.graph.value(location, source);
        self.push_read(process, read);
        let write = self.push_write(process, Kind::UpdateWrite, (location, ordering, value), site);
        revisit::revisit(&self.graph, write, &mut self.stack);
        self.graph.events[process].truncate(count);
        self.graph.variable_mut(location).readers.pop();
    }

    /// Adds the write of an update whose read is the last event of the process, right after the
    /// source of that read.
    fn add_write(
        &mut self,
        process: usize,
        location: LocationId,
        ordering: Ordering,
        value: u64,
        site: Site,
    ) {
        let write = self.push_write(process, Kind::UpdateWrite, (location, ordering, value), site);
        revisit::revisit(&self.graph, write, &mut self.stack);
        let read = write.previous().expect("its read precedes an UpdateWrite");
        let source = self.graph.event(read).label.source;
        let position = self.graph.variable(location).position(source);
        if self.graph.is_updated(location, position) {
            self.abandon();
            return;
        }
        let order = &mut self.graph.variable_mut(location).order;
        order.insert(position + 1, write);
        self.check_sequential(write);
    }

    /// Adds a write at the end of the modification order, and pushes a graph for each other position
    /// that it may have.
    fn add_write_at_each_position(
        &mut self,
        process: usize,
        location: LocationId,
        ordering: Ordering,
        value: u64,
        site: Site,
    ) {
        let clock = self.clock(process);
        let first = self.graph.observed(location, &clock);
        let write = self.push_write(process, Kind::Write, (location, ordering, value), site);
        revisit::revisit(&self.graph, write, &mut self.stack);
        let end = self.graph.variable(location).order.len() - 1;
        for position in first..end {
            if !self.graph.is_updated(location, position) {
                let mut outline = self.whole_outline();
                outline.orders[location as usize].insert(position + 1, write);
                self.stack.push(outline);
            }
        }
        self.graph.variable_mut(location).order.push(write);
        self.check_sequential(write);
    }

    fn push_write(
        &mut self,
        process: usize,
        kind: Kind,
        (location, ordering, value): (LocationId, Ordering, u64),
        site: Site,
    ) -> EventId {
        let label = self.graph.new_label(kind, location, crate::event::INITIAL);
        let mut event = new_event(label, site);
        event.ordering = ordering;
        event.value = value;
        self.graph.push(process, event)
    }

    fn push_read(&mut self, process: usize, event: Event) -> EventId {
        let id = self.graph.push(process, event);
        let variable = self.graph.variable_mut(event.label.location);
        variable.readers.push(id);
        id
    }

    /// Pushes the graph that has this event in place of the next event of the process.
    fn push_alternative(&mut self, process: usize, label: crate::event::Label) {
        let mut outline = self.whole_outline();
        outline.labels[process].push(label);
        self.stack.push(outline);
    }

    fn check_sequential(&mut self, id: EventId) {
        if sequential::is_affected_by(&self.graph, id) && !sequential::is_consistent(&self.graph) {
            self.abandon();
        }
    }

    fn check_condition(
        &mut self,
        process: usize,
        value: u64,
        condition: Option<&dyn Fn(u64) -> bool>,
    ) -> Step {
        if condition.is_none_or(|condition| condition(value)) {
            Step::Done(value)
        } else {
            self.status[process] = Status::Blocked;
            Step::Suspend
        }
    }

    /// Whether the replay has reached this write.
    fn is_replayed(&self, write: EventId) -> bool {
        write == crate::event::INITIAL || write.index() < self.graph.events[write.process()].len()
    }

    fn done(&self, value: u64) -> Step {
        if self.is_over() {
            Step::Suspend
        } else {
            Step::Done(value)
        }
    }
}

fn new_event(label: crate::event::Label, site: Site) -> Event {
    Event {
        label,
        ordering: Ordering::Relaxed,
        value: 0,
        site,
        happens_before: Default::default(),
        prefix: Default::default(),
        released: Default::default(),
        acquirable: Default::default(),
        fenced: Default::default(),
    }
}
