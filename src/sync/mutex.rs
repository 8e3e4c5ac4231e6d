//! A lock of one word.
//!
//! **Promise.** One holder at a time; what was written before an unlock is seen after the next
//! lock; a sleeper is woken when the lock becomes free.
//!
//! **Source.** "Mutex, take 3" of Ulrich Drepper's *Futexes Are Tricky* (2011), as in musl, glibc
//! and Rust's std.
//!
//! | state | meaning | unlocking |
//! | --- | --- | --- |
//! | `UNLOCKED` | free | |
//! | `LOCKED` | held, and nobody sleeps | needs no system call |
//! | `CONTENDED` | held, and somebody may sleep | wakes one |
//!
//! **Why it is correct.** Nobody sleeps before having written `CONTENDED`, and the kernel puts
//! nobody to sleep once that has been overwritten, so an unlock that replaces `LOCKED` leaves no
//! sleeper behind. Whoever has waited takes the lock as `CONTENDED`, because it cannot know
//! whether it was the last: a superfluous wake costs a system call, a missing one a hang.
//!
//! Every access reads and writes in one step. A plain load before it would show nothing that the
//! failing exchange does not, and loom would miss executions of it. The loads of a [`Spin`] are looks from
//! outside: they say when an exchange may be worth it. Who was woken and spins again has replaced nobody's
//! `CONTENDED`, so the holder that it waits for unlocks without the kernel; it takes the lock as `CONTENDED`.

use super::{LockGuard, LockState, RawLock, Timeout};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{AtomicU32, Deadline, MemoryReader, ShmSafe, Wake, constructor, futex};

const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

/// A lock of four bytes for threads and processes, without the data that it protects.
///
/// `Mutex<T>` of this crate is `lock_api`'s, over this. Valid when zeroed: that is unlocked.
///
/// # Fairness
/// None: a process that runs may overtake one that is being woken.
///
/// # Process death
/// A lock whose holder dies stays locked for ever: [`RobustMutex`](super::RobustMutex) does not. A waiter may
/// die without harm; if it was just woken, another one notices within the
/// [`recheck_interval`](crate::platform::futex).
///
/// # Example
/// ```
/// use interlatch::sync::RawMutex;
///
/// static LOCK: RawMutex = RawMutex::new();
/// let guard = LOCK.lock();
/// assert!(LOCK.try_lock().is_none());
/// drop(guard);
/// assert!(LOCK.try_lock().is_some());
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RawMutex {
    state: AtomicU32,
}

// SAFETY: one atomic word without a pointer. A state that is none of the three, which only a
// faulty peer can write, is treated as held.
unsafe impl ShmSafe for RawMutex {
    fn initial() -> Self {
        Self::new()
    }
}

impl RawMutex {
    constructor! {
        /// An unlocked lock.
        pub fn new() -> Self {
            Self { state: AtomicU32::new(UNLOCKED) }
        }
    }

    /// Locks, blocking until the lock is free.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, Self> {
        self.raw_lock();
        // SAFETY: locked above.
        unsafe { LockGuard::adopt(self) }
    }

    /// Locks if the lock is free.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, Self>> {
        self.lock_with(Timeout::NonBlocking)
    }

    /// Locks without a guard, blocking until the lock is free.
    #[inline]
    pub fn raw_lock(&self) {
        if !self.take(LOCKED) {
            self.lock_contended(None);
        }
    }

    #[inline]
    fn take(&self, taken_as: u32) -> bool {
        // Acquire pairs with the Release of `unlock`: what the last holder wrote is seen.
        self.state
            .compare_exchange(UNLOCKED, taken_as, Acquire, Relaxed)
            .is_ok()
    }

    /// Unlocks.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[inline]
    pub unsafe fn unlock(&self) {
        // Release pairs with both Acquires: what this holder wrote is seen by the next one.
        if self.state.swap(UNLOCKED, Release) == CONTENDED {
            self.wake_one();
        }
    }

    /// Whether somebody holds the lock, or did a moment ago: for diagnosis.
    pub fn is_locked(&self) -> bool {
        self.state.load(Relaxed) != UNLOCKED
    }

    /// The state of the one that these words are.
    pub(crate) fn read_state(words: &dyn MemoryReader) -> Option<LockState> {
        Some(match words.read_u32(0)? {
            UNLOCKED => LockState::Free,
            LOCKED => LockState::Held { waiters: false },
            CONTENDED => LockState::Held { waiters: true },
            other => LockState::Damaged(other),
        })
    }

    #[cold]
    fn wake_one(&self) {
        futex::wake(&self.state, 1);
    }

    #[cold]
    fn lock_contended(&self, deadline: Option<Deadline>) -> bool {
        let mut spin = Spin::new(&self.state, SpinPolicy::Lock, deadline);
        let mut taken_as = LOCKED;
        loop {
            if spin.wait_until(|state| state == UNLOCKED) {
                if self.take(taken_as) {
                    spin.record_success();
                    return true;
                }
                continue;
            }
            // Acquire pairs with the Release of `unlock`, as in `take`.
            if self.state.swap(CONTENDED, Acquire) == UNLOCKED {
                return true;
            }
            if futex::wait(&self.state, CONTENDED, deadline) == Wake::TimedOut {
                return false;
            }
            taken_as = CONTENDED;
            spin.restart();
        }
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the word goes from UNLOCKED to another value in one step of one process, which then
// holds the lock, and only `unlock` writes UNLOCKED. Release and Acquire order one holder before
// the next. `models/mutex.rs` checks both.
unsafe impl RawLock for RawMutex {
    #[inline]
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.take(LOCKED)
            || (timeout != Timeout::NonBlocking && self.lock_contended(timeout.deadline()))
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock, by the trait's contract.
        unsafe { self.unlock() }
    }
}
