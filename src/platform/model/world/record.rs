//! The record of an execution, and the numbers of its words and cells.

use super::state::{CURRENT, Word, with};
use crate::platform::model::event::{Action, Event, Site};
use std::collections::VecDeque;

/// Appends an action of the running process to the record.
pub fn record(site: Site, action: Action) {
    let process = CURRENT.get();
    with(|world| {
        world.events.push(Event {
            process,
            site,
            action,
        })
    });
}

/// Returns the record of the execution so far, in the order of the events.
pub fn events() -> Vec<Event> {
    with(|world| world.events.clone())
}

/// Returns the number of executions that this exploration has begun.
pub fn executions() -> u64 {
    with(|world| world.executions)
}

/// Returns the next free number, for a word or a cell that this source line creates.
pub fn new_number(created: Site) -> u32 {
    with(|world| {
        world.words.push(Word {
            created: Some(created),
            ..Word::default()
        });
        world.queues.push(VecDeque::new());
        world.words.len() as u32 - 1
    })
}

/// Returns the lines that created the words and cells, in the order of their numbers.
pub fn creations() -> Vec<Site> {
    with(|world| world.words.iter().filter_map(|word| word.created).collect())
}
