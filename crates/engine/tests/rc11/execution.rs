//! The canonical form of a consistent execution, and the values in it.

use crate::program::{Op, Program, Value};
use core::fmt;

/// A write: the thread and the index of its operation. `None` is the initial value.
pub type Write = Option<(usize, usize)>;

/// A consistent execution of a program.
///
/// Two executions are the same if they have the same reads-from and the same modification orders:
/// everything else follows from these and the program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Execution {
    /// For each thread and operation: the write that it reads from, if it reads.
    pub reads_from: Vec<Vec<Option<Write>>>,
    /// For each location: its writes in modification order, without the initial one.
    pub modification_order: Vec<Vec<(usize, usize)>>,
}

/// The values that the operations of a program read and write, as far as they are known.
pub struct Values {
    /// For each thread and operation: the value that it reads.
    pub read: Vec<Vec<Option<u64>>>,
    /// For each thread and operation: the value that it writes if it writes.
    pub written: Vec<Vec<Option<u64>>>,
}

impl Values {
    /// Computes the values from the write that each operation reads from, if that is known.
    ///
    /// A value that depends on itself stays unknown.
    pub fn new(program: &Program, reads_from: &[Vec<Option<Write>>]) -> Self {
        let unknown: Vec<_> = program
            .threads
            .iter()
            .map(|ops| vec![None; ops.len()])
            .collect();
        let mut values = Self {
            read: unknown.clone(),
            written: unknown,
        };
        while values.compute_more(program, reads_from) {}
        values
    }

    /// Computes the values that follow from the known ones. Returns whether there was a new one.
    fn compute_more(&mut self, program: &Program, reads_from: &[Vec<Option<Write>>]) -> bool {
        let mut progress = false;
        for (thread, ops) in program.threads.iter().enumerate() {
            let mut last_read = Some(0);
            for (index, op) in ops.iter().enumerate() {
                let read = reads_from[thread][index].and_then(|write| self.value_of(write));
                let written = written(op, read, last_read);
                progress |= self.read[thread][index] != read;
                progress |= self.written[thread][index] != written;
                self.read[thread][index] = read;
                self.written[thread][index] = written;
                if op.reads() {
                    last_read = read;
                }
            }
        }
        progress
    }

    fn value_of(&self, write: Write) -> Option<u64> {
        write.map_or(Some(0), |(thread, index)| self.written[thread][index])
    }
}

/// The value that an operation writes if it writes, from the value that it reads and the value of
/// the thread's latest reading operation before it.
fn written(op: &Op, read: Option<u64>, last_read: Option<u64>) -> Option<u64> {
    match *op {
        Op::Store { value, .. } | Op::Swap { value, .. } => match value {
            Value::Constant(value) => Some(value),
            Value::LastRead => last_read,
        },
        Op::FetchAdd { addend, .. } => read.map(|value| value.wrapping_add(addend)),
        Op::CompareExchange { new, .. } => Some(new),
        Op::Load { .. } | Op::Fence { .. } => None,
    }
}

impl Execution {
    /// For each thread and operation: the value that it reads, if it reads.
    pub fn values_read(&self, program: &Program) -> Vec<Vec<Option<u64>>> {
        Values::new(program, &self.reads_from).read
    }

    /// For each location: the value of its last write.
    ///
    /// # Panics
    ///
    /// Panics if the value depends on itself.
    pub fn final_values(&self, program: &Program) -> Vec<u64> {
        let values = Values::new(program, &self.reads_from);
        let last = |order: &Vec<(usize, usize)>| values.value_of(order.last().copied());
        let finals = self.modification_order.iter().map(last);
        finals
            .map(|value| value.expect("the value depends on itself"))
            .collect()
    }
}

impl fmt::Display for Execution {
    /// Prints `0.1<-1.0` for "operation 1 of thread 0 reads from operation 0 of thread 1".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |write: Write| match write {
            Some((thread, index)) => format!("{thread}.{index}"),
            None => "init".to_string(),
        };
        for (thread, sources) in self.reads_from.iter().enumerate() {
            for (index, source) in sources.iter().enumerate() {
                if let Some(write) = source {
                    write!(f, "{thread}.{index}<-{} ", name(*write))?;
                }
            }
        }
        let order = |order: &Vec<(usize, usize)>| {
            let names: Vec<String> = order.iter().map(|&write| name(Some(write))).collect();
            format!("[{}]", names.join(" "))
        };
        let orders: Vec<String> = self.modification_order.iter().map(order).collect();
        write!(f, "mo {}", orders.join(" "))
    }
}

#[test]
fn values_follow_reads_from() {
    let program: Program = "x y: store x 3 rlx; add x 2 rlx | load x rlx; store y last rlx"
        .parse()
        .unwrap();
    let execution = Execution {
        reads_from: vec![
            vec![None, Some(Some((0, 0)))],
            vec![Some(Some((0, 1))), None],
        ],
        modification_order: vec![vec![(0, 0), (0, 1)], vec![(1, 1)]],
    };
    let read = execution.values_read(&program);
    assert_eq!(read, [[None, Some(3)], [Some(5), None]]);
    assert_eq!(execution.final_values(&program), [5, 5]);
    assert_eq!(
        execution.to_string(),
        "0.1<-0.0 1.0<-0.1 mo [0.0 0.1] [1.1]"
    );
}
