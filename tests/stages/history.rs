//! Checks the linearizability of histories with the algorithm of Wing, Gong and Lowe.

use super::program::{Kind, Object};
use interlatch_contract::specification::{Operation, Outcome, SequentialState};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

/// One operation of one process, with the times of its call and its return.
#[derive(Clone, Debug)]
pub struct Record {
    pub process: usize,
    pub operation: Operation,
    pub outcome: Outcome,
    pub called: u64,
    pub returned: u64,
}

/// Returns whether the specification allows some order of the operations in which each operation
/// takes effect between its call and its return.
pub fn is_linearizable(object: &Object, records: &[Record]) -> bool {
    let significant: Vec<&Record> = records
        .iter()
        .filter(|record| is_significant(object.kind, record, records))
        .collect();
    let mut events: Vec<(u64, bool, usize, Action<Step>)> = Vec::new();
    for record in significant {
        let step = Step::Call(record.operation, record.outcome);
        events.push((
            record.called,
            false,
            record.process,
            Action::Call(step.clone()),
        ));
        events.push((
            record.returned,
            true,
            record.process,
            Action::Response(step),
        ));
    }
    // At equal times, calls sort before returns. The operations then overlap, so the check is
    // weaker.
    events.sort_by_key(|(time, is_return, _, _)| (*time, *is_return));
    let initial = Step::Initial(object.initial());
    let mut actions = vec![
        (0, Action::Call(initial.clone())),
        (0, Action::Response(initial)),
    ];
    actions.extend(
        events
            .into_iter()
            .map(|(_, _, process, action)| (process, action)),
    );
    WGLChecker::<Machine>::is_linearizable(History::from_actions(actions))
}

/// Returns whether the specification applies to a record. An operation that takes several steps may
/// fail, as documented, while another operation is incomplete. Such a failure is not checked.
fn is_significant(kind: Kind, record: &Record, all: &[Record]) -> bool {
    let may_be_inexact =
        record.outcome == Outcome::WouldBlock || record.operation == Operation::Len;
    if kind.is_one_step() || !may_be_inexact {
        return true;
    }
    let overlaps = |other: &&Record| {
        other.process != record.process
            && other.called <= record.returned
            && record.called <= other.returned
    };
    all.iter().find(overlaps).is_none()
}

#[derive(Clone, Debug)]
enum Step {
    Initial(SequentialState),
    Call(Operation, Outcome),
}

/// The specifications of the contract, in the form that the checker expects.
struct Machine;

impl Specification for Machine {
    type State = Option<SequentialState>;
    type Operation = Step;

    fn init() -> Self::State {
        None
    }

    fn apply(step: &Step, state: &Self::State) -> (bool, Self::State) {
        match (step, state) {
            (Step::Initial(initial), None) => (true, Some(initial.clone())),
            (Step::Call(operation, expected), Some(state)) => {
                let (outcome, next) = state.apply(*operation);
                if outcome == *expected {
                    (true, Some(next))
                } else {
                    (false, Some(state.clone()))
                }
            }
            (_, state) => (false, state.clone()),
        }
    }
}
