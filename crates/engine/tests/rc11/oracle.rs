//! All executions of a program that RC11 allows, by trying every candidate.
//!
//! A candidate says which compare-exchanges succeed, which write each read reads from, and in which
//! order the writes to each location are. It is built choice by choice, and dropped when the
//! choices made so far violate an axiom or contradict the values.

use crate::axioms::{Choice, Model, Part, RC11};
use crate::events::Events;
use crate::execution::{Execution, Values, Write};
use crate::program::{Op, Program};
use crate::relation::{Relation, bits};

/// The executions that RC11 allows, each once, in ascending order.
pub fn executions(program: &Program) -> Vec<Execution> {
    executions_under(program, RC11)
}

/// The executions that a model allows.
///
/// Executions with a value that depends on itself are left out. Only a model without NO-THIN-AIR
/// allows such executions.
pub fn executions_under(program: &Program, model: Model) -> Vec<Execution> {
    search(program, model, true)
}

/// As [`executions_under`], but checks only complete candidates.
pub fn executions_of_complete_candidates(program: &Program, model: Model) -> Vec<Execution> {
    search(program, model, false)
}

fn search(program: &Program, model: Model, prune: bool) -> Vec<Execution> {
    let mut found = vec![];
    for succeeds in choices_of_success(program) {
        Search::new(program, model, prune, &succeeds).choose(0, &mut found);
    }
    found.sort();
    found
}

/// Every set of compare-exchanges.
fn choices_of_success(program: &Program) -> Vec<Vec<(usize, usize)>> {
    let mut choices = vec![vec![]];
    for (thread, ops) in program.threads.iter().enumerate() {
        for (index, op) in ops.iter().enumerate() {
            if matches!(op, Op::CompareExchange { .. }) {
                let with = choices.clone().into_iter().map(|mut choice| {
                    choice.push((thread, index));
                    choice
                });
                choices = choices.iter().cloned().chain(with).collect();
            }
        }
    }
    choices
}

/// A choice to make. The events are fixed by the compare-exchanges that succeed.
#[derive(Clone, Copy)]
enum Step {
    /// Choose the write that a read reads from.
    Source { read: usize },
    /// Insert a write into the modification order of its location.
    Place { write: usize },
}

