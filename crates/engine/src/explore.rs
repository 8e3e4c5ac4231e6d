//! Explores the executions of a model.

use crate::current;
use crate::execution::{End, Execution};
use crate::failure::Failure;
use crate::graph::Outline;
use crate::history::History;
use crate::replay_text;
use crate::report::{Limit, Limits, Report, Verdict};
use crate::run::Runner;
use crate::sampler::Sampler;
use crate::setup::Setup;
use core::marker::PhantomData;
use core::ops::ControlFlow;
use std::time::Instant;

/// Explores every execution of a model that the memory model allows, until one fails.
///
/// The function sets up one execution: it creates the atomics and adds the processes. It runs once
/// for each graph that is replayed.
///
/// # Panics
/// Panics if it is called inside a model.
pub fn explore(limits: Limits, model: impl Fn(&mut Setup)) -> Report {
    explore_with(limits, model, stop_at_failure)
}

/// Stops an exploration at the first failure.
pub fn stop_at_failure(ended: Ended<'_>) -> ControlFlow<()> {
    match ended {
        Ended::Complete(_) => ControlFlow::Continue(()),
        Ended::Failed(_) => ControlFlow::Break(()),
    }
}

/// How an execution ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'a> {
    /// Every process has ended.
    Complete(Complete<'a>),
    /// The execution fails.
    Failed(&'a Failure),
}

/// An execution in which every process has ended.
#[derive(Clone, Copy, Debug)]
pub struct Complete<'a>(PhantomData<&'a History>);

impl Complete<'_> {
    /// Returns what the processes did.
    pub fn history(&self) -> History {
        current::with(|execution| History::new(&execution.graph))
    }
}

