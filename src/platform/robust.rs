//! Words that the kernel looks after when their owner dies.
//!
//! **Source.** The robust futex list, `Documentation/locking/robust-futex-ABI.rst` of Linux. Each thread
//! has a list of the words that it holds, and a place for the one that it is at work on. When it ends,
//! however it does, the kernel goes through them: a word that still names the dead thread becomes
//! `OWNER_DIED`, and a waiter is woken.
//!
//! | bits | meaning |
//! | --- | --- |
//! | [`OWNER`] | the kernel's id of the thread that holds the word; 0 if nobody does |
//! | [`OWNER_DIED`] | its last owner died while it held the word |
//! | [`WAITERS`] | somebody may be asleep |
//!
//! The order of the steps is what matters: announce, take the word, link it; and announce, unlink it,
//! give the word up, wake, conclude. A thread that dies between any two of them is found by the
//! announcement or by the list. A word that is held may stay announced; one that is not, or not any
//! more, must not, since its memory may become something else.

use core::fmt;

/// The bits of a word for the id of its owner.
pub const OWNER: u32 = (1 << 30) - 1;

/// The kernel found that the owner died.
pub const OWNER_DIED: u32 = 1 << 30;

/// Somebody may be asleep on the word: the kernel wakes one when the owner dies.
pub const WAITERS: u32 = 1 << 31;

/// Error of a thread that cannot hold one more robust lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RobustListError {
    /// The C library registered no robust list for this thread, or one with another layout than
    /// glibc's on 64 bits, or the handler that empties the list in a forked child is not registered.
    NoList,
    /// The thread already holds the maximum number of robust locks, which is the field.
    TooManyLocks(usize),
}

impl fmt::Display for RobustListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoList => f.write_str(
                "this thread has no robust list that this crate can use; \
                 link with glibc on a 64-bit target and allow get_robust_list(2)",
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
pub use super::linux::robust::{Owner, RobustWord, as_owner, commit, commit_in};
#[cfg(loom)]
pub use super::model::robust::{Owner, RobustWord, as_owner, commit, commit_in};
