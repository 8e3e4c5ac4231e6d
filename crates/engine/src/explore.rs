//! Explores the executions of a model.

use crate::coroutine::{Coroutines, Outcome};
use crate::execution::{Actor, End, Execution, Life, Status};
use crate::failure::{Failure, FailureKind};
use crate::graph::Outline;
use crate::history::History;
use crate::current;
use core::fmt;
use core::marker::PhantomData;
use core::ops::ControlFlow;
use std::time::{Duration, Instant};

/// The limits of an exploration. An exploration that reaches one is not exhaustive, and its
/// [`Verdict`] says so.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of operations of one process in one execution, at most 60,000. The
    /// default is 10,000.
    pub steps: usize,
    /// The maximum number of graphs to replay. The default is no limit.
    pub graphs: Option<u64>,
    /// The maximum time. The default is no limit.
    pub time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 10_000,
            graphs: None,
            time: None,
        }
    }
}

/// The result of an exploration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// Every execution that the memory model allows was explored, and none fails.
    Exhaustive,
    /// This execution fails. The exploration stopped there.
    Failed(Box<Failure>),
    /// The exploration reached this limit, and no execution until then fails.
    Limited(Limit),
}

/// A limit that an exploration has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::graphs`].
    Graphs,
    /// [`Limits::time`].
    Time,
}

/// What an exploration has found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The result.
    pub verdict: Verdict,
    /// The number of executions in which every process has finished.
    pub executions: u64,
    /// The number of executions in which a process waits for a value that a later write stores:
    /// they are parts of other executions.
    pub blocked: u64,
    /// The number of graphs that turned out to be inconsistent.
    pub dead_ends: u64,
    /// The largest number of events in one execution.
    pub max_events: usize,
}

impl Report {
    /// Returns the report if the exploration was exhaustive.
    ///
    /// # Panics
    /// Panics with the failing execution, or with the limit that the exploration has reached.
    #[track_caller]
    pub fn assert_exhaustive(self) -> Self {
        match &self.verdict {
            Verdict::Exhaustive => self,
            Verdict::Failed(failure) => panic!("{failure}"),
            Verdict::Limited(limit) => panic!("not exhaustive: {limit}"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graphs => "the limit of graphs was reached",
            Self::Time => "the time limit was reached",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Exhaustive => write!(f, "exhaustive")?,
            Verdict::Failed(failure) => write!(f, "failed: {failure}")?,
            Verdict::Limited(limit) => write!(f, "{limit}")?,
        }
        let (executions, blocked) = (self.executions, self.blocked);
        write!(f, ": {executions} executions, {blocked} blocked, {} dead ends", self.dead_ends)
    }
}

/// The processes and the final check of one execution, which a model sets up.
#[derive(Default)]
pub struct Setup {
    processes: Vec<Process>,
    verify: Option<Body>,
}

type Body = Box<dyn FnOnce()>;

struct Process {
    body: Body,
    /// What the kernel does after the death of the process, if the process may die.
    after_death: Option<Body>,
}

impl Setup {
    /// Adds a process. At most [`MAX_PROCESSES`](crate::MAX_PROCESSES).
    pub fn process(&mut self, body: impl FnOnce() + 'static) {
        self.processes.push(Process {
            body: Box::new(body),
            after_death: None,
        });
    }

    /// Adds a process that may die before each of its steps. After its death, `after_death` runs in
    /// its place, as the kernel does with the robust list of a dead process.
    ///
    /// The destructors of the values that the process owned run after the end of the execution,
    /// where they change nothing.
    pub fn mortal_process(
        &mut self,
        body: impl FnOnce() + 'static,
        after_death: impl FnOnce() + 'static,
    ) {
        self.processes.push(Process {
            body: Box::new(body),
            after_death: Some(Box::new(after_death)),
        });
    }

    /// Sets the function that checks the final state. It runs after every process has ended, and
    /// reads the last value of each location.
    pub fn verify(&mut self, check: impl FnOnce() + 'static) {
        self.verify = Some(Box::new(check));
    }
}

/// Explores every execution of a model that the memory model allows, until one fails.
///
/// The function sets up one execution: it creates the atomics and adds the processes. It runs once
/// for each graph that is replayed.
///
/// # Panics
/// Panics if it is called inside a model.
pub fn explore(limits: Limits, model: impl Fn(&mut Setup)) -> Report {
    explore_with(limits, model, |ended| match ended {
        Ended::Complete(_) => ControlFlow::Continue(()),
        Ended::Failed(_) => ControlFlow::Break(()),
    })
}

/// How an execution ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'a> {
    /// Every process has finished.
    Complete(Complete<'a>),
    /// The execution fails.
    Failed(&'a Failure),
}

/// An execution in which every process has finished.
#[derive(Clone, Copy, Debug)]
pub struct Complete<'a>(PhantomData<&'a History>);

impl Complete<'_> {
    /// Returns what the processes did.
    pub fn history(&self) -> History {
        current::with(|execution| History::new(&execution.graph))
    }
}

