//! The axiom of sequential consistency of RC11: the relation `psc` has no cycle.
//!
//! The paper defines `psc` with relations over all events. This module computes the edges between
//! the SeqCst events directly. For an edge that begins or ends at a fence, it suffices to know, for
//! each location, the smallest and the largest position in the modification order that the events
//! after and before the fence have.
//!
//! **Asymmetric fences.** A heavy fence is a SeqCst fence. A light fence is one too, but only against
//! heavy fences: between two light fences, or a light fence and any other event, there is no edge.
//! (Goldblatt: "Asymmetric fences", WG21 P1202, 2018, defines them so.)

use crate::event::{Event, EventId, HEAVY, Kind, LIGHT};
use crate::graph::Graph;
use core::sync::atomic::Ordering;

/// Whether the graph satisfies the axiom.
pub fn is_consistent(graph: &Graph) -> bool {
    if !graph.has_sequential {
        return true;
    }
    let relation = Psc::new(graph);
    let count = relation.nodes.len();
    let mut state = vec![Search::New; count];
    (0..count).all(|node| relation.is_acyclic_from(node, &mut state))
}

/// Whether the addition of this event can violate the axiom.
///
/// A new event has no successor in happens-before. So an edge leads from it, or from a fence before
/// it, only to a later position in the modification order. If the event reads the last write, or is
/// the last write, there is no such position.
pub fn is_affected_by(graph: &Graph, id: EventId) -> bool {
    let access = graph.has_sequential.then(|| access(graph, id)).flatten();
    access.is_some_and(|access| {
        let order = &graph.variables[access.location].order;
        access.position + 1 < order.len()
    })
}

fn ids(graph: &Graph) -> impl Iterator<Item = EventId> {
    let processes = graph.events.iter().enumerate();
    processes.flat_map(|(process, events)| {
        (0..events.len()).map(move |index| EventId::new(process, index))
    })
}

/// Whether the event is one that the axiom orders.
fn is_sequential(event: &Event) -> bool {
    event.ordering == Ordering::SeqCst || is_light(event)
}

pub fn is_light(event: &Event) -> bool {
    event.label.kind == Kind::Fence && event.label.choice == LIGHT
}

fn is_heavy(event: &Event) -> bool {
    event.label.kind == Kind::Fence && event.label.choice == HEAVY
}

/// The place of an event in the order of its location: a write at its position, a read at the
/// position of its source.
#[derive(Clone, Copy)]
struct Access {
    id: EventId,
    location: usize,
    position: usize,
    is_write: bool,
}

/// A SeqCst event: an access or a fence.
struct Node {
    id: EventId,
    access: Option<Access>,
    /// For a fence: its bounds at each location.
    bounds: Vec<Bounds>,
}

/// The positions that the accesses before and after a fence have at one location.
#[derive(Clone, Copy)]
struct Bounds {
    /// The smallest position of an access after the fence.
    first_after: usize,
    /// The smallest position of a write after the fence.
    first_write_after: usize,
    /// The largest position of an access before the fence.
    last_before: usize,
    /// The largest position of a write before the fence.
    last_write_before: usize,
}

impl Bounds {
    const NONE: Self = Self {
        first_after: usize::MAX,
        first_write_after: usize::MAX,
        last_before: 0,
        last_write_before: 0,
    };
}

struct Psc<'a> {
    graph: &'a Graph,
    /// The accesses of each location.
    accesses: Vec<Vec<Access>>,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Search {
    New,
    Active,
    Done,
}

