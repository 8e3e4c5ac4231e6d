//! Which step reads from which, which happens before which, and which two race: what the arrows of
//! an execution's picture show.
//!
//! loom keeps all this to itself, so it is worked out again from the record, by the rules of the
//! memory model. A process that reads a release sequence with an acquire, or before an acquire
//! fence, comes after those that released: the store or update that heads the sequence, an update
//! in it that releases too, or a release fence before a relaxed one.

use super::Source;
use interlatch::platform::Ordering::{self, AcqRel, Acquire, Release, SeqCst};
use interlatch::platform::model::event::{Action, Event};
use std::collections::{BTreeMap, BTreeSet};

/// How one step is related to others.
#[derive(Clone, Debug, Default)]
pub struct Relation {
    pub reads: Option<Source>,
    pub after: BTreeSet<usize>,
}

/// A write to a word.
struct Write {
    step: usize,
    /// It is an update, which comes right after the write that it reads.
    is_update: bool,
    value: u64,
    /// Who reads this with an acquire comes after these.
    released: BTreeSet<usize>,
}

/// What is known of a process that has fences.
#[derive(Default)]
struct Fences {
    /// Its last release fence.
    release: Option<usize>,
    /// What its relaxed loads have read: an acquire fence comes after these.
    pending: BTreeSet<usize>,
}

/// The relations of each step.
pub fn of(events: &[Event]) -> Vec<Relation> {
    let mut writes: BTreeMap<u32, Vec<Write>> = BTreeMap::new();
    let mut fences: BTreeMap<usize, Fences> = BTreeMap::new();
    let steps = events.iter().enumerate();
    let relations = steps.map(|(step, event)| {
        let fences = fences.entry(event.process).or_default();
        if let Action::Fence { order } = event.action {
            return fence(step, order, fences);
        }
        let Some(access) = Access::of(&event.action) else {
            return Relation::default();
        };
        let writes = writes.entry(access.word).or_default();
        let source = access.source(writes);
        let published = source.map(|(_, write)| write.released.clone());
        let published = published.unwrap_or_default();
        let reads = source.map(|(source, _)| source);
        let mut after = published.clone();
        if !acquires(access.order) {
            fences.pending.append(&mut after);
        }
        after.retain(|other| events[*other].process != event.process);
        if let Some(value) = access.written {
            let continues = access.read.is_some();
            let mut released = if continues {
                published
            } else {
                BTreeSet::new()
            };
            if releases(access.order) {
                released.insert(step);
            } else {
                released.extend(fences.release);
            }
            writes.push(Write {
                step,
                is_update: access.read.is_some(),
                value,
                released,
            });
        }
        Relation { reads, after }
    });
    relations.collect()
}

fn acquires(order: Ordering) -> bool {
    matches!(order, Acquire | AcqRel | SeqCst)
}

fn releases(order: Ordering) -> bool {
    matches!(order, Release | AcqRel | SeqCst)
}

fn fence(step: usize, order: Ordering, fences: &mut Fences) -> Relation {
    if releases(order) {
        fences.release = Some(step);
    }
    let after = match acquires(order) {
        true => core::mem::take(&mut fences.pending),
        false => BTreeSet::new(),
    };
    Relation { reads: None, after }
}

/// What an action does to a word.
struct Access {
    word: u32,
    order: Ordering,
    /// It reads the newest value.
    is_update: bool,
    read: Option<u64>,
    written: Option<u64>,
}

impl Access {
    fn of(action: &Action) -> Option<Self> {
        let is_update = !matches!(action, Action::Load { .. } | Action::Store { .. });
        let (word, order, read, written) = match *action {
            Action::Load { word, order, read } => (word, order, Some(read), None),
            Action::Store {
                word,
                order,
                written,
            } => (word, order, None, Some(written)),
            Action::Update {
                word,
                order,
                read,
                written,
            } => (word, order, Some(read), written),
            Action::Pipe {
                word,
                order,
                before,
                ..
            } => {
                let before = u64::from(before);
                (word, order, Some(before), Some(before + 1))
            }
            Action::WaitChanged { word, read, .. } => {
                (word, Ordering::Relaxed, Some(u64::from(read)), None)
            }
            _ => return None,
        };
        Some(Self {
            word,
            order,
            is_update,
            read,
            written,
        })
    }

    /// The last write of the value that is read.
    fn source<'a>(&self, writes: &'a [Write]) -> Option<(Source, &'a Write)> {
        let mut candidates = writes.iter().filter(|write| Some(write.value) == self.read);
        let last = candidates.next_back()?;
        let is_only = candidates.next().is_none();
        // Where all are updates, the last one is the newest.
        let is_newest = self.is_update && writes.iter().all(|write| write.is_update);
        let source = Source {
            step: last.step,
            is_certain: is_only || is_newest,
        };
        Some((source, last))
    }
}

/// The step that the last one races with, if the last one is an access of a cell: the latest
/// conflicting one by another process that does not happen before it.
pub fn race(events: &[Event], relations: &[Relation]) -> Option<usize> {
    let (last, before) = events.split_last()?;
    let (cell, is_write) = cell_access(&last.action)?;
    let ordered = everything_before(events, relations);
    let conflicts = |event: &Event| {
        event.process != last.process
            && cell_access(&event.action)
                .is_some_and(|(other, other_writes)| other == cell && (is_write || other_writes))
    };
    let mut earlier = before.iter().enumerate();
    let race = earlier.rfind(|(step, event)| conflicts(event) && !ordered.contains(step));
    race.map(|(step, _)| step)
}

fn cell_access(action: &Action) -> Option<(u32, bool)> {
    match *action {
        Action::CellRead { cell } => Some((cell, false)),
        Action::CellWrite { cell } => Some((cell, true)),
        _ => None,
    }
}

/// The steps that happen before the last one.
fn everything_before(events: &[Event], relations: &[Relation]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut to_visit = vec![events.len() - 1];
    while let Some(step) = to_visit.pop() {
        let process = events[step].process;
        let previous = (0..step).rfind(|earlier| events[*earlier].process == process);
        let before = relations[step].after.iter().copied().chain(previous);
        to_visit.extend(before.filter(|earlier| found.insert(*earlier)));
    }
    found
}
