//! The contracts of the locks, the semaphore and the condition variable, as text and as code.
//!
//! A composite, such as a buffer, uses parts only through their contracts. [`SpecifiedLock`],
//! [`SpecifiedSemaphore`] and [`SpecifiedCondvar`] do what the contract of a part says and no more,
//! in one step for each effect. A model of a composite that is built on them explores what the
//! composite itself does, in a small part of the executions. Its verdict names the contracts.
//!
//! Robust primitives name the types of their parts. There, the contracts stand in for the code of
//! [`RawRobustMutex`](interlatch::sync::RawRobustMutex) and [`Condvar`](interlatch::Condvar) inside
//! the model platform. See [`Model::over`](interlatch_check::Model::over).
//!
//! Two checks connect a contract with a part of this crate. The contract runs the scenarios of the
//! part, so it promises at least what the scenarios demand. The refinement test searches for
//! something that a program can observe of the part, but not of the contract.
//!
//! # The contract of a lock
//! A process holds the lock from a lock operation that succeeds until its unlock. At most one
//! process holds the lock. An unlock happens before the next lock that succeeds. A lock operation
//! without a timeout succeeds as soon as the lock is free. One with a timeout succeeds, or fails
//! if it found the lock held. A lock operation has no other effect, and an unlock never waits.
//!
//! # The contract of a robust lock
//! It is that of a lock, and it says more about deaths. The death of a holder frees the lock. What
//! the holder did before its death happens before the next lock that succeeds, and this lock
//! operation reports the death. The locks of a dead process become free one after the other, in any
//! order. An unlock can also make the lock unrecoverable, or report a death that did not happen.
//! Every later lock operation fails if the lock is unrecoverable. A lock operation fails if the
//! process already holds the lock, or if it holds too many. A process may die before and after each
//! operation, but not inside. After a death, a waiter may lock as late as at its next recheck.
//!
//! # The contract of a semaphore
//! The acquisitions and releases of one semaphore have one order, in which there are never fewer
//! than 0 permits. A release happens before every later acquisition. An acquisition without a
//! timeout succeeds as soon as there is a permit. One with a timeout succeeds, or fails if it
//! found none. An acquisition of several permits takes all that it finds, up to the number that
//! was asked for. A release that exceeds the maximum fails and has no effect.
//!
//! # The contract of a condition variable
//! A wait joins the waiters before it unlocks. It ends after a notification removes it from the
//! waiters. With a timeout, it may also leave the waiters by itself. It always locks again, unless
//! the operation says otherwise. A notification of one removes at least one process, if one waits,
//! and may remove more. A notification of all removes all. Until it returns, a notification may
//! also end the next wait of a process that it has removed. So a wait may end without a
//! notification for it. A process that dies leaves the waiters some time after its death, and a
//! notification that has removed the process is lost. After a death, a wait of
//! [`wait_robust`](interlatch::Condvar::wait_robust) without a timeout also ends when no process
//! can run. The notifications of one condition variable have one order with its waits, but no
//! memory is ordered by them: the lock does that.

use crate::process_local::{Factory, SemaphoreFactory, slots};
use interlatch::channel::{BoundedBuffer, MonitorBuffer, Slot};
use interlatch::platform::Wake;
use interlatch::platform::model::specified::{Counter, Waiters};
use interlatch::sync::{
    LockGuard, MAX_PERMITS, PermitOverflow, RawCondvar, RawLock, RawSemaphore, SemaphorePair,
    Timeout, TrustedSemaphore,
};

/// Takes up to `max` permits.
#[track_caller]
fn take(permits: &Counter, max: u32, timeout: Timeout) -> u32 {
    match timeout {
        Timeout::Infinite => permits.take(max),
        // An attempt that waits first and then succeeds differs in nothing from a later attempt.
        Timeout::At(_) | Timeout::NonBlocking => permits.try_take(max),
    }
}

