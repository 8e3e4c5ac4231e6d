//! The kernel's robust futex list, and what the kernel does with it when a process dies.
//!
//! **Source.** `exit_robust_list` and `handle_futex_death` of Linux 6.18 (`kernel/futex/core.c`).
//! The kernel visits every entry of the list, then the pending one. A word that still holds the id
//! of the dead owner becomes `OWNER_DIED` and keeps its waiters bit; if that bit is set, the kernel
//! wakes one waiter. If an operation was pending and the word holds no owner, the kernel also wakes
//! one waiter: the dead process may have been about to wake that waiter, or may have consumed a
//! wake-up that the waiter needed.
//!
//! A process normally has one thread. [`run_thread`] runs another one, whose end the Linux platform
//! treats in `linux/robust/keeper.rs`. The model has the same steps.

use super::backend::WatchedCell;
use super::event::{Action, RobustStep};
use super::world::{RobustList, RobustLists};
use super::{AtomicU32, UnsafeCell, death, futex, specified, weakening, world};
use crate::platform::robust::{OWNER, OWNER_DIED, RobustListError, WAITERS};
use core::ops::Range;
use core::panic::Location;
use core::sync::atomic::Ordering::{Relaxed, Release};

/// The maximum number of words that a thread can hold.
///
/// The number is small, so that a scenario can reach it in few steps. It is larger than the number
/// of words that any other scenario holds.
pub const MAX_HELD: usize = 8;

/// A word that the kernel recovers when its owner dies.
#[derive(Debug)]
pub struct RobustWord {
    word: AtomicU32,
    link: Link,
}

/// The link from a word to the next word of the same list, which the engine checks for data races.
///
/// On Linux, the link lies behind the word in shared memory. A thread writes the link when it adds
/// the word to its list. Until the thread has removed the word, the kernel may read the link. So a
/// thread that keeps a word in its list after the release races with the next owner, and so does a
/// thread that adds a word before the acquisition. Accesses of the link are no steps of their own:
/// the engine checks their order without further executions.
#[derive(Debug)]
struct Link(WatchedCell);

// SAFETY: the cell contains no data.
unsafe impl Sync for Link {}

impl Link {
    #[track_caller]
    fn write(&self) {
        self.0.write(|| ());
    }

    #[track_caller]
    fn read_by_kernel(&self) {
        self.0.read(|| ());
    }
}

