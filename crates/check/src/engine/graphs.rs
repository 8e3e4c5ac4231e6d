//! Explores a model in `interlatch-engine`.

use crate::outcome::{self, Outcome};
use crate::{Exploration, Limits, Model, Verdict};
use interlatch::platform::model::backend::{self, Backend};
use interlatch::platform::model::{graphs, world};
use interlatch_engine::Limits as EngineLimits;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Explores every execution of a model.
///
/// # Panics
/// Panics at the first failure.
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    let begin = Instant::now();
    world::begin_exploration();
    let execute = || model.execute();
    let report = graphs::explore(within(limits.time), &model.victims, execute, || ());
    let verdict = match report.verdict {
        interlatch_engine::Verdict::Exhaustive if model.contracts.is_empty() => Verdict::Exhaustive,
        interlatch_engine::Verdict::Exhaustive => {
            let contracts = model.contracts.iter();
            Verdict::ExhaustiveOver(contracts.map(|name| (*name).to_owned()).collect())
        }
        _ => Verdict::Truncated,
    };
    let findings = world::findings();
    Exploration {
        executions: report.executions,
        crash_points: u64::from(!findings.died.is_empty()),
        elapsed: begin.elapsed(),
        verdict,
        remarks: match model.contracts.is_empty() {
            true => vec![format!(
                "{} blocked executions, {} dead ends",
                report.blocked, report.dead_ends
            )],
            false => Vec::new(),
        },
    }
}

fn within(time: Duration) -> EngineLimits {
    let mut limits = EngineLimits::default();
    limits.time = Some(time);
    limits
}

/// Returns the outcomes of a model, and whether they are all. `interlatch-engine` explores the model
/// for at most `time`.
///
/// # Panics
/// Panics at the first failure.
pub fn outcomes(model: &Model, time: Duration) -> (BTreeSet<Outcome>, bool) {
    let before = backend::selected();
    backend::select(Backend::Graphs);
    world::begin_exploration();
    let mut outcomes = BTreeSet::new();
    let execute = || {
        outcome::begin();
        model.execute();
    };
    let report = graphs::explore(within(time), &model.victims, execute, || {
        outcomes.insert(outcome::take());
    });
    backend::select(before);
    let is_exhaustive = matches!(report.verdict, interlatch_engine::Verdict::Exhaustive);
    (outcomes, is_exhaustive)
}
