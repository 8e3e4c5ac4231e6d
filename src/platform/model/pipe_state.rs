//! The state of a pipe of the model.
//!
//! In `interlatch-engine`, a call may be added to the graph before calls that precede it. So the
//! model keeps no state of a pipe beside the graph: the value of the word that represents the pipe
//! is the *number* of the state. Equal states have the same number as long as the thread lives, so
//! each replay of an execution finds the same numbers.

use core::cell::RefCell;
use std::collections::{HashMap, VecDeque};

/// What the kernel knows about a pipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipeState {
    pub bytes: VecDeque<u8>,
    pub capacity: usize,
    /// The number of open read ends.
    pub readers: usize,
    /// The number of open write ends.
    pub writers: usize,
    /// The number of calls so far, except those that only look at the pipe.
    pub calls: u32,
}

impl PipeState {
    /// The state of a new pipe.
    pub fn new(capacity: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            capacity,
            readers: 1,
            writers: 1,
            calls: 0,
        }
    }

    pub fn room(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    pub fn has_bytes(&self, bytes: usize) -> bool {
        self.bytes.len() >= bytes || self.writers == 0
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        self.room() >= bytes || self.readers == 0
    }
}

/// The states that have a number, which is their index.
#[derive(Default)]
struct States {
    states: Vec<PipeState>,
    numbers: HashMap<PipeState, u32>,
}

thread_local! {
    static STATES: RefCell<States> = RefCell::default();
}

/// Returns the number of this state.
pub(super) fn number_of(state: PipeState) -> u32 {
    STATES.with_borrow_mut(|States { states, numbers }| {
        *numbers.entry(state).or_insert_with_key(|state| {
            states.push(state.clone());
            states.len() as u32 - 1
        })
    })
}

/// Returns the state that has this number.
pub(super) fn state_of(number: u32) -> PipeState {
    STATES.with_borrow(|numbered| numbered.states[number as usize].clone())
}
