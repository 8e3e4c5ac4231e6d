//! The events of an execution graph.

use crate::clock::Clock;
use core::sync::atomic::Ordering;
use std::panic::Location;

/// The source line of an operation.
pub type Site = &'static Location<'static>;

/// The number of a location: see [`Graph`](crate::graph::Graph).
pub type LocationId = u32;

/// An event: its process, and its index in the program order of that process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    process: u8,
    pub index: u16,
}

/// The write of the initial value, of each location.
pub const INITIAL: EventId = EventId {
    process: u8::MAX,
    index: u16::MAX,
};

impl EventId {
    pub fn new(process: usize, index: usize) -> Self {
        Self {
            process: process as u8,
            index: index as u16,
        }
    }

    pub fn process(self) -> usize {
        usize::from(self.process)
    }

    pub fn index(self) -> usize {
        usize::from(self.index)
    }

    /// Returns the event that precedes this event in program order.
    pub fn previous(self) -> Option<Self> {
        let index = self.index.checked_sub(1)?;
        Some(Self { index, ..self })
    }

    /// Returns the event that follows this event in program order, if there is one.
    pub fn next(self) -> Self {
        Self {
            index: self.index + 1,
            ..self
        }
    }
}

/// What an event does. A read-modify-write that writes is two events: an `UpdateRead`, and then an
/// `UpdateWrite`. A read-modify-write that fails is an `UpdateRead` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Read,
    UpdateRead,
    Write,
    UpdateWrite,
    /// Its choice says whether it is one of [`LIGHT`] and [`HEAVY`].
    Fence,
    Choice,
    /// A choice whether the process dies (1) or lives (0).
    Death,
    /// The end of a sleep because no process could run: time passes. Its choice is the number of
    /// events that there were: the process observes all of them.
    Recheck,
    /// The end of a sleep. Its source is the write with which a wake removed the process from the
    /// wait queue.
    Awake,
}

impl Kind {
    pub fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::UpdateRead)
    }

    pub fn is_write(self) -> bool {
        matches!(self, Self::Write | Self::UpdateWrite)
    }

    /// Whether the event may change what other processes see, or what the kernel finds after a
    /// death. A process that was woken has consumed a wake.
    pub fn is_visible(self) -> bool {
        self.is_write() || matches!(self, Self::Awake | Self::Recheck)
    }
}

/// The choice of a read-modify-write that got a new source, and whose choices are to be explored.
pub const UNDECIDED: u32 = u32::MAX;

/// A fence that is an asymmetric light fence.
pub const LIGHT: u32 = 1;

/// A fence that is an asymmetric heavy fence.
pub const HEAVY: u32 = 2;

/// An event without what a replay computes again.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    pub kind: Kind,
    /// The location of a read or write, 0 for others.
    pub location: LocationId,
    /// The write that a read reads from, or that ends a sleep. [`INITIAL`] for others.
    pub source: EventId,
    /// The result of a choice, the choice of a read-modify-write, which may be [`UNDECIDED`], or
    /// what the kind says. 0 for others.
    pub choice: u32,
    /// When the event was added to the graph: later events have larger stamps.
    pub stamp: u32,
}

/// An event of the graph.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub label: Label,
    pub ordering: Ordering,
    /// The value that was read or written.
    pub value: u64,
    pub site: Site,
    /// The events that happen before this event, and the event itself.
    pub happens_before: Clock,
    /// The events whose values the process observes: later reads return no older ones. They include
    /// the events that happen before this event.
    pub observed: Clock,
    /// The events from which program order and reads-from lead to this event, and the event itself.
    pub prefix: Clock,
    /// For a write: the events that happen before an acquiring read of this write.
    pub released: Clock,
    /// The events that happen before the next acquire fence of the process.
    pub acquirable: Clock,
    /// The events that happen before the latest release fence of the process.
    pub fenced: Clock,
}

pub fn is_acquire(ordering: Ordering) -> bool {
    matches!(
        ordering,
        Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst
    )
}

pub fn is_release(ordering: Ordering) -> bool {
    matches!(
        ordering,
        Ordering::Release | Ordering::AcqRel | Ordering::SeqCst
    )
}
