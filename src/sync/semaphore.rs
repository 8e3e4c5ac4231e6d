//! A counting semaphore of one word.

use super::{RawSemaphore, SemaphoreState, Timeout, TrustedSemaphore};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::identity::Generation;
use crate::platform::spin::{self, Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, Deadline, MemoryReader, ShmSafe, ShmType, TypeInfo, Wake, constructor, futex,
    load_hint,
};
use core::fmt;
use std::time::Duration;

const WAITERS: u32 = 1;
const PERMIT: u32 = 2;

/// Maximum number of permits that a [`Semaphore`] counts, equal to POSIX's `SEM_VALUE_MAX`.
pub const MAX_PERMITS: u32 = i32::MAX as u32;

/// A counting semaphore of four bytes for threads and processes.
///
/// Use it where one thread or process acquires permits and any other may release them. Zeroed
/// memory is a semaphore without permits. [`RobustSemaphore`](super::RobustSemaphore) returns the
/// permits of a process that dies.
///
/// # Errors
/// [`release`](Self::release) and [`new`](Self::new) return [`PermitOverflow`] if there would be
/// more than [`MAX_PERMITS`] permits. [`try_acquire`](Self::try_acquire) and the timed variants
/// return `None`.
///
/// # Fairness
/// The semaphore is not fair: a running thread may acquire a permit before a thread that is being
/// woken.
///
/// # Process death
/// The permits of a process that dies are lost, as with `sem_t`. The death of a waiter loses no
/// permit. If a waiter dies after it was woken, or a releaser dies before it wakes a waiter,
/// another waiter finds the permit within the [`recheck_interval`](crate::sync::recheck_interval).
///
/// # Fork
/// A forked child holds no permits of its parent. Dropping the child's copy of a [`Permit`]
/// releases nothing.
///
/// # How it works
/// | bits | meaning |
/// | --- | --- |
/// | 0 | `WAITERS`: there may be sleepers |
/// | 1 to 31 | the number of permits |
///
/// A thread sleeps only after it has seen the word with zero permits and `WAITERS` set, and the
/// kernel does not put the thread to sleep if the word has changed. A release clears `WAITERS` and
/// wakes one sleeper. A thread that has slept cannot know whether other threads sleep. So it sets
/// `WAITERS` again when it acquires its permit. If more permits are left, the thread also wakes one
/// more sleeper, because the releases of these permits may not have woken a sleeper for each
/// permit.
///
/// A release does not access the word after it has added the permit, because the thread that
/// acquires the permit may free the semaphore immediately. Older versions of glibc (bug 12674) and
/// musl (commit 88c4e720) accessed the word after the release.
///
/// Two threads that alternately access the word, like both sides of a buffer, slow each other down.
/// So a thread that had to wait, or whose exchange failed, waits a moment for more permits if such
/// a wait has paid off before. The extra wait only delays the thread's next access to the word.
///
/// # Ordering
/// An acquisition is an Acquire that pairs with the Release of the release that added its permit.
/// Every access is a read-modify-write. The first attempt expects a hint: a likely value of the
/// word. A wrong hint only makes the first attempt fail. The hint comes from a plain load. When a
/// [`Permit`] is released, the hint is the value of the word just after the permit was acquired.
///
/// # Sources
/// E. W. Dijkstra, *Cooperating sequential processes* (1965).
///
/// # Example
/// ```
/// use interlatch::{Region, Semaphore};
///
/// // One process creates the semaphore, without permits.
/// let region = Region::memfd("example", 4096)?;
/// let ready: &Semaphore = region.create("ready", ())?;
///
/// // Another process receives the descriptor, attaches and waits. A thread stands for it.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &Semaphore = other.attach("ready")?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| attached.acquire().forget());
///     ready.release(1)
/// })?;
/// assert_eq!(ready.permits(), 0);
///
/// let error = ready.release(u32::MAX).unwrap_err();
/// assert_eq!((error.held, error.added), (0, u32::MAX));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Semaphore {
    state: AtomicU32,
}

/// The error returned when a release would exceed the maximum number of permits of a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitOverflow {
    /// The number of permits that the semaphore had.
    pub held: u32,
    /// The number of permits that the call tried to add.
    pub added: u32,
}

impl fmt::Display for PermitOverflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, added } = self;
        write!(
            f,
            "cannot add {added} permits to the {held} of the semaphore; \
             the maximum is {MAX_PERMITS} in all"
        )
    }
}

impl core::error::Error for PermitOverflow {}

// SAFETY: the type is one atomic word without a pointer, and every value of the word is valid.
unsafe impl ShmSafe for Semaphore {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::empty()) }
    }
}

impl ShmType for Semaphore {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Semaphore").of_this_crate();
}

// SAFETY: an acquisition subtracts its permits in one step with Acquire, and a release adds them in
// one step with Release. `models/semaphore.rs` checks both.
unsafe impl TrustedSemaphore for Semaphore {}

impl Semaphore {
    constructor! {
        /// Creates a semaphore without permits.
        pub fn empty() -> Self {
            Self { state: AtomicU32::new(0) }
        }
    }

