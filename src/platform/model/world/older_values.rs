//! The older values of words that a load behind a light barrier may return.
//!
//! A value is older if a process has overwritten it. The values of a word that were overwritten
//! before the last heavy barrier can no longer be read, except by a process to which the kernel
//! refuses the barrier. If a process has read a value behind a light barrier, or has overwritten
//! it, the process cannot read older values.

use super::lifecycle::{current, is_alive, step};
use super::state::{KERNEL, Word, World, with};

/// The history of a word.
#[derive(Default)]
pub struct History {
    newest: u64,
    /// Whether a process has written the word.
    is_written: bool,
    /// The overwritten values, oldest first.
    overwritten: Vec<u64>,
    /// The number of heavy barriers so far, when a process last accessed the word.
    barriers: u64,
    /// The number of values that were overwritten before the last heavy barrier.
    before_barrier: usize,
    /// For each process that cannot read all of these values, the number of values that it cannot
    /// read.
    passed: Vec<(usize, usize)>,
}

impl History {
    fn note_barriers(&mut self, barriers: u64) {
        if self.barriers != barriers {
            self.barriers = barriers;
            self.before_barrier = self.overwritten.len();
        }
    }

    fn passed(&self, process: usize, lacks_barrier: bool) -> usize {
        let mut passed = self.passed.iter();
        let found = passed.find(|(passer, _)| *passer == process);
        let passed = found.map_or(0, |(_, count)| *count);
        match lacks_barrier {
            true => passed,
            false => passed.max(self.before_barrier),
        }
    }

    fn pass(&mut self, process: usize, count: usize) {
        self.passed.retain(|(passer, _)| *passer != process);
        self.passed.push((process, count));
    }
}

fn word(world: &mut World, number: u32) -> &mut Word {
    let barriers = world.heavy_barriers;
    let word = &mut world.words[number as usize];
    word.history.note_barriers(barriers);
    word
}

/// Records the value of a new word.
pub fn note_initial_value(number: u32, value: u64) {
    with(|world| word(world, number).history.newest = value);
}

/// Records that the running process writes this value to the word.
///
/// A value that the kernel thread overwrites before the processes start is not older, because the
/// start of a process orders it after that write.
pub fn note_value(number: u32, value: u64) {
    let process = current();
    with(|world| {
        let history = &mut word(world, number).history;
        let before = core::mem::replace(&mut history.newest, value);
        if process != KERNEL {
            history.is_written = true;
            history.overwritten.push(before);
            history.pass(process, history.overwritten.len());
        }
    });
}

/// Returns the newest value of the word.
pub fn newest_value(world: &World, number: u32) -> u64 {
    world.words[number as usize].history.newest
}

/// Returns the newest value of the word, and then the older values that the running process may
/// read, without duplicates.
pub fn readable_values(number: u32) -> Vec<u64> {
    let process = current();
    let lacks_barrier = lacks_barrier();
    with(|world| {
        let history = &word(world, number).history;
        let readable = &history.overwritten[history.passed(process, lacks_barrier)..];
        let mut values = vec![history.newest];
        for value in readable.iter().rev() {
            if !values.contains(value) {
                values.push(*value);
            }
        }
        values
    })
}

/// Records that the running process has read one of the readable values.
pub fn note_read(number: u32, value: u64) {
    let process = current();
    with(|world| {
        let history = &mut word(world, number).history;
        let newest = history.overwritten.len();
        let index = match history.newest == value {
            true => newest,
            false => {
                let mut older = history.overwritten.iter();
                older.rposition(|older| *older == value).unwrap_or(newest)
            }
        };
        history.pass(process, index);
    });
}

/// Lets other processes run before the barrier of the running process.
fn step_of_barrier() {
    let choices = with(|world| world.choices.clone());
    if let (true, Some(choices)) = (is_alive(), choices) {
        step(|| choices.conflict_with_barriers());
    }
}

/// Lets other processes run before a light load of this word, unless no process has written the
/// word, so that only one value is possible.
pub fn step_of_light_barrier(number: u32) {
    if with(|world| word(world, number).history.is_written) {
        step_of_barrier();
    }
}

/// Records that the kernel refuses the barrier to the running process.
pub fn refuse_barrier() {
    let process = current();
    with(|world| world.processes[process].lacks_barrier = true);
}

/// Whether the kernel refuses the barrier to the running process.
pub fn lacks_barrier() -> bool {
    let process = current();
    with(|world| {
        let process = world.processes.get(process);
        process.is_some_and(|process| process.lacks_barrier)
    })
}

/// Executes a heavy barrier: every process now reads the newest values, except a process to which
/// the kernel refuses the barrier.
pub fn heavy_barrier() {
    step_of_barrier();
    with(|world| world.heavy_barriers += 1);
}

/// Returns the number of heavy barriers in the execution so far.
pub fn heavy_barriers() -> u64 {
    with(|world| world.heavy_barriers)
}
