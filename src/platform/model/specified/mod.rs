//! Contracts of parts, in place of their code.
//!
//! A model that is built on contracts has fewer executions than one with the code of its parts. An
//! operation of a contract is one step for each effect. Only `interlatch-engine` has such steps.
//! The crate `interlatch-contract` has the contracts as text, and builds the plain parts from a
//! [`Counter`] and from [`Waiters`]. In a model that selects a type by its name, the contract of a
//! robust lock or a condition variable stands in for the code of that type.

mod counter;
mod robust_lock;
mod waiters;

pub use counter::Counter;
pub use robust_lock::RobustLock;
pub(super) use robust_lock::free_words;
pub use waiters::Waiters;
pub(super) use waiters::leave_waiters;

use super::event::{Action, Site};
use super::world;
use core::cell::Cell;
use core::sync::atomic::Ordering::{self, Relaxed};

thread_local! {
    static SELECTED: Cell<&'static [&'static str]> = const { Cell::new(&[]) };
}

/// Selects the types whose contracts stand in for their code, in the models from now on.
pub fn select(types: &'static [&'static str]) {
    SELECTED.set(types);
}

fn is_selected(name: &str) -> bool {
    SELECTED.get().contains(&name)
}

fn record(word: u32, site: Site, order: Ordering, read: u32, written: Option<u32>) {
    let action = Action::Update {
        word,
        order: if written.is_some() { order } else { Relaxed },
        read: read.into(),
        written: written.map(u64::from),
    };
    world::record(site, action);
    if written.is_some() {
        world::note_change();
    }
}