/// Does the same as [`explore`], and calls `observe` with each execution that is complete or fails.
/// The exploration stops if `observe` returns [`ControlFlow::Break`]. The verdict contains the first
/// failure.
///
/// # Panics
/// Panics if it is called inside a model.
pub fn explore_with(
    limits: Limits,
    model: impl Fn(&mut Setup),
    mut observe: impl FnMut(Ended<'_>) -> ControlFlow<()>,
) -> Report {
    let mut explorer = Explorer::new(limits);
    explorer.run(&model, &mut observe);
    explorer.report
}

/// Is called with each execution that ended. Returns whether the exploration goes on.
type Observer<'a> = &'a mut dyn FnMut(Ended<'_>) -> ControlFlow<()>;

/// Runs one execution again, which this text describes: see [`Failure::replay`]. The verdict is
/// [`Verdict::Limited`] if the execution does not fail.
///
/// Returns `None` if the text is not the text of an execution.
///
/// # Panics
/// Panics if it is called inside a model.
pub fn replay(text: &str, model: impl Fn(&mut Setup)) -> Option<Report> {
    let outline = crate::replay::parse(text)?;
    let limits = Limits {
        graphs: Some(1),
        ..Limits::default()
    };
    let mut explorer = Explorer::new(limits);
    current::with(|execution| execution.stack.push(outline));
    explorer.run(&model, &mut |_| ControlFlow::Continue(()));
    Some(explorer.report)
}

struct Explorer {
    limits: Limits,
    begin: Instant,
    graphs: u64,
    report: Report,
    coroutines: Coroutines,
    after_death: Vec<Option<Body>>,
    _installed: current::Installed,
}

impl Explorer {
    fn new(limits: Limits) -> Self {
        let mut execution = Execution::default();
        execution.stack.push(Outline::default());
        execution.max_steps = limits.steps.min(60_000);
        Self {
            limits,
            begin: Instant::now(),
            graphs: 0,
            report: Report {
                verdict: Verdict::Exhaustive,
                executions: 0,
                blocked: 0,
                dead_ends: 0,
                max_events: 0,
            },
            coroutines: Coroutines::default(),
            after_death: Vec::new(),
            _installed: current::install(execution),
        }
    }

    fn run(&mut self, model: &dyn Fn(&mut Setup), observe: Observer<'_>) {
        while let Some(outline) = current::with(|execution| execution.stack.pop()) {
            if let Some(limit) = self.reached_limit() {
                if !matches!(self.report.verdict, Verdict::Failed(_)) {
                    self.report.verdict = Verdict::Limited(limit);
                }
                return;
            }
            self.graphs += 1;
            current::with(|execution| execution.begin(outline));
            let end = self.run_one(model);
            self.coroutines.unwind_all();
            let flow = match &end {
                Some(End::Failed(failure)) => observe(Ended::Failed(failure)),
                Some(End::Complete) => observe(Ended::Complete(Complete(PhantomData))),
                Some(End::Abandoned) | None => ControlFlow::Continue(()),
            };
            self.count(end);
            if flow.is_break() {
                return;
            }
        }
    }

    fn count(&mut self, end: Option<End>) {
        match end {
            Some(End::Complete) => self.report.executions += 1,
            Some(End::Abandoned) => self.report.dead_ends += 1,
            None => self.report.blocked += 1,
            Some(End::Failed(failure)) => {
                if !matches!(self.report.verdict, Verdict::Failed(_)) {
                    self.report.verdict = Verdict::Failed(Box::new(failure));
                }
            }
        }
    }

    fn reached_limit(&self) -> Option<Limit> {
        if self.limits.graphs.is_some_and(|limit| self.graphs >= limit) {
            return Some(Limit::Graphs);
        }
        let is_over = |limit| self.begin.elapsed() >= limit;
        self.limits.time.is_some_and(is_over).then_some(Limit::Time)
    }

    /// Replays a graph and extends it until no process can run. Returns how the execution ended, or
    /// `None` if it is a part of another one.
    fn run_one(&mut self, model: &dyn Fn(&mut Setup)) -> Option<End> {
        let mut setup = Setup::default();
        if let Err(message) = current::run_as(Actor::Setup, || model(&mut setup)) {
            return fail(FailureKind::Panic { message });
        }
        let count = setup.processes.len();
        if !(1..=crate::MAX_PROCESSES).contains(&count) {
            return fail(FailureKind::ProcessCount { count });
        }
        let life = |process: &Process| match process.after_death {
            Some(_) => Life::Mortal,
            None => Life::Immortal,
        };
        let lives = setup.processes.iter().map(life).collect();
        current::with(|execution| execution.set_processes(lives));
        self.after_death.clear();
        for process in setup.processes {
            self.coroutines.start(process.body);
            self.after_death.push(process.after_death);
        }
        self.replay(count);
        self.extend(count);
        if let Some(end) = current::with(|execution| execution.end.take()) {
            return Some(end);
        }
        self.finish(setup.verify)
    }

    /// Runs the processes until each has repeated its part of the graph.
    fn replay(&mut self, count: usize) {
        loop {
            let mut has_moved = false;
            for process in 0..count {
                let before = event_count(process);
                if current::with(|execution| execution.status[process] == Status::Ready) {
                    self.resume(process);
                }
                has_moved |= event_count(process) > before;
            }
            if !has_moved || is_over() {
                break;
            }
        }
        current::with(|execution| {
            execution.is_replaying = false;
            // A read that got another source, or a write that got another position, may violate an
            // axiom.
            let graph = &execution.graph;
            if !crate::sequential::is_consistent(graph) || !graph.has_current_checks() {
                execution.abandon();
            }
        });
    }

    /// Runs the processes beyond the graph: first the one whose update lacks its write, then each
    /// in turn as far as it goes.
    fn extend(&mut self, count: usize) {
        while !is_over() {
            let next = current::with(|execution| {
                let behind = (0..count).find(|process| execution.is_behind(*process));
                let is_ready = |process: &usize| execution.status[*process] == Status::Ready;
                let next = behind.or_else(|| (0..count).find(is_ready))?;
                execution.scheduled = next;
                Some((next, behind.is_some()))
            });
            let Some((next, is_behind)) = next else { break };
            let before = event_count(next);
            if current::with(|execution| execution.status[next] == Status::Ready) {
                self.resume(next);
            }
            if is_behind && event_count(next) == before && !is_over() {
                // The process has ended, or waits for an event that does not exist.
                let kind = FailureKind::NotDeterministic { site: None };
                current::with(|execution| execution.fail(kind));
            }
        }
    }

    fn resume(&mut self, process: usize) {
        match self.coroutines.resume(process) {
            Outcome::Suspended => {
                if current::with(|execution| execution.take_death(process)) {
                    let kernel = self.after_death[process].take();
                    self.coroutines.replace(process, kernel.unwrap_or_else(|| Box::new(|| {})));
                }
            }
            Outcome::Finished => {
                current::with(|execution| execution.status[process] = Status::Finished);
            }
            Outcome::Panicked(message) => {
                current::with(|execution| {
                    execution.status[process] = Status::Finished;
                    execution.fail(FailureKind::Panic { message });
                });
            }
        }
    }

    /// Checks the final state of an execution that no process can continue.
    fn finish(&mut self, verify: Option<Box<dyn FnOnce()>>) -> Option<End> {
        let (events, blocked) = current::with(|execution| {
            let events = execution.graph.events.iter().map(Vec::len).sum();
            let mut status = execution.status.iter();
            (events, status.any(|status| *status != Status::Finished))
        });
        self.report.max_events = self.report.max_events.max(events);
        if blocked {
            return current::with(|execution| deadlock(execution)).and_then(fail);
        }
        match current::run_as(Actor::Verify, || verify.into_iter().for_each(|verify| verify())) {
            Ok(()) => Some(End::Complete),
            Err(message) => fail(FailureKind::Panic { message }),
        }
    }
}

fn is_over() -> bool {
    current::with(|execution| execution.is_over())
}

fn event_count(process: usize) -> usize {
    current::with(|execution| execution.graph.events[process].len())
}

fn fail(kind: FailureKind) -> Option<End> {
    current::with(|execution| {
        execution.fail(kind);
        execution.end.take()
    })
}

/// Returns the deadlock of a blocked execution. It has none if a blocked process has read a value
/// that is not the last one: in another execution, the process reads the last one.
fn deadlock(execution: &Execution) -> Option<FailureKind> {
    let graph = &execution.graph;
    let mut waiting = Vec::new();
    for (process, status) in execution.status.iter().enumerate() {
        let last = graph.events[process].last();
        let Some(event) = last.filter(|_| *status != Status::Finished) else {
            continue;
        };
        let (location, value, site) = (event.label.location, event.value, event.site);
        if *status == Status::Blocked && event.label.source != graph.last_write(location) {
            return None;
        }
        waiting.push(match status {
            Status::Blocked => format!(
                "process {process} waits at {site} for another value than {value} of word {}",
                location / 2
            ),
            _ => format!("process {process} sleeps at {site} on word {}", location / 2),
        });
    }
    let waiting = waiting.join(", ");
    Some(FailureKind::Deadlock { waiting })
}
