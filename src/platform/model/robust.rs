//! The kernel's robust futex list, and what the kernel does with it when a process dies.
//!
//! **Source.** `exit_robust_list` and `handle_futex_death` of Linux 6.18 (`kernel/futex/core.c`): every
//! entry of the list, then the pending one. A word that still names the dead owner becomes
//! `OWNER_DIED` and keeps its waiters bit, and one waiter is woken if that is set. Where an operation
//! was pending and the word names no owner, one waiter is woken too: the dead process may have
//! been about to wake it, or was itself woken in its stead.

use super::event::{Action, Robust};
use super::{AtomicU32, UnsafeCell, futex, weakening, world};
use crate::platform::robust::{OWNER, OWNER_DIED, RobustListError, WAITERS};
use core::panic::Location;

/// A word that the kernel looks after when its owner dies.
#[derive(Debug)]
pub struct RobustWord(AtomicU32);

impl RobustWord {
    /// A word with this value.
    #[track_caller]
    pub fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    /// The word itself.
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }
}

/// What the kernel would find if the process died now.
#[derive(Debug, Default)]
pub(super) struct List {
    held: Vec<*const RobustWord>,
    pending: Option<*const RobustWord>,
}

/// The running process, as an owner of robust words.
#[derive(Debug)]
pub struct Owner(u32);

/// Does something as an owner.
pub fn as_owner<R>(act: impl FnOnce(&Owner) -> R) -> R {
    act(&Owner(id()))
}

/// That of the kernel's own thread is a number that is nobody else's.
fn id() -> u32 {
    match world::current() {
        world::KERNEL => 1000,
        process => process as u32 + 1,
    }
}

impl Owner {
    /// What its words hold.
    pub fn id(&self) -> u32 {
        self.0
    }

    /// Whether it can hold one more, as it is: always.
    pub fn has_room(&self) -> bool {
        true
    }

    /// Makes sure that it can hold one more.
    ///
    /// # Errors
    /// None here.
    pub fn make_room(&self) -> Result<(), RobustListError> {
        Ok(())
    }

    /// An operation on the word begins.
    #[track_caller]
    pub fn set_pending(&self, word: &RobustWord) {
        self.step(word, Robust::Announce, |list| list.pending = Some(word));
    }

    /// The operation that was announced is over.
    #[track_caller]
    pub fn clear_pending(&self) {
        // SAFETY: the words are part of the state of the scenario, which outlives its processes.
        if let Some(word) = world::robust(|list| list.pending).map(|word| unsafe { &*word }) {
            self.step(word, Robust::Conclude, |list| list.pending = None);
        }
    }

    /// The word is held from here on.
    #[track_caller]
    pub fn link(&self, word: &RobustWord) {
        self.step(word, Robust::Link, |list| list.held.push(word));
    }

    /// Whether this process holds the word.
    pub fn holds(&self, word: &RobustWord) -> bool {
        let is_this = |held: &*const RobustWord| core::ptr::eq(*held, word);
        world::is_alive() && world::robust(|list| list.held.iter().any(is_this))
    }

    /// The word is about to be given up.
    #[track_caller]
    pub fn unlink(&self, word: &RobustWord) {
        self.step(word, Robust::Unlink, |list| {
            list.held.retain(|held| !core::ptr::eq(*held, word))
        });
    }

    #[track_caller]
    fn step(&self, word: &RobustWord, step: Robust, change: impl FnOnce(&mut List)) {
        let site = Location::caller();
        if !world::lives(site) || weakening::leaves_out(site) {
            return;
        }
        let word = word.0.number();
        world::record(site, Action::Robust { word, step });
        world::robust(change);
    }
}

/// The kernel's part, played by the thread of the process that has died.
pub(super) fn exit() {
    let List { held, pending } = world::robust(core::mem::take);
    for word in held.iter().rev().filter(|word| Some(**word) != pending) {
        // SAFETY: the words are part of the state of the scenario, which outlives its processes.
        handle_death(unsafe { &**word }, Robust::Find);
    }
    if let Some(word) = pending {
        // SAFETY: as above.
        handle_death(unsafe { &*word }, Robust::FindPending);
    }
}

fn handle_death(robust: &RobustWord, step: Robust) {
    let site = Location::caller();
    let (word, dead) = (&robust.0, id());
    world::record(
        site,
        Action::Robust {
            word: word.number(),
            step,
        },
    );
    let mut found = word.load_latest();
    loop {
        let owner = found & OWNER;
        if owner == 0 && step == Robust::FindPending {
            futex::wake_by_kernel(word, site);
            return;
        }
        if owner != dead {
            return;
        }
        match word.exchange_by_kernel(found, (found & WAITERS) | OWNER_DIED, site) {
            Ok(_) if found & WAITERS == 0 => return,
            Ok(_) => return futex::wake_by_kernel(word, site),
            Err(newer) => found = newer,
        }
    }
}

/// Writes the number, in one step.
///
/// # Safety
/// Nobody else accesses the number meanwhile, which loom checks.
#[track_caller]
pub unsafe fn commit(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the caller's promise; the number is all of the cell.
    unsafe { commit_in(number, |number| number, value) };
}

/// As [`commit`], for a number that is a part of what is in the cell.
///
/// # Safety
/// Nobody else accesses what is in the cell meanwhile, which loom checks, and the part is in it.
#[track_caller]
pub unsafe fn commit_in<T>(
    cell: &UnsafeCell<T>,
    part: impl FnOnce(*mut T) -> *mut u64,
    value: u64,
) {
    // SAFETY: the caller's promise.
    cell.with_mut(|whole| unsafe { *part(whole) = value });
}
