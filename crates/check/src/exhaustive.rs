//! Exploring a model under loom.

use super::{
    Death, Exploration, Failure, FailureKind, Limits, Model, Step, Verdict, memory, relations,
};
use crate::Scenario;
use interlatch::platform::ShmSafe;
use interlatch::platform::model::death;
use interlatch::platform::model::event::{Event, Site};
use interlatch::platform::model::process::{self, Body, ScenarioConfig};
use interlatch::platform::model::world;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One execution of a scenario, inside loom.
pub fn run_once<S: ShmSafe + 'static>(scenario: &Scenario<S>) {
    world::begin();
    let state = Rc::new(S::initial());
    let bodies = scenario.participants.iter().map(|participant| {
        let (state, participant) = (state.clone(), *participant);
        Box::new(move || participant(&state)) as Body
    });
    let bodies = bodies.collect();
    let verify = scenario.verify;
    let nature = ScenarioConfig {
        choices: scenario.choices,
        interruptions: scenario.interruptions,
        spurious_failures: scenario.spurious_failures,
        rechecks: scenario.rechecks,
    };
    process::run(bodies, nature, Box::new(move || verify(&state)));
}

/// Runs a model through its executions, with every death of its victims. A failure panics: see
/// [`describe_failure`].
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    plan(&[]);
    refuse_what_is_no_model(model);
    let mut all: Option<Exploration> = None;
    for_each_plan(&model.victims, &mut Vec::new(), &mut |deaths| {
        plan(deaths);
        let spent = all.as_ref().map_or(Duration::ZERO, |all| all.elapsed);
        if let Some(all) = all.as_mut().filter(|_| spent >= limits.time) {
            all.verdict = Verdict::Truncated;
            return BTreeSet::new();
        }
        let left = Limits {
            time: limits.time.saturating_sub(spent),
            ..limits
        };
        let explored = explore_one_plan(model, left);
        let died = world::findings().died;
        all = Some(match all.take() {
            Some(before) => sum(before, explored),
            None => explored,
        });
        died
    });
    all.expect("there is at least the plan of no death")
}

/// Calls `run` with every plan of deaths: each victim dies before its first step, its second, and so
/// on, until it does not get so far in any execution. `run` returns who has died.
fn for_each_plan(
    victims: &[usize],
    deaths: &mut Vec<Death>,
    run: &mut impl FnMut(&[Death]) -> BTreeSet<usize>,
) -> BTreeSet<usize> {
    let Some((&victim, others)) = victims.split_first() else {
        return run(deaths);
    };
    let mut all = BTreeSet::new();
    for before in 0.. {
        deaths.push(Death { victim, before });
        let died = for_each_plan(others, deaths, run);
        deaths.pop();
        let is_over = !died.contains(&victim);
        all.extend(died);
        if is_over {
            break;
        }
    }
    all
}

fn plan(deaths: &[Death]) {
    let deaths = deaths.iter().map(|death| (death.victim, death.before));
    death::plan(deaths.collect());
}

fn sum(one: Exploration, other: Exploration) -> Exploration {
    let verdict = match (one.verdict, other.verdict) {
        (Verdict::Blind(why), _) | (_, Verdict::Blind(why)) => Verdict::Blind(why),
        (Verdict::Truncated, _) | (_, Verdict::Truncated) => Verdict::Truncated,
        (verdict, _) => verdict,
    };
    let mut remarks = one.remarks;
    for remark in other.remarks {
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    Exploration {
        executions: one.executions + other.executions,
        crash_points: one.crash_points + other.crash_points,
        elapsed: one.elapsed + other.elapsed,
        verdict,
        remarks,
    }
}

fn explore_one_plan(model: &Model, limits: Limits) -> Exploration {
    let mut builder = builder(limits.preemptions);
    builder.max_duration = Some(limits.time);
    // loom looks at the clock only so often.
    builder.checkpoint_interval = 64;
    let begin = Instant::now();
    let leaked = left_behind(&builder, model);
    let elapsed = begin.elapsed();
    // What a model collects of its outcomes is there already when it runs again; a leak goes on.
    let leaked = leaked.and_then(|_| left_behind(&builder, model));
    assert!(
        leaked.is_none(),
        "bad model: its {} executions leave {} bytes behind that they have allocated",
        world::executions(),
        leaked.unwrap_or_default()
    );
    let findings = world::findings();
    let verdict = if let Some((load, write)) = findings.blind {
        Verdict::Blind(format!(
            "the load at {load} may be hidden from the write at {write}"
        ))
    } else if elapsed >= limits.time {
        // loom returns without a word when its time is over.
        Verdict::Truncated
    } else {
        limits
            .preemptions
            .map_or(Verdict::Exhaustive, Verdict::Bounded)
    };
    let remarks = remarks(&findings);
    Exploration {
        executions: world::executions(),
        crash_points: u64::from(!findings.died.is_empty()),
        elapsed,
        verdict,
        remarks,
    }
}

/// Runs all executions, and says what they have left behind together, if only some of them do: none,
/// if it is no more than an allocator keeps for itself.
fn left_behind(builder: &loom::model::Builder, model: &Model) -> Option<usize> {
    const NOISE: usize = 64 * 1024;
    world::begin_exploration();
    let (before, model) = (memory::allocated(), model.clone());
    builder.check(move || model.execute());
    let leaked = memory::allocated().saturating_sub(before);
    (leaked >= NOISE.max(world::executions() as usize)).then_some(leaked)
}

fn builder(preemptions: Option<usize>) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = MOST_BRANCHES;
    builder.preemption_bound = preemptions;
    builder
}

