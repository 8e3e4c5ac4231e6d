//! A lock that survives the death of its holder.
//!
//! **Promise.** That of [`RawMutex`](crate::sync::RawMutex), and: if the holder dies, at whatever instruction,
//! the next one gets the lock with the news; and if it says that what the lock protects cannot be
//! repaired, everybody hears of it.
//!
//! **Source.** The lock of three states of Ulrich Drepper's *Futexes Are Tricky* (2011) on the words
//! of the kernel's robust futex list ([`platform::robust`](crate::platform::robust)), which Ingo Molnar
//! designed for POSIX's robust mutexes (`pthread_mutexattr_setrobust(3)`).
//!
//! | word | meaning |
//! | --- | --- |
//! | 0 | free |
//! | an owner | held, and nobody sleeps |
//! | an owner and `WAITERS` | held, and somebody may sleep |
//! | `OWNER_DIED`, maybe with `WAITERS` | free, and its last holder died |
//! | `UNRECOVERABLE` | nobody will hold it again |
//!
//! **Why it is correct.** Among the living it is the lock of `mutex.rs`: whoever has slept takes it with
//! `WAITERS`, since it cannot know whether it was the last. A thread that dies between the exchange
//! that takes the word and its link, or between unlinking and the wake, has announced the operation
//! before: the kernel looks at the announced word too. It wakes one waiter if the word is free, so a
//! wake-up that the dead thread owed, or had swallowed, is handed on.
//!
//! Two gaps are left to the recheck interval of [`futex::wait`]. A thread dies that owes a wake-up, or has
//! swallowed one, after a third thread has taken the free lock: the kernel sees an owner then and
//! wakes nobody, and that owner does not know of the sleepers. And a thread dies after it has made the
//! lock unrecoverable and before it has told the sleepers: to the kernel that is a word with an owner.

use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::robust::{
    OWNER, OWNER_DIED, Owner, RobustListError, RobustWord, WAITERS, as_owner,
};
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, Deadline, MemoryReader, ShmSafe, Wake, constructor, futex, load_latest,
    load_latest_acquire,
};
use crate::sync::{LockState, Timeout};
use core::marker::PhantomData;

const FREE: u32 = 0;

/// No thread has this id, and no word with an owner has neither flag and all other bits.
const UNRECOVERABLE: u32 = OWNER;

const ALL: u32 = u32::MAX;

/// Mutual exclusion that survives the death of a holder.
///
/// # Safety
/// As of [`RawLock`](crate::sync::RawLock): from a success of `lock_with` to the `unlock` or `mark_unrecoverable` that ends
/// it, or to the death of the holder, no other one succeeds, and everything that happened before
/// that end happens before the next success.
pub unsafe trait RobustLock: Sync {
    /// Locks, as long as timeout lasts.
    ///
    /// # Errors
    /// If it is not taken; then nothing has changed.
    fn lock_with(&self, timeout: Timeout) -> Result<Taken, LockError>;

    /// Unlocks. If the lock was taken from the dead, this says that what it protects is repaired.
    ///
    /// # Safety
    /// The caller holds the lock.
    unsafe fn unlock(&self);

    /// Ends the use of the lock for good, and tells everyone.
    ///
    /// # Safety
    /// The caller holds the lock.
    unsafe fn mark_unrecoverable(&self);
}

/// A lock of 40 bytes for threads and processes that survives the death of its holder, without the
/// data that it protects. [`RobustMutex`](super::RobustMutex) has the data.
///
/// Valid when zeroed: that is free.
///
/// # Fairness
/// None: a process that runs may overtake one that is being woken.
///
/// # Process death
/// The kernel marks the lock of a thread that ends while it holds it, whatever the reason, and wakes
/// one waiter: [`Taken::OwnerDied`]. So it does at an `exec` by the main thread of a process; a lock
/// that another thread holds while it calls `exec` stays locked for ever, as libc's do. A holder that is
/// stopped or slow keeps it. The child of a `fork(3)` holds nothing; that of a bare `clone(2)` must not
/// use what its parent holds.
///
/// # Leaks
/// A lock must not be moved, freed or unmapped while it is held. Guards see to that unless one is leaked
/// (`mem::forget`). Where the lock is dropped, or its region, by the thread that leaked the guard, the
/// kernel is told in time. Where the lock is moved, or another thread drops it or its region, the kernel
/// may write into its old place when the holder ends, and so may the holder when it unlocks another
/// lock: it may crash. Safe code can do that. Leak guards of locks that stay for ever only.
///
/// # Example
/// ```
/// use interlatch::sync::{LockError, Timeout, RawRobustMutex, Taken};
///
/// let lock = RawRobustMutex::new();
/// assert_eq!(lock.lock_with(Timeout::Infinite), Ok(Taken::Clean));
/// assert_eq!(lock.lock_with(Timeout::NonBlocking), Err(LockError::TimedOut));
/// // SAFETY: locked above.
/// unsafe { lock.unlock() };
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RawRobustMutex {
    word: RobustWord,
}

