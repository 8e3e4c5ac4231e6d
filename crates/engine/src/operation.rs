//! The operations that a process performs, and how they extend the graph.
//!
//! While a graph is replayed, the graph answers each operation. After that, each operation adds
//! events, and puts every other graph that the operation could lead to on the stack.

use crate::event::{Event, EventId, INITIAL, Kind, Label, LocationId, Site, UNDECIDED};
use crate::execution::{Execution, NONE, Status};
use crate::revisit;
use crate::sequential;
use core::sync::atomic::Ordering;

/// A read-modify-write.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    pub location: LocationId,
    /// The ordering if the operation writes.
    pub success: Ordering,
    /// The ordering if the operation only reads.
    pub failure: Ordering,
    /// Returns the effect, given the value that the operation reads and the number of a choice.
    pub effect: &'a dyn Fn(u64, u32) -> Effect,
}

/// What a read-modify-write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The value that it stores, or `None` if it only reads.
    pub written: Option<u64>,
    /// The number of choices that it has.
    pub choices: u32,
    /// Whether the process waits for another value.
    pub blocks: bool,
}

impl Effect {
    /// The only effect that is possible.
    pub fn only(written: Option<u64>) -> Self {
        Self {
            written,
            choices: 1,
            blocks: false,
        }
    }

    /// The effect of a value for which the process does not wait.
    pub fn blocked() -> Self {
        Self {
            written: None,
            choices: 1,
            blocks: true,
        }
    }
}

/// An operation of a process.
#[derive(Clone, Copy)]
pub enum Operation<'a> {
    /// Reads the location. Blocks until the value satisfies the condition, if there is one.
    Load(LocationId, Ordering, Option<&'a dyn Fn(u64) -> bool>),
    Store(LocationId, Ordering, u64),
    Update(Update<'a>),
    /// A fence, which may be [`LIGHT`] or [`HEAVY`].
    Fence(Ordering, u32),
    /// Chooses a number below this one.
    Choose(u32),
    /// Chooses whether the process dies (1) or lives (0).
    Die,
    /// Sleeps in this wait queue, which the process has just joined, until a wake removes the
    /// process from the queue, or until time passes and one of the words has changed.
    Sleep(LocationId, &'a [Watched]),
}

impl Operation<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Load(..) => Kind::Read,
            Self::Store(..) => Kind::Write,
            Self::Update(..) => Kind::UpdateRead,
            Self::Fence(..) => Kind::Fence,
            Self::Choose(_) => Kind::Choice,
            Self::Die => Kind::Death,
            Self::Sleep(..) => Kind::Awake,
        }
    }

    /// Whether the operation adds an event with this label. A sleep may end in two ways.
    fn is_recorded_as(&self, label: Label) -> bool {
        let is_end_of_sleep = label.kind == Kind::Recheck && self.kind() == Kind::Awake;
        (is_end_of_sleep || label.kind == self.kind()) && label.location == self.location()
    }

    fn location(&self) -> LocationId {
        match *self {
            Self::Load(location, ..) | Self::Store(location, ..) | Self::Sleep(location, _) => {
                location
            }
            Self::Update(update) => update.location,
            Self::Fence(..) | Self::Choose(_) | Self::Die => 0,
        }
    }
}

/// A word that a sleeper watches: it wakes if the last value of the word differs from this value in
/// the bits of the mask.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    pub location: LocationId,
    pub mask: u64,
    pub value: u64,
}

/// The result of a sleep that a wake ended.
pub const WOKEN: u64 = 0;

