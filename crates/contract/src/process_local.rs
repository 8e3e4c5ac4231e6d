//! What is made of any semaphore, and belongs to a process: in scenarios it stands where the primitives of
//! shared memory stand.

use super::{Stage, buffer, condvar, lock, semaphore};
use interlatch::channel::{
    BoundedBuffer, Buffer, Direction, MonitorBuffer, RecvTimeoutError, SendTimeoutError, Slot,
};
use interlatch::platform::{Pod, ShmSafe};
use interlatch::sync::{
    LockGuard, PermitOverflow, PipeSemaphore, RawCondvar, RawLock, RawSemaphore, Semaphore,
    SemaphoreCondvar, SemaphoreLock, SemaphorePair, Timeout, TrustedSemaphore,
};

/// What a process has of its own, not in shared memory: its scenarios run in one address space, as models and
/// threads do.
#[derive(Debug)]
pub struct ProcessLocal<T>(pub T);

/// Something that can be made for a scenario.
pub trait Factory: Sync {
    /// A new one.
    fn create() -> Self;
}

// SAFETY: its scenarios run in one address space, or it has nothing that only one has.
unsafe impl<T: Factory> ShmSafe for ProcessLocal<T> {
    fn initial() -> Self {
        Self(T::create())
    }
}

impl<P: RawSemaphore> RawSemaphore for ProcessLocal<P> {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        self.0.acquire_with(timeout)
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        self.0.release(count)
    }
}

// SAFETY: it is that lock.
unsafe impl<L: RawLock> RawLock for ProcessLocal<L> {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.0.raw_lock_with(timeout)
    }

    unsafe fn unlock(&self) {
        // SAFETY: by the caller's promise.
        unsafe { self.0.unlock() }
    }
}