// SAFETY: atomic words without a pointer that anybody follows. A word that is none of the states,
// which only a faulty peer can write, is treated as held.
unsafe impl ShmSafe for RawRobustMutex {
    fn initial() -> Self {
        Self::new()
    }
}

/// How a robust lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// From one that had unlocked it, or as the first.
    Clean,
    /// From one that died, or panicked, while it held it: what it protects may be half-changed.
    OwnerDied,
}

impl Taken {
    /// Taken from the state in which this was the word.
    fn of(word: u32) -> Self {
        match word & OWNER_DIED {
            0 => Self::Clean,
            _ => Self::OwnerDied,
        }
    }
}

/// Why a robust lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// A holder died, and the next one could not repair what the lock protects.
    #[error("the lock is unrecoverable: what it protects was left half-changed by a dead holder")]
    Unrecoverable,
    /// It is held, by another thread or process or by this one, and timeout ran out first.
    #[error("the lock is held")]
    TimedOut,
    /// This thread holds it already, and would wait for itself.
    #[error("this thread holds the lock already")]
    AlreadyHeld,
    /// This thread can hold no robust lock, or no more of them.
    #[error(transparent)]
    Refused(#[from] RobustListError),
}

impl RawRobustMutex {
    constructor! {
        /// A free lock.
        pub fn new() -> Self {
            Self { word: RobustWord::new(FREE) }
        }
    }

    /// Locks, as long as timeout lasts.
    ///
    /// # Errors
    /// If it is not taken; then nothing has changed.
    #[inline]
    pub fn lock_with(&self, timeout: Timeout) -> Result<Taken, LockError> {
        self.lock_for::<false>(timeout)
    }

    /// The same, of a lock of turns or not. That is a part of the type since whoever does not have to wait has no
    /// instruction to spare.
    #[inline]
    pub(crate) fn lock_for<const TURNS: bool>(&self, timeout: Timeout) -> Result<Taken, LockError> {
        as_owner(|me| {
            if !me.has_room() {
                return self.lock_with_room::<TURNS>(me, timeout);
            }
            me.set_pending(&self.word);
            match self.take_free(me.id()) {
                Ok(_) => {
                    // The announcement stays: it is of a word that is on the list as well.
                    me.link(&self.word);
                    Ok(Taken::Clean)
                }
                Err(found) => self.lock_contended::<TURNS>(me, found, timeout),
            }
        })
    }

    /// Unlocks.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[inline]
    pub unsafe fn unlock(&self) {
        self.leave(FREE);
    }

    /// Unlocks and tells the next one that what the lock protects may be half-changed.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[cold]
    pub unsafe fn mark_owner_died(&self) {
        self.leave(OWNER_DIED);
    }

    /// Ends the use of the lock for good, and tells everyone.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[cold]
    pub unsafe fn mark_unrecoverable(&self) {
        self.leave(UNRECOVERABLE);
    }

    /// The word that is the state of the lock, for scenarios that stand in for a faulty peer.
    #[doc(hidden)]
    pub fn word(&self) -> &AtomicU32 {
        self.word.word()
    }

    /// Whether somebody holds the lock who lives, as far as is known here. It orders nothing.
    pub fn is_locked(&self) -> bool {
        let word = load_latest(self.word.word());
        word != UNRECOVERABLE && word & OWNER != 0
    }

    /// Whether its last holder died, and nobody has taken it since: then what that one did is seen.
    #[inline]
    pub(crate) fn is_owner_died(&self) -> bool {
        // Acquire pairs with the kernel's Release when it marks the word of a dead owner.
        let word = load_latest_acquire(self.word.word());
        word & OWNER == 0 && word & OWNER_DIED != 0
    }

    /// The state of the one that these words are. Its own word is the first.
    pub(crate) fn read_state(words: &dyn MemoryReader) -> Option<LockState> {
        let word = words.read_u32(0)?;
        let (thread, waiters) = (word & OWNER, word & WAITERS != 0);
        Some(match word & !WAITERS {
            UNRECOVERABLE => LockState::Unrecoverable,
            FREE => LockState::Free,
            OWNER_DIED => LockState::OwnerDied { waiters },
            _ if word & OWNER_DIED == 0 => LockState::HeldBy { thread, waiters },
            _ => LockState::Damaged(word),
        })
    }

    /// Whether this thread holds the lock by the success that has this stamp.
    pub(crate) fn is_held_by(&self, stamp: &OwnerToken) -> bool {
        !stamp.is_inherited() && as_owner(|me| me.holds(&self.word))
    }

    #[inline]
    fn take_free(&self, mine: u32) -> Result<u32, u32> {
        // Acquire pairs with the Release of `leave`: what the last holder wrote is seen.
        self.word
            .word()
            .compare_exchange(FREE, mine, Acquire, Relaxed)
    }