    constructor! {
        /// Creates a semaphore with one permit.
        pub fn binary() -> Self {
            Self { state: AtomicU32::new(PERMIT) }
        }
    }

    constructor! {
        /// Creates a semaphore with `permits` permits.
        ///
        /// # Errors
        /// Fails if `permits` is more than [`MAX_PERMITS`].
        pub fn new(permits: u32) -> Result<Self, PermitOverflow> {
            if permits > MAX_PERMITS {
                return Err(PermitOverflow { held: 0, added: permits });
            }
            Ok(Self { state: AtomicU32::new(permits * PERMIT) })
        }
    }

    /// Acquires a permit, blocking until one is available.
    ///
    /// Dropping the permit releases it.
    #[inline]
    pub fn acquire(&self) -> Permit<'_> {
        loop {
            if let Some(permit) = self.acquire_permit_with(Timeout::Infinite) {
                return permit;
            }
        }
    }

    /// Acquires a permit if one is available.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.acquire_permit_with(Timeout::NonBlocking)
    }

    /// Acquires a permit, blocking for at most `timeout`.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_permit_with(Timeout::after(timeout))
    }

    /// Acquires a permit, blocking at most until `deadline`.
    pub fn acquire_deadline(&self, deadline: Deadline) -> Option<Permit<'_>> {
        self.acquire_permit_with(Timeout::At(deadline))
    }

    #[inline]
    fn acquire_permit_with(&self, timeout: Timeout) -> Option<Permit<'_>> {
        let remaining = self.acquire_max_with(1, timeout, |acquisition| acquisition.remaining)?;
        Some(Permit {
            semaphore: self,
            remaining,
            generation: Generation::current(),
        })
    }

    /// Adds permits and wakes waiters for them.
    ///
    /// # Errors
    /// Fails if there would be more than [`MAX_PERMITS`] permits. The semaphore is then unchanged.
    #[inline]
    #[cfg_attr(loom, track_caller)]
    pub fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        if count == 0 {
            return Ok(());
        }
        self.release_at(load_hint(&self.state, 0), count)
    }

    /// Adds permits. The first attempt expects that the state of the semaphore is `hint`.
    #[inline]
    #[cfg_attr(loom, track_caller)]
    fn release_at(&self, hint: u32, count: u32) -> Result<(), PermitOverflow> {
        // Release pairs with the Acquire of `acquire_at`: the acquiring thread sees this thread's
        // earlier writes. The call is in a closure, so that models weaken this line and not the
        // caller's line.
        let exchange = |from, to| self.state.compare_exchange(from, to, Release, Relaxed);
        let mut state = hint;
        loop {
            let held = state / PERMIT;
            if count > MAX_PERMITS - held {
                return self.fail_release(state, count);
            }
            let released = (state & !WAITERS) + count * PERMIT;
            match exchange(state, released) {
                Ok(_) => break,
                Err(found) => state = found,
            }
        }
        if state & WAITERS != 0 {
            self.wake_one();
        }
        Ok(())
    }

    #[cold]
    #[cfg_attr(loom, track_caller)]
    fn wake_one(&self) {
        futex::wake(&self.state, 1);
    }

    /// Returns an overflow error, or tries the release again if `state` was only a wrong hint.
    #[cold]
    #[cfg_attr(loom, track_caller)]
    fn fail_release(&self, state: u32, added: u32) -> Result<(), PermitOverflow> {
        match self.state.compare_exchange(state, state, Relaxed, Relaxed) {
            Ok(_) => Err(PermitOverflow {
                held: state / PERMIT,
                added,
            }),
            Err(_) => self.release(added),
        }
    }

    /// Returns the number of permits a moment ago, for diagnosis.
    pub fn permits(&self) -> u32 {
        self.state.load(Relaxed) / PERMIT
    }

    /// Reads the state of a semaphore in foreign memory.
    pub(crate) fn read_state(reader: &dyn MemoryReader) -> Option<SemaphoreState> {
        let state = reader.read_u32(0)?;
        Some(SemaphoreState {
            permits: state / PERMIT,
            waiters: state & WAITERS != 0,
        })
    }

    /// Acquires between 1 and `max` permits, or returns `None` if the timeout expired first.
    #[inline]
    fn acquire_max_with<R>(
        &self,
        max: u32,
        timeout: Timeout,
        result: fn(Acquisition) -> R,
    ) -> Option<R> {
        match self.acquire_at(self.permit_hint(), max, 0) {
            Ok(acquisition) => Some(result(acquisition)),
            Err(found) => self.acquire_slowly(found, max, timeout, result),
        }
    }

    /// Acquires permits after the first attempt has failed because the state was `found`.
    #[cold]
    fn acquire_slowly<R>(
        &self,
        found: u32,
        max: u32,
        timeout: Timeout,
        result: fn(Acquisition) -> R,
    ) -> Option<R> {
        let acquisition = match found {
            PERMIT.. => self.acquire_after_race(max, timeout),
            _ if timeout == Timeout::NonBlocking => None,
            _ => self.acquire_contended(max, timeout.deadline()),
        };
        acquisition.map(result)
    }

    /// Returns a likely state of the semaphore that has at least one permit.
    #[inline]
    fn permit_hint(&self) -> u32 {
        match load_hint(&self.state, PERMIT) {
            hint @ PERMIT.. => hint,
            _ => one_permit(),
        }
    }

    /// Acquires permits without blocking, and sets the bit `mark`, which is `WAITERS` or 0.
    ///
    /// If no permit is available, the method returns the state of the semaphore.
    #[inline]
    fn acquire_available(&self, max: u32, mark: u32) -> Result<Acquisition, u32> {
        let mut state = self.permit_hint();
        while state >= PERMIT {
            match self.acquire_at(state, max, mark) {
                Ok(acquisition) => return Ok(acquisition),
                Err(found) => state = found,
            }
        }
        Err(state)
    }

    /// Acquires permits and sets `mark`, if the semaphore's state is still `state`, which has a
    /// permit.
    #[inline]
    fn acquire_at(&self, state: u32, max: u32, mark: u32) -> Result<Acquisition, u32> {
        let count = (state / PERMIT).min(max);
        let remaining = (state - count * PERMIT) | mark;
        // Acquire pairs with the Release of `release_at`: the releaser's writes are visible.
        self.state
            .compare_exchange(state, remaining, Acquire, Relaxed)
            .map(|_| Acquisition { count, remaining })
    }

    /// Acquires permits after an attempt failed because another thread changed the word.
    #[cold]
    fn acquire_after_race(&self, max: u32, timeout: Timeout) -> Option<Acquisition> {
        if timeout != Timeout::NonBlocking {
            spin::batch_wait(&self.state, timeout.deadline(), |state| state / PERMIT);
        }
        match self.acquire_available(max, 0) {
            Ok(acquisition) => Some(acquisition),
            Err(_) if timeout == Timeout::NonBlocking => None,
            Err(_) => self.acquire_contended(max, timeout.deadline()),
        }
    }

    #[cold]
    fn acquire_contended(&self, max: u32, deadline: Option<Deadline>) -> Option<Acquisition> {
        let mut spin = Spin::new(&self.state, SpinPolicy::Event, deadline);
        let mut mark = 0;
        loop {
            let has_seen_permit = spin.wait_until(|state| state >= PERMIT);
            if has_seen_permit {
                spin.wait_for_batch(|state| state / PERMIT);
            }
            match self.acquire_available(max, mark) {
                Ok(acquisition) => {
                    if mark != 0 && acquisition.remaining >= PERMIT {
                        futex::wake(&self.state, 1);
                    }
                    spin.record_success();
                    return Some(acquisition);
                }
                Err(_) if has_seen_permit => {}
                Err(0)
                    if self
                        .state
                        .compare_exchange(0, WAITERS, Relaxed, Relaxed)
                        .is_err() => {}
                Err(_) => {
                    if futex::wait(&self.state, WAITERS, deadline) == Wake::TimedOut {
                        return None;
                    }
                    mark = WAITERS;
                    spin.restart();
                }
            }
        }
    }
}

