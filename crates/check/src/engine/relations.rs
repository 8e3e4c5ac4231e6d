//! Derives the relations between the steps of an execution: reads-from, synchronizes-with, data
//! races. The page of a failure draws these relations as arrows.
//!
//! loom does not expose these relations. This module therefore derives them from the recorded
//! steps, by the rules of the memory model. Two kinds of loads synchronize with releases: an
//! acquire load, and a relaxed load before an acquire fence. If such a load reads from a release
//! sequence, it synchronizes with every release that belongs to the sequence. Three kinds of
//! releases belong to a sequence: the release store or update at its head, the release updates in
//! it, and the release fences before its relaxed writes.

use crate::ReadsFrom;
use interlatch::platform::Ordering::{self, AcqRel, Acquire, Release, SeqCst};
use interlatch::platform::model::event::{Action, Event};
use std::collections::{BTreeMap, BTreeSet};

/// The relations of one step to earlier steps of the execution.
#[derive(Clone, Debug, Default)]
pub struct Relation {
    pub reads_from: Option<ReadsFrom>,
    pub synchronizes_with: BTreeSet<usize>,
}

/// A recorded write to a word.
struct Write {
    step: usize,
    /// Whether the write is an update (read-modify-write). In the modification order, an update
    /// immediately follows the write that the update reads.
    is_update: bool,
    value: u64,
    /// The steps with which an acquire load that reads this write synchronizes.
    released: BTreeSet<usize>,
}

/// The fences of one process, and the releases that wait for its next acquire fence.
#[derive(Default)]
struct Fences {
    /// The last release fence of the process.
    release: Option<usize>,
    /// The releases that relaxed loads of the process have read. The next acquire fence of the
    /// process synchronizes with these releases.
    pending: BTreeSet<usize>,
}

/// Derives the relations of each step from the recorded steps.
pub fn derive(events: &[Event]) -> Vec<Relation> {
    let mut writes: BTreeMap<u32, Vec<Write>> = BTreeMap::new();
    let mut fences: BTreeMap<usize, Fences> = BTreeMap::new();
    let steps = events.iter().enumerate();
    let relations = steps.map(|(step, event)| {
        let fences = fences.entry(event.process).or_default();
        if let Action::Fence { order } = event.action {
            return fence(step, order, fences);
        }
        let Some(access) = Access::from_action(&event.action) else {
            return Relation::default();
        };
        let writes = writes.entry(access.word).or_default();
        let source = access.source(writes);
        let published = source.map(|(_, write)| write.released.clone());
        let published = published.unwrap_or_default();
        let reads_from = source.map(|(source, _)| source);
        let mut synchronizes_with = published.clone();
        if !acquires(access.order) {
            fences.pending.append(&mut synchronizes_with);
        }
        synchronizes_with.retain(|other| events[*other].process != event.process);
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
        Relation {
            reads_from,
            synchronizes_with,
        }
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
    let synchronizes_with = match acquires(order) {
        true => core::mem::take(&mut fences.pending),
        false => BTreeSet::new(),
    };
    Relation {
        reads_from: None,
        synchronizes_with,
    }
}

/// The effect of one step on a word.
struct Access {
    word: u32,
    order: Ordering,
    /// Whether the access is an update, which always reads the latest value.
    is_update: bool,
    read: Option<u64>,
    written: Option<u64>,
}

impl Access {
    fn from_action(action: &Action) -> Option<Self> {
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

    /// Returns the last write that stored the value read by this access.
    fn source<'a>(&self, writes: &'a [Write]) -> Option<(ReadsFrom, &'a Write)> {
        let mut candidates = writes.iter().filter(|write| Some(write.value) == self.read);
        let last = candidates.next_back()?;
        let is_only = candidates.next().is_none();
        // If all writes to the word are updates, the last recorded write is also the last write in
        // the modification order.
        let is_latest = self.is_update && writes.iter().all(|write| write.is_update);
        let source = ReadsFrom {
            step: last.step,
            is_certain: is_only || is_latest,
        };
        Some((source, last))
    }
}

/// Finds the step that races with the last step, if the last step accesses a cell.
///
/// The racing step is an access by another process that conflicts with the last step and does not
/// happen before the last step. If there are several such accesses, the function returns the latest
/// one.
pub fn race(events: &[Event], relations: &[Relation]) -> Option<usize> {
    let (last, before) = events.split_last()?;
    let (cell, is_write) = cell_access(&last.action)?;
    let ordered = happens_before_last(events, relations);
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

/// Returns all steps that happen before the last step.
fn happens_before_last(events: &[Event], relations: &[Relation]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut to_visit = vec![events.len() - 1];
    while let Some(step) = to_visit.pop() {
        let process = events[step].process;
        let previous = (0..step).rfind(|earlier| events[*earlier].process == process);
        let before = relations[step]
            .synchronizes_with
            .iter()
            .copied()
            .chain(previous);
        to_visit.extend(before.filter(|earlier| found.insert(*earlier)));
    }
    found
}
