//! Converts a panic and the record of the panicking execution to a [`Failure`].

use super::explore::MAX_BRANCHES;
use super::relations;
use crate::{Death, Failure, FailureKind, Step};
use interlatch::platform::model::death;
use interlatch::platform::model::event::{Event, Site};
use interlatch::platform::model::world;

/// Builds a failure from a panic message and from the record of the panicking execution.
pub(crate) fn describe_failure(message: &str) -> Failure {
    let message = if message.contains("maximum number of branches") {
        &format!("limit hit: an execution has more than {MAX_BRANCHES} steps; it may never end")
    } else {
        message
    };
    let kind = FailureKind::from_message(message);
    let steps = steps(&world::events(), kind == FailureKind::DataRace);
    let deaths = death::planned().into_iter();
    let deaths = deaths.map(|(victim, before)| Death { victim, before });
    let words = world::creations().into_iter().enumerate();
    let words = words.map(|(number, created)| format!("{number}: created at {}", line_of(created)));
    Failure {
        kind,
        message: race_message(&steps).unwrap_or_else(|| message.to_owned()),
        executions: world::executions(),
        deaths: deaths.collect(),
        steps,
        words: words.collect(),
        process_states: world::process_states(),
    }
}

fn steps(events: &[Event], ends_in_a_race: bool) -> Vec<Step> {
    let relations = relations::derive(events);
    let race = match ends_in_a_race {
        true => relations::race(events, &relations),
        false => None,
    };
    let steps = events.iter().zip(relations).map(|(event, relation)| Step {
        process: (event.process != world::KERNEL).then_some(event.process),
        action: event.action.to_string(),
        site: line_of(event.site),
        sleeps: event.action.sleeps(),
        writes: event.action.writes(),
        reads_from: relation.reads_from,
        synchronizes_with: relation.synchronizes_with.into_iter().collect(),
        races_with: None,
    });
    let mut steps: Vec<Step> = steps.collect();
    if let Some(last) = steps.last_mut() {
        last.races_with = race;
    }
    steps
}

/// Returns a message that names both accesses of a data race, because loom's own message names
/// neither access.
fn race_message(steps: &[Step]) -> Option<String> {
    let last = steps.last()?;
    let other = &steps[last.races_with?];
    let access = |step: &Step| {
        let process = step.process.map_or("the verification".into(), |process| {
            format!("process {process}")
        });
        format!("{process} at {} ({})", step.site, step.action)
    };
    Some(format!(
        "data race: nothing orders {} and {}",
        access(other),
        access(last)
    ))
}

fn line_of(site: Site) -> String {
    format!("{}:{}", site.file(), site.line())
}