/// Does the same as [`explore`], and calls `observe` with each execution that is complete or fails.
/// The exploration stops if `observe` returns [`ControlFlow::Break`]. The verdict contains the
/// first failure.
///
/// Of the random executions, `observe` gets only those that fail. If the exploration goes on after
/// such a failure, it may find the same execution again.
///
/// # Panics
/// Panics if it is called inside a model.
pub fn explore_with(
    limits: Limits,
    model: impl Fn(&mut Setup),
    mut observe: impl FnMut(Ended<'_>) -> ControlFlow<()>,
) -> Report {
    let mut explorer = Explorer::new(limits);
    explorer.push(Outline::default());
    explorer.run(&model, &mut observe, &mut |_| ControlFlow::Continue(()));
    explorer.report
}

/// Runs [`Limits::samples`] random executions, and calls `observe` with each that is complete or
/// fails. It stops if `observe` returns [`ControlFlow::Break`]. If no execution fails, the verdict
/// is [`Verdict::Limited`].
///
/// Use it for a model that is too large to be explored. Each random execution is one that
/// [`explore`] would reach, but it may run several times, and others may not run at all.
///
/// # Panics
/// Panics if it is called inside a model.
pub fn sample_with(
    limits: Limits,
    model: impl Fn(&mut Setup),
    mut observe: impl FnMut(Ended<'_>) -> ControlFlow<()>,
) -> Report {
    let mut explorer = Explorer::new(limits);
    let _ = explorer.sample(&model, &mut observe);
    explorer.report.worsen(Verdict::Limited(Limit::Samples));
    explorer.report
}

/// Runs one execution again, which this text describes: see [`Failure::replay`]. The verdict is
/// [`Verdict::Limited`] if the execution does not fail.
///
/// Returns `None` if the text is not the text of an execution.
///
/// # Panics
/// Panics if it is called inside a model.
pub fn replay(text: &str, model: impl Fn(&mut Setup)) -> Option<Report> {
    let outline = replay_text::parse(text)?;
    let mut explorer = Explorer::new(Limits::default());
    explorer.push(outline);
    let stop = &mut |_: &mut Vec<Outline>| ControlFlow::Break(());
    explorer.run(&model, &mut stop_at_failure, stop);
    explorer.report.worsen(Verdict::Limited(Limit::Graphs));
    Some(explorer.report)
}

/// Is called with each execution that ended. Returns whether the exploration goes on.
pub type Observer<'a> = &'a mut dyn FnMut(Ended<'_>) -> ControlFlow<()>;

/// Is called with the stack after each graph. Returns whether the exploration goes on.
pub type AfterEach<'a> = &'a mut dyn FnMut(&mut Vec<Outline>) -> ControlFlow<()>;

/// The number of graphs that an exploration explores before its random executions, so that small
/// models end without them.
pub const GRAPHS_BEFORE_SAMPLES: u64 = 1_000;

/// Explores graphs depth first.
pub struct Explorer {
    pub report: Report,
    limits: Limits,
    begin: Instant,
    graphs: u64,
    runner: Runner,
    /// Decides how random executions go on. The running one has it.
    sampler: Option<Sampler>,
    _installed: current::Installed,
}

impl Explorer {
    /// Creates an explorer for this thread.
    ///
    /// # Panics
    /// Panics if the thread has one already.
    pub fn new(limits: Limits) -> Self {
        let mut execution = Execution::default();
        execution.max_steps = limits.steps.min(60_000);
        Self {
            report: Report::new(Verdict::Exhaustive),
            limits,
            begin: Instant::now(),
            graphs: 0,
            runner: Runner::default(),
            sampler: Some(Sampler::new(limits.seed)),
            _installed: current::install(execution),
        }
    }

    /// Adds a graph that is to be explored.
    pub fn push(&mut self, outline: Outline) {
        current::with(|execution| execution.stack.push(outline));
    }

    /// Whether an execution failed, or a limit was reached.
    pub fn has_stopped(&self) -> bool {
        matches!(
            self.report.verdict,
            Verdict::Failed(_) | Verdict::Limited(_)
        )
    }

    /// Explores all graphs that can be reached from those on the stack.
    pub fn run(
        &mut self,
        model: &dyn Fn(&mut Setup),
        observe: Observer<'_>,
        after_each: AfterEach<'_>,
    ) {
        while let Some(outline) = current::with(|execution| execution.stack.pop()) {
            if let Some(limit) = self.reached_limit() {
                self.report.worsen(Verdict::Limited(limit));
                return;
            }
            if self.graphs == GRAPHS_BEFORE_SAMPLES {
                let failures = &mut |ended: Ended<'_>| match ended {
                    Ended::Complete(_) => ControlFlow::Continue(()),
                    Ended::Failed(_) => observe(ended),
                };
                if self.sample(model, failures).is_break() {
                    return;
                }
            }
            let flow = self.explore_one(outline, model, observe);
            let next = current::with(|execution| after_each(&mut execution.stack));
            if flow.is_break() || next.is_break() {
                return;
            }
        }
    }

    fn explore_one(
        &mut self,
        outline: Outline,
        model: &dyn Fn(&mut Setup),
        observe: Observer<'_>,
    ) -> ControlFlow<()> {
        self.graphs += 1;
        current::with(|execution| execution.begin(outline));
        let end = self.runner.run(model);
        let events = current::with(|execution| execution.graph.events.iter().map(Vec::len).sum());
        self.report.max_events = self.report.max_events.max(events);
        match end {
            Some(End::Complete) => {
                self.report.executions += 1;
                observe(Ended::Complete(Complete(PhantomData)))
            }
            Some(End::Failed(failure)) => {
                let flow = observe(Ended::Failed(&failure));
                self.report.worsen(Verdict::Failed(Box::new(failure)));
                flow
            }
            Some(End::Abandoned) => {
                self.report.dead_ends += 1;
                ControlFlow::Continue(())
            }
            None => {
                self.report.blocked += 1;
                ControlFlow::Continue(())
            }
        }
    }

    /// Runs the random executions. Only their number and the first failure get into the report.
    fn sample(&mut self, model: &dyn Fn(&mut Setup), observe: Observer<'_>) -> ControlFlow<()> {
        let begin = Instant::now();
        let is_over = |limit| begin.elapsed() >= limit;
        while self.report.sampled < self.limits.samples
            && !self.limits.sample_time.is_some_and(is_over)
            && self.reached_limit().is_none()
        {
            self.sample_one(model, observe)?;
        }
        ControlFlow::Continue(())
    }

    fn sample_one(&mut self, model: &dyn Fn(&mut Setup), observe: Observer<'_>) -> ControlFlow<()> {
        self.report.sampled += 1;
        current::with(|execution| {
            execution.begin(Outline::default());
            execution.sampler = self.sampler.take();
        });
        let end = self.runner.run(model);
        self.sampler = current::with(|execution| execution.sampler.take());
        match end {
            Some(End::Complete) => observe(Ended::Complete(Complete(PhantomData))),
            Some(End::Failed(failure)) => {
                let flow = observe(Ended::Failed(&failure));
                self.report.worsen(Verdict::Failed(Box::new(failure)));
                flow
            }
            Some(End::Abandoned) | None => ControlFlow::Continue(()),
        }
    }

    fn reached_limit(&self) -> Option<Limit> {
        if self.limits.graphs.is_some_and(|limit| self.graphs >= limit) {
            return Some(Limit::Graphs);
        }
        let is_over = |limit| self.begin.elapsed() >= limit;
        self.limits.time.is_some_and(is_over).then_some(Limit::Time)
    }
}
