//! Explores a model under loom.

use super::replay::run_first;
use super::{graphs, leaks};
use crate::scenario::{ErasedScenario, Instance};
use crate::{Death, Exploration, Limits, Model, Scenario, Verdict};
use interlatch::platform::ShmSafe;
use interlatch::platform::model::backend::{self, Backend};
use interlatch::platform::model::death;
use interlatch::platform::model::process::{self, Body, ScenarioConfig, Successor};
use interlatch::platform::model::{specified, world};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// `true` if this build explores every execution (`--cfg loom`). `false` if this build only runs a
/// stress test on threads.
pub const IS_EXHAUSTIVE: bool = true;

/// The maximum number of scheduling points and loads in one execution. loom allocates memory for
/// this number before the first execution.
pub(super) const MAX_BRANCHES: usize = 5_000;

/// The number of executions after which loom checks the time limit again.
const CLOCK_INTERVAL: usize = 64;

/// Runs one execution of a scenario. The caller must be inside loom's `check`.
pub fn run_once<S: ShmSafe + 'static>(scenario: Scenario<S>) {
    run(ErasedScenario::new(scenario), &[]);
}

/// Runs one execution of a type-erased scenario.
pub(crate) fn run(scenario: ErasedScenario, contracts: &'static [&'static str]) {
    world::begin();
    specified::select(contracts);
    let instance: Rc<dyn Instance> = (scenario.start)().into();
    let bodies = (0..scenario.participants).map(|index| {
        let instance = instance.clone();
        Box::new(move || instance.participate(index)) as Body
    });
    let bodies = bodies.collect();
    let config = ScenarioConfig {
        choices: scenario.choices,
        interruptions: scenario.interruptions,
        spurious_failures: scenario.spurious_failures,
        spins: scenario.spins,
        may_lack_barrier: scenario.may_lack_barrier,
        rechecks: scenario.rechecks,
    };
    let successor = scenario.has_successor.then(|| {
        let instance = instance.clone();
        Rc::new(move || instance.succeed()) as Successor
    });
    process::run(
        bodies,
        successor,
        config,
        Box::new(move || instance.verify()),
    );
}

/// Explores a model, including the death of its victims before each step.
///
/// # Panics
/// Panics at the first failure. Also panics if the model is not deterministic or leaks memory.
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    if backend::selected() == Backend::Graphs {
        return graphs::explore(model, limits);
    }
    set_planned_deaths(&[]);
    check_determinism_and_leaks(model);
    let mut total: Option<Exploration> = None;
    for_each_death_plan(&model.victims, &mut Vec::new(), &mut |deaths| {
        set_planned_deaths(deaths);
        let spent = total.as_ref().map_or(Duration::ZERO, |total| total.elapsed);
        if let Some(total) = total.as_mut().filter(|_| spent >= limits.time) {
            total.verdict = Verdict::Truncated;
            return BTreeSet::new();
        }
        let left = Limits {
            time: limits.time.saturating_sub(spent),
            ..limits
        };
        let explored = explore_one_plan(model, left);
        let died = world::findings().died;
        total = Some(match total.take() {
            Some(before) => merge(before, explored),
            None => explored,
        });
        died
    });
    total.expect("at least the plan without a death is explored")
}

/// Calls `run` once for every plan of deaths.
///
/// A plan lets a victim die before its first step, before its second step, and so on. The plans end
/// when no execution reaches the planned step. `run` returns the processes that died.
fn for_each_death_plan(
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
        let died = for_each_death_plan(others, deaths, run);
        deaths.pop();
        let is_last = !died.contains(&victim);
        all.extend(died);
        if is_last {
            break;
        }
    }
    all
}

/// Tells the model platform which processes die and before which step each of them dies.
pub(super) fn set_planned_deaths(deaths: &[Death]) {
    let deaths = deaths.iter().map(|death| (death.victim, death.before));
    death::plan(deaths.collect());
}

/// Combines two explorations: adds their figures and keeps the weaker verdict.
fn merge(one: Exploration, other: Exploration) -> Exploration {
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
    let mut builder = loom_builder(limits.preemptions);
    builder.max_duration = Some(limits.time);
    builder.checkpoint_interval = CLOCK_INTERVAL;
    let begin = Instant::now();
    let leaked = leaked_by_exploration(&builder, model);
    let elapsed = begin.elapsed();
    // In its first exploration, a model that collects its outcomes allocates memory for them. In a
    // second exploration, only a leak increases the allocated memory.
    let leaked = leaked.and_then(|_| leaked_by_exploration(&builder, model));
    assert!(
        leaked.is_none(),
        "bad model: its {} executions leak {} bytes",
        world::executions(),
        leaked.unwrap_or_default()
    );
    let findings = world::findings();
    let verdict = if let Some((load, write)) = findings.blind {
        Verdict::Blind(format!(
            "the load at {load} may be hidden from the write at {write}"
        ))
    } else if elapsed >= limits.time {
        // loom does not panic at its time limit, so this code checks whether the limit was reached.
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

/// Explores the model and returns the total number of bytes that the executions leak.
///
/// Returns `None` if the allocator's cache can explain the growth of the allocated memory.
fn leaked_by_exploration(builder: &loom::model::Builder, model: &Model) -> Option<usize> {
    const ALLOCATOR_CACHE: usize = 64 * 1024;
    world::begin_exploration();
    let (before, model) = (leaks::allocated(), model.clone());
    builder.check(move || model.execute());
    let leaked = leaks::allocated().saturating_sub(before);
    (leaked >= ALLOCATOR_CACHE.max(world::executions() as usize)).then_some(leaked)
}

/// Returns loom's configuration for exploring with a preemption bound.
pub(super) fn loom_builder(preemptions: Option<usize>) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = MAX_BRANCHES;
    builder.preemption_bound = preemptions;
    builder
}

/// Checks that a model is suitable for loom: deterministic and without leaks.
///
/// The model must be deterministic, because loom repeats the steps up to each branching point. The
/// model must not leak memory, because loom runs it millions of times.
///
/// # Panics
/// Panics if a repetition of the first execution differs from it, or if the executions leak memory.
fn check_determinism_and_leaks(model: &Model) {
    let run = || run_first(model, loom_builder(Some(0)));
    let [first, second] = [(); 2].map(|()| {
        run();
        world::events()
    });
    let both = first.iter().zip(&second);
    let same = both.take_while(|(one, other)| one == other).count();
    assert!(
        same == first.len() && same == second.len(),
        "bad model: the first execution differs at step {} when it is repeated; does the model \
         read a clock or iterate over a HashMap?",
        same + 1
    );
    let leaked = leaks::leaked_per_run(run);
    assert!(
        leaked == 0,
        "bad model: each execution leaks about {leaked} bytes"
    );
}

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
