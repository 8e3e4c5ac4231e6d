//! Simulated processes: loom threads with an identity, and a thread for the kernel.
//!
//! The kernel thread has not acquired what the processes wrote, so a wake-up by the kernel thread
//! orders no memory. The kernel thread opens the [`choice`](super::choice)s before the processes
//! start, delivers wake-ups while they run, and verifies the end state after all of them have
//! finished.
//!
//! loom runs at most five threads: four processes and the kernel. Process 0 runs on the main
//! thread.

use super::config::total_choices;
use super::death::{self, DeathUnwind};
use super::world::{self, Choices, KERNEL, Process};
use super::{backend, graphs, robust};
use core::cell::Cell;
use core::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::atomic::AtomicU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

pub use super::config::ScenarioConfig;

/// The maximum number of processes of a model.
pub const MAX: usize = 4;

/// The code of one process.
pub type Body = Box<dyn FnOnce()>;

/// The code of a process that runs in place of a dead one.
pub type Successor = Rc<dyn Fn()>;

/// Runs one execution: first the bodies as processes, then `verify` on the state that they have
/// left. After a process has died, `successor` runs in its place.
///
/// # Panics
/// Fails the model if there are no bodies or more than [`MAX`] bodies.
pub fn run(bodies: Vec<Body>, successor: Option<Successor>, config: ScenarioConfig, verify: Body) {
    assert!(
        (1..=MAX).contains(&bodies.len()),
        "bad model: {} processes: expected 1 to {MAX}",
        bodies.len()
    );
    if backend::is_graphs() {
        return graphs::set_up(bodies, successor, config, verify);
    }
    let (count, has_successor) = (bodies.len(), successor.is_some());
    loom::stop_exploring();
    let ended = Rc::new(Cell::new(0));
    let ready = Arc::new(AtomicU32::new(0));
    let kernel = {
        let (ended, ready) = (ended.clone(), ready.clone());
        loom::thread::spawn(move || {
            let successors = if has_successor { count } else { 0 };
            let choices = Choices::new(total_choices(config, count + successors));
            let processes =
                (0..count).map(|number| Process::new(config, death::planned_for(number)));
            let processes = processes.collect();
            world::populate(processes, Some(choices.clone()), config);
            // This Release pairs with the Acquire of process 0. It publishes the choices but not
            // the stores of `open`. In loom, a thread that has yielded does not read a value that
            // it knew before the yield. So if process 0 created the choices itself, process 0 could
            // not read their first value.
            ready.store(1, Release);
            choices.open();
            kernel(&ended, count, verify);
        })
        .thread()
        .clone()
    };
    world::step(loom::thread::yield_now);
    let is_ready = ready.fetch_add(0, Acquire);
    assert_eq!(is_ready, 1, "the kernel thread runs when process 0 yields");
    let mut bodies = bodies.into_iter();
    let first = bodies.next().expect("at least one body");
    for (index, body) in bodies.enumerate() {
        let (kernel, ended) = (kernel.clone(), ended.clone());
        let code = (body, successor.clone());
        loom::thread::spawn(move || process(index + 1, code, &kernel, &ended));
    }
    loom::explore();
    process(0, (first, successor), &kernel, &ended);
}

fn process(
    number: usize,
    (body, successor): (Body, Option<Successor>),
    kernel: &loom::thread::Thread,
    ended: &Cell<usize>,
) {
    world::enter(number);
    let has_died = run_body(body);
    if let (true, Some(successor)) = (has_died, successor) {
        world::replace_dead_process();
        successor();
    }
    if world::finish() {
        // Nothing after this point is part of the model, so loom does not explore it.
        loom::stop_exploring();
        world::threads()
            .iter()
            .for_each(loom::thread::Thread::unpark);
    }
    while !world::all_finished() {
        world::step(loom::thread::park);
    }
    // loom's `unpark` passes this process's view of memory to the kernel thread. So the kernel
    // thread can read the end state without a data race.
    kernel.unpark();
    ended.set(ended.get() + 1);
}

/// Runs the body to its end or to the death of the process, which the kernel then handles. Returns
/// whether the process has died.
fn run_body(body: Body) -> bool {
    if !death::is_planned() {
        body();
        return false;
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Err(payload) if payload.is::<DeathUnwind>() => robust::exit(),
        Err(payload) => resume_unwind(payload),
        Ok(()) => return false,
    }
    true
}

fn kernel(ended: &Cell<usize>, count: usize, verify: Body) {
    world::enter(KERNEL);
    world::step(loom::thread::yield_now);
    while ended.get() < count {
        let woken = world::take_to_unpark();
        if woken.is_empty() && !world::all_finished() {
            // The scheduler prefers a process that can run. The scheduler runs this thread, which
            // has no work, only at a point where it tries every thread. Running this thread changes
            // nothing. So loom can skip this branch: the other choices at this point lead to the
            // same executions.
            loom::skip_branch();
        }
        woken.iter().for_each(loom::thread::Thread::unpark);
        world::step(loom::thread::yield_now);
    }
    verify();
}
