//! Execution of a [`Program`] on the model platform.

use super::outcomes::{Body, Outcomes, model_outcomes};
use super::program::{CHANGED, INTERRUPTED, Operation, Program, TIMED_OUT, WOKEN};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::{self, AtomicU32, Deadline, Wake, futex};
use interlatch_check::Exploration;
use std::cell::RefCell;
use std::time::Duration;

thread_local! {
    static PROGRAM: RefCell<Program> = const { RefCell::new(Program::EMPTY) };
}

/// Returns the outcomes that the model platform reaches, and the exploration.
pub fn outcomes_of_program(program: &Program) -> (Outcomes, Exploration) {
    PROGRAM.set(program.clone());
    let bodies: [Body<Memory>; 3] = [run_body::<0>, run_body::<1>, run_body::<2>];
    model_outcomes(&bodies[..program.processes.len()], program.config())
}

#[derive(Debug)]
struct Memory([AtomicU32; 2]);

impl Default for Memory {
    fn default() -> Self {
        let word = match PROGRAM.with_borrow(|program| program.companions) {
            true => || platform::new_tracked(0),
            false => || AtomicU32::new(0),
        };
        Self([word(), word()])
    }
}

fn run_body<const INDEX: usize>(memory: &Memory) -> Vec<u64> {
    let operations = PROGRAM.with_borrow(|program| program.processes[INDEX].clone());
    let mut last = 0;
    let execute = |operation| {
        last = execute_operation(memory, operation, last);
        last.into()
    };
    operations.into_iter().map(execute).collect()
}

fn execute_operation(Memory(words): &Memory, operation: Operation, last: u32) -> u32 {
    match operation {
        Operation::Load { word } => words[word].load(Relaxed),
        Operation::Store { word, value } => {
            words[word].store(value, Relaxed);
            0
        }
        Operation::Increment { word } => {
            let (Ok(found) | Err(found)) =
                words[word].compare_exchange(last, last + 1, Relaxed, Relaxed);
            found
        }
        Operation::Add { word, amount } => words[word].fetch_add(amount, Relaxed),
        Operation::Swap { word, value } => words[word].swap(value, Relaxed),
        Operation::Exchange {
            word,
            expected,
            value,
        } => {
            let (Ok(found) | Err(found)) =
                words[word].compare_exchange(expected, value, Relaxed, Relaxed);
            found
        }
        Operation::Wait { word, expected } => number_of(futex::wait(&words[word], expected, None)),
        Operation::WaitTimed { word, expected } => {
            let soon = Deadline::after(Duration::ZERO);
            number_of(futex::wait(&words[word], expected, Some(soon)))
        }
        Operation::Wake { word, count } => futex::wake(&words[word], count),
    }
}

fn number_of(wake: Wake) -> u32 {
    match wake {
        Wake::Woken => WOKEN,
        Wake::Changed => CHANGED,
        Wake::TimedOut => TIMED_OUT,
        // No process dies in a litmus program, so no process rechecks.
        Wake::Recheck => unreachable!("a process died"),
        Wake::Interrupted => INTERRUPTED,
    }
}