/// Explores once more as far as this execution, which fails, and leaves in the file what
/// [`replay`] needs to begin with it.
pub fn record(
    model: &Model,
    preemptions: Option<usize>,
    deaths: &[Death],
    execution: u64,
    file: &Path,
) {
    plan(deaths);
    let mut builder = builder(preemptions);
    builder.checkpoint_file = Some(file.to_owned());
    builder.checkpoint_interval = execution as usize;
    let model = model.clone();
    world::begin_exploration();
    builder.check(move || model.execute());
}

/// Runs the one execution that [`record`] has left in the file.
///
/// # Panics
/// If it fails, as it should; or if the file is of another model or an older source.
pub fn replay(model: &Model, deaths: &[Death], file: &Path) {
    plan(deaths);
    let mut builder = builder(None);
    builder.checkpoint_file = Some(file.to_owned());
    builder.checkpoint_interval = usize::MAX;
    run_first(model, builder);
}

/// Runs the execution that comes first, and no other.
fn run_first(model: &Model, builder: loom::model::Builder) {
    /// Thrown where the second execution would begin, past every panic hook.
    struct Over;
    let model = model.clone();
    world::begin_exploration();
    let first = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            if world::executions() > 0 {
                resume_unwind(Box::new(Over));
            }
            model.execute();
        });
    }));
    match first {
        Err(thrown) if !thrown.is::<Over>() => resume_unwind(thrown),
        _ => {}
    }
}

/// loom takes the same steps again up to where it tries another one, so a model has to take them;
/// and what an execution leaves behind comes back millions of times.
///
/// # Panics
/// If the first execution is another one when it runs again, or leaves memory behind.
fn refuse_what_is_no_model(model: &Model) {
    let run = || run_first(model, builder(Some(0)));
    let [first, again] = [(); 2].map(|()| {
        run();
        world::events()
    });
    let both = first.iter().zip(&again);
    let same = both.take_while(|(one, other)| one == other).count();
    assert!(
        same == first.len() && same == again.len(),
        "bad model: run twice, the first execution differs at step {}; does it read a clock, or \
         iterate over a HashMap?",
        same + 1
    );
    let leaked = memory::left_behind_by(run);
    assert!(
        leaked == 0,
        "bad model: each execution leaves about {leaked} bytes behind that it has allocated"
    );
}

/// loom keeps room for this many scheduling points and loads of an execution.
const MOST_BRANCHES: usize = 5_000;

fn remarks(findings: &world::Findings) -> Vec<String> {
    let mut remarks = Vec::new();
    if findings.fence {
        remarks.push("has fences, which loom makes stronger than they are".into());
    }
    if findings.sequentially_consistent {
        remarks.push("has SeqCst accesses, which loom treats as acquire and release".into());
    }
    if let Some(site) = findings.forgotten_stores {
        remarks.push(format!(
            "a load after more than 7 stores, at {site}: loom forgets the oldest"
        ));
    }
    remarks
}

/// The failure that this panic message tells of, with the execution that led to it.
pub fn describe_failure(message: &str) -> Failure {
    let message = if message.contains("maximum number of branches") {
        &format!("limit hit: an execution of more than {MOST_BRANCHES} steps; it may never end")
    } else {
        message
    };
    let kind = FailureKind::of_message(message);
    let steps = steps(&world::events(), kind == FailureKind::DataRace);
    let deaths = death::planned().into_iter();
    let deaths = deaths.map(|(victim, before)| Death { victim, before });
    let words = world::creations().into_iter().enumerate();
    let words = words.map(|(number, created)| format!("{number}: made at {}", line_of(created)));
    Failure {
        kind,
        message: race(&steps).unwrap_or_else(|| message.to_owned()),
        executions: world::executions(),
        deaths: deaths.collect(),
        steps,
        words: words.collect(),
        standing: world::process_states(),
    }
}

fn steps(events: &[Event], ends_in_a_race: bool) -> Vec<Step> {
    let relations = relations::of(events);
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
        reads: relation.reads,
        after: relation.after.into_iter().collect(),
        races_with: None,
    });
    let mut steps: Vec<Step> = steps.collect();
    if let Some(last) = steps.last_mut() {
        last.races_with = race;
    }
    steps
}

/// What loom says of a race names neither side.
fn race(steps: &[Step]) -> Option<String> {
    let last = steps.last()?;
    let other = &steps[last.races_with?];
    let access = |step: &Step| {
        let who = step
            .process
            .map_or("the end".into(), |process| format!("process {process}"));
        format!("{who} at {} ({})", step.site, step.action)
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
