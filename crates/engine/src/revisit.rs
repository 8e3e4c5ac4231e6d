//! Backward revisits of TruSt: earlier reads that may read from a write that was added later.
//!
//! A revisit of the read `r` by the write `w` keeps the events that were added before `r`, and the
//! events from which program order and reads-from lead to `w`. It deletes all others. The same
//! graph could result from many graphs that differ in the deleted events. So that it results from
//! exactly one, the deleted events must be *maximal*: each must be what the explorer adds by
//! itself, without an alternative or a revisit.

use crate::event::{Event, EventId, INITIAL, Kind, UNDECIDED};
use crate::graph::{Graph, Outline};

/// Pushes the graphs in which an earlier read reads from this write. The write is the last event of
/// the graph, and has no position in the modification order yet.
pub fn revisit(graph: &Graph, write: EventId, stack: &mut Vec<Outline>) {
    let added = graph.event(write);
    let readers = &graph.variable(added.label.location).readers;
    for read in readers {
        if !added.prefix.contains(*read) {
            let revisit = Revisit::new(graph, write, *read);
            if revisit.deletes_only_maximal_events() {
                revisit.push(stack);
            }
        }
    }
}

struct Revisit<'a> {
    graph: &'a Graph,
    write: EventId,
    read: EventId,
    /// The number of events of each process that are kept.
    kept: Vec<usize>,
}

impl<'a> Revisit<'a> {
    fn new(graph: &'a Graph, write: EventId, read: EventId) -> Self {
        let latest = graph.event(read).label.stamp;
        let prefix = &graph.event(write).prefix;
        let processes = graph.events.iter().enumerate();
        let kept = processes.map(|(process, events)| {
            let older = events.partition_point(|event| event.label.stamp <= latest);
            older.max(prefix.count(process))
        });
        Self {
            graph,
            write,
            read,
            kept: kept.collect(),
        }
    }

    fn deletes_only_maximal_events(&self) -> bool {
        let processes = self.graph.events.iter().enumerate();
        let mut deleted = processes.flat_map(|(process, events)| {
            (self.kept[process]..events.len()).map(move |index| EventId::new(process, index))
        });
        self.is_maximal(self.read) && deleted.all(|id| self.is_maximal(id))
    }

    /// Whether the event is what the explorer adds by itself: a read of the last write, a write at
    /// the end of the modification order that no earlier read reads, the first result of a choice.
    fn is_maximal(&self, id: EventId) -> bool {
        let event = self.graph.event(id);
        match event.label.kind {
            Kind::Write | Kind::UpdateWrite => {
                self.is_last_write(event, id) && !self.is_read_by_earlier(event, id)
            }
            Kind::Read => self.is_last_write(event, event.label.source),
            Kind::UpdateRead => {
                event.label.choice == 0 && self.is_last_write(event, event.label.source)
            }
            Kind::Choice | Kind::Death => event.label.choice == 0,
            Kind::Fence | Kind::Awake | Kind::Recheck => true,
        }
    }

    /// Whether the other event was in the graph when `event` was added, as far as the result of the
    /// revisit tells: the event is older, or leads to the write.
    fn is_earlier(&self, other: EventId, event: &Event) -> bool {
        other == INITIAL
            || other != self.write
                && (self.graph.event(other).label.stamp <= event.label.stamp
                    || self.graph.event(self.write).prefix.contains(other))
    }

    /// Whether `write` was the last write of the location when `event` was added.
    fn is_last_write(&self, event: &Event, write: EventId) -> bool {
        let variable = self.graph.variable(event.label.location);
        let later = &variable.order[variable.position(write) + 1..];
        !later.iter().any(|other| self.is_earlier(*other, event))
    }

    fn is_read_by_earlier(&self, event: &Event, write: EventId) -> bool {
        let mut readers = self.graph.variable(event.label.location).readers.iter();
        readers.any(|read| {
            self.graph.event(*read).label.source == write && self.is_earlier(*read, event)
        })
    }

    /// Pushes the graph with each position that the write may have.
    fn push(&self, stack: &mut Vec<Outline>) {
        let graph = self.graph;
        let label = graph.event(self.write).label;
        let mut outline = graph.outline(|process| self.kept[process]);
        let read = outline.label_mut(self.read);
        read.source = self.write;
        if read.kind == Kind::UpdateRead {
            read.choice = UNDECIDED;
        }
        let order = &outline.orders[label.location as usize];
        let position = |write: EventId| {
            let position = order.iter().position(|other| *other == write);
            position.expect("a kept read or write observes only kept writes")
        };
        let observed = |id: EventId| {
            let clock = graph.observed_before(id);
            let observed = graph.observed(label.location, &clock);
            position(graph.variable(label.location).order[observed])
        };
        let (first, last) = match label.kind {
            Kind::UpdateWrite => {
                let read = self.write.previous();
                let read = read.expect("its read precedes an UpdateWrite");
                let source = position(graph.event(read).label.source);
                if source < observed(self.read) {
                    return;
                }
                (source, source)
            }
            _ => {
                let first = observed(self.read).max(observed(self.write));
                (first, order.len() - 1)
            }
        };
        for position in first..=last {
            if !outline.is_updated(label.location, position) {
                let mut outline = outline.clone();
                let order = &mut outline.orders[label.location as usize];
                order.insert(position + 1, self.write);
                stack.push(outline);
            }
        }
    }
}
