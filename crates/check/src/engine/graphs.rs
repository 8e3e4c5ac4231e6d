//! Explores a model in `interlatch-engine`.

use crate::outcome::{self, Outcome};
use crate::{Exploration, Limits, Model, Verdict};
use interlatch::platform::model::backend::{self, Backend};
use interlatch::platform::model::{graphs, world};
use interlatch_engine::{Limits as EngineLimits, Report};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The share of a model's time limit that its random executions may take.
const SAMPLE_SHARE: u32 = 4;

/// The maximum time for the random executions of a model.
const MAX_SAMPLE_TIME: Duration = Duration::from_secs(2);

/// Explores every execution of a model.
///
/// # Panics
/// Panics at the first failure.
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    let begin = Instant::now();
    let engine_limits = engine_limits(limits);
    world::begin_exploration();
    let execute = || model.execute();
    let report = graphs::explore(engine_limits, &model.victims, execute, || ());
    let findings = world::findings();
    Exploration {
        executions: report.executions,
        crash_points: u64::from(!findings.died.is_empty()),
        elapsed: begin.elapsed(),
        remarks: match model.contracts.is_empty() {
            true => vec![remark(&report, engine_limits.seed)],
            false => Vec::new(),
        },
        verdict: match report.verdict {
            interlatch_engine::Verdict::Exhaustive if model.contracts.is_empty() => {
                Verdict::Exhaustive
            }
            interlatch_engine::Verdict::Exhaustive => {
                let contracts = model.contracts.iter();
                Verdict::ExhaustiveOver(contracts.map(|name| (*name).to_owned()).collect())
            }
            _ => Verdict::Truncated,
        },
    }
}

/// Returns the limits of the engine. `INTERLATCH_SEED` is the seed of the random executions.
fn engine_limits(limits: Limits) -> EngineLimits {
    let mut engine_limits = EngineLimits::default();
    engine_limits.time = Some(limits.time);
    engine_limits.sample_time = Some(MAX_SAMPLE_TIME.min(limits.time / SAMPLE_SHARE));
    if let Ok(seed) = std::env::var("INTERLATCH_SEED") {
        engine_limits.seed = seed.parse().expect("INTERLATCH_SEED is a number");
    }
    engine_limits
}

fn remark(report: &Report, seed: u64) -> String {
    let random = match report.sampled {
        0 => String::new(),
        count => format!(", {count} random executions (INTERLATCH_SEED={seed})"),
    };
    format!(
        "{} blocked executions, {} dead ends{random}",
        report.blocked, report.dead_ends
    )
}

/// Returns the outcomes of a model, and whether they are all. `interlatch-engine` explores the
/// model for at most `time`.
///
/// # Panics
/// Panics at the first failure.
pub fn outcomes(model: &Model, time: Duration) -> (BTreeSet<Outcome>, bool) {
    let before = backend::selected();
    backend::select(Backend::Graphs);
    world::begin_exploration();
    let mut limits = EngineLimits::default();
    (limits.time, limits.samples) = (Some(time), 0);
    let mut outcomes = BTreeSet::new();
    let execute = || {
        outcome::begin();
        model.execute();
    };
    let report = graphs::explore(limits, &model.victims, execute, || {
        outcomes.insert(outcome::take());
    });
    backend::select(before);
    let is_exhaustive = matches!(report.verdict, interlatch_engine::Verdict::Exhaustive);
    (outcomes, is_exhaustive)
}
