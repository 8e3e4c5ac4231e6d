//! The remaining choices and the remaining spurious events that a scenario allows.
//!
//! Each process has its own budget. So the order of the processes does not decide which operations
//! may have spurious events.

use super::choices::Choices;
use super::lifecycle::current;
use super::state::{Process, with};

/// Takes the next choice of the execution. Returns all choices and the index of the taken choice.
pub fn next_choice() -> (Choices, usize) {
    let (choices, index) = with(|world| {
        world.choices_used += 1;
        (world.choices.clone(), world.choices_used - 1)
    });
    let choices = choices.expect("choices are made inside a model");
    assert!(
        index < choices.len(),
        "limit hit: the model makes more than its {} choices",
        choices.len()
    );
    (choices, index)
}

/// Whether this wait is interrupted. loom explores both answers for each wait of a process, until
/// the process has had all its interruptions.
pub fn is_interrupted(choose: impl FnOnce() -> bool) -> bool {
    let number = current();
    let remaining = with(|world| {
        let process = world.processes.get(number);
        process.map_or(0, |process| process.interruptions)
    });
    let is_interrupted = remaining > 0 && choose();
    if is_interrupted {
        take(|process| &mut process.interruptions);
    }
    is_interrupted
}

/// Whether this wait may spin.
pub fn may_spin() -> bool {
    take(|process| &mut process.spins)
}

/// Whether a wait that may spin spins by choice.
pub fn spins_by_choice() -> bool {
    with(|world| world.config.spins > 0)
}

/// Whether the kernel may refuse the heavy barrier.
pub fn may_lack_barrier() -> bool {
    take(|process| &mut process.missing_barriers)
}

/// Whether this weak compare-exchange may fail spuriously.
pub fn may_fail_spuriously() -> bool {
    take(|process| &mut process.spurious_failures)
}

fn take(budget: fn(&mut Process) -> &mut usize) -> bool {
    let number = current();
    with(|world| {
        let Some(process) = world
            .processes
            .get_mut(number)
            .filter(|process| !process.dead)
        else {
            return false;
        };
        let remaining = budget(process);
        let is_allowed = *remaining > 0;
        *remaining = remaining.saturating_sub(1);
        is_allowed
    })
}