/// Result of an acquisition.
struct Acquisition {
    /// The number of permits acquired.
    count: u32,
    /// The state after the acquisition.
    remaining: u32,
}

/// Does nothing: calling this cold function makes the compiler compute the hint with a branch.
/// Without this call, the compiler computes the hint without a branch, which delays the
/// compare-exchange.
#[cold]
fn one_permit() -> u32 {
    PERMIT
}

impl Default for Semaphore {
    fn default() -> Self {
        Self::empty()
    }
}

impl RawSemaphore for Semaphore {
    #[inline]
    fn acquire_with(&self, timeout: Timeout) -> bool {
        self.acquire_max_with(1, timeout, |_| ()).is_some()
    }

    #[inline]
    fn acquire_some_with(&self, max: u32, timeout: Timeout) -> u32 {
        match max {
            0 => 0,
            _ => self
                .acquire_max_with(max, timeout, |acquisition| acquisition.count)
                .unwrap_or(0),
        }
    }

    #[inline]
    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        self.release(count)
    }
}

/// A permit of a [`Semaphore`] that is released when it is dropped.
///
/// # Process death
/// The permit of a process that dies is lost.
///
/// # Fork
/// The copy of a permit in a forked child releases nothing.
///
/// # Example
/// ```
/// let semaphore = interlatch::Semaphore::binary();
/// semaphore.acquire().forget();
/// assert_eq!(semaphore.permits(), 0, "the permit was not released");
/// ```
#[derive(Debug)]
#[must_use = "dropping the permit releases it"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    /// The state just after the acquisition. The release first expects this state.
    remaining: u32,
    /// The process that acquired the permit.
    generation: Generation,
}

impl Permit<'_> {
    /// Drops the permit without releasing it to the semaphore.
    ///
    /// Any thread or process may release it later with [`Semaphore::release`].
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.generation.is_inherited() {
            return;
        }
        // Normally there is space for this permit, because the acquisition subtracted the permit
        // from the count. An overflow means that other threads released permits that they had never
        // acquired. The semaphore then already has its maximum number of permits, so this permit is
        // not added.
        let _ = self.semaphore.release_at(self.remaining, 1);
    }
}