/// The result of a sleep that ended because no process could run.
pub const RECHECKED: u64 = 1;

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
        if let Some(value) = self.held[process].take_if(|_| !self.is_replaying) {
            return Step::Done(value);
        }
        let index = self.graph.events[process].len();
        if index >= self.max_steps {
            self.fail_with_limit();
            return Step::Suspend;
        }
        let recorded = self.outline.labels[process].get(index).copied();
        let step = match recorded {
            Some(label) => {
                if !operation.is_recorded_as(label) {
                    self.fail_as_nondeterministic(site);
                    return Step::Suspend;
                }
                self.repeat(process, operation, site)
            }
            None if self.is_replaying || self.scheduled != process => Step::Suspend,
            None if self.sampler.is_some() => self.sample(process, operation, site),
            None => self.extend(process, operation, site),
        };
        let last = self.graph.events[process].last();
        let is_visible = last.is_some_and(|event| event.label.kind.is_visible());
        if matches!(step, Step::Done(_)) && is_visible {
            self.note_change(process);
        }
        match step {
            Step::Done(value) if self.is_replaying && !self.is_behind(process) => {
                self.held[process] = Some(value);
                Step::Suspend
            }
            step => step,
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
            Operation::Update(update) => self.repeat_update(process, event, update),
            Operation::Fence(ordering, _) => {
                event.ordering = ordering;
                self.graph.push(process, event);
                Step::Done(0)
            }
            Operation::Choose(_) | Operation::Die => {
                self.graph.push(process, event);
                Step::Done(u64::from(label.choice))
            }
            Operation::Sleep(..) if label.kind == Kind::Recheck => {
                if !self.is_replayed_before(label.choice) {
                    return Step::Suspend;
                }
                self.graph.push(process, event);
                Step::Done(RECHECKED)
            }
            Operation::Sleep(..) => {
                if !self.is_replayed(source) {
                    return Step::Suspend;
                }
                self.graph.push(process, event);
                Step::Done(WOKEN)
            }
        }
    }

    /// Performs a read-modify-write whose read is in the graph that is replayed.
    ///
    /// If the read is the last event of the process, the write may be missing, because a revisit
    /// has changed the read. Then the write is added after the replay.
    fn repeat_update(&mut self, process: usize, mut event: Event, update: Update<'_>) -> Step {
        let index = self.graph.events[process].len();
        let is_last = index + 1 == self.outline.labels[process].len();
        if (self.is_replaying && is_last) || !self.is_replayed(event.label.source) {
            return Step::Suspend;
        }
        if is_last {
            return self.complete_update(process, event.label, update, event.site);
        }
        event.value = self.graph.value(update.location, event.label.source);
        let effect = (update.effect)(event.value, event.label.choice);
        event.ordering = effect.written.map_or(update.failure, |_| update.success);
        self.push_read(process, event);
        let recorded = self.outline.labels[process].get(index + 1).copied();
        let recorded = recorded.filter(|label| label.kind == Kind::UpdateWrite);
        if effect.blocks || effect.written.is_some() != recorded.is_some() {
            self.fail_as_nondeterministic(event.site);
            return Step::Suspend;
        }
        if let (Some(value), Some(label)) = (effect.written, recorded) {
            let mut write = new_event(label, event.site);
            write.ordering = update.success;
            write.value = value;
            self.graph.push(process, write);
        }
        Step::Done(event.value)
    }

    /// Performs an operation that is new in the graph.
    pub fn extend(&mut self, process: usize, operation: Operation<'_>, site: Site) -> Step {
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
            Operation::Update(update) if !self.is_enabled(process, update) => {
                self.status[process] = Status::Disabled(update.location, site);
                Step::Suspend
            }
            Operation::Update(update) => self.add_update(process, update, site),
            Operation::Fence(ordering, asymmetry) => {
                let mut label = self.graph.new_label(Kind::Fence, 0, INITIAL);
                label.choice = asymmetry;
                let mut event = new_event(label, site);
                event.ordering = ordering;
                let id = self.graph.push(process, event);
                self.check_sequential(id);
                self.done(0)
            }
            Operation::Choose(count) => self.add_choice(process, Kind::Choice, count, site),
            Operation::Die => self.add_choice(process, Kind::Death, 2, site),
            Operation::Sleep(..) if core::mem::take(&mut self.has_rechecked[process]) => {
                Step::Done(RECHECKED)
            }
            Operation::Sleep(queue, watched) => match self.graph.waker(process, queue) {
                Some(wake) => {
                    let label = self.graph.new_label(Kind::Awake, queue, wake);
                    self.graph.push(process, new_event(label, site));
                    Step::Done(WOKEN)
                }
                None => {
                    self.status[process] = Status::Asleep(queue);
                    self.watched[process] = watched.to_vec();
                    Step::Suspend
                }
            },
        }
    }

    /// Adds the first result of a choice, and pushes a graph for each other one.
    fn add_choice(&mut self, process: usize, kind: Kind, count: u32, site: Site) -> Step {
        for choice in (1..count).rev() {
            let label = self.graph.new_label(kind, 0, INITIAL);
            self.push_alternative(process, Label { choice, ..label });
        }
        self.push_choice(process, kind, 0, site)
    }

    /// Adds this result of a choice.
    pub fn push_choice(&mut self, process: usize, kind: Kind, choice: u32, site: Site) -> Step {
        let mut label = self.graph.new_label(kind, 0, INITIAL);
        label.choice = choice;
        self.graph.push(process, new_event(label, site));
        Step::Done(choice.into())
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
        let clock = self.observed_by(process);
        let first = self.graph.observed(location, &clock);
        let (_, older) = self.graph.variable(location).order[first..]
            .split_last()
            .expect("the last write may always be read");
        older.to_vec()
    }

    /// Whether one of the writes that a read-modify-write may read does not block the process.
    fn is_enabled(&self, process: usize, update: Update<'_>) -> bool {
        let location = update.location;
        let continues = |source| {
            let position = self.graph.variable(location).position(source);
            let value = self.graph.value(location, source);
            !self.graph.is_updated(location, position) && !(update.effect)(value, 0).blocks
        };
        continues(self.graph.last_write(location))
            || self
                .older_sources(process, location)
                .into_iter()
                .any(continues)
    }

    /// Makes the processes ready that wait for a write to the location. The next operation is that
    /// of the first process that is ready.
    pub fn enable_processes(&mut self, location: LocationId) {
        for status in &mut self.status {
            if matches!(status, Status::Disabled(waiting, _) if *waiting == location) {
                *status = Status::Ready;
                self.scheduled = NONE;
            }
        }
    }

    /// Adds a read-modify-write of the last write, and pushes the graphs for the older writes,
    /// except those in which the process blocks for ever.
    fn add_update(&mut self, process: usize, update: Update<'_>, site: Site) -> Step {
        let location = update.location;
        for source in self.older_sources(process, location) {
            let position = self.graph.variable(location).position(source);
            let read = self.graph.value(location, source);
            let effect = (update.effect)(read, 0);
            if effect.blocks {
                continue;
            }
            if effect.written.is_some() && self.graph.is_updated(location, position) {
                for choice in 0..effect.choices {
                    self.revisit_from_taken_place(process, source, choice, update, site);
                }
            } else {
                let mut label = self.graph.new_label(Kind::UpdateRead, location, source);
                label.choice = UNDECIDED;
                self.push_alternative(process, label);
            }
        }
        let source = self.graph.last_write(location);
        let mut label = self.graph.new_label(Kind::UpdateRead, location, source);
        label.choice = UNDECIDED;
        self.complete_update(process, label, update, site)
    }

    /// Adds a read-modify-write that reads from the source of this label. If its choice is
    /// undecided, pushes a graph for each choice but the first.
    pub fn complete_update(
        &mut self,
        process: usize,
        mut label: Label,
        update: Update<'_>,
        site: Site,
    ) -> Step {
        let read = self.graph.value(update.location, label.source);
        if label.choice == UNDECIDED {
            for choice in (1..(update.effect)(read, 0).choices).rev() {
                self.push_alternative(process, Label { choice, ..label });
            }
            label.choice = 0;
        }
        let effect = (update.effect)(read, label.choice);
        let mut event = new_event(label, site);
        event.value = read;
        event.ordering = effect.written.map_or(update.failure, |_| update.success);
        let id = self.push_read(process, event);
        match effect.written {
            Some(value) => self.add_write_of_update(process, update, value, site),
            None => self.check_sequential(id),
        }
        if !self.is_over() && !self.graph.is_consistent_access(id) {
            self.abandon();
        }
        self.wake_processes(update.location);
        if effect.blocks {
            self.status[process] = Status::Blocked;
            return Step::Suspend;
        }
        self.done(read)
    }

    /// Pushes the graphs in which earlier reads read from an update that has no place in this
    /// graph, because another update reads from the same write. Leaves this graph unchanged.
    fn revisit_from_taken_place(
        &mut self,
        process: usize,
        source: EventId,
        choice: u32,
        update: Update<'_>,
        site: Site,
    ) {
        let location = update.location;
        let read = self.graph.value(location, source);
        let Some(value) = (update.effect)(read, choice).written else {
            return;
        };
        let count = self.graph.events[process].len();
        let mut label = self.graph.new_label(Kind::UpdateRead, location, source);
        label.choice = choice;
        let mut event = new_event(label, site);
        event.ordering = update.success;
        event.value = read;
        self.push_read(process, event);
        let write = (location, update.success, value);
        let write = self.push_write(process, Kind::UpdateWrite, write, site);
        self.revisit(write);
        self.graph.events[process].truncate(count);
        self.graph.variable_mut(location).readers.pop();
    }

    /// Adds the write of an update whose read is the last event of the process, right after the
    /// source of that read.
    fn add_write_of_update(&mut self, process: usize, update: Update<'_>, value: u64, site: Site) {
        let location = update.location;
        let write = (location, update.success, value);
        let write = self.push_write(process, Kind::UpdateWrite, write, site);
        self.revisit(write);
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
        self.enable_processes(location);
    }

    /// Adds a write at the end of the modification order, and pushes a graph for each other
    /// position that it may have.
    fn add_write_at_each_position(
        &mut self,
        process: usize,
        location: LocationId,
        ordering: Ordering,
        value: u64,
        site: Site,
    ) {
        let clock = self.observed_by(process);
        let first = self.graph.observed(location, &clock);
        let write = self.push_write(process, Kind::Write, (location, ordering, value), site);
        self.revisit(write);
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
        self.enable_processes(location);
    }

    /// Makes the processes ready that an access to this queue has woken. The next operation is that
    /// of the first process that is ready.
    fn wake_processes(&mut self, queue: LocationId) {
        if self.is_over() {
            return;
        }
        for process in 0..self.status.len() {
            let sleeps_here = self.status[process] == Status::Asleep(queue);
            if sleeps_here && self.graph.waker(process, queue).is_some() {
                self.status[process] = Status::Ready;
                self.scheduled = NONE;
            }
        }
    }

    pub fn push_write(
        &mut self,
        process: usize,
        kind: Kind,
        (location, ordering, value): (LocationId, Ordering, u64),
        site: Site,
    ) -> EventId {
        let label = self.graph.new_label(kind, location, INITIAL);
        let mut event = new_event(label, site);
        event.ordering = ordering;
        event.value = value;
        self.graph.push(process, event)
    }

    pub fn push_read(&mut self, process: usize, event: Event) -> EventId {
        let id = self.graph.push(process, event);
        let variable = self.graph.variable_mut(event.label.location);
        variable.readers.push(id);
        id
    }

    /// Pushes the graphs in which an earlier read reads from this write. A random execution has no
    /// other graphs.
    fn revisit(&mut self, write: EventId) {
        if self.sampler.is_none() {
            revisit::revisit(&self.graph, write, &mut self.stack);
        }
    }

    /// Pushes the graph that has this event in place of the next event of the process.
    fn push_alternative(&mut self, process: usize, label: Label) {
        let mut outline = self.whole_outline();
        outline.labels[process].push(label);
        self.stack.push(outline);
    }

    pub fn check_sequential(&mut self, id: EventId) {
        if sequential::is_affected_by(&self.graph, id) && !sequential::is_consistent(&self.graph) {
            self.abandon();
        }
    }

    pub fn check_condition(
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
        write == INITIAL || write.index() < self.graph.events[write.process()].len()
    }

    /// Whether the replay has reached all events whose stamp is below this one.
    fn is_replayed_before(&self, stamp: u32) -> bool {
        let mut processes = self.outline.labels.iter().zip(&self.graph.events);
        processes.all(|(labels, events)| {
            let next = labels.get(events.len());
            next.is_none_or(|label| label.stamp >= stamp)
        })
    }

    pub fn done(&self, value: u64) -> Step {
        if self.is_over() {
            Step::Suspend
        } else {
            Step::Done(value)
        }
    }
}

/// Returns an event without values and clocks.
pub fn new_event(label: Label, site: Site) -> Event {
    Event {
        label,
        ordering: Ordering::Relaxed,
        value: 0,
        site,
        happens_before: Default::default(),
        observed: Default::default(),
        prefix: Default::default(),
        released: Default::default(),
        acquirable: Default::default(),
        fenced: Default::default(),
    }
}
