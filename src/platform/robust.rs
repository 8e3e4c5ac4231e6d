//! Words that the kernel recovers when their owner dies.
//!
//! **Source.** The robust futex list, `Documentation/locking/robust-futex-ABI.rst` of Linux. Each
//! thread has a list of the words that it holds, and a field for the word of its pending operation.
//! When the thread ends for any reason, the kernel visits these words. If a word still holds the id
//! of the dead thread, the kernel sets the word to `OWNER_DIED` and wakes a waiter.
//!
//! | bits | meaning |
//! | --- | --- |
//! | [`OWNER`] | the kernel's id of the thread that holds the word; 0 if the word is free |
//! | [`OWNER_DIED`] | the last owner died while it held the word |
//! | [`WAITERS`] | a waiter may be asleep |
//!
//! The order of a thread's steps is essential for the recovery. To acquire a word, a thread records
//! the word as pending, writes its id into the word, links the word into its list, and clears the
//! pending operation. To release a word, the thread records the word as pending, unlinks the word,
//! removes its id from the word, wakes a waiter, and clears the pending operation. If a thread dies
//! between any two of these steps, the kernel finds the word as the pending one or in the list.
//!
//! No word may stay pending after the operation. After a release, the memory of the word may be
//! reused. After an acquisition, the thread may fork: libc copies the pending word, but not the
//! list, into the child. If the child has the same id in another pid namespace, the kernel would
//! take the end of the child for the death of the owner.

use core::fmt;

/// The bits of the owner's id.
pub const OWNER: u32 = (1 << 30) - 1;

/// The bit that the kernel sets when the owner has died.
pub const OWNER_DIED: u32 = 1 << 30;

/// The bit that is set while a waiter may be asleep. If the bit is set, the kernel wakes a waiter
/// when the owner dies.
pub const WAITERS: u32 = 1 << 31;

/// The error returned when a thread cannot hold one more robust lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RobustListError {
    /// The thread has no robust list with glibc's 64-bit layout.
    NoList,
    /// The kernel has no memory for the records of this thread, or does not support
    /// `MADV_WIPEONFORK`, or libc has no free pthread key.
    NoResources,
    /// This process has inherited a region that was mapped in another pid namespace, where the
    /// thread ids in its locks have another meaning. Or `/proc`, which identifies the namespace, is
    /// not mounted.
    OtherPidNamespace,
    /// The thread has already run its last destructor.
    ThreadHasEnded,
    /// The thread already holds the maximum number of robust locks, which the field contains.
    TooManyLocks(usize),
}

impl fmt::Display for RobustListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoList => f.write_str(
                "this thread has no robust list that this crate can use; \
                 link with glibc on a 64-bit target and allow get_robust_list(2)",
            ),
            Self::NoResources => f.write_str(
                "this thread cannot record its robust locks: no memory, no free pthread key, or \
                 a kernel before Linux 4.14; end threads or free memory",
            ),
            Self::OtherPidNamespace => f.write_str(
                "this process has inherited a region from another pid namespace, or /proc is not \
                 mounted; call exec after changing the namespace, or drop the inherited regions",
            ),
            Self::ThreadHasEnded => f.write_str(
                "this thread has already run its last destructor; lock in an earlier destructor",
            ),
            Self::TooManyLocks(limit) => write!(
                f,
                "this thread already holds {limit} robust locks, the maximum; release one first"
            ),
        }
    }
}

impl core::error::Error for RobustListError {}

#[cfg(not(loom))]
#[cfg(not(loom))]
pub(crate) use super::linux::robust::MappedRegion;
#[cfg(not(loom))]
pub use super::linux::robust::{
    MAX_HELD, Owner, RobustWord, as_owner, commit, commit_in, release_range, run_thread,
};
#[cfg(loom)]
pub use super::model::robust::{
    MAX_HELD, Owner, RobustWord, as_owner, commit, commit_in, forget_range, fork_child_that_exits,
    hand_over_without_pending, release_range, report_at_thread_end, run_thread, run_thread_with,
};

/// Writes a word after all earlier writes of this thread, and before all later ones.
///
/// The thread may die at any instruction. A process that then finds the new value also finds all
/// earlier writes of the dead thread. A process that finds a later write finds the new value. The
/// model kills processes only between their steps, so no model can show that this order is needed.
pub(crate) fn commit_word(word: &super::AtomicU64, value: u64) {
    // Release: the earlier writes come first. Acquire: the later writes come afterwards.
    word.swap(value, super::Ordering::AcqRel);
}