impl<'a> Psc<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut accesses = vec![Vec::new(); graph.variables.len()];
        let mut nodes = Vec::new();
        for id in ids(graph) {
            let access = access(graph, id);
            if let Some(access) = access {
                accesses[access.location].push(access);
            }
            if is_sequential(graph.event(id)) {
                let bounds = Vec::new();
                nodes.push(Node { id, access, bounds });
            }
        }
        for node in &mut nodes {
            if node.access.is_none() {
                let locations = accesses.iter();
                let bounds = locations.map(|accesses| bounds(graph, node.id, accesses));
                node.bounds = bounds.collect();
            }
        }
        Self {
            graph,
            accesses,
            nodes,
        }
    }

    /// Searches depth first. Returns false if there is a cycle.
    fn is_acyclic_from(&self, node: usize, state: &mut [Search]) -> bool {
        match state[node] {
            Search::Done => return true,
            Search::Active => return false,
            Search::New => state[node] = Search::Active,
        }
        let next = (0..self.nodes.len()).filter(|next| *next != node);
        let mut next = next.filter(|next| self.has_edge(&self.nodes[node], &self.nodes[*next]));
        let is_acyclic = next.all(|next| self.is_acyclic_from(next, state));
        state[node] = Search::Done;
        is_acyclic
    }

    fn has_edge(&self, from: &Node, to: &Node) -> bool {
        let [one, other] = [from, to].map(|node| self.graph.event(node.id));
        if (is_light(one) && !is_heavy(other)) || (is_light(other) && !is_heavy(one)) {
            return false;
        }
        match (from.access, to.access) {
            (None, None) => self.between_fences(from, to),
            (None, Some(access)) => self.after_fence(from, access),
            (Some(access), None) => self.before_fence(access, to),
            (Some(from), Some(to)) => self.between_accesses(from, to),
        }
    }

    fn happens_before(&self, one: EventId, other: EventId) -> bool {
        one != other && self.graph.event(other).happens_before.contains(one)
    }

    /// `[F]; (hb ∪ hb; eco; hb); [F]`, which includes all of `psc_base` between fences.
    fn between_fences(&self, from: &Node, to: &Node) -> bool {
        let mut bounds = from.bounds.iter().zip(&to.bounds);
        self.happens_before(from.id, to.id)
            || bounds.any(|(from, to)| {
                from.first_after < to.last_before || from.first_write_after <= to.last_before
            })
    }

    /// `[F]; hb?; scb; [E]` for an access `to`.
    fn after_fence(&self, from: &Node, to: Access) -> bool {
        let is_between = |access: &Access| {
            self.happens_before(from.id, access.id) && self.happens_before(access.id, to.id)
        };
        let before = to.id.previous();
        before.is_some_and(|last| last == from.id || self.happens_before(from.id, last))
            || (to.is_write && from.bounds[to.location].first_after < to.position)
            || self.accesses[to.location].iter().any(is_between)
    }

    /// `[E]; scb; hb?; [F]` for an access `from`.
    fn before_fence(&self, from: Access, to: &Node) -> bool {
        let is_between = |access: &Access| {
            self.happens_before(from.id, access.id) && self.happens_before(access.id, to.id)
        };
        self.graph
            .event(to.id)
            .happens_before
            .contains(from.id.next())
            || to.bounds[from.location].last_write_before > from.position
            || self.accesses[from.location].iter().any(is_between)
    }

    /// `[E]; scb; [E]`.
    fn between_accesses(&self, from: Access, to: Access) -> bool {
        let same_process = from.id.process() == to.id.process();
        let same_location = from.location == to.location;
        (same_process && from.id.index < to.id.index)
            || (same_location && self.happens_before(from.id, to.id))
            || (same_location && to.is_write && from.position < to.position)
            || self.through_other_locations(from, to)
    }

    /// `sb|≠loc; hb; sb|≠loc`: the first event after `from` at another location happens before the
    /// last event before `to` at another location.
    fn through_other_locations(&self, from: Access, to: Access) -> bool {
        let is_elsewhere = |event: &Event, access: Access| {
            let label = event.label;
            let is_access = label.kind.is_read() || label.kind.is_write();
            !is_access || label.location as usize != access.location
        };
        let events = &self.graph.events;
        let after = &events[from.id.process()][from.id.index() + 1..];
        let before = &events[to.id.process()][..to.id.index()];
        let first = after.iter().position(|event| is_elsewhere(event, from));
        let last = before.iter().rposition(|event| is_elsewhere(event, to));
        let (Some(first), Some(last)) = (first, last) else {
            return false;
        };
        let first = EventId::new(from.id.process(), from.id.index() + 1 + first);
        self.happens_before(first, EventId::new(to.id.process(), last))
    }
}

fn access(graph: &Graph, id: EventId) -> Option<Access> {
    let label = graph.event(id).label;
    let is_write = label.kind.is_write();
    let write = match () {
        () if is_write => id,
        () if label.kind.is_read() => label.source,
        () => return None,
    };
    Some(Access {
        id,
        location: label.location as usize,
        position: graph.variable(label.location).position(write),
        is_write,
    })
}

/// Returns the bounds of a fence at the location of these accesses.
fn bounds(graph: &Graph, fence: EventId, accesses: &[Access]) -> Bounds {
    let before = &graph.event(fence).happens_before;
    let mut bounds = Bounds::NONE;
    for access in accesses {
        let position = access.position;
        if before.contains(access.id) {
            bounds.last_before = bounds.last_before.max(position);
            if access.is_write {
                bounds.last_write_before = bounds.last_write_before.max(position);
            }
        } else if graph.event(access.id).happens_before.contains(fence) {
            bounds.first_after = bounds.first_after.min(position);
            if access.is_write {
                bounds.first_write_after = bounds.first_write_after.min(position);
            }
        }
    }
    bounds
}
