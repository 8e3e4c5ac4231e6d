//! The death of simulated processes: which one dies, and before which of its steps.
//!
//! Every operation on shared memory, every system call and every change of the robust list is a
//! step before which a process may die. To die asleep is to die before the sleep, since others may do
//! anything in between, or after it has swallowed a wake-up. Dying unwinds to the top of the process,
//! past every panic hook. The destructors on the way are code that the dead process never ran, so what
//! they do to shared memory does nothing: words are left alone, cells are replaced by copies, and every
//! exchange seems to succeed, so that no loop goes on.

use std::cell::RefCell;

/// Thrown from where a process dies to its top.
pub(super) struct Died;

thread_local! {
    static PLAN: RefCell<Vec<Death>> = const { RefCell::new(Vec::new()) };
}

/// A process, and before which of its steps it dies; they are counted from 0.
pub type Death = (usize, usize);

/// From here on these processes die, in every execution in which they get so far.
pub fn plan(deaths: Vec<Death>) {
    PLAN.set(deaths);
}

/// Who is to die.
pub fn planned() -> Vec<Death> {
    PLAN.with_borrow(Vec::clone)
}

/// Whether anybody dies at all.
pub(super) fn is_planned() -> bool {
    PLAN.with_borrow(|plan| !plan.is_empty())
}

/// Before which step this process dies.
pub(super) fn planned_for(process: usize) -> Option<usize> {
    PLAN.with_borrow(|plan| {
        let death = plan.iter().find(|(victim, _)| *victim == process)?;
        Some(death.1)
    })
}
