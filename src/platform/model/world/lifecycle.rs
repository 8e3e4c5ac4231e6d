//! The number, the steps, the death and the end of the running process.

use super::state::{CURRENT, KERNEL, Process, RobustLists, with};
use super::wait_queue::check_deadlock;
use crate::platform::model::backend;
use core::alloc::Layout;

/// Returns the number of the running process, or [`KERNEL`].
pub fn current() -> usize {
    CURRENT.get()
}

/// Returns the number of processes of the execution.
pub fn population() -> usize {
    with(|world| world.processes.len())
}

/// Registers the calling loom thread as the thread of this process.
pub fn enter(process: usize) {
    CURRENT.set(process);
    if process != KERNEL && !backend::is_graphs() {
        let thread = loom::thread::current();
        with(|world| world.processes[process].thread = Some(thread));
    }
}

/// Runs one loom operation, during which other processes may run. Afterwards, the caller's process
/// is the running process again.
pub fn step<R>(operation: impl FnOnce() -> R) -> R {
    let process = CURRENT.get();
    let result = operation();
    CURRENT.set(process);
    result
}

/// Counts a step of the running process, and returns whether the process dies before that step.
pub fn begin_step() -> bool {
    let number = CURRENT.get();
    with(|world| {
        let process = &mut world.processes[number];
        let dies = process.dies_before == Some(process.steps);
        process.steps += 1;
        process.dead = dies;
        if dies {
            world.findings.died.insert(number);
        }
        dies
    })
}

/// Notes the death of the running process, of which the engine has decided.
pub fn die() {
    let number = CURRENT.get();
    with(|world| {
        world.processes[number].dead = true;
        world.findings.died.insert(number);
    });
}

/// Makes the running process, which has died, a new process that does not die.
pub fn replace_dead_process() {
    let number = CURRENT.get();
    with(|world| {
        let config = world.config;
        let process = &mut world.processes[number];
        *process = Process {
            thread: process.thread.take(),
            is_successor: true,
            ..Process::new(config, None)
        };
    });
}

/// Whether the running process runs in place of a dead one.
pub fn is_successor() -> bool {
    let number = CURRENT.get();
    with(|world| {
        let process = world.processes.get(number);
        process.is_some_and(|process| process.is_successor)
    })
}

/// Whether the running process has not died.
pub fn is_alive() -> bool {
    if backend::is_unwinding() {
        return false;
    }
    let number = CURRENT.get();
    with(|world| {
        world
            .processes
            .get(number)
            .is_none_or(|process| !process.dead)
    })
}

/// Ends the running process, and returns whether it was the last process to end.
pub fn finish() -> bool {
    let number = CURRENT.get();
    let last = with(|world| {
        world.processes[number].finished = true;
        world.processes.iter().all(|process| process.finished)
    });
    if !last && !backend::is_graphs() {
        check_deadlock();
    }
    last
}

/// Whether every process has ended.
pub fn all_finished() -> bool {
    with(|world| world.processes.iter().all(|process| process.finished))
}

/// Returns the threads of all processes.
pub fn threads() -> Vec<loom::thread::Thread> {
    with(|world| {
        world
            .processes
            .iter()
            .filter_map(|process| process.thread.clone())
            .collect()
    })
}

/// Accesses the robust lists of the running process.
pub fn robust_lists<R>(access: impl FnOnce(&mut RobustLists) -> R) -> R {
    let number = CURRENT.get();
    with(|world| match world.processes.get_mut(number) {
        Some(process) => access(&mut process.robust_lists),
        None => access(&mut world.kernel_robust_lists),
    })
}

/// Notes the waiters that the running process has joined.
pub fn set_joined(waiters: Option<interlatch_engine::WaitQueue>) {
    let number = CURRENT.get();
    with(|world| world.processes[number].joined = waiters);
}

/// Returns the waiters that the running process has joined, and forgets them.
pub fn take_joined() -> Option<interlatch_engine::WaitQueue> {
    let number = CURRENT.get();
    with(|world| world.processes[number].joined.take())
}

/// Returns memory for a value of this layout that stays valid until the execution ends.
pub fn scratch(layout: Layout) -> *mut u8 {
    assert!(
        layout.align() <= align_of::<u128>(),
        "bad model: {layout:?} in a model with deaths"
    );
    let mut memory = vec![0_u128; layout.size().div_ceil(size_of::<u128>())];
    let start = memory.as_mut_ptr().cast();
    with(|world| world.scratch.push(memory));
    start
}