impl<C: RawCondvar> RawCondvar for ProcessLocal<C> {
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        self.0.wait_with(held, timeout)
    }

    fn notify_one(&self) {
        self.0.notify_one();
    }

    fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl<B: Buffer> Buffer for ProcessLocal<B> {
    type Item = B::Item;
    type Endpoint<'a>
        = B::Endpoint<'a>
    where
        Self: 'a;
    type AttachError = B::AttachError;

    fn send_with(&self, item: B::Item, timeout: Timeout) -> Result<(), SendTimeoutError<B::Item>> {
        self.0.send_with(item, timeout)
    }

    fn recv_with(&self, timeout: Timeout) -> Result<B::Item, RecvTimeoutError> {
        self.0.recv_with(timeout)
    }

    fn send_ref_with(&self, item: &B::Item, timeout: Timeout) -> Result<(), SendTimeoutError<()>>
    where
        B::Item: Pod,
    {
        self.0.send_ref_with(item, timeout)
    }

    fn send_many_with(
        &self,
        items: &mut Vec<B::Item>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        self.0.send_many_with(items, timeout)
    }

    fn recv_many_with(
        &self,
        items: &mut Vec<B::Item>,
        most: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        self.0.recv_many_with(items, most, timeout)
    }

    fn recv_into_with(&self, place: &mut B::Item, timeout: Timeout) -> Result<(), RecvTimeoutError>
    where
        B::Item: Pod,
    {
        self.0.recv_into_with(place, timeout)
    }

    fn send_seated(
        &self,
        seat: &B::Endpoint<'_>,
        item: B::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<B::Item>> {
        self.0.send_seated(seat, item, timeout)
    }

    fn recv_seated(
        &self,
        seat: &B::Endpoint<'_>,
        timeout: Timeout,
    ) -> Result<B::Item, RecvTimeoutError> {
        self.0.recv_seated(seat, timeout)
    }

    fn send_ref_seated(
        &self,
        seat: &B::Endpoint<'_>,
        item: &B::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>
    where
        B::Item: Pod,
    {
        self.0.send_ref_seated(seat, item, timeout)
    }

    fn recv_into_seated(
        &self,
        seat: &B::Endpoint<'_>,
        place: &mut B::Item,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        B::Item: Pod,
    {
        self.0.recv_into_seated(seat, place, timeout)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn attach(&self, end: Direction) -> Result<B::Endpoint<'_>, B::AttachError> {
        self.0.attach(end)
    }
}

/// A semaphore that can be made with so many permits.
pub trait Countable: TrustedSemaphore {
    /// A new one.
    fn with(permits: u32) -> Self;
}

impl Countable for PipeSemaphore {
    fn with(permits: u32) -> Self {
        Self::new(permits).expect("there are descriptors")
    }
}

impl Countable for Semaphore {
    fn with(permits: u32) -> Self {
        Self::new(permits).expect("few permits")
    }
}

impl Factory for PipeSemaphore {
    fn create() -> Self {
        Self::with(0)
    }
}

impl<P: Countable> Factory for SemaphoreLock<P> {
    fn create() -> Self {
        // SAFETY: it has one permit, and nobody else knows of it.
        unsafe { Self::from_semaphore(P::with(1)) }
    }
}

impl<P: Countable> Factory for SemaphoreCondvar<P> {
    fn create() -> Self {
        Self::from_parts([1, 0, 0, 0].map(P::with))
    }
}

/// The buffer from a semaphore pair, all of it made of such semaphores.
pub type Bounded<P, const N: usize> = BoundedBuffer<u64, [Slot<u64>; N], P, SemaphoreLock<P>>;

/// The buffer from condition variables, all of it made of such semaphores.
pub type Monitor<P, const N: usize> =
    MonitorBuffer<u64, [Slot<u64>; N], SemaphoreCondvar<P>, SemaphoreLock<P>>;

fn slots<const N: usize>() -> [Slot<u64>; N] {
    core::array::from_fn(|_| Slot::new())
}

impl<P: Countable, const N: usize> Factory for Bounded<P, N> {
    fn create() -> Self {
        let turns = SemaphorePair::from_parts(P::with(N as u32), P::with(0));
        Self::from_parts(turns, Factory::create(), slots())
    }
}

impl<P: Countable, const N: usize> Factory for Monitor<P, N> {
    fn create() -> Self {
        Self::from_parts(
            Factory::create(),
            Factory::create(),
            Factory::create(),
            slots(),
        )
    }
}

/// Every scenario of a semaphore and of what is made of it, but the one that needs as many permits as there
/// can be.
pub fn all<P: Countable + Factory + 'static>(stage: &mut impl Stage) {
    type Locked<P> = ProcessLocal<SemaphoreLock<P>>;
    stage.run(semaphore::publishes_writes::<ProcessLocal<P>>());
    stage.run(semaphore::excludes_with_one_permit::<ProcessLocal<P>>(2));
    stage.run(semaphore::excludes_with_one_permit::<ProcessLocal<P>>(3));
    stage.run(semaphore::admits_no_more_than_its_permits::<ProcessLocal<P>>());
    stage.run(semaphore::each_release_wakes_a_waiter::<ProcessLocal<P>>());
    stage.run(semaphore::concurrent_releases_wake_two_waiters::<ProcessLocal<P>>());
    stage.run(semaphore::release_of_two_wakes_two_waiters::<ProcessLocal<P>>());
    stage.run(semaphore::timed_out_acquirer_takes_no_permit::<
        ProcessLocal<P>,
    >());
    stage.run(semaphore::later_release_wakes_the_last_waiter::<
        ProcessLocal<P>,
    >());
    stage.run(semaphore::counts_each_permit::<ProcessLocal<P>>());
    stage.run(semaphore::handles_extreme_timeouts::<ProcessLocal<P>>());
    lock::all::<Locked<P>>(stage);
    condvar::all::<ProcessLocal<SemaphoreCondvar<P>>, Locked<P>>(stage);
    buffer::all_of::<ProcessLocal<Bounded<P, 1>>>(stage);
    buffer::all_of::<ProcessLocal<Bounded<P, 2>>>(stage);
    buffer::all_of::<ProcessLocal<Monitor<P, 1>>>(stage);
    buffer::all_of::<ProcessLocal<Monitor<P, 2>>>(stage);
}
