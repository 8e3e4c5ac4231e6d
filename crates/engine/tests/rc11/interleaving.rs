//! The executions of a program in sequential consistency: all interleavings of its operations.
//!
//! Shares nothing with the oracle but the canonical form.

use crate::execution::{Execution, Write};
use crate::program::{Op, Program, Value};
use std::collections::BTreeSet;

/// The executions of all interleavings, each once.
pub fn executions(program: &Program) -> BTreeSet<Execution> {
    let threads = program.threads.len();
    let start = State {
        next: vec![0; threads],
        last_read: vec![0; threads],
        memory: vec![(0, None); program.locations],
        execution: Execution {
            reads_from: program
                .threads
                .iter()
                .map(|ops| vec![None; ops.len()])
                .collect(),
            modification_order: vec![vec![]; program.locations],
        },
    };
    let mut found = BTreeSet::new();
    interleave(program, &start, &mut found);
    found
}

#[derive(Clone)]
struct State {
    /// For each thread: the index of its next operation.
    next: Vec<usize>,
    last_read: Vec<u64>,
    /// For each location: its value and the write that it comes from.
    memory: Vec<(u64, Write)>,
    execution: Execution,
}

fn interleave(program: &Program, state: &State, found: &mut BTreeSet<Execution>) {
    let mut ended = true;
    for (thread, ops) in program.threads.iter().enumerate() {
        // A fence is a step without effect, so it is not worth an interleaving.
        let is_access = |index: &usize| ops[*index].location().is_some();
        if let Some(index) = (state.next[thread]..ops.len()).find(is_access) {
            let mut state = state.clone();
            state.step((thread, index), &ops[index]);
            interleave(program, &state, found);
            ended = false;
        }
    }
    if ended {
        found.insert(state.execution.clone());
    }
}

impl State {
    fn step(&mut self, operation: (usize, usize), op: &Op) {
        let (thread, index) = operation;
        self.next[thread] = index + 1;
        let Some(location) = op.location() else {
            return;
        };
        let (old, source) = self.memory[location];
        let operand = |value: &Value| match value {
            Value::Constant(value) => *value,
            Value::LastRead => self.last_read[thread],
        };
        let new = match op {
            Op::Store { value, .. } | Op::Swap { value, .. } => Some(operand(value)),
            Op::FetchAdd { addend, .. } => Some(old.wrapping_add(*addend)),
            Op::CompareExchange { expected, new, .. } => (old == *expected).then_some(*new),
            Op::Load { .. } | Op::Fence { .. } => None,
        };
        if op.reads() {
            self.last_read[thread] = old;
            self.execution.reads_from[thread][index] = Some(source);
        }
        if let Some(value) = new {
            self.memory[location] = (value, Some(operation));
            self.execution.modification_order[location].push(operation);
        }
    }
}
