//! What came of one model.

use super::report::Failed;
use crate::{Bound, Expectation, Exploration, FailureKind, IS_EXHAUSTIVE, Model, Verdict};
use std::path::PathBuf;

/// What came of one model.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// How many processes took part.
    pub processes: usize,
    /// The failure that is expected, if it is a model of a bug.
    pub expected: Option<FailureKind>,
    /// The bound that it had to finish, if it was swept.
    pub at_least: Option<usize>,
    /// Its explorations, in order.
    pub explored: Vec<Exploration>,
    /// The failure that was found.
    pub failed: Option<Failed>,
    /// The command that runs the failing execution again.
    pub replay: Option<String>,
    /// The picture of the failing execution.
    pub page: Option<PathBuf>,
    /// It was not run, since threads cannot show its bug.
    pub skipped: bool,
}

impl Outcome {
    /// Of a model that has not run yet.
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
                Bound::Sweep { at_least } => Some(at_least),
                Bound::None => None,
            },
            explored: Vec::new(),
            failed: None,
            replay: None,
            page: None,
            skipped: expected.is_some() && !IS_EXHAUSTIVE,
        }
    }

    /// The exploration that counts: a blind one, or else the last one that came to its end where
    /// a bound was swept, or else the last.
    pub fn conclusion(&self) -> Option<&Exploration> {
        let last = |chooses: fn(&Verdict) -> bool| {
            let mut all = self.explored.iter();
            all.rfind(|explored| chooses(&explored.verdict))
        };
        let finished = self.at_least.and_then(|_| last(is_finished));
        let blind = last(|verdict| matches!(verdict, Verdict::Blind(_)));
        blind.or(finished).or(self.explored.last())
    }

    /// In the words of the table.
    pub fn verdict(&self) -> String {
        let found = self.failed.as_ref().map(|failed| failed.failure.kind);
        match (found, self.expected, self.conclusion()) {
            _ if self.skipped => "not run: threads cannot show it".into(),
            (Some(kind), Some(expected), _) if kind == expected => format!("caught: {kind}"),
            (Some(kind), Some(expected), _) => format!("FAILED: {kind} instead of {expected}"),
            (Some(kind), None, _) => format!("FAILED: {kind}"),
            (None, Some(expected), _) => format!("FAILED: no {expected} was found"),
            (None, None, Some(conclusion)) => conclusion.verdict.to_string(),
            (None, None, None) => "FAILED: no result".into(),
        }
    }

    /// Whether it is as expected.
    pub fn is_good(&self) -> bool {
        if self.skipped {
            return true;
        }
        match (self.expected, &self.failed) {
            (Some(expected), Some(failed)) => failed.failure.kind == expected,
            (None, None) => self.conclusion().is_some_and(|conclusion| {
                is_finished(&conclusion.verdict) && self.finished_bounds() >= self.at_least
            }),
            _ => false,
        }
    }

    /// The highest preemption bound that was finished, if it was swept.
    fn finished_bounds(&self) -> Option<usize> {
        let all = self.explored.iter();
        let finished = all.filter(|explored| is_finished(&explored.verdict));
        match IS_EXHAUSTIVE {
            true => finished.count().checked_sub(1),
            false => Some(usize::MAX),
        }
    }

    /// The executions and seconds of the exploration that the verdict is about; of a failure, all
    /// until it was found.
    pub fn cost(&self) -> (u64, f64) {
        let seconds = |explored: &Exploration| explored.elapsed.as_secs_f64();
        match (&self.failed, self.conclusion()) {
            (Some(failed), _) => (
                self.executions() + failed.failure.executions,
                self.explored
                    .iter()
                    .map(seconds)
                    .fold(0.0, |sum, each| sum + each),
            ),
            (None, Some(conclusion)) => (conclusion.executions, seconds(conclusion)),
            (None, None) => (0, 0.0),
        }
    }

    /// Before how many steps somebody was killed, in the exploration that the verdict is about.
    pub fn crash_points(&self) -> u64 {
        match self.failed {
            Some(_) => 0,
            None => self
                .conclusion()
                .map_or(0, |conclusion| conclusion.crash_points),
        }
    }

    /// Of all explorations that found no failure.
    pub fn executions(&self) -> u64 {
        self.explored
            .iter()
            .map(|explored| explored.executions)
            .sum()
    }
}

/// All that it was to explore was explored.
fn is_finished(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Truncated | Verdict::Blind(_))
}
