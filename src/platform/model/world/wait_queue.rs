//! The wait queues of the words: which processes sleep, and whether a running process can wake
//! them.

use super::older_values::newest_value;
use super::state::{CURRENT, World, with};
use crate::platform::Wake;
use crate::platform::model::event::Site;

/// Appends the running process to the queue of this word.
pub fn enqueue(word: u32) {
    let process = CURRENT.get();
    with(|world| world.queues[word as usize].push_back(process));
}

/// Removes the running process from the queue; returns false if a wake has already removed it.
pub fn dequeue(word: u32) -> bool {
    let process = CURRENT.get();
    with(|world| {
        let queue = &mut world.queues[word as usize];
        let position = queue.iter().position(|waiter| *waiter == process);
        position.map(|position| queue.remove(position)).is_some()
    })
}

/// Returns the number of waiters in the queue of this word.
pub fn queue_length(word: u32) -> u32 {
    with(|world| world.queues[word as usize].len() as u32)
}

/// Wakes the waiter at this position of the queue.
pub fn wake(word: u32, position: u32) {
    with(|world| {
        let woken = world.queues[word as usize].remove(position as usize);
        let woken = woken.expect("the position is inside the queue");
        if world.processes[woken].asleep.take().is_some() {
            world.to_unpark.push(woken);
        }
    });
}

/// Puts the running process to sleep. Fails the model if no process is left to wake it.
pub fn block(word: u32, site: Site) {
    let process = CURRENT.get();
    with(|world| world.processes[process].asleep = Some((word, site)));
    check_deadlock();
}

/// Whether the running process is awake, that is, not in a wait queue.
pub fn is_awake() -> bool {
    let process = CURRENT.get();
    with(|world| world.processes[process].asleep.is_none())
}

/// Sets the words that the running process watches in its next sleep.
pub fn watch(words: Vec<(u32, u32)>) {
    let process = CURRENT.get();
    with(|world| world.processes[process].watched = words);
}

/// Returns why the running process, which slept, is awake now.
pub fn take_reason() -> Wake {
    let process = CURRENT.get();
    with(|world| world.processes[process].recheck.take()).unwrap_or(Wake::Woken)
}

/// Returns the threads of the processes that were woken since the last call of this function.
pub fn take_to_unpark() -> Vec<loom::thread::Thread> {
    with(|world| {
        let woken = core::mem::take(&mut world.to_unpark);
        woken
            .iter()
            .filter_map(|process| world.processes[*process].thread.clone())
            .collect()
    })
}

/// Fails the model if every process has finished or sleeps.
///
/// If a process has died, the sleepers recheck before the model fails, as on Linux after the
/// recheck interval. They recheck again only if a word has changed since the last recheck.
pub fn check_deadlock() {
    let states = with(|world| {
        let mut processes = world.processes.iter();
        if !processes.all(|process| process.finished || process.asleep.is_some()) {
            return None;
        }
        let mut processes = world.processes.iter();
        let has_died = processes.any(|process| process.dead || process.is_successor);
        if has_died && world.config.rechecks && world.changes_at_recheck != Some(world.changes) {
            world.changes_at_recheck = Some(world.changes);
            if recheck(world) {
                return None;
            }
        }
        Some(describe(world).join(", "))
    });
    if let Some(states) = states {
        panic!("deadlock: {states}");
    }
}

/// Wakes the sleepers that recheck with a timer, and those for whom a word has changed. Returns
/// false if there are none.
fn recheck(world: &mut World) -> bool {
    let sleepers = 0..world.processes.len();
    let reasons: Vec<_> = sleepers
        .filter_map(|number| Some((number, reason(world, number)?)))
        .collect();
    for (number, reason) in &reasons {
        for queue in &mut world.queues {
            queue.retain(|waiter| waiter != number);
        }
        let process = &mut world.processes[*number];
        process.asleep = None;
        process.recheck = Some(*reason);
        world.to_unpark.push(*number);
    }
    !reasons.is_empty()
}

/// Returns the reason for which the process wakes at a recheck, or `None` if it does not.
///
/// On Linux, the watcher wakes the process. The process then compares its own word.
fn reason(world: &World, number: usize) -> Option<Wake> {
    let process = &world.processes[number];
    process.asleep?;
    let has_changed =
        |(word, expected): &(u32, u32)| newest_value(world, *word) as u32 != *expected;
    match process.watched.split_first() {
        None => Some(Wake::Recheck),
        Some((own, _)) if has_changed(own) => Some(Wake::Woken),
        Some((_, others)) => others.iter().any(has_changed).then_some(Wake::Interrupted),
    }
}

/// Describes what each process does now, one sentence per process.
pub fn process_states() -> Vec<String> {
    with(|world| describe(world))
}

fn describe(world: &World) -> Vec<String> {
    let each = world.processes.iter().enumerate();
    let each = each.map(|(number, process)| match process.asleep {
        Some((word, site)) => {
            let (file, line) = (site.file(), site.line());
            format!("process {number} sleeps on word {word} at {file}:{line}")
        }
        None if process.dead => format!("process {number} is dead"),
        None if process.finished => format!("process {number} has finished"),
        None => format!("process {number} runs"),
    });
    each.collect()
}

/// Notes where the running process sleeps, for [`process_states`].
pub fn set_asleep(word: Option<(u32, Site)>) {
    let process = CURRENT.get();
    with(|world| world.processes[process].asleep = word);
}