    #[cold]
    fn lock_with_room<const TURNS: bool>(
        &self,
        me: &Owner,
        timeout: Timeout,
    ) -> Result<Taken, LockError> {
        me.make_room()?;
        self.lock_for::<TURNS>(timeout)
    }

    #[cold]
    fn lock_contended<const TURNS: bool>(
        &self,
        me: &Owner,
        found: u32,
        timeout: Timeout,
    ) -> Result<Taken, LockError> {
        let purpose = if TURNS {
            SpinPolicy::Turns
        } else {
            SpinPolicy::Lock
        };
        let taken = self.take_contended(me, found, purpose, timeout);
        match taken {
            Ok(_) => me.link(&self.word),
            Err(_) => me.clear_pending(),
        }
        taken
    }

    fn take_contended(
        &self,
        me: &Owner,
        mut found: u32,
        purpose: SpinPolicy,
        timeout: Timeout,
    ) -> Result<Taken, LockError> {
        let (word, deadline) = (self.word.word(), timeout.deadline());
        if timeout != Timeout::NonBlocking && found & OWNER == me.id() {
            return Err(LockError::AlreadyHeld);
        }
        let mut spin = Spin::new(word, purpose, deadline);
        let mut mark = 0;
        loop {
            if found == UNRECOVERABLE {
                return Err(LockError::Unrecoverable);
            }
            if found & OWNER == 0 {
                let mine = me.id() | (found & WAITERS) | mark;
                // Acquire pairs with the Release of `leave`, and with that of the kernel when it
                // marks the word of a dead owner.
                match word.compare_exchange(found, mine, Acquire, Relaxed) {
                    Ok(_) => {
                        spin.record_success();
                        return Ok(Taken::of(found));
                    }
                    Err(newer) => found = newer,
                }
            } else if timeout == Timeout::NonBlocking {
                return Err(LockError::TimedOut);
            } else if spin.wait_until(|word| word & OWNER == 0) {
                found = FREE;
            } else {
                match self.sleep(found, deadline) {
                    Ok(Wake::TimedOut) => return Err(LockError::TimedOut),
                    Ok(_) => {
                        (found, mark) = (FREE, WAITERS);
                        spin.restart();
                    }
                    Err(newer) => found = newer,
                }
            }
        }
    }

    /// Marks the word, and sleeps. If it has changed meanwhile, returns what it is.
    fn sleep(&self, found: u32, deadline: Option<Deadline>) -> Result<Wake, u32> {
        let (word, marked) = (self.word.word(), found | WAITERS);
        if found != marked {
            word.compare_exchange(found, marked, Relaxed, Relaxed)?;
        }
        Ok(futex::wait(word, marked, deadline))
    }

    /// Leaves the word so, and wakes whom it concerns. Does nothing in the child of a fork, which does
    /// not hold it.
    #[inline]
    fn leave(&self, word: u32) {
        as_owner(|me| {
            if !me.holds(&self.word) {
                return;
            }
            me.set_pending(&self.word);
            me.unlink(&self.word);
            // Release pairs with both Acquires: what this holder wrote is seen by the next one.
            let before = self.word.word().swap(word, Release);
            if word == UNRECOVERABLE {
                // Also if nobody is said to sleep: the mark goes when somebody is woken, who may be
                // on the way still, and will wake no other.
                self.wake(ALL);
            } else if before & WAITERS != 0 {
                self.wake(1);
            }
            me.clear_pending();
        });
    }

    #[cold]
    fn wake(&self, count: u32) {
        futex::wake(self.word.word(), count);
    }
}

// SAFETY: the word goes from one without an owner to one with the caller's id in one step, and only
// `leave`, or the kernel at the owner's death, takes the id away. Release and Acquire order one
// holder before the next. `models/robust_lock.rs` checks both.
unsafe impl RobustLock for RawRobustMutex {
    fn lock_with(&self, timeout: Timeout) -> Result<Taken, LockError> {
        self.lock_with(timeout)
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock, by the trait's contract.
        unsafe { self.unlock() }
    }

    unsafe fn mark_unrecoverable(&self) {
        // SAFETY: as above.
        unsafe { self.mark_unrecoverable() }
    }
}

impl Default for RawRobustMutex {
    fn default() -> Self {
        Self::new()
    }
}

/// Who holds something robust: a thread, which cannot give it to another one, and not the child of a
/// fork, which has a copy of this.
#[derive(Debug)]
pub(crate) struct OwnerToken {
    owner: u32,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl OwnerToken {
    /// That of this thread.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            owner: as_owner(Owner::id),
            stays_on_its_thread: PhantomData,
        }
    }

    /// Whether this is the copy of it in the child of a fork.
    #[inline]
    pub(crate) fn is_inherited(&self) -> bool {
        as_owner(Owner::id) != self.owner
    }
}
