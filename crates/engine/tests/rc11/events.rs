//! The events of a program, and the relations that do not depend on the execution.

use crate::execution::Write;
use crate::program::{Op, Program};
use crate::relation::{Relation, Set, bits};
use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// Events that share a property. The initial writes are the first events, by location.
pub struct Sets {
    pub reads: Set,
    pub writes: Set,
    pub fences: Set,
    /// Events with the ordering acquire or stronger: E⊒acq.
    pub acquire: Set,
    /// Events with the ordering release or stronger: E⊒rel.
    pub release: Set,
    /// E^sc
    pub seq_cst: Set,
}

pub struct Events {
    pub sets: Sets,
    /// For each event: its location, unless it is a fence.
    pub location: Vec<Option<usize>>,
    /// For each event: the operation that it belongs to. `None` for the initial writes.
    pub operation: Vec<Write>,
    /// sb: program order, with the initial writes before everything.
    pub sequenced_before: Relation,
    /// Pairs of events with the same location.
    pub same_location: Relation,
    /// rmw: from the read to the write of an operation that does both.
    pub rmw: Relation,
}

impl Events {
    /// The events of a program in which the operations in `succeeds` are the compare-exchanges
    /// that write.
    pub fn new(program: &Program, succeeds: &[(usize, usize)]) -> Self {
        let mut events = Builder::default();
        for location in 0..program.locations {
            events.add(Kind::Write, Relaxed, Some(location), None);
        }
        for (thread, ops) in program.threads.iter().enumerate() {
            for (index, op) in ops.iter().enumerate() {
                let operation = (thread, index);
                events.add_operation(op, operation, succeeds.contains(&operation));
            }
        }
        events.finish()
    }

    pub fn count(&self) -> usize {
        self.location.len()
    }

    /// The writes to a location, the initial one included.
    pub fn writes_to(&self, location: usize) -> impl Iterator<Item = usize> {
        bits(self.sets.writes).filter(move |&event| self.location[event] == Some(location))
    }

    /// The write of the same operation, if the read belongs to one that writes.
    pub fn rmw_write(&self, read: usize) -> Option<usize> {
        (0..self.count()).find(|&write| self.rmw.contains(read, write))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Fence,
}

struct Event {
    kind: Kind,
    ordering: Ordering,
    location: Option<usize>,
    operation: Write,
}

#[derive(Default)]
struct Builder {
    events: Vec<Event>,
    /// The pairs of `rmw`.
    pairs: Vec<(usize, usize)>,
}

impl Builder {
    fn add(&mut self, kind: Kind, ordering: Ordering, location: Option<usize>, operation: Write) {
        self.events.push(Event {
            kind,
            ordering,
            location,
            operation,
        });
    }

    fn add_operation(&mut self, op: &Op, operation: (usize, usize), succeeds: bool) {
        let (location, operation) = (op.location(), Some(operation));
        match *op {
            Op::Load { ordering, .. } => self.add(Kind::Read, ordering, location, operation),
            Op::Store { ordering, .. } => self.add(Kind::Write, ordering, location, operation),
            Op::Fence { ordering } => self.add(Kind::Fence, ordering, location, operation),
            Op::CompareExchange { failure, .. } if !succeeds => {
                self.add(Kind::Read, failure, location, operation);
            }
            Op::FetchAdd { ordering, .. }
            | Op::Swap { ordering, .. }
            | Op::CompareExchange {
                success: ordering, ..
            } => {
                self.add(Kind::Read, ordering, location, operation);
                self.add(Kind::Write, ordering, location, operation);
                self.pairs
                    .push((self.events.len() - 2, self.events.len() - 1));
            }
        }
    }

    fn set(&self, belongs: impl Fn(&Event) -> bool) -> Set {
        let members = self
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| belongs(event));
        members.fold(0, |set, (index, _)| set | 1 << index)
    }

    fn finish(self) -> Events {
        let count = self.events.len();
        let mut rmw = Relation::empty(count);
        self.pairs
            .iter()
            .for_each(|&(read, write)| rmw.insert(read, write));
        Events {
            sets: Sets {
                reads: self.set(|event| event.kind == Kind::Read),
                writes: self.set(|event| event.kind == Kind::Write),
                fences: self.set(|event| event.kind == Kind::Fence),
                acquire: self.set(is_acquire),
                release: self.set(is_release),
                seq_cst: self.set(|event| event.ordering == SeqCst),
            },
            location: self.events.iter().map(|event| event.location).collect(),
            operation: self.events.iter().map(|event| event.operation).collect(),
            sequenced_before: self.pairs_where(|a, b| match (a.operation, b.operation) {
                (None, later) => later.is_some(),
                (Some(_), None) => false,
                (Some((thread, _)), Some((other, _))) => thread == other,
            }),
            same_location: {
                let same = |a: &Event, b: &Event| a.location.is_some() && a.location == b.location;
                let earlier = self.pairs_where(same);
                earlier.or(&earlier.inverse())
            },
            rmw,
        }
    }

    /// The pairs `(a, b)` with `a` created before `b` for which `related` holds.
    fn pairs_where(&self, related: impl Fn(&Event, &Event) -> bool) -> Relation {
        let mut relation = Relation::empty(self.events.len());
        for (later, b) in self.events.iter().enumerate() {
            for (earlier, a) in self.events[..later].iter().enumerate() {
                if related(a, b) {
                    relation.insert(earlier, later);
                }
            }
        }
        relation
    }
}

/// The ordering of a read-modify-write is that of both of its events: AcqRel makes its read acquire
/// and its write release. A write never acquires and a read never releases.
fn is_acquire(event: &Event) -> bool {
    match event.kind {
        Kind::Read | Kind::Fence => matches!(event.ordering, Acquire | AcqRel | SeqCst),
        Kind::Write => false,
    }
}

fn is_release(event: &Event) -> bool {
    match event.kind {
        Kind::Write | Kind::Fence => matches!(event.ordering, Release | AcqRel | SeqCst),
        Kind::Read => false,
    }
}
