//! What the processes of one execution did.

use crate::event::{Event, EventId, HEAVY, INITIAL, Kind, LIGHT};
use crate::graph::Graph;
use core::fmt;
use core::sync::atomic::Ordering;

/// A write: the number of its process and the index of its operation. `None` is the initial value.
pub type Write = Option<(usize, usize)>;

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// An access to a word, or to the wait queue of a word.
    Access {
        /// The number of the word.
        word: u32,
        /// Whether the operation accesses the wait queue. The value of a wait queue is a set of
        /// processes, one bit for each.
        is_queue: bool,
        /// The ordering.
        ordering: Ordering,
        /// The write that the operation reads from, and the value, if it reads.
        read: Option<(Write, u64)>,
        /// The value that the operation stores, if it writes.
        written: Option<u64>,
    },
    /// A fence.
    Fence(Ordering),
    /// The light side of an asymmetric fence.
    LightFence,
    /// The heavy side of an asymmetric fence.
    HeavyFence,
    /// A choice, with its result.
    Choice(u32),
    /// The death of the process.
    Death,
    /// The end of a sleep by a recheck.
    Recheck,
    /// The end of a sleep by a wake.
    Awake {
        /// The operation that woke the process: the number of its process, and its index.
        by: (usize, usize),
    },
}

/// An operation of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub action: Action,
    /// The source line: `file:line:column`.
    pub site: String,
}

/// The operations of one execution: an execution graph of the memory model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The operations of each process in program order.
    pub processes: Vec<Vec<Operation>>,
    /// The writes to each location in modification order, without the initial value. A location
    /// that was not written has an empty list.
    pub modification_order: Vec<Vec<(usize, usize)>>,
}

impl History {
    pub(crate) fn new(graph: &Graph) -> Self {
        let numbers = OperationNumbers::new(graph);
        let processes = graph.events.iter();
        let orders = graph.variables.iter().step_by(2).map(|variable| {
            let placed = |id: &EventId| id.index() < graph.events[id.process()].len();
            let writes = variable.order[1..].iter().filter(|id| placed(id));
            writes.filter_map(|id| numbers.write(*id)).collect()
        });
        Self {
            processes: processes
                .map(|events| operations(events, &numbers))
                .collect(),
            modification_order: orders.collect(),
        }
    }
}

fn operations(events: &[Event], numbers: &OperationNumbers) -> Vec<Operation> {
    let followed = events
        .iter()
        .zip(events.iter().skip(1).map(Some).chain([None]));
    let followed = followed.filter(|(event, _)| begins_operation(event));
    let operations = followed.map(|(event, next)| Operation {
        action: action(event, next, numbers),
        site: event.site.to_string(),
    });
    operations.collect()
}

/// Whether the event is the first of an operation. The write of an update is its second, and a
/// process that lives has done nothing.
fn begins_operation(event: &Event) -> bool {
    match event.label.kind {
        Kind::UpdateWrite => false,
        Kind::Death => event.label.choice == 1,
        _ => true,
    }
}

fn action(event: &Event, next: Option<&Event>, numbers: &OperationNumbers) -> Action {
    let label = event.label;
    let source = numbers.write(label.source);
    let written = next.filter(|next| next.label.kind == Kind::UpdateWrite);
    let (read, written) = match label.kind {
        Kind::Fence if label.choice == LIGHT => return Action::LightFence,
        Kind::Fence if label.choice == HEAVY => return Action::HeavyFence,
        Kind::Fence => return Action::Fence(event.ordering),
        Kind::Choice => return Action::Choice(label.choice),
        Kind::Death => return Action::Death,
        Kind::Recheck => return Action::Recheck,
        Kind::Awake => {
            let by = source.expect("a process, not an initial value, ends a sleep");
            return Action::Awake { by };
        }
        Kind::Read => (Some((source, event.value)), None),
        Kind::UpdateRead => (Some((source, event.value)), written.map(|next| next.value)),
        Kind::Write | Kind::UpdateWrite => (None, Some(event.value)),
    };
    Action::Access {
        word: label.location / 2,
        is_queue: label.location % 2 == 1,
        ordering: event.ordering,
        read,
        written,
    }
}

/// For each event, the number of its operation. An update is two events, but one operation.
struct OperationNumbers(Vec<Vec<usize>>);

impl OperationNumbers {
    fn new(graph: &Graph) -> Self {
        let of_process = |events: &Vec<Event>| {
            let mut count = 0;
            let numbers = events.iter().map(|event| {
                count += usize::from(begins_operation(event));
                count.saturating_sub(1)
            });
            numbers.collect()
        };
        Self(graph.events.iter().map(of_process).collect())
    }

    fn write(&self, id: EventId) -> Write {
        (id != INITIAL).then(|| (id.process(), self.0[id.process()][id.index()]))
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (process, operations) in self.processes.iter().enumerate() {
            writeln!(f, "process {process}:")?;
            for (index, operation) in operations.iter().enumerate() {
                writeln!(f, "  {index:>3}  {operation}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  ({})", self.action, self.site)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fence(ordering) => write!(f, "fence {ordering:?}"),
            Self::LightFence => f.write_str("light fence"),
            Self::HeavyFence => f.write_str("heavy fence"),
            Self::Choice(choice) => write!(f, "chooses {choice}"),
            Self::Death => f.write_str("dies"),
            Self::Recheck => f.write_str("rechecks"),
            Self::Awake {
                by: (process, index),
            } => {
                write!(f, "is woken by operation {index} of process {process}")
            }
            Self::Access {
                word,
                is_queue,
                ordering,
                read,
                written,
            } => {
                let queue = if *is_queue { "queue of " } else { "" };
                write!(f, "{queue}word {word}:")?;
                if let Some((source, value)) = read {
                    write!(f, " reads {value} from ")?;
                    match source {
                        Some((process, index)) => {
                            write!(f, "operation {index} of process {process}")?;
                        }
                        None => write!(f, "the initial value")?,
                    }
                }
                if let Some(value) = written {
                    let and = if read.is_some() { "," } else { "" };
                    write!(f, "{and} writes {value}")?;
                }
                write!(f, "  {ordering:?}")
            }
        }
    }
}
