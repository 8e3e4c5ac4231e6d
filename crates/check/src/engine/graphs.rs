//! Explores a model in `interlatch-engine`.

use crate::{Exploration, Limits, Model, Verdict};
use interlatch::platform::model::{graphs, world};
use interlatch_engine::Limits as EngineLimits;
use std::time::Instant;

/// Explores every execution of a model.
///
/// # Panics
/// Panics at the first failure.
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    let begin = Instant::now();
    let mut engine_limits = EngineLimits::default();
    engine_limits.time = Some(limits.time);
    world::begin_exploration();
    let report = graphs::explore(engine_limits, &model.victims, || model.execute());
    let verdict = match report.verdict {
        interlatch_engine::Verdict::Exhaustive => Verdict::Exhaustive,
        _ => Verdict::Truncated,
    };
    let findings = world::findings();
    Exploration {
        executions: report.executions,
        crash_points: u64::from(!findings.died.is_empty()),
        elapsed: begin.elapsed(),
        verdict,
        remarks: vec![format!(
            "{} blocked executions, {} dead ends",
            report.blocked, report.dead_ends
        )],
    }
}
