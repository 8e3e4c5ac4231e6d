//! Histories, and whether they can be explained: linearizability, by the algorithm of Wing, Gong
//! and Lowe.

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

/// Whether some order of the operations, each between its call and its return, is one that the
/// specification allows.
pub fn is_linearizable(object: &Object, records: &[Record]) -> bool {
    let kept: Vec<&Record> = records
        .iter()
        .filter(|record| counts(object.kind, record, records))
        .collect();
    let mut events: Vec<(u64, bool, usize, Action<Step>)> = Vec::new();
    for record in kept {
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
    // At the same time, calls come before returns: that claims the least.
    events.sort_by_key(|(time, is_return, _, _)| (*time, *is_return));
    let begin = Step::Begin(object.initial());
    let mut actions = vec![
        (0, Action::Call(begin.clone())),
        (0, Action::Response(begin)),
    ];
    actions.extend(
        events
            .into_iter()
            .map(|(_, _, process, action)| (process, action)),
    );
    WGLChecker::<Machine>::is_linearizable(History::from_actions(actions))
}

/// Whether a record says something. What is made of several steps may refuse while another
/// operation is half-way, and says so in its documentation; such a refusal says nothing.
fn counts(kind: Kind, record: &Record, all: &[Record]) -> bool {
    let may_be_early = record.outcome == Outcome::WouldBlock || record.operation == Operation::Len;
    if kind.is_one_step() || !may_be_early {
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
    Begin(SequentialState),
    Call(Operation, Outcome),
}

/// The specifications of the contract, for the checker.
struct Machine;

impl Specification for Machine {
    type State = Option<SequentialState>;
    type Operation = Step;

    fn init() -> Self::State {
        None
    }

    fn apply(step: &Step, state: &Self::State) -> (bool, Self::State) {
        match (step, state) {
            (Step::Begin(initial), None) => (true, Some(initial.clone())),
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
