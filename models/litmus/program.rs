//! Small test programs, a random generator of programs, and a simple interpreter.

use super::outcomes::{INTERLEAVINGS_ONLY, Outcome, Outcomes, ScenarioConfig};
use std::collections::BTreeSet;
use std::fmt;

/// A program of a few processes.
#[derive(Clone, Debug)]
pub struct Program {
    /// The operations of each process in program order.
    pub processes: Vec<Vec<Operation>>,
    /// For each process, how many of its waits may be interrupted.
    pub interruptions: usize,
    /// Whether each word has a companion word.
    pub companions: bool,
}

/// One operation on one of two words. Each operation yields a number.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Load {
        word: usize,
    },
    Store {
        word: usize,
        value: u32,
    },
    /// Adds 1 to the word if it still equals the result of the thread's previous operation.
    Increment {
        word: usize,
    },
    Add {
        word: usize,
        amount: u32,
    },
    Swap {
        word: usize,
        value: u32,
    },
    Exchange {
        word: usize,
        expected: u32,
        value: u32,
    },
    Wait {
        word: usize,
        expected: u32,
    },
    WaitTimed {
        word: usize,
        expected: u32,
    },
    Wake {
        word: usize,
        count: u32,
    },
}

// The results that a wait may yield.
pub const WOKEN: u32 = 1;
pub const CHANGED: u32 = 2;
pub const TIMED_OUT: u32 = 3;
pub const INTERRUPTED: u32 = 4;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes: Vec<String> = self
            .processes
            .iter()
            .map(|operations| format!("{operations:?}"))
            .collect();
        write!(
            f,
            "{}, {} interruptions",
            processes.join(" || "),
            self.interruptions
        )
    }
}

/// Random generator of programs.
pub struct Generator {
    rng: fastrand::Rng,
    /// Maximum number of operations per process, for programs of two and of three processes.
    max_length: [usize; 2],
}

impl Generator {
    pub fn new(seed: u64, max_length: [usize; 2]) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { rng, max_length }
    }

    pub fn updates_and_futex_calls(&mut self) -> Program {
        self.program(|draw| match draw.rng.u8(..8) {
            0..4 => draw.update(),
            4 => Operation::Wait {
                word: draw.word(),
                expected: draw.rng.u32(..2),
            },
            5 => Operation::WaitTimed {
                word: draw.word(),
                expected: draw.rng.u32(..2),
            },
            _ => Operation::Wake {
                word: draw.word(),
                count: 1 + draw.rng.u32(..2),
            },
        })
    }

    pub fn loads_stores_and_updates(&mut self) -> Program {
        self.program(|draw| match draw.rng.u8(..8) {
            0..3 => Operation::Load { word: draw.word() },
            3 => Operation::Increment { word: draw.word() },
            4 => Operation::Store {
                word: draw.word(),
                value: 1 + draw.rng.u32(..2),
            },
            _ => draw.update(),
        })
    }

    fn program(&mut self, mut operation: impl FnMut(&mut Self) -> Operation) -> Program {
        let count = self.rng.usize(2..=3);
        let max_length = self.max_length[count - 2];
        let mut process = || {
            let length = self.rng.usize(1..=max_length);
            (0..length).map(|_| operation(self)).collect()
        };
        let processes = (0..count).map(|_| process()).collect();
        let interruptions = self.rng.usize(..2);
        Program {
            processes,
            interruptions,
            companions: false,
        }
    }

    fn update(&mut self) -> Operation {
        let (word, value) = (self.word(), 1 + self.rng.u32(..2));
        match self.rng.u8(..3) {
            0 => Operation::Add {
                word,
                amount: value,
            },
            1 => Operation::Swap { word, value },
            _ => Operation::Exchange {
                word,
                expected: self.rng.u32(..2),
                value,
            },
        }
    }

    fn word(&mut self) -> usize {
        self.rng.usize(..2)
    }
}

/// State of the interpreter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    words: [u32; 2],
    queues: [Vec<Sleeper>; 2],
    seen: Outcome,
}

/// A process that sleeps in the queue of a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sleeper {
    process: usize,
    /// Result of the wait if it ends without a wake, or `None` if only a wake can end it.
    unwoken_result: Option<u32>,
}

impl Program {
    /// The program without processes.
    pub const EMPTY: Self = Self {
        processes: Vec::new(),
        interruptions: 0,
        companions: false,
    };

    /// Returns the configuration of the model.
    ///
    /// A wake that finds more waiters than it wakes takes one of the choices.
    pub fn config(&self) -> ScenarioConfig {
        let is_wake = |operation: &&Operation| matches!(operation, Operation::Wake { .. });
        ScenarioConfig {
            choices: self.processes.iter().flatten().filter(is_wake).count() * 2,
            interruptions: self.interruptions,
            ..INTERLEAVINGS_ONLY
        }
    }