struct Search<'a> {
    program: &'a Program,
    model: Model,
    /// Whether to drop incomplete candidates.
    prune: bool,
    events: Events,
    steps: Vec<Step>,
    /// For each event: the write that it reads from, once that is chosen.
    source: Vec<Option<usize>>,
    /// For each location: the writes inserted so far, with the initial one first.
    order: Vec<Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(program: &'a Program, model: Model, prune: bool, succeeds: &[(usize, usize)]) -> Self {
        let events = Events::new(program, succeeds);
        Self {
            program,
            model,
            prune,
            steps: steps(&events),
            source: vec![None; events.count()],
            order: (0..program.locations)
                .map(|initial| vec![initial])
                .collect(),
            events,
        }
    }

    /// Tries every way of making the choices from `step` on.
    fn choose(&mut self, step: usize, found: &mut Vec<Execution>) {
        match self.steps.get(step).copied() {
            None if self.is_possible() => found.extend(self.execution()),
            None => {}
            Some(Step::Source { read }) => self.choose_source(step, read, found),
            Some(Step::Place { write }) => self.choose_place(step, write, found),
        }
    }

    fn choose_source(&mut self, step: usize, read: usize, found: &mut Vec<Execution>) {
        let location = self.events.location[read].expect("a read has a location");
        let writes: Vec<usize> = self.events.writes_to(location).collect();
        for write in writes {
            if self.is_taken(read, write) {
                continue;
            }
            self.source[read] = Some(write);
            if self.goes_on(step + 1) {
                self.choose(step + 1, found);
            }
        }
        self.source[read] = None;
    }

    fn choose_place(&mut self, step: usize, write: usize, found: &mut Vec<Execution>) {
        let location = self.events.location[write].expect("a write has a location");
        for position in 1..=self.order[location].len() {
            self.order[location].insert(position, write);
            if self.goes_on(step + 1) {
                self.choose(step + 1, found);
            }
            self.order[location].remove(position);
        }
    }

    /// Whether two read-modify-writes would read from the same write.
    ///
    /// By COHERENCE both of their writes would be later than the source, so one would lie between
    /// the source and the other, against ATOMICITY. Checked here because the sources of
    /// read-modify-writes are chosen before the order.
    fn is_taken(&self, read: usize, write: usize) -> bool {
        let updates = |event: usize| self.events.rmw_write(event).is_some();
        self.prune
            && self.model.has(Part::Atomicity)
            && self.model.has(Part::Coherence)
            && updates(read)
            && (0..read).any(|other| self.source[other] == Some(write) && updates(other))
    }

    /// Whether to make the choices from `step` on. A complete candidate is always checked.
    fn goes_on(&self, step: usize) -> bool {
        !self.prune || step == self.steps.len() || self.is_possible()
    }

    /// Whether the choices made so far violate no axiom and contradict no value.
    fn is_possible(&self) -> bool {
        self.model.allows(&self.events, &self.relations())
            && self.contradictions(&self.values()).next().is_none()
    }

    fn relations(&self) -> Choice {
        let mut reads_from = Relation::empty(self.events.count());
        for (read, source) in self.source.iter().enumerate() {
            source
                .iter()
                .for_each(|&write| reads_from.insert(write, read));
        }
        let mut modification_order = Relation::empty(self.events.count());
        for order in &self.order {
            for (position, &later) in order.iter().enumerate() {
                for &earlier in &order[..position] {
                    modification_order.insert(earlier, later);
                }
            }
        }
        Choice {
            reads_from,
            modification_order,
        }
    }

    /// The reads-from of the canonical form, as far as it is chosen.
    fn reads_from(&self) -> Vec<Vec<Option<Write>>> {
        let threads = &self.program.threads;
        let mut result: Vec<Vec<_>> = threads.iter().map(|ops| vec![None; ops.len()]).collect();
        for (read, source) in self.source.iter().enumerate() {
            if let (Some((thread, index)), Some(write)) = (self.events.operation[read], *source) {
                result[thread][index] = Some(self.events.operation[write]);
            }
        }
        result
    }

    fn values(&self) -> Values {
        Values::new(self.program, &self.reads_from())
    }

    /// The compare-exchanges whose value read contradicts their chosen success.
    fn contradictions(&self, values: &Values) -> impl Iterator<Item = usize> {
        bits(self.events.sets.reads).filter(|&read| {
            let (thread, index) = self.events.operation[read].expect("no initial write is a read");
            let Op::CompareExchange { expected, .. } = self.program.threads[thread][index] else {
                return false;
            };
            let succeeds = self.events.rmw_write(read).is_some();
            values.read[thread][index].is_some_and(|value| (value == expected) != succeeds)
        })
    }

    /// The canonical form of the candidate, unless a value in it depends on itself.
    fn execution(&self) -> Option<Execution> {
        let reads_from = self.reads_from();
        let values = Values::new(self.program, &reads_from);
        let reads = bits(self.events.sets.reads).map(|event| self.events.operation[event]);
        let known = reads
            .flatten()
            .all(|(thread, index)| values.read[thread][index].is_some());
        let operation = |&write: &usize| self.events.operation[write];
        let order = |order: &Vec<usize>| order.iter().filter_map(operation).collect();
        known.then(|| Execution {
            reads_from,
            modification_order: self.order.iter().map(order).collect(),
        })
    }
}

/// The choices of a candidate, in an order in which wrong ones are found early: the sources of
/// read-modify-writes, the modification orders, and then the sources of the other reads.
fn steps(events: &Events) -> Vec<Step> {
    let is_update = |&read: &usize| events.rmw_write(read).is_some();
    let (updates, loads): (Vec<usize>, Vec<usize>) = bits(events.sets.reads).partition(is_update);
    let writes = bits(events.sets.writes).filter(|&write| events.operation[write].is_some());
    let sources = |reads: Vec<usize>| reads.into_iter().map(|read| Step::Source { read });
    sources(updates)
        .chain(writes.map(|write| Step::Place { write }))
        .chain(sources(loads))
        .collect()
}
