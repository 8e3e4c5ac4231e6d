//! Explorations in parts: on several threads, or as shards on several machines.
//!
//! The graphs on the stack are independent of each other, so different threads or machines can
//! explore them.

use crate::explore::{Explorer, stop_at_failure};
use crate::graph::Outline;
use crate::report::{Limits, Report, Verdict};
use crate::setup::Setup;
use core::ops::ControlFlow;
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Does the same as [`explore`](crate::explore()) on this number of threads.
///
/// The number of executions in the report does not depend on the number of threads, unless an
/// execution fails or the exploration reaches a limit. The limits hold for each thread.
pub fn explore_on_threads(
    limits: Limits,
    threads: NonZero<usize>,
    model: impl Fn(&mut Setup) + Sync,
) -> Report {
    let pool = Pool::new(threads.get());
    thread::scope(|scope| {
        let (pool, model) = (&pool, &model);
        let count = threads.get() as u64;
        let workers = (0..count).map(|number| {
            let limits = limits.of_part(number, count);
            scope.spawn(move || pool.explore(limits, model))
        });
        let workers: Vec<_> = workers.collect();
        let mut report = Report::new(Verdict::Exhaustive);
        for worker in workers {
            report.add(worker.join().expect("the explorer does not panic"));
        }
        report
    })
}

/// The graphs that the threads have not begun yet.
struct Pool {
    threads: usize,
    state: Mutex<PoolState>,
    changed: Condvar,
}

struct PoolState {
    outlines: Vec<Outline>,
    /// The number of threads that wait for a graph.
    waiting: usize,
    is_stopped: bool,
}

impl Pool {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            state: Mutex::new(PoolState {
                outlines: vec![Outline::default()],
                waiting: 0,
                is_stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Explores graphs of the pool until there are none left.
    fn explore(&self, limits: Limits, model: &dyn Fn(&mut Setup)) -> Report {
        let mut explorer = Explorer::new(limits);
        while let Some(outline) = self.take() {
            explorer.push(outline);
            let mut share = |stack: &mut Vec<Outline>| self.share(stack);
            explorer.run(model, &mut stop_at_failure, &mut share);
            if explorer.has_stopped() {
                self.lock().is_stopped = true;
                self.changed.notify_all();
            }
        }
        explorer.report
    }

    /// Takes a graph, waiting while other threads may still add some. Returns `None` if the
    /// exploration is over.
    fn take(&self) -> Option<Outline> {
        let mut state = self.lock();
        state.waiting += 1;
        loop {
            let is_over = state.is_stopped || state.waiting == self.threads;
            if let Some(outline) = state.outlines.pop().filter(|_| !state.is_stopped) {
                state.waiting -= 1;
                return Some(outline);
            }
            if is_over {
                self.changed.notify_all();
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Moves the oldest graphs of a stack to the pool, if other threads wait for some.
    fn share(&self, stack: &mut Vec<Outline>) -> ControlFlow<()> {
        let mut state = self.lock();
        if state.is_stopped {
            return ControlFlow::Break(());
        }
        if state.waiting > state.outlines.len() && stack.len() > 1 {
            let count = stack.len() / 2;
            state.outlines.extend(stack.drain(..count));
            self.changed.notify_all();
        }
        ControlFlow::Continue(())
    }
}

/// The number of graphs for each shard among which the shards divide the exploration.
const GRAPHS_PER_SHARD: usize = 32;

/// Explores one of `count` parts of the executions of a model. The parts have about the same size,
/// and [`Report::merge`] adds up their reports. The number of the first shard is 1.
///
/// Each shard explores the first graphs breadth first, until there are enough to divide. Only the
/// first shard counts these.
///
/// # Panics
/// Panics if there is no shard with this number, and if it is called inside a model.
pub fn explore_shard(
    limits: Limits,
    (number, count): (u32, u32),
    model: impl Fn(&mut Setup),
) -> Report {
    assert!(
        (1..=count).contains(&number),
        "there is no shard {number} of {count}"
    );
    let limits = limits.of_part(u64::from(number) - 1, count.into());
    let mut explorer = Explorer::new(limits);
    explorer.report.verdict = Verdict::of_shards(vec![number], count);
    let mut queue = VecDeque::from([Outline::default()]);
    while let Some(outline) = queue.pop_front() {
        explorer.push(outline);
        let mut move_to_queue = |stack: &mut Vec<Outline>| {
            queue.extend(stack.drain(..));
            ControlFlow::Continue(())
        };
        explorer.run(&model, &mut stop_at_failure, &mut move_to_queue);
        if queue.len() >= GRAPHS_PER_SHARD * count as usize || explorer.has_stopped() {
            break;
        }
    }
    if number != 1 {
        let Report {
            verdict, sampled, ..
        } = explorer.report;
        explorer.report = Report {
            sampled,
            ..Report::new(verdict)
        };
    }
    let is_own = |index: &usize| index % count as usize == number as usize - 1;
    let own = queue.into_iter().enumerate();
    let own = own
        .filter(|(index, _)| is_own(index))
        .map(|(_, outline)| outline);
    if !explorer.has_stopped() {
        own.for_each(|outline| explorer.push(outline));
        explorer.run(&model, &mut stop_at_failure, &mut |_| {
            ControlFlow::Continue(())
        });
    }
    explorer.report
}
