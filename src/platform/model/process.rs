//! Simulated processes: loom threads with an identity, and a thread for the kernel.
//!
//! The kernel thread has seen nothing of what the processes did, so being unparked by it orders
//! no memory. It tosses the coins of [`choice`](super::choice) before the processes start, hands
//! out wake-ups while they run, and verifies the end state after all of them have finished.
//!
//! loom has five threads: four processes and the kernel. Process 0 runs on the main one.

use super::choice::Choices;
use super::death::{self, Died};
use super::robust;
use super::world::{self, KERNEL};
use core::cell::Cell;
use core::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::atomic::AtomicU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// The most processes that a model can have.
pub const MAX: usize = 4;

/// What one process does.
pub type Body = Box<dyn FnOnce()>;

/// What may happen to the processes of an execution, beside their order.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScenarioConfig {
    /// The most binary choices.
    pub choices: usize,
    /// How many waits of each process, its first ones, may end for no reason.
    pub interruptions: usize,
    /// How many weak compare-exchanges of each process, its first ones, may fail for no reason.
    pub spurious_failures: usize,
    /// Whether sleepers look again once a process has died.
    pub rechecks: bool,
}

impl ScenarioConfig {
    fn coins(self, processes: usize) -> usize {
        self.choices + (self.interruptions + self.spurious_failures) * processes
    }
}

/// One execution: runs the bodies as processes, then `verify` on the state that they left.
///
/// # Panics
/// Fails the model if there are more than [`MAX`] bodies or none.
pub fn run(bodies: Vec<Body>, nature: ScenarioConfig, verify: Body) {
    assert!(
        (1..=MAX).contains(&bodies.len()),
        "bad model: {} processes: expected 1 to {MAX}",
        bodies.len()
    );
    let count = bodies.len();
    loom::stop_exploring();
    let gathered = Rc::new(Cell::new(0));
    let ready = Arc::new(AtomicU32::new(0));
    let kernel = {
        let (gathered, ready) = (gathered.clone(), ready.clone());
        loom::thread::spawn(move || {
            let coins = Choices::new(nature.coins(count));
            world::populate(count, coins.clone(), nature);
            // Pairs with the Acquire of process 0, which learns by it of the coins but not of their
            // tosses. Had it made the coins itself, loom would not let it read their first side:
            // a thread does not read again what it knew before it yielded.
            ready.store(1, Release);
            coins.toss();
            kernel(&gathered, count, verify);
        })
        .thread()
        .clone()
    };
    world::step(loom::thread::yield_now);
    let gate = ready.fetch_add(0, Acquire);
    assert_eq!(gate, 1, "the kernel thread runs when process 0 yields");
    let mut bodies = bodies.into_iter();
    let first = bodies.next().expect("at least one body");
    for (index, body) in bodies.enumerate() {
        let (kernel, gathered) = (kernel.clone(), gathered.clone());
        loom::thread::spawn(move || process(index + 1, body, &kernel, &gathered));
    }
    loom::explore();
    process(0, first, &kernel, &gathered);
}

fn process(number: usize, body: Body, kernel: &loom::thread::Thread, gathered: &Cell<usize>) {
    world::enter(number);
    live(body);
    if world::finish() {
        // Nothing that follows is part of the model.
        loom::stop_exploring();
        world::threads()
            .iter()
            .for_each(loom::thread::Thread::unpark);
    }
    while !world::all_finished() {
        world::step(loom::thread::park);
    }
    // loom's unpark hands this process's view of memory to the kernel thread, which may then
    // read the end state without a race.
    kernel.unpark();
    gathered.set(gathered.get() + 1);
}

/// Until the end of the body, or of the process; then the kernel does its part.
fn live(body: Body) {
    if !death::is_planned() {
        return body();
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Err(thrown) if thrown.is::<Died>() => robust::exit(),
        Err(thrown) => resume_unwind(thrown),
        Ok(()) => {}
    }
}

fn kernel(gathered: &Cell<usize>, count: usize, verify: Body) {
    world::enter(KERNEL);
    world::step(loom::thread::yield_now);
    while gathered.get() < count {
        let woken = world::take_to_unpark();
        if woken.is_empty() && !world::all_finished() {
            // The scheduler prefers a process that can run, so it comes here with nothing to do
            // only when it tries everyone at some point. This changes nothing: what would follow
            // is explored from the siblings of this step.
            loom::skip_branch();
        }
        woken.iter().for_each(loom::thread::Thread::unpark);
        world::step(loom::thread::yield_now);
    }
    verify();
}