impl RobustWord {
    /// Creates a word with this value.
    ///
    /// # Safety
    /// The word is neither moved nor freed while a process holds it.
    #[track_caller]
    pub unsafe fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            link: Link(WatchedCell::new()),
        }
    }

    /// Returns the atomic word.
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Adds the word to those that the running thread holds.
    pub(super) fn hold(&self) {
        world::robust_lists(|lists| lists.running.held.push(self.address()));
    }

    /// Removes the word from those that the running thread holds.
    pub(super) fn drop_hold(&self) {
        world::robust_lists(|lists| remove(&mut lists.running, self));
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

/// The running thread as an owner of robust words.
#[derive(Debug)]
pub struct Owner(u32);

/// Calls `act` with the owner that stands for the running thread.
pub fn as_owner<R>(act: impl FnOnce(&Owner) -> R) -> R {
    act(&Owner(current_id()))
}

/// Returns the id that the running thread writes into its words.
fn current_id() -> u32 {
    id_at_depth(world::robust_lists(|lists| lists.waiting.len()))
}

/// Returns the id of the running process's thread for which this number of threads wait. No process
/// has the ids of the kernel thread, and a successor has another id than the dead process.
fn id_at_depth(depth: usize) -> u32 {
    let process = match world::current() {
        world::KERNEL => 999,
        process if world::is_successor() => 500 + process,
        process => process,
    };
    (1000 * depth + process + 1) as u32
}

/// Returns the id of the running process's keeper.
fn keeper_id() -> u32 {
    id_at_depth(100)
}

impl Owner {
    /// Returns the id that the owner writes into its words.
    pub fn id(&self) -> u32 {
        self.0
    }

    /// Returns whether the owner can hold one more word.
    pub fn has_room(&self) -> bool {
        world::robust_lists(|lists| lists.running.held.len() < MAX_HELD)
    }

    /// Does nothing: the model's threads are always registered.
    ///
    /// # Errors
    /// Fails if the thread holds the maximum number of words.
    pub fn make_room(&self) -> Result<(), RobustListError> {
        match self.has_room() {
            true => Ok(()),
            false => Err(RobustListError::TooManyLocks(MAX_HELD)),
        }
    }

    /// Records that the thread is about to acquire or release this word.
    #[track_caller]
    pub fn set_pending(&self, word: &RobustWord) {
        step(word, RobustStep::SetPending, |lists| {
            lists.running.pending = Some(word.address())
        });
    }

    /// Records that no acquisition or release is pending.
    #[track_caller]
    pub fn clear_pending(&self) {
        if let Some(pending) = world::robust_lists(|lists| lists.running.pending) {
            // SAFETY: the words are part of the scenario's state, which lives longer than the
            // scenario's processes.
            let word = unsafe { RobustWord::from_address(pending) };
            step(word, RobustStep::ClearPending, |lists| {
                lists.running.pending = None
            });
        }
    }

    /// Adds a word to the list. From now on, the thread holds the word.
    #[track_caller]
    pub fn link(&self, word: &RobustWord) {
        step(word, RobustStep::Link, |lists| {
            lists.running.held.push(word.address())
        });
    }

    /// Whether this thread holds the word.
    pub fn holds(&self, word: &RobustWord) -> bool {
        world::is_alive()
            && world::robust_lists(|lists| lists.running.held.contains(&word.address()))
    }

    /// Whether this thread holds the word. In the model, memory has one mapping.
    pub fn holds_in_any_mapping(&self, word: &RobustWord) -> bool {
        self.holds(word)
    }

    /// Removes a word from the list before the thread releases the word.
    #[track_caller]
    pub fn unlink(&self, word: &RobustWord) {
        step(word, RobustStep::Unlink, |lists| {
            remove(&mut lists.running, word)
        });
    }
}

fn remove(list: &mut RobustList, word: &RobustWord) {
    list.held.retain(|held| *held != word.address());
}

/// A step of the running thread, which a weakening may leave out.
#[track_caller]
fn step(word: &RobustWord, step: RobustStep, change: impl FnOnce(&mut RobustLists)) {
    let site = Location::caller();
    if death::survives(site) && !weakening::is_left_out(site) {
        death::local_step();
        apply(word, step, change);
    }
}

/// A step of the platform, which is never weakened.
#[track_caller]
fn platform_step(word: &RobustWord, step: RobustStep, change: impl FnOnce(&mut RobustLists)) {
    if death::survives(Location::caller()) {
        death::local_step();
        apply(word, step, change);
    }
}

#[track_caller]
fn apply(robust: &RobustWord, step: RobustStep, change: impl FnOnce(&mut RobustLists)) {
    let word = robust.word.number();
    world::record(Location::caller(), Action::Robust { word, step });
    match step {
        RobustStep::Link => robust.link.write(),
        // Until this step, the kernel may read the link.
        RobustStep::Unlink => robust.link.read_by_kernel(),
        _ => {}
    }
    world::robust_lists(change);
}

/// Runs `body` as another thread of the running process, while the caller waits for its end.
///
/// The words that the thread still holds at its end were leaked. They go to the keeper, so that the
/// kernel reports them only when the process dies.
pub fn run_thread(body: impl FnOnce() + Send) {
    run_thread_with(body, hand_over);
}

/// Runs a thread like [`run_thread`], with another treatment of each word that is left.
#[doc(hidden)]
pub fn run_thread_with(body: impl FnOnce() + Send, end: fn(&RobustWord, u32)) {
    world::robust_lists(|lists| lists.waiting.push(core::mem::take(&mut lists.running)));
    body();
    while let Some(address) = world::robust_lists(|lists| lists.running.held.last().copied()) {
        if !world::is_alive() {
            return;
        }
        // SAFETY: the words are part of the scenario's state, which lives longer than the
        // scenario's processes.
        end(unsafe { RobustWord::from_address(address) }, current_id());
    }
    world::robust_lists(|lists| lists.running = lists.waiting.pop().unwrap_or_default());
}

/// Forks a child that exits at once. In its pid namespace, it has the id of the running thread.
///
/// The child's list is empty, but libc has copied the pending word of the parent.
pub fn fork_child_that_exits() {
    if let Some(pending) = world::robust_lists(|lists| lists.running.pending) {
        // SAFETY: the words are part of the scenario's state, which lives longer than the
        // scenario's processes.
        mark_owner_died(unsafe { RobustWord::from_address(pending) }, current_id());
    }
}

/// Hands a word of the ending thread to the keeper, in the steps of the Linux platform.
fn hand_over(word: &RobustWord, thread: u32) {
    keeper_pending(word, Some(word.address()));
    change_owner(word, thread);
    platform_step(word, RobustStep::Unlink, |lists| {
        remove(&mut lists.running, word)
    });
    keep(word);
    keeper_pending(word, None);
}

/// A known bug: the word is pending in no list while its owner changes.
#[doc(hidden)]
pub fn hand_over_without_pending(word: &RobustWord, thread: u32) {
    change_owner(word, thread);
    platform_step(word, RobustStep::Unlink, |lists| {
        remove(&mut lists.running, word)
    });
    keep(word);
}

/// A known bug: the kernel finds the word at the end of the thread, while the process lives.
#[doc(hidden)]
pub fn report_at_thread_end(word: &RobustWord, thread: u32) {
    platform_step(word, RobustStep::Unlink, |lists| {
        remove(&mut lists.running, word)
    });
    mark_owner_died(word, thread);
}

fn keeper_pending(word: &RobustWord, pending: Option<*const ()>) {
    let step = match pending {
        Some(_) => RobustStep::SetPending,
        None => RobustStep::ClearPending,
    };
    platform_step(word, step, |lists| lists.keeper.pending = pending);
}

fn keep(word: &RobustWord) {
    platform_step(word, RobustStep::Link, |lists| {
        lists.keeper.held.push(word.address())
    });
}

fn change_owner(word: &RobustWord, thread: u32) {
    let mut found = thread;
    while found & OWNER == thread {
        let kept = (found & !OWNER) | keeper_id();
        match word.word.compare_exchange(found, kept, Relaxed, Relaxed) {
            Ok(_) => return,
            Err(newer) => found = newer,
        }
    }
}

/// Releases the words in a range of addresses, before the memory is unmapped.
///
/// Returns whether no other thread of this process holds a word in the range.
///
/// # Safety
/// This process has no reference to data that a word in the range protects, and never gets one
/// again.
#[must_use]
pub unsafe fn release_range(addresses: &Range<usize>) -> bool {
    let is_inside = |held: &*const ()| addresses.contains(&held.addr());
    let find = |held: &[*const ()]| held.iter().copied().find(is_inside);
    while let Some(address) = world::robust_lists(|lists| find(&lists.running.held)) {
        if !world::is_alive() {
            return true;
        }
        // SAFETY: the caller keeps the memory mapped.
        let word = unsafe { RobustWord::from_address(address) };
        release(word, current_id(), |lists| &mut lists.running);
    }
    while let Some(address) = world::robust_lists(|lists| find(&lists.keeper.held)) {
        if !world::is_alive() {
            return true;
        }
        // SAFETY: the caller keeps the memory mapped.
        let word = unsafe { RobustWord::from_address(address) };
        release(word, keeper_id(), |lists| &mut lists.keeper);
    }
    world::robust_lists(|lists| {
        !lists
            .waiting
            .iter()
            .any(|list| list.held.iter().any(is_inside))
    })
}

fn release(word: &RobustWord, owner: u32, list: fn(&mut RobustLists) -> &mut RobustList) {
    platform_step(word, RobustStep::SetPending, |lists| {
        list(lists).pending = Some(word.address())
    });
    platform_step(word, RobustStep::Unlink, |lists| remove(list(lists), word));
    mark_owner_died(word, owner);
    platform_step(word, RobustStep::ClearPending, |lists| {
        list(lists).pending = None
    });
}

/// A known bug: forgets the words in a range of addresses, which then stay locked forever.
#[doc(hidden)]
pub fn forget_range(addresses: &Range<usize>) {
    let is_kept = |held: &*const ()| !addresses.contains(&held.addr());
    world::robust_lists(|lists| {
        lists.running.held.retain(is_kept);
        lists.running.pending = lists.running.pending.filter(is_kept);
    });
}

/// Marks a word with the death of an owner and wakes one waiter.
fn mark_owner_died(word: &RobustWord, owner: u32) {
    let mut found = owner;
    while found & OWNER == owner {
        let marked = (found & WAITERS) | OWNER_DIED;
        // Release pairs with the Acquire of the next owner.
        match word.word.compare_exchange(found, marked, Release, Relaxed) {
            Ok(_) if found & WAITERS == 0 => return,
            Ok(_) => {
                futex::wake(&word.word, 1);
                return;
            }
            Err(newer) => found = newer,
        }
    }
}

/// Recovers the words of all threads of a dead process, like the kernel. The dead process's thread
/// runs this function.
pub(super) fn exit() {
    specified::leave_waiters();
    let RobustLists {
        running,
        waiting,
        keeper,
    } = world::robust_lists(core::mem::take);
    let depth = waiting.len();
    walk(running, id_at_depth(depth));
    for (depth, list) in waiting.into_iter().enumerate() {
        walk(list, id_at_depth(depth));
    }
    walk(keeper, keeper_id());
}

/// Recovers the words of one dead thread.
fn walk(RobustList { held, pending }: RobustList, thread: u32) {
    if specified::RobustLock::selected().is_some() {
        // SAFETY: the words are part of the scenario's state, which lives longer than the
        // scenario's processes.
        let held = held
            .iter()
            .chain(&pending)
            .map(|address| unsafe { RobustWord::from_address(*address) });
        return specified::free_words(held.collect(), thread);
    }
    for address in held.iter().rev() {
        // SAFETY: the words are part of the scenario's state, which lives longer than the
        // scenario's processes.
        let word = unsafe { RobustWord::from_address(*address) };
        // As in the kernel, before the word gets another owner.
        word.link.read_by_kernel();
        if Some(*address) != pending {
            handle_death(word, thread, RobustStep::KernelFindsHeld);
        }
    }
    if let Some(address) = pending {
        // SAFETY: the words are part of the scenario's state, which lives longer than the
        // scenario's processes.
        let word = unsafe { RobustWord::from_address(address) };
        handle_death(word, thread, RobustStep::KernelFindsPending);
    }
}

fn handle_death(robust: &RobustWord, dead: u32, step: RobustStep) {
    let site = Location::caller();
    let word = &robust.word;
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
