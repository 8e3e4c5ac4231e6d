//! The kernel's robust futex list, and what the kernel does with it when a process dies.
//!
//! **Source.** `exit_robust_list` and `handle_futex_death` of Linux 6.18 (`kernel/futex/core.c`).
//! The kernel visits every entry of the list, then the pending one. A word that still holds the id
//! of the dead owner becomes `OWNER_DIED` and keeps its waiters bit; if that bit is set, the kernel
//! wakes one waiter. If an operation was pending and the word holds no owner, the kernel also wakes
//! one waiter: the dead process may have been about to wake that waiter, or may have consumed a
//! wake-up that the waiter needed.

use super::event::{Action, RobustStep};
use super::world::RobustList;
use super::{AtomicU32, UnsafeCell, death, futex, weakening, world};
use crate::platform::robust::{OWNER, OWNER_DIED, RobustListError, WAITERS};
use core::panic::Location;

/// A word that the kernel recovers when its owner dies.
#[derive(Debug)]
pub struct RobustWord(AtomicU32);

impl RobustWord {
    /// Creates a word with this value.
    #[track_caller]
    pub fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    /// Returns the atomic word.
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }

    fn address(&self) -> *const () {
        core::ptr::from_ref(self).cast()
    }

    /// # Safety
    /// The address is that of a `RobustWord` which lives during `'a`.
    unsafe fn from_address<'a>(address: *const ()) -> &'a Self {
        // SAFETY: the caller keeps this promise.
        unsafe { &*address.cast() }
    }
}

/// The running process as an owner of robust words.
#[derive(Debug)]
pub struct Owner(u32);

/// Calls `act` with the owner that stands for the running process.
pub fn as_owner<R>(act: impl FnOnce(&Owner) -> R) -> R {
    act(&Owner(current_id()))
}

/// Returns the id that the running process writes into its words. No process has the id of the
/// kernel thread.
fn current_id() -> u32 {
    match world::current() {
        world::KERNEL => 1000,
        process => process as u32 + 1,
    }
}

impl Owner {
    /// Returns the id that the owner writes into its words.
    pub fn id(&self) -> u32 {
        self.0
    }

    /// Returns true: the owner can always hold one more word.
    pub fn has_room(&self) -> bool {
        true
    }

    /// Does nothing: the model's list has no size limit.
    ///
    /// # Errors
    /// The model never returns an error.
    pub fn make_room(&self) -> Result<(), RobustListError> {
        Ok(())
    }

    /// Records that the process is about to acquire or release this word.
    #[track_caller]
    pub fn set_pending(&self, word: &RobustWord) {
        self.step(word, RobustStep::SetPending, |list| {
            list.pending = Some(word.address())
        });
    }

    /// Records that no acquisition or release is pending.
    #[track_caller]
    pub fn clear_pending(&self) {
        if let Some(pending) = world::robust_list(|list| list.pending) {
            // SAFETY: the words are part of the scenario's state, which lives longer than the
            // scenario's processes.
            let word = unsafe { RobustWord::from_address(pending) };
            self.step(word, RobustStep::ClearPending, |list| list.pending = None);
        }
    }

    /// Adds a word to the list. From now on, the process holds the word.
    #[track_caller]
    pub fn link(&self, word: &RobustWord) {
        self.step(word, RobustStep::Link, |list| {
            list.held.push(word.address())
        });
    }

    /// Whether this process holds the word.
    pub fn holds(&self, word: &RobustWord) -> bool {
        world::is_alive() && world::robust_list(|list| list.held.contains(&word.address()))
    }

    /// Removes a word from the list before the process releases the word.
    #[track_caller]
    pub fn unlink(&self, word: &RobustWord) {
        self.step(word, RobustStep::Unlink, |list| {
            list.held.retain(|held| *held != word.address())
        });
    }

    #[track_caller]
    fn step(&self, word: &RobustWord, step: RobustStep, change: impl FnOnce(&mut RobustList)) {
        let site = Location::caller();
        if !death::survives(site) || weakening::is_left_out(site) {
            return;
        }
        let word = word.0.number();
        world::record(site, Action::Robust { word, step });
        world::robust_list(change);
    }
}

/// Recovers the words of a dead process, like the kernel. The dead process's thread runs this
/// function.
pub(super) fn exit() {
    let RobustList { held, pending } = world::robust_list(core::mem::take);
    for address in held.iter().rev().filter(|held| Some(**held) != pending) {
        // SAFETY: the words are part of the scenario's state, which lives longer than the
        // scenario's processes.
        let word = unsafe { RobustWord::from_address(*address) };
        handle_death(word, RobustStep::KernelFindsHeld);
    }
    if let Some(address) = pending {
        // SAFETY: the words are part of the scenario's state, which lives longer than the
        // scenario's processes.
        let word = unsafe { RobustWord::from_address(address) };
        handle_death(word, RobustStep::KernelFindsPending);
    }
}

fn handle_death(robust: &RobustWord, step: RobustStep) {
    let site = Location::caller();
    let (word, dead) = (&robust.0, current_id());
    world::record(
        site,
        Action::Robust {
            word: word.number(),
            step,
        },
    );
    let mut found = word.load_by_kernel();
    loop {
        let owner = found & OWNER;
        if owner == 0 && step == RobustStep::KernelFindsPending {
            futex::wake_by_kernel(word, site);
            return;
        }
        if owner != dead {
            return;
        }
        match word.compare_exchange_by_kernel(found, (found & WAITERS) | OWNER_DIED, site) {
            Ok(_) if found & WAITERS == 0 => return,
            Ok(_) => return futex::wake_by_kernel(word, site),
            Err(newer) => found = newer,
        }
    }
}

/// Writes the number in one step of the running process.
///
/// # Safety
/// No other access to the number happens during the call, which loom checks.
#[track_caller]
pub unsafe fn commit(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the caller excludes other accesses; the number is the whole content of the cell.
    unsafe { commit_in(number, |number| number, value) };
}

/// Does the same as [`commit`] for a number that is a field of the content of the cell.
///
/// # Safety
/// No other access to the content of the cell happens during the call, which loom checks, and
/// `field` returns an aligned pointer into that content.
#[track_caller]
pub unsafe fn commit_in<T>(
    cell: &UnsafeCell<T>,
    field: impl FnOnce(*mut T) -> *mut u64,
    value: u64,
) {
    // SAFETY: the caller excludes other accesses and passes a `field` inside the content.
    cell.with_mut(|content| unsafe { *field(content) = value });
}