/// A lock that does what the contract of a lock says.
#[derive(Debug)]
pub struct SpecifiedLock(Counter);

impl Factory for SpecifiedLock {
    fn create() -> Self {
        Self(Counter::new(1))
    }
}

// SAFETY: the lock has one permit. Taking it is an Acquire, and giving it back is a Release.
unsafe impl RawLock for SpecifiedLock {
    #[track_caller]
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        take(&self.0, 1, timeout) > 0
    }

    #[track_caller]
    unsafe fn unlock(&self) {
        self.0.give(1, 1).expect("only the holder unlocks");
    }
}

/// A semaphore that does what the contract of a semaphore says.
#[derive(Debug)]
pub struct SpecifiedSemaphore(Counter);

impl Factory for SpecifiedSemaphore {
    fn create() -> Self {
        Self::with_permits(0)
    }
}

impl SemaphoreFactory for SpecifiedSemaphore {
    fn with_permits(permits: u32) -> Self {
        Self(Counter::new(permits))
    }
}

impl RawSemaphore for SpecifiedSemaphore {
    #[track_caller]
    fn acquire_with(&self, timeout: Timeout) -> bool {
        take(&self.0, 1, timeout) > 0
    }

    #[track_caller]
    fn acquire_some_with(&self, max: u32, timeout: Timeout) -> u32 {
        take(&self.0, max, timeout)
    }

    #[track_caller]
    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        let given = self.0.give(count, MAX_PERMITS);
        given.map_err(|held| PermitOverflow { held, added: count })
    }
}

// SAFETY: the permits are counted in single steps. Taking one is an Acquire of every earlier
// release.
unsafe impl TrustedSemaphore for SpecifiedSemaphore {}

/// A condition variable that does what the contract of a condition variable says.
#[derive(Debug)]
pub struct SpecifiedCondvar(Waiters);

impl Factory for SpecifiedCondvar {
    fn create() -> Self {
        Self(Waiters::new())
    }
}

impl SpecifiedCondvar {
    #[track_caller]
    fn wait(&self, unlock: impl FnOnce(), timeout: Timeout) -> bool {
        self.0.wait(unlock, timeout != Timeout::Infinite, true) != Wake::TimedOut
    }
}

impl RawCondvar for SpecifiedCondvar {
    #[track_caller]
    fn wait_with<L: RawLock>(&self, guard: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        let lock = guard.mutex();
        // SAFETY: the guard holds the lock. It is locked again before the guard is used.
        let notified = self.wait(|| unsafe { lock.unlock() }, timeout);
        while !lock.raw_lock_with(Timeout::Infinite) {}
        notified
    }

    #[track_caller]
    fn unlock_and_wait<L: RawLock>(&self, guard: LockGuard<'_, L>, timeout: Timeout) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        self.wait(|| drop(guard), timeout)
    }

    #[track_caller]
    fn notify_one(&self) {
        self.0.wake(1);
    }

    #[track_caller]
    fn notify_all(&self) {
        self.0.wake(u32::MAX);
    }
}

/// The buffer on semaphores, built on contracts.
pub type Bounded<const N: usize> =
    BoundedBuffer<u64, [Slot<u64>; N], SpecifiedSemaphore, SpecifiedLock>;

/// The buffer on condition variables, built on contracts, or on other condition variables.
pub type Monitor<const N: usize, C = SpecifiedCondvar> =
    MonitorBuffer<u64, [Slot<u64>; N], C, SpecifiedLock>;

impl<const N: usize> Factory for Bounded<N> {
    fn create() -> Self {
        let semaphore = SpecifiedSemaphore::with_permits;
        let turns = SemaphorePair::from_parts(semaphore(N as u32), semaphore(0));
        Self::from_parts(turns, Factory::create(), slots())
    }
}

impl<const N: usize, C: RawCondvar + Factory> Factory for Monitor<N, C> {
    fn create() -> Self {
        Self::from_parts(C::create(), C::create(), Factory::create(), slots())
    }
}
