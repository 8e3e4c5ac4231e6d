//! The death of simulated processes: which process dies, and before which of its steps.
//!
//! Every operation on shared memory, every system call and every change of the robust list is a
//! step before which a process may die. A death during a sleep is not a separate case. If the
//! process has not been woken, its death is equivalent to a death just before the sleep, because
//! other processes may run between the two moments. If the process has been woken, its death is
//! equivalent to a death after the sleep.
//!
//! A dying process unwinds to its top without running a panic hook. The unwinding runs destructors,
//! which a killed process never runs. So these destructors must not change shared memory. They
//! access no words, and they access copies of the cells. Every exchange seems to succeed, so that
//! no loop repeats.

use super::event::{Action, Site};
use super::{backend, world};
use std::cell::{Cell, RefCell};

/// The panic payload that unwinds a dying process.
pub(super) struct DeathUnwind;

thread_local! {
    static PLAN: RefCell<Vec<Death>> = const { RefCell::new(Vec::new()) };
    static HAS_VICTIMS: Cell<bool> = const { Cell::new(false) };
}

/// A process and the step before which it dies, counted from 0.
pub type Death = (usize, usize);

/// Plans these deaths: each process dies in every execution in which it reaches its step.
pub fn plan(deaths: Vec<Death>) {
    PLAN.set(deaths);
}

/// Returns the planned deaths.
pub fn planned() -> Vec<Death> {
    PLAN.with_borrow(Vec::clone)
}

/// Whether any process dies.
pub(super) fn is_planned() -> bool {
    PLAN.with_borrow(|plan| !plan.is_empty())
}

/// Notes whether processes die in the models that `interlatch-engine` explores from now on. The
/// engine plans no deaths: it tries all of them.
pub(super) fn set_victims(exist: bool) {
    HAS_VICTIMS.set(exist);
}

/// Whether any process may die.
pub(super) fn is_possible() -> bool {
    is_planned() || HAS_VICTIMS.get()
}

/// Returns the step before which this process dies.
pub(super) fn planned_for(process: usize) -> Option<usize> {
    PLAN.with_borrow(|plan| {
        let death = plan.iter().find(|(victim, _)| *victim == process)?;
        Some(death.1)
    })
}

/// Begins a step of the running process, which may die before the step.
///
/// Returns false if the process is already dead and only unwinds. The step then has no effect.
pub(super) fn survives(site: Site) -> bool {
    if backend::is_graphs() {
        // The engine lets the process die within its operations.
        return world::is_alive();
    }
    if world::current() == world::KERNEL || !is_planned() {
        return true;
    }
    if !world::is_alive() {
        return false;
    }
    if world::begin_step() {
        world::record(site, Action::Dies);
        std::panic::resume_unwind(Box::new(DeathUnwind));
    }
    true
}

/// Begins a step that changes only what the kernel does after a death.
pub(super) fn local_step() {
    if backend::is_graphs() {
        world::step(interlatch_engine::local_step);
    }
}
