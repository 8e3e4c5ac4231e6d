//! Operations of a random execution. Each extends the graph in one way, which is chosen at random
//! among the ways that the explorer would put on its stack.
//!
//! **No graph is built that the exploration does not reach.** The events are added in an order in
//! which each read follows its source. So each axiom that holds for the whole graph holds for each
//! graph on the way, and the same checks as in the exploration refuse the others. There are no
//! revisits: a graph in which an earlier read reads from a later write has another order, in which
//! the write comes first, and the schedule is random.

use crate::event::{Event, EventId, Kind, LocationId, Site};
use crate::execution::{Execution, NONE, Status};
use crate::graph::Graph;
use crate::operation::{Operation, Step, Update, new_event};
use crate::sampler::Sampler;
use crate::wait_queue::is_queue;
use core::sync::atomic::Ordering;

impl Execution {
    /// Returns the process that runs next in a random execution.
    pub fn next_sampled(&self) -> Option<usize> {
        let ready = (0..self.status.len()).filter(|process| self.status[*process] == Status::Ready);
        self.sampler.as_ref()?.next(ready)
    }

    /// Performs a new operation in one way, which is chosen at random, unless the process is
    /// preempted.
    pub fn sample(&mut self, process: usize, operation: Operation<'_>, site: Site) -> Step {
        if self.is_preempted(process, &operation) {
            self.scheduled = NONE;
            return Step::Suspend;
        }
        match operation {
            Operation::Load(location, ordering, condition) => {
                self.sample_load(process, location, ordering, condition, site)
            }
            Operation::Store(location, ordering, value) => {
                self.sample_store(process, (location, ordering, value), site)
            }
            Operation::Update(update) => self.sample_update(process, update, site),
            Operation::Choose(count) => {
                let choice = self.sampler().choose(count);
                self.push_choice(process, Kind::Choice, choice, site)
            }
            Operation::Die => {
                let dies = self.sampler().dies(process);
                if dies {
                    self.scheduled = NONE;
                }
                self.push_choice(process, Kind::Death, dies.into(), site)
            }
            Operation::Fence(..) | Operation::Sleep(..) => self.extend(process, operation, site),
        }
    }

    fn sampler(&mut self) -> &mut Sampler {
        let sampler = self.sampler.as_mut();
        sampler.expect("a random execution has a sampler")
    }

    /// Decides whether another process runs before the operation.
    fn is_preempted(&mut self, process: usize, operation: &Operation<'_>) -> bool {
        let is_shared = match *operation {
            Operation::Load(..) | Operation::Store(..) => true,
            Operation::Update(update) => !self.has_just_checked(process, update.location),
            _ => false,
        };
        if is_shared {
            self.sampler().preempt(process);
        }
        is_shared && self.next_sampled() != Some(process)
    }

    /// Whether the process joins this wait queue after the check of the word. If another operation
    /// came in between, most graphs would be inconsistent.
    fn has_just_checked(&self, process: usize, queue: LocationId) -> bool {
        let last = self.graph.events[process].last().map(|last| last.label);
        is_queue(queue)
            && last.is_some_and(|last| last.kind == Kind::Read && last.location + 1 == queue)
    }

    /// Adds a read. If the process waits for a value that no write has stored yet, it waits for the
    /// next write. Once no process can run, it reads the last write, and blocks for ever.
    fn sample_load(
        &mut self,
        process: usize,
        location: LocationId,
        ordering: Ordering,
        condition: Option<&dyn Fn(u64) -> bool>,
        site: Site,
    ) -> Step {
        let mut sources = self.sources(process, location);
        if self.is_stuck {
            sources = vec![self.graph.last_write(location)];
        } else if let Some(condition) = condition {
            sources.retain(|source| condition(self.graph.value(location, *source)));
        }
        if sources.is_empty() {
            self.status[process] = Status::Blocked;
            return Step::Suspend;
        }
        let source = sources[self.sampler().place(sources.len())];
        let label = self.graph.new_label(Kind::Read, location, source);
        let value = self.graph.value(location, source);
        let event = Event {
            ordering,
            value,
            ..new_event(label, site)
        };
        let id = self.push_read(process, event);
        self.check_sequential(id);
        match self.done(value) {
            Step::Done(value) => self.check_condition(process, value, condition),
            suspended @ Step::Suspend => suspended,
        }
    }

    fn sample_store(
        &mut self,
        process: usize,
        write: (LocationId, Ordering, u64),
        site: Site,
    ) -> Step {
        let location = write.0;
        let clock = self.observed_by(process);
        let first = self.graph.observed(location, &clock);
        let places = first..self.graph.variable(location).order.len();
        let is_free = |position: &usize| !self.graph.is_updated(location, *position);
        let places: Vec<usize> = places.filter(is_free).collect();
        let place = places[self.sampler().place(places.len())];
        let write = self.push_write(process, Kind::Write, write, site);
        let order = &mut self.graph.variable_mut(location).order;
        order.insert(place + 1, write);
        self.check_sequential(write);
        self.enable_processes(location);
        self.end_waits();
        self.done(0)
    }

    fn sample_update(&mut self, process: usize, update: Update<'_>, site: Site) -> Step {
        let location = update.location;
        let mut sources = self.sources(process, location);
        let effect = |graph: &Graph, source| (update.effect)(graph.value(location, source), 0);
        sources.retain(|source| {
            let position = self.graph.variable(location).position(*source);
            let is_taken = self.graph.is_updated(location, position);
            let effect = effect(&self.graph, *source);
            !effect.blocks && (!is_taken || effect.written.is_none())
        });
        if sources.is_empty() {
            self.status[process] = Status::Disabled(location, site);
            return Step::Suspend;
        }
        let source = sources[self.sampler().place(sources.len())];
        let choices = effect(&self.graph, source).choices;
        let mut label = self.graph.new_label(Kind::UpdateRead, location, source);
        label.choice = self.sampler().choose_any(choices);
        let step = self.complete_update(process, label, update, site);
        self.end_waits();
        step
    }

    /// Returns the writes that the process may read, in modification order.
    fn sources(&self, process: usize, location: LocationId) -> Vec<EventId> {
        let clock = self.observed_by(process);
        let first = self.graph.observed(location, &clock);
        self.graph.variable(location).order[first..].to_vec()
    }

    /// Lets the processes that wait for a value look again. Returns whether there are some.
    fn end_waits(&mut self) -> bool {
        let mut has_ended = false;
        for status in &mut self.status {
            if *status == Status::Blocked {
                *status = Status::Ready;
                has_ended = true;
            }
        }
        has_ended
    }

    /// Lets the processes that wait for a value read the last one, because no process can run.
    /// Returns whether there are some.
    pub fn get_stuck(&mut self) -> bool {
        if self.sampler.is_none() || self.is_stuck {
            return false;
        }
        self.is_stuck = true;
        self.end_waits()
    }
}
