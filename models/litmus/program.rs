//! Small programs, how to draw them at random, and a plain interpreter of them.

use super::reach::{ORDER_ALONE, Outcome, Outcomes, ScenarioConfig};
use std::collections::BTreeSet;
use std::fmt;

/// A few processes.
#[derive(Clone, Debug)]
pub struct Program {
    /// What each does, in its order.
    pub processes: Vec<Vec<Operation>>,
    /// How many waits of each, its first ones, may be interrupted.
    pub interruptions: usize,
    /// Whether its words have companions.
    pub companions: bool,
}

/// One operation on one of two words. Each yields a number.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Load {
        word: usize,
    },
    Store {
        word: usize,
        value: u32,
    },
    /// One more, if the word still holds what the operation before has yielded.
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

/// What the waits yield.
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

/// Draws programs from a seed.
pub struct Draw {
    rng: fastrand::Rng,
    /// The most operations of a process, for two processes and for three.
    longest: [usize; 2],
}

impl Draw {
    pub fn new(seed: u64, longest: [usize; 2]) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { rng, longest }
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
        let longest = self.longest[count - 2];
        let mut process = || {
            let length = self.rng.usize(1..=longest);
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

/// A state of the interpreter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    words: [u32; 2],
    queues: [Vec<Sleeper>; 2],
    seen: Outcome,
}

/// A process in a queue, and what its wait yields if it leaves the queue by itself, if it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sleeper {
    process: usize,
    leaves: Option<u32>,
}

impl Program {
    /// Nothing at all.
    pub const NONE: Self = Self {
        processes: Vec::new(),
        interruptions: 0,
        companions: false,
    };

    /// What may happen to its processes. A wake that finds more waiters than it wakes chooses.
    pub fn nature(&self) -> ScenarioConfig {
        let is_wake = |operation: &&Operation| matches!(operation, Operation::Wake { .. });
        ScenarioConfig {
            choices: self.processes.iter().flatten().filter(is_wake).count() * 2,
            interruptions: self.interruptions,
            ..ORDER_ALONE
        }
    }

    /// The outcomes of all interleavings; none if one of them deadlocks.
    pub fn outcomes(&self) -> Option<Outcomes> {
        let begin = State {
            words: [0; 2],
            queues: [vec![], vec![]],
            seen: vec![vec![]; self.processes.len()],
        };
        let mut visited = BTreeSet::from([begin.clone()]);
        let mut left = vec![begin];
        let mut outcomes = Outcomes::new();
        while let Some(state) = left.pop() {
            let next = self.successors(&state);
            if next.is_empty() {
                if !self.is_over(&state) {
                    return None;
                }
                outcomes.insert(state.seen);
                continue;
            }
            left.extend(
                next.into_iter()
                    .filter(|state| visited.insert(state.clone())),
            );
        }
        Some(outcomes)
    }

    fn is_over(&self, state: &State) -> bool {
        let mut each = state.seen.iter().zip(&self.processes);
        each.all(|(seen, operations)| seen.len() == operations.len())
    }

    fn successors(&self, state: &State) -> Vec<State> {
        let next = |process: usize| {
            let operation = self.processes[process].get(state.seen[process].len());
            operation.map_or(vec![], |operation| self.after(state, process, *operation))
        };
        (0..self.processes.len()).flat_map(next).collect()
    }

    /// The states that this operation of this process can lead to; none if it sleeps.
    fn after(&self, state: &State, me: usize, operation: Operation) -> Vec<State> {
        match operation {
            Operation::Load { word } => state.update(me, word, |value| value),
            Operation::Store { word, value } => {
                let mut next = state.clone();
                next.words[word] = value;
                vec![next.yields(me, 0)]
            }
            Operation::Increment { word } => {
                let before = state.seen[me].last().map_or(0, |value| *value as u32);
                state.update(me, word, |found| found + u32::from(found == before))
            }
            Operation::Add { word, amount } => state.update(me, word, |value| value + amount),
            Operation::Swap { word, value } => state.update(me, word, |_| value),
            Operation::Exchange {
                word,
                expected,
                value,
            } => state.update(
                me,
                word,
                |found| if found == expected { value } else { found },
            ),
            Operation::Wait { word, expected } => {
                state.wait(me, word, expected, &self.ends(state, me, None))
            }
            Operation::WaitTimed { word, expected } => {
                state.wait(me, word, expected, &self.ends(state, me, Some(TIMED_OUT)))
            }
            Operation::Wake { word, count } => state.wake(me, word, count),
        }
    }

    /// How the wait that this process begins may end without a wake.
    fn ends(&self, state: &State, me: usize, own: Option<u32>) -> Vec<Option<u32>> {
        let before = &self.processes[me][..state.seen[me].len()];
        let is_wait = |operation: &&Operation| {
            matches!(
                operation,
                Operation::Wait { .. } | Operation::WaitTimed { .. }
            )
        };
        let mut ends = vec![own];
        if before.iter().filter(is_wait).count() < self.interruptions {
            ends.push(Some(INTERRUPTED));
        }
        ends
    }
}

impl State {
    fn update(&self, me: usize, word: usize, change: impl Fn(u32) -> u32) -> Vec<Self> {
        let mut next = self.clone().yields(me, self.words[word]);
        next.words[word] = change(self.words[word]);
        vec![next]
    }

    /// A sleeper has joined the queue and yielded nothing yet; a wake yields for it.
    fn wait(&self, me: usize, word: usize, expected: u32, ends: &[Option<u32>]) -> Vec<Self> {
        let mut next = self.clone();
        if let Some(position) = self.queues[word]
            .iter()
            .position(|sleeper| sleeper.process == me)
        {
            let leaves = next.queues[word].remove(position).leaves;
            return leaves
                .map(|yielded| next.yields(me, yielded))
                .into_iter()
                .collect();
        }
        if self.words[word] != expected {
            return vec![next.yields(me, CHANGED)];
        }
        let join = |leaves: &Option<u32>| {
            let mut next = self.clone();
            next.queues[word].push(Sleeper {
                process: me,
                leaves: *leaves,
            });
            next
        };
        ends.iter().map(join).collect()
    }

    fn yields(mut self, process: usize, number: u32) -> Self {
        self.seen[process].push(number.into());
        self
    }

    fn wake(&self, me: usize, word: usize, count: u32) -> Vec<Self> {
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
            .map(|state| state.yields(me, woken))
            .collect()
    }

    /// One of the waiters is woken, whichever.
    fn wake_each(&self, word: usize) -> Vec<Self> {
        let wake = |position| {
            let mut next = self.clone();
            let woken = next.queues[word].remove(position).process;
            next.yields(woken, WOKEN)
        };
        (0..self.queues[word].len()).map(wake).collect()
    }
}
