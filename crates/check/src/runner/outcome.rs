//! The outcome of exploring one model.

use super::report::FailureReport;
use crate::{Bound, Expectation, Exploration, FailureKind, IS_EXHAUSTIVE, Model, Verdict};
use std::path::PathBuf;

/// The outcome of exploring one model.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name of the model.
    pub name: String,
    /// The number of processes in the model.
    pub processes: usize,
    /// The expected failure, if the model has a known bug.
    pub expected: Option<FailureKind>,
    /// The preemption bound whose exploration must finish. `None` if the model is not explored by
    /// bounds.
    pub at_least: Option<usize>,
    /// The explorations that found no failure, in the order in which they ran.
    pub explorations: Vec<Exploration>,
    /// The failure, if an exploration found one.
    pub failure: Option<FailureReport>,
    /// The command that replays the failing execution.
    pub replay: Option<String>,
    /// The path of the page that shows the failing execution.
    pub page: Option<PathBuf>,
    /// Whether the model was skipped, because a stress test on real threads cannot show its bug.
    pub skipped: bool,
}

impl Outcome {
    /// Creates the outcome of a model that has not run yet.
    pub fn new(model: &Model, bound: Bound) -> Self {
        let expected = match model.expectation {
            Expectation::Holds => None,
            Expectation::Fails(kind) => Some(kind),
        };
        Self {
            name: model.name.clone(),
            processes: model.processes,
            expected,
            at_least: match bound {
                Bound::Sweep { at_least } | Bound::UpTo(at_least) => Some(at_least),
                Bound::None => None,
            },
            explorations: Vec::new(),
            failure: None,
            replay: None,
            page: None,
            skipped: expected.is_some() && !IS_EXHAUSTIVE,
        }
    }

    /// Returns the exploration that decides the verdict.
    ///
    /// If an exploration's verdict is [`Verdict::Blind`], it decides. Otherwise, for a model that
    /// is explored with increasing bounds, the last finished exploration decides. In all other
    /// cases, the last exploration decides.
    pub fn conclusion(&self) -> Option<&Exploration> {
        let last = |matches: fn(&Verdict) -> bool| {
            let mut all = self.explorations.iter();
            all.rfind(|explored| matches(&explored.verdict))
        };
        let finished = self.at_least.and_then(|_| last(is_finished));
        let blind = last(|verdict| matches!(verdict, Verdict::Blind(_)));
        blind.or(finished).or(self.explorations.last())
    }

    /// Returns the model's text for the verdict column.
    pub fn verdict(&self) -> String {
        let found = self.failure.as_ref().map(|report| report.failure.kind);
        match (found, self.expected, self.conclusion()) {
            _ if self.skipped => "not run: needs loom".into(),
            (Some(kind), Some(expected), _) if kind == expected => format!("caught: {kind}"),
            (Some(kind), Some(expected), _) => format!("FAILED: {kind} instead of {expected}"),
            (Some(kind), None, _) => format!("FAILED: {kind}"),
            (None, Some(expected), _) => format!("FAILED: no {expected} found"),
            (None, None, Some(conclusion)) => conclusion.verdict.to_string(),
            (None, None, None) => "FAILED: no result".into(),
        }
    }

    /// Returns whether the model's outcome is as expected.
    pub fn passed(&self) -> bool {
        if self.skipped {
            return true;
        }
        match (self.expected, &self.failure) {
            (Some(expected), Some(report)) => report.failure.kind == expected,
            (None, None) => self.conclusion().is_some_and(|conclusion| {
                is_finished(&conclusion.verdict) && self.finished_bounds() >= self.at_least
            }),
            _ => false,
        }
    }

    /// Returns the highest preemption bound whose exploration finished.
    fn finished_bounds(&self) -> Option<usize> {
        let all = self.explorations.iter();
        let finished = all.filter(|explored| is_finished(&explored.verdict));
        match IS_EXHAUSTIVE {
            true => finished.count().checked_sub(1),
            false => Some(usize::MAX),
        }
    }

    /// Returns the number of executions and the seconds of the exploration that decides the
    /// verdict.
    ///
    /// For a failed model, returns the sums over all explorations up to the failure.
    pub fn cost(&self) -> (u64, f64) {
        let seconds = |explored: &Exploration| explored.elapsed.as_secs_f64();
        match (&self.failure, self.conclusion()) {
            (Some(report), _) => (
                self.executions() + report.failure.executions,
                self.explorations
                    .iter()
                    .map(seconds)
                    .fold(0.0, |sum, each| sum + each),
            ),
            (None, Some(conclusion)) => (conclusion.executions, seconds(conclusion)),
            (None, None) => (0, 0.0),
        }
    }

    /// Returns how many crash points the exploration that decides the verdict had.
    pub fn crash_points(&self) -> u64 {
        match self.failure {
            Some(_) => 0,
            None => self
                .conclusion()
                .map_or(0, |conclusion| conclusion.crash_points),
        }
    }

    /// Returns the total number of executions in the explorations that found no failure.
    pub fn executions(&self) -> u64 {
        self.explorations
            .iter()
            .map(|explored| explored.executions)
            .sum()
    }
}

/// Returns whether an exploration with this verdict ran every execution within its bound.
fn is_finished(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Truncated | Verdict::Blind(_))
}
