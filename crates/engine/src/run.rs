//! Runs one execution: replays a graph, and extends it until no process can run.

use crate::coroutine::{Coroutines, Outcome};
use crate::current;
use crate::execution::{Actor, End, Execution, Life, NONE, Status};
use crate::failure::FailureKind;
use crate::sequential;
use crate::setup::{Body, Process, Setup};

/// Runs one execution after the other.
#[derive(Default)]
pub struct Runner {
    coroutines: Coroutines,
    after_death: Vec<Option<Body>>,
}

impl Runner {
    /// Replays a graph and extends it until no process can run. Returns how the execution ended, or
    /// `None` if it is a part of another one.
    pub fn run(&mut self, model: &dyn Fn(&mut Setup)) -> Option<End> {
        let end = self.run_to_end(model);
        self.coroutines.unwind_all();
        end
    }

    fn run_to_end(&mut self, model: &dyn Fn(&mut Setup)) -> Option<End> {
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
        current::with(|execution| {
            execution.set_processes(lives);
            execution.rechecks = setup.rechecks;
        });
        self.after_death.clear();
        for process in setup.processes {
            self.coroutines.start(process.body);
            self.after_death.push(process.after_death);
        }
        self.replay(count);
        self.settle(count);
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
                let may_move = |execution: &mut Execution| {
                    execution.status[process] == Status::Ready && execution.is_behind(process)
                };
                if current::with(may_move) {
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
            if !sequential::is_consistent(graph) || !graph.has_current_checks() {
                execution.abandon();
            }
        });
    }

    /// Runs each process up to its next operation. So what a process does after its last event
    /// comes before new events of other processes, and an execution that fails there fails again
    /// with the same graph when it is replayed.
    fn settle(&mut self, count: usize) {
        for process in 0..count {
            let is_ready = current::with(|execution| {
                execution.scheduled = NONE;
                let is_ready = execution.status[process] == Status::Ready;
                is_ready && !execution.is_behind(process) && !execution.is_over()
            });
            if is_ready {
                self.resume(process);
            }
        }
    }

    /// Runs the processes beyond the graph: first the one whose update lacks its write, then each
    /// in turn as far as it goes.
    fn extend(&mut self, count: usize) {
        while !is_over() {
            let next = current::with(|execution| {
                let lacks_write = |process: &usize| execution.lacks_write(*process);
                let behind = (0..count)
                    .find(lacks_write)
                    .or_else(|| (0..count).find(|process| execution.is_behind(*process)));
                if execution.sampler.is_some() {
                    execution.scheduled = execution.next_sampled()?;
                    return Some((execution.scheduled, false));
                }
                let is_ready = |process: &usize| execution.status[*process] == Status::Ready;
                let next = behind.or_else(|| (0..count).find(is_ready))?;
                execution.scheduled = next;
                Some((next, behind.is_some()))
            });
            let Some((next, is_behind)) = next else {
                if current::with(|execution| execution.recheck() || execution.get_stuck()) {
                    continue;
                }
                break;
            };
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
                    self.coroutines
                        .replace(process, kernel.unwrap_or_else(|| Box::new(|| {})));
                    self.resume(process);
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
        let blocked = current::with(|execution| {
            let mut status = execution.status.iter();
            status.any(|status| *status != Status::Finished)
        });
        if blocked {
            return current::with(|execution| deadlock(execution)).and_then(fail);
        }
        match current::run_as(Actor::Verify, || {
            verify.into_iter().for_each(|verify| verify())
        }) {
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

/// Returns the deadlock of a blocked execution. It has none if a process waits although there is a
/// value that ends its wait.
fn deadlock(execution: &Execution) -> Option<FailureKind> {
    if execution.has_outdated_wait() {
        return None;
    }
    let graph = &execution.graph;
    let mut waiting = Vec::new();
    for (process, status) in execution.status.iter().enumerate() {
        let last = graph.events[process].last();
        let (location, value, site) = match (*status, last) {
            (Status::Disabled(location, site), _) => {
                let last = graph.last_write(location);
                (location, graph.value(location, last), site)
            }
            (Status::Finished, _) | (_, None) => continue,
            (_, Some(event)) => (event.label.location, event.value, event.site),
        };
        waiting.push(match status {
            Status::Blocked | Status::Disabled(..) => format!(
                "process {process} waits at {site} for another value than {value} of word {}",
                location / 2
            ),
            _ => format!(
                "process {process} sleeps at {site} on word {}",
                location / 2
            ),
        });
    }
    let waiting = waiting.join(", ");
    Some(FailureKind::Deadlock { waiting })
}
