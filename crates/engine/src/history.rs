//! What the processes of one execution did.

use crate::event::{EventId, INITIAL, Kind};
use crate::graph::Graph;
use core::fmt;
use core::sync::atomic::Ordering;

/// A write: the number of its process and the index of its operation. `None` is the initial value.
pub type Write = Option<(usize, usize)>;

/// An operation of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The number of the location, or `None` for a fence or a choice.
    pub location: Option<u32>,
    /// The ordering of an access or a fence. `Relaxed` for a choice.
    pub ordering: Ordering,
    /// The write that the operation reads from, and the value, if it reads.
    pub read: Option<(Write, u64)>,
    /// The value that the operation stores, if it writes.
    pub written: Option<u64>,
    /// The result of a choice.
    pub choice: Option<u32>,
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
        let processes = graph.events.iter().enumerate();
        let processes = processes.map(|(process, events)| {
            let mut operations: Vec<Operation> = Vec::new();
            for event in events {
                let label = event.label;
                if label.kind == Kind::UpdateWrite {
                    let update = operations.last_mut().expect("the read precedes its write");
                    update.written = Some(event.value);
                    continue;
                }
                let is_access = label.kind.is_read() || label.kind.is_write();
                let is_read = label.kind.is_read();
                let source = || (numbers.write(label.source), event.value);
                operations.push(Operation {
                    location: is_access.then_some(label.location),
                    ordering: event.ordering,
                    read: is_read.then(source),
                    written: (label.kind == Kind::Write).then_some(event.value),
                    choice: (label.kind == Kind::Choice).then_some(label.choice),
                    site: event.site.to_string(),
                });
            }
            debug_assert_eq!(operations.len(), numbers.count(process));
            operations
        });
        let orders = graph.variables.iter().map(|variable| {
            let placed = |id: &EventId| id.index() < graph.events[id.process()].len();
            let writes = variable.order[1..].iter().filter(|id| placed(id));
            writes.filter_map(|id| numbers.write(*id)).collect()
        });
        Self {
            processes: processes.collect(),
            modification_order: orders.collect(),
        }
    }
}

/// For each event, the number of its operation. An update is two events, but one operation.
struct OperationNumbers(Vec<Vec<usize>>);

impl OperationNumbers {
    fn new(graph: &Graph) -> Self {
        let of_process = |events: &Vec<crate::event::Event>| {
            let mut count = 0;
            let numbers = events.iter().map(|event| {
                count += usize::from(event.label.kind != Kind::UpdateWrite);
                count - 1
            });
            numbers.collect()
        };
        Self(graph.events.iter().map(of_process).collect())
    }

    fn write(&self, id: EventId) -> Write {
        (id != INITIAL).then(|| (id.process(), self.0[id.process()][id.index()]))
    }

    fn count(&self, process: usize) -> usize {
        self.0[process].last().map_or(0, |last| last + 1)
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
        let site = &self.site;
        let Some(location) = self.location else {
            return match self.choice {
                Some(choice) => write!(f, "chooses {choice}  ({site})"),
                None => write!(f, "fence {:?}  ({site})", self.ordering),
            };
        };
        write!(f, "word {location}:")?;
        if let Some((source, value)) = self.read {
            write!(f, " reads {value} from ")?;
            match source {
                Some((process, index)) => write!(f, "operation {index} of process {process}")?,
                None => write!(f, "the initial value")?,
            }
        }
        if let Some(value) = self.written {
            let and = if self.read.is_some() { "," } else { "" };
            write!(f, "{and} writes {value}")?;
        }
        write!(f, "  {:?}  ({site})", self.ordering)
    }
}