    /// Returns the outcomes of all interleavings, or `None` if one of them deadlocks.
    pub fn outcomes(&self) -> Option<Outcomes> {
        let begin = State {
            words: [0; 2],
            queues: [vec![], vec![]],
            seen: vec![vec![]; self.processes.len()],
        };
        let mut visited = BTreeSet::from([begin.clone()]);
        let mut pending = vec![begin];
        let mut outcomes = Outcomes::new();
        while let Some(state) = pending.pop() {
            let next = self.successors(&state);
            if next.is_empty() {
                if !self.is_finished(&state) {
                    return None;
                }
                outcomes.insert(state.seen);
                continue;
            }
            pending.extend(
                next.into_iter()
                    .filter(|state| visited.insert(state.clone())),
            );
        }
        Some(outcomes)
    }

    fn is_finished(&self, state: &State) -> bool {
        let mut each = state.seen.iter().zip(&self.processes);
        each.all(|(seen, operations)| seen.len() == operations.len())
    }

    fn successors(&self, state: &State) -> Vec<State> {
        let next = |process: usize| {
            let operation = self.processes[process].get(state.seen[process].len());
            operation.map_or(vec![], |operation| self.execute(state, process, *operation))
        };
        (0..self.processes.len()).flat_map(next).collect()
    }

    /// Returns the possible states after an operation of a process, or no state if it is asleep.
    fn execute(&self, state: &State, process: usize, operation: Operation) -> Vec<State> {
        match operation {
            Operation::Load { word } => state.update(process, word, |value| value),
            Operation::Store { word, value } => {
                let mut next = state.clone();
                next.words[word] = value;
                vec![next.yields(process, 0)]
            }
            Operation::Increment { word } => {
                let before = state.seen[process].last().map_or(0, |value| *value as u32);
                state.update(process, word, |found| found + u32::from(found == before))
            }
            Operation::Add { word, amount } => state.update(process, word, |value| value + amount),
            Operation::Swap { word, value } => state.update(process, word, |_| value),
            Operation::Exchange {
                word,
                expected,
                value,
            } => state.update(
                process,
                word,
                |found| if found == expected { value } else { found },
            ),
            Operation::Wait { word, expected } => state.wait(
                process,
                word,
                expected,
                &self.unwoken_results(state, process, None),
            ),
            Operation::WaitTimed { word, expected } => state.wait(
                process,
                word,
                expected,
                &self.unwoken_results(state, process, Some(TIMED_OUT)),
            ),
            Operation::Wake { word, count } => state.wake(process, word, count),
        }
    }

    /// Returns the results with which a wait of this process can end without a wake.
    fn unwoken_results(
        &self,
        state: &State,
        process: usize,
        timeout: Option<u32>,
    ) -> Vec<Option<u32>> {
        let is_interrupted = |(operation, result): &(&Operation, &u64)| {
            let is_wait = matches!(
                operation,
                Operation::Wait { .. } | Operation::WaitTimed { .. }
            );
            is_wait && **result == u64::from(INTERRUPTED)
        };
        let before = self.processes[process].iter().zip(&state.seen[process]);
        let mut results = vec![timeout];
        if before.filter(is_interrupted).count() < self.interruptions {
            results.push(Some(INTERRUPTED));
        }
        results
    }
}

impl State {
    fn update(&self, process: usize, word: usize, change: impl Fn(u32) -> u32) -> Vec<Self> {
        let mut next = self.clone().yields(process, self.words[word]);
        next.words[word] = change(self.words[word]);
        vec![next]
    }

    /// Executes a wait.
    ///
    /// The first step joins the queue and yields no result. A wake or the second step yields the
    /// result.
    fn wait(
        &self,
        process: usize,
        word: usize,
        expected: u32,
        unwoken_results: &[Option<u32>],
    ) -> Vec<Self> {
        let mut next = self.clone();
        if let Some(position) = self.queues[word]
            .iter()
            .position(|sleeper| sleeper.process == process)
        {
            let result = next.queues[word].remove(position).unwoken_result;
            return result
                .map(|yielded| next.yields(process, yielded))
                .into_iter()
                .collect();
        }
        if self.words[word] != expected {
            return vec![next.yields(process, CHANGED)];
        }
        let join = |unwoken_result: &Option<u32>| {
            let mut next = self.clone();
            next.queues[word].push(Sleeper {
                process,
                unwoken_result: *unwoken_result,
            });
            next
        };
        unwoken_results.iter().map(join).collect()
    }

    fn yields(mut self, process: usize, number: u32) -> Self {
        self.seen[process].push(number.into());
        self
    }

    fn wake(&self, process: usize, word: usize, count: u32) -> Vec<Self> {
        let woken = count.min(self.queues[word].len() as u32);
        let mut states = vec![self.clone()];
        for _ in 0..woken {
            states = states
                .iter()
                .flat_map(|state| state.wake_each(word))
                .collect();
        }
        states
            .into_iter()
            .map(|state| state.yields(process, woken))
            .collect()
    }

    /// Returns one state for each waiter that may be woken.
    fn wake_each(&self, word: usize) -> Vec<Self> {
        let wake = |position| {
            let mut next = self.clone();
            let woken = next.queues[word].remove(position).process;
            next.yields(woken, WOKEN)
        };
        (0..self.queues[word].len()).map(wake).collect()
    }
}
