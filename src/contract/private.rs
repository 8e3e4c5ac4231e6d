//! What is made of any semaphore, and belongs to a process: in scenarios it stands where the primitives of
//! shared memory stand.

use super::{Stage, buffer, condvar, lock, semaphore};
use crate::buffer::{
    BoundedBuffer, Buffer, End, MonitorBuffer, RecvTimeoutError, SendTimeoutError, Slot,
};
use crate::platform::{InPlace, Plain};
use crate::sync::{
    Condition, Held, Lock, Patience, PermitOverflow, Permits, PipeSemaphore, Semaphore,
    SemaphoreCondvar, SemaphoreLock, SemaphorePair, TrustedPermits,
};

/// What a process has of its own, not in shared memory: its scenarios run in one address space, as models and
/// threads do.
#[derive(Debug)]
pub struct Private<T>(pub T);

/// Something that can be made for a scenario.
pub trait Fresh: Sync {
    /// A new one.
    fn fresh() -> Self;
}

// SAFETY: its scenarios run in one address space, or it has nothing that only one has.
unsafe impl<T: Fresh> InPlace for Private<T> {
    fn initial() -> Self {
        Self(T::fresh())
    }
}

impl<P: Permits> Permits for Private<P> {
    fn acquire_within(&self, patience: Patience) -> bool {
        self.0.acquire_within(patience)
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        self.0.release(count)
    }
}

// SAFETY: it is that lock.
unsafe impl<L: Lock> Lock for Private<L> {
    fn lock_within(&self, patience: Patience) -> bool {
        self.0.lock_within(patience)
    }

    unsafe fn unlock(&self) {
        // SAFETY: by the caller's promise.
        unsafe { self.0.unlock() }
    }
}

impl<C: Condition> Condition for Private<C> {
    fn wait_within<L: Lock>(&self, held: &mut Held<'_, L>, patience: Patience) -> bool {
        self.0.wait_within(held, patience)
    }

    fn notify_one(&self) {
        self.0.notify_one();
    }

    fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl<B: Buffer> Buffer for Private<B> {
    type Item = B::Item;
    type Seat<'a>
        = B::Seat<'a>
    where
        Self: 'a;
    type AttachError = B::AttachError;

    fn send_within(
        &self,
        item: B::Item,
        patience: Patience,
    ) -> Result<(), SendTimeoutError<B::Item>> {
        self.0.send_within(item, patience)
    }

    fn recv_within(&self, patience: Patience) -> Result<B::Item, RecvTimeoutError> {
        self.0.recv_within(patience)
    }

    fn send_ref_within(
        &self,
        item: &B::Item,
        patience: Patience,
    ) -> Result<(), SendTimeoutError<()>>
    where
        B::Item: Plain,
    {
        self.0.send_ref_within(item, patience)
    }

    fn recv_into_within(
        &self,
        place: &mut B::Item,
        patience: Patience,
    ) -> Result<(), RecvTimeoutError>
    where
        B::Item: Plain,
    {
        self.0.recv_into_within(place, patience)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn attach(&self, end: End) -> Result<B::Seat<'_>, B::AttachError> {
        self.0.attach(end)
    }
}

/// A semaphore that can be made with so many permits.
pub trait Countable: TrustedPermits {
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

impl Fresh for PipeSemaphore {
    fn fresh() -> Self {
        Self::with(0)
    }
}

impl<P: Countable> Fresh for SemaphoreLock<P> {
    fn fresh() -> Self {
        // SAFETY: it has one permit, and nobody else knows of it.
        unsafe { Self::from_semaphore(P::with(1)) }
    }
}

impl<P: Countable> Fresh for SemaphoreCondvar<P> {
    fn fresh() -> Self {
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

impl<P: Countable, const N: usize> Fresh for Bounded<P, N> {
    fn fresh() -> Self {
        let turns = SemaphorePair::from_parts(P::with(N as u32), P::with(0));
        Self::from_parts(turns, Fresh::fresh(), slots())
    }
}

impl<P: Countable, const N: usize> Fresh for Monitor<P, N> {
    fn fresh() -> Self {
        Self::from_parts(Fresh::fresh(), Fresh::fresh(), Fresh::fresh(), slots())
    }
}

/// Every scenario of a semaphore and of what is made of it, but the one that needs as many permits as there
/// can be.
pub fn all<P: Countable + Fresh + 'static>(stage: &mut impl Stage) {
    type Locked<P> = Private<SemaphoreLock<P>>;
    stage.run(semaphore::publishes_writes::<Private<P>>());
    stage.run(semaphore::excludes_with_one_permit::<Private<P>>(2));
    stage.run(semaphore::excludes_with_one_permit::<Private<P>>(3));
    stage.run(semaphore::admits_no_more_than_its_permits::<Private<P>>());
    stage.run(semaphore::each_release_lets_one_go::<Private<P>>());
    stage.run(semaphore::releases_by_two_let_two_go::<Private<P>>());
    stage.run(semaphore::a_release_of_many_lets_many_go::<Private<P>>());
    stage.run(semaphore::a_timed_out_acquirer_takes_nothing_along::<
        Private<P>,
    >());
    stage.run(semaphore::later_releases_find_the_last_waiter::<Private<P>>());
    stage.run(semaphore::counts_each_permit::<Private<P>>());
    stage.run(semaphore::answers_odd_timeouts::<Private<P>>());
    lock::all::<Locked<P>>(stage);
    condvar::all::<Private<SemaphoreCondvar<P>>, Locked<P>>(stage);
    buffer::all_of::<Private<Bounded<P, 1>>>(stage);
    buffer::all_of::<Private<Bounded<P, 2>>>(stage);
    buffer::all_of::<Private<Monitor<P, 1>>>(stage);
    buffer::all_of::<Private<Monitor<P, 2>>>(stage);
}
