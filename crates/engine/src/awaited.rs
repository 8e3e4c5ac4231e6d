//! Waiting until one of several words satisfies a condition.

use crate::atomic::{Atomic, Primitive};
use crate::current;
use crate::event::{LocationId, Site};
use crate::operation::{Effect, Operation, Update};
use core::fmt;
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;
use std::rc::Rc;

/// A word, and the condition that ends a wait for it.
#[derive(Clone)]
pub struct AwaitedWord {
    pub(crate) location: LocationId,
    pub(crate) condition: Rc<dyn Fn(u64) -> bool>,
}

impl AwaitedWord {
    /// Waits until the word has a value that satisfies the condition.
    pub fn new<T: Primitive>(word: &Atomic<T>, condition: impl Fn(T) -> bool + 'static) -> Self {
        Self {
            location: word.location,
            condition: Rc::new(move |bits| condition(T::from_bits(bits))),
        }
    }
}

impl fmt::Debug for AwaitedWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwaitedWord(word {})", self.location)
    }
}

/// Waits until one of the words satisfies its condition, and returns the index of this word.
///
/// It stands for `poll(2)`: a loop that checks one word after the other, each check in one step
/// under the lock of the word. The check is a read-modify-write that stores the value again, so it
/// is ordered with all other read-modify-writes of the word. A wait orders no memory.
///
/// If several words satisfy their conditions, the explorer tries each. If none ever does, the
/// execution is a deadlock.
///
/// # Panics
/// Panics outside of the processes of a model, and if there are no words.
#[track_caller]
pub fn wait_until_any(words: &[AwaitedWord]) -> usize {
    let site = Location::caller();
    let process = current::process();
    current::begin_step(site);
    let index = match words {
        [] => panic!("there is no word to wait for"),
        [_] => 0,
        _ => current::perform(Operation::Choose(words.len() as u32), site) as usize,
    };
    current::with(|execution| execution.awaited[process] = words.to_vec());
    wait_until(&words[index], site);
    current::with(|execution| execution.awaited[process].clear());
    index
}

fn wait_until(word: &AwaitedWord, site: Site) {
    let effect = |read, _| match (word.condition)(read) {
        true => Effect::only(Some(read)),
        false => Effect::blocked(),
    };
    let update = Update {
        location: word.location,
        success: Relaxed,
        failure: Relaxed,
        effect: &effect,
    };
    current::perform(Operation::Update(update), site);
}
