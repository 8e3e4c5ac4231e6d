//! A lock of one word, without data.

use super::{LockGuard, LockState, RawLock, Timeout};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, Deadline, MemoryReader, ShmSafe, ShmType, TypeInfo, Wake, constructor, futex,
};

const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

/// A lock of four bytes for threads and processes, without data.
///
/// Use [`Mutex<T>`](super::Mutex) unless the data must be outside the lock. Zeroed memory is a free
/// lock.
///
/// # Errors
/// There are no errors. [`try_lock`](Self::try_lock) and timed attempts return `None` or false if
/// they fail.
///
/// # Fairness
/// The lock is not fair: a running thread may acquire the lock before a thread that is being woken.
///
/// # Process death
/// If the holder dies, the lock stays locked forever. If the holder of a
/// [`RobustMutex`](super::RobustMutex) dies, the next `lock` reports the death. A waiter that dies
/// delays other waiters by at most the [`recheck_interval`](crate::sync::recheck_interval), and
/// only if the dead waiter had just been woken.
///
/// # Fork
/// A forked child does not hold the locks of its parent. Dropping the child's copy of a
/// [`LockGuard`] does nothing.
///
/// # How it works
/// | state | meaning | unlocking |
/// | --- | --- | --- |
/// | `UNLOCKED` | free | |
/// | `LOCKED` | held, no sleepers | makes no system call |
/// | `CONTENDED` | held, there may be sleepers | wakes one sleeper |
///
/// A thread writes `CONTENDED` before it sleeps, and the kernel does not put the thread to sleep if
/// the word is no longer `CONTENDED`. So when an unlock replaces `LOCKED`, there is no sleeper to
/// wake. A thread that has slept acquires the lock as `CONTENDED`, because it cannot know whether
/// other threads sleep: a superfluous wake-up costs a system call, but a missing wake-up causes a
/// hang.
///
/// Before it sleeps, a waiter spins if spinning has paid off before. The loads of a spin only show
/// when an exchange may succeed. A woken thread may spin again. During that spin, the thread does
/// not write `CONTENDED`, so the holder can unlock without a system call. The spinning thread then
/// acquires the lock as `CONTENDED`.
///
/// # Ordering
/// Locking is an Acquire that pairs with the Release of the last unlock. Every access that decides
/// something is part of a read-modify-write. A plain load before an exchange would show nothing
/// that a failing exchange does not show, and loom would miss executions that involve such a load.
///
/// # Sources
/// "Mutex, take 3" of Ulrich Drepper, *Futexes Are Tricky* (2011), as in musl, glibc and Rust's
/// standard library.
///
/// # Example
/// ```
/// use interlatch::Region;
/// use interlatch::sync::RawMutex;
///
/// // One process creates the lock.
/// let region = Region::memfd("example", 4096)?;
/// let lock: &RawMutex = region.create("lock", ())?;
///
/// // Another process receives the descriptor and attaches.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &RawMutex = other.attach("lock")?;
///
/// let guard = lock.lock();
/// assert!(attached.try_lock().is_none());
/// drop(guard);
/// assert!(attached.try_lock().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RawMutex {
    state: AtomicU32,
}

// SAFETY: the type is one atomic word without a pointer. If the word is not a valid state, a faulty
// process wrote the word, and the lock is treated as held.
unsafe impl ShmSafe for RawMutex {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::new()) }
    }
}

impl ShmType for RawMutex {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RawMutex").of_this_crate();
}

impl RawMutex {
    constructor! {
        /// Creates a free lock.
        pub fn new() -> Self {
            Self { state: AtomicU32::new(UNLOCKED) }
        }
    }

    /// Locks, blocking until the lock is free.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, Self> {
        self.raw_lock();
        // SAFETY: the call of `raw_lock` above acquired the lock, and no other guard exists.
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
        if !self.acquire_free(LOCKED) {
            self.lock_contended(None);
        }
    }

    #[inline]
    fn acquire_free(&self, locked: u32) -> bool {
        // Acquire pairs with the Release of `unlock`: the last holder's writes are visible.
        self.state
            .compare_exchange(UNLOCKED, locked, Acquire, Relaxed)
            .is_ok()
    }

    /// Unlocks.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[inline]
    pub unsafe fn unlock(&self) {
        // Release pairs with the Acquire of `acquire_free` and `lock_contended`: the next holder
        // sees this holder's writes.
        if self.state.swap(UNLOCKED, Release) == CONTENDED {
            self.wake_one();
        }
    }

    /// Returns whether the lock was held a moment ago, for diagnosis.
    pub fn is_locked(&self) -> bool {
        self.state.load(Relaxed) != UNLOCKED
    }

    /// Reads the state of a lock in foreign memory.
    pub(crate) fn read_state(reader: &dyn MemoryReader) -> Option<LockState> {
        Some(match reader.read_u32(0)? {
            UNLOCKED => LockState::Free,
            LOCKED => LockState::Held { waiters: false },
            CONTENDED => LockState::Held { waiters: true },
            other => LockState::Damaged(other),
        })
    }

    #[cold]
    #[cfg_attr(loom, track_caller)]
    fn wake_one(&self) {
        futex::wake(&self.state, 1);
    }

    #[cold]
    fn lock_contended(&self, deadline: Option<Deadline>) -> bool {
        let mut spin = Spin::new(&self.state, SpinPolicy::Lock, deadline);
        let mut locked = LOCKED;
        loop {
            if spin.wait_until(|state| state == UNLOCKED) {
                if self.acquire_free(locked) {
                    spin.record_success();
                    return true;
                }
                continue;
            }
            // Acquire pairs with the Release of `unlock`, as in `acquire_free`.
            if self.state.swap(CONTENDED, Acquire) == UNLOCKED {
                return true;
            }
            if futex::wait(&self.state, CONTENDED, deadline) == Wake::TimedOut {
                return false;
            }
            locked = CONTENDED;
            spin.restart();
        }
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: one step of one thread takes the word from UNLOCKED to another value, and that thread
// then holds the lock. Only `unlock` writes UNLOCKED. Release and Acquire order each holder's
// accesses before those of the next holder. `models/mutex.rs` checks both.
unsafe impl RawLock for RawMutex {
    #[inline]
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.acquire_free(LOCKED)
            || (timeout != Timeout::NonBlocking && self.lock_contended(timeout.deadline()))
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock, by the contract of this method.
        unsafe { self.unlock() }
    }
}
