//! Primitives that are built on any semaphore and belong to a process.
//!
//! These primitives run the scenarios of the primitives in shared memory. [`ProcessLocal`] wraps a
//! type that is not [`ShmSafe`], so that a scenario can use it.

use super::{Stage, buffer, condvar, mutex, semaphore};
use interlatch::channel::{
    AttachError, BoundedBuffer, Buffer, Channel, MonitorBuffer, RecvTimeoutError, SendTimeoutError,
    Slot, Unregistered,
};
use interlatch::platform::{Pod, ShmSafe, ShmType, TypeInfo};
use interlatch::sync::{
    Condvar, LockGuard, PermitOverflow, PipeSemaphore, RawCondvar, RawLock, RawSemaphore,
    Semaphore, SemaphoreCondvar, SemaphoreLock, SemaphorePair, Timeout, TrustedSemaphore,
};

/// An adapter for scenarios whose values cannot lie in shared memory.
///
/// Scenarios with this adapter run in one address space, as a model or with threads.
#[derive(Debug)]
pub struct ProcessLocal<T>(pub T);

/// A type whose values a scenario can create.
pub trait Factory: Sync {
    /// Creates the initial value of a scenario.
    fn create() -> Self;
}

// SAFETY: all participants share one address space, or `T` contains only numbers and no pointers.
unsafe impl<T: Factory + 'static> ShmSafe for ProcessLocal<T> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self(T::create())) }
    }
}

impl<T: Factory + 'static> ShmType for ProcessLocal<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("ProcessLocal");
}

impl<P: RawSemaphore> RawSemaphore for ProcessLocal<P> {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        self.0.acquire_with(timeout)
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        self.0.release(count)
    }
}

// SAFETY: every call is forwarded to `L`, which fulfils the contract of `RawLock`.
unsafe impl<L: RawLock> RawLock for ProcessLocal<L> {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.0.raw_lock_with(timeout)
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock, as the called function requires.
        unsafe { self.0.unlock() }
    }
}

impl<C: RawCondvar> RawCondvar for ProcessLocal<C> {
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        self.0.wait_with(held, timeout)
    }

    fn unlock_and_wait<L: RawLock>(&self, held: LockGuard<'_, L>, timeout: Timeout) -> bool {
        self.0.unlock_and_wait(held, timeout)
    }

    fn notify_one(&self) {
        self.0.notify_one();
    }

    fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl<C: Channel> Channel for ProcessLocal<C> {
    type SendEndpoint<'a>
        = C::SendEndpoint<'a>
    where
        Self: 'a;
    type RecvEndpoint<'a>
        = C::RecvEndpoint<'a>
    where
        Self: 'a;

    fn attach_sender(&self) -> Result<C::SendEndpoint<'_>, AttachError> {
        self.0.attach_sender()
    }

    fn attach_receiver(&self) -> Result<C::RecvEndpoint<'_>, AttachError> {
        self.0.attach_receiver()
    }
}

impl<B: Unregistered> Unregistered for ProcessLocal<B> {
    fn unregistered_sender(&self) -> Result<B::SendEndpoint<'_>, AttachError> {
        self.0.unregistered_sender()
    }

    fn unregistered_receiver(&self) -> Result<B::RecvEndpoint<'_>, AttachError> {
        self.0.unregistered_receiver()
    }
}

impl<B: Buffer> Buffer for ProcessLocal<B> {
    type Item = B::Item;

    fn send_with(
        &self,
        endpoint: &B::SendEndpoint<'_>,
        item: B::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<B::Item>> {
        self.0.send_with(endpoint, item, timeout)
    }

    fn recv_with(
        &self,
        endpoint: &B::RecvEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<B::Item, RecvTimeoutError> {
        self.0.recv_with(endpoint, timeout)
    }

    fn send_ref_with(
        &self,
        endpoint: &B::SendEndpoint<'_>,
        item: &B::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>
    where
        B::Item: Pod,
    {
        self.0.send_ref_with(endpoint, item, timeout)
    }

    fn recv_into_with(
        &self,
        endpoint: &B::RecvEndpoint<'_>,
        destination: &mut B::Item,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        B::Item: Pod,
    {
        self.0.recv_into_with(endpoint, destination, timeout)
    }

    fn send_many_with(
        &self,
        endpoint: &B::SendEndpoint<'_>,
        items: &mut Vec<B::Item>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        self.0.send_many_with(endpoint, items, timeout)
    }

    fn recv_many_with(
        &self,
        endpoint: &B::RecvEndpoint<'_>,
        items: &mut Vec<B::Item>,
        max: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        self.0.recv_many_with(endpoint, items, max, timeout)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

/// A semaphore that can be created with a number of permits.
pub trait SemaphoreFactory: TrustedSemaphore {
    /// Creates a semaphore with this number of permits.
    fn with_permits(permits: u32) -> Self;
}

impl SemaphoreFactory for PipeSemaphore {
    fn with_permits(permits: u32) -> Self {
        Self::new(permits).expect("descriptors are available")
    }
}

impl SemaphoreFactory for Semaphore {
    fn with_permits(permits: u32) -> Self {
        Self::new(permits).expect("far below the maximum")
    }
}

impl Factory for Condvar {
    fn create() -> Self {
        Self::new()
    }
}

impl Factory for PipeSemaphore {
    fn create() -> Self {
        Self::with_permits(0)
    }
}

impl<P: SemaphoreFactory> Factory for SemaphoreLock<P> {
    fn create() -> Self {
        // SAFETY: the semaphore has one permit, and no other reference to it exists.
        unsafe { Self::from_semaphore(P::with_permits(1)) }
    }
}

impl<P: SemaphoreFactory> Factory for SemaphoreCondvar<P> {
    fn create() -> Self {
        Self::from_parts([1, 0, 0, 0].map(P::with_permits))
    }
}

/// A buffer on a semaphore pair, with all parts built on semaphores of type `P`.
pub type Bounded<P, const N: usize> = BoundedBuffer<u64, [Slot<u64>; N], P, SemaphoreLock<P>>;

/// A buffer on condition variables, with all parts built on semaphores of type `P`.
pub type Monitor<P, const N: usize> =
    MonitorBuffer<u64, [Slot<u64>; N], SemaphoreCondvar<P>, SemaphoreLock<P>>;

pub(crate) fn slots<const N: usize>() -> [Slot<u64>; N] {
    core::array::from_fn(|_| Slot::new())
}

impl<P: SemaphoreFactory, const N: usize> Factory for Bounded<P, N> {
    fn create() -> Self {
        let turns = SemaphorePair::from_parts(P::with_permits(N as u32), P::with_permits(0));
        Self::from_parts(turns, Factory::create(), slots())
    }
}

impl<P: SemaphoreFactory, const N: usize> Factory for Monitor<P, N> {
    fn create() -> Self {
        Self::from_parts(
            Factory::create(),
            Factory::create(),
            Factory::create(),
            slots(),
        )
    }
}

/// Runs every scenario of a semaphore and of the primitives that are built on it.
///
/// See [`semaphore::all_of_any_semaphore`] for the scenarios that a pipe cannot run.
pub fn all<P: SemaphoreFactory + Factory + 'static>(stage: &mut impl Stage) {
    semaphore::all_of_any_semaphore::<ProcessLocal<P>>(stage);
    all_of_lock::<SemaphoreLock<P>>(stage);
    all_of_condvar::<SemaphoreCondvar<P>, SemaphoreLock<P>>(stage);
    all_of_buffer::<Bounded<P, 1>>(stage);
    all_of_buffer::<Bounded<P, 2>>(stage);
    all_of_buffer::<Monitor<P, 1>>(stage);
    all_of_buffer::<Monitor<P, 2>>(stage);
}

/// Runs every scenario of a lock.
pub fn all_of_lock<L: RawLock + Factory + 'static>(stage: &mut impl Stage) {
    mutex::all::<ProcessLocal<L>>(stage);
}

/// Runs every scenario of a condition variable.
pub fn all_of_condvar<C, L>(stage: &mut impl Stage)
where
    C: RawCondvar + Factory + 'static,
    L: RawLock + Factory + 'static,
{
    condvar::all::<ProcessLocal<C>, ProcessLocal<L>>(stage);
}

/// Runs every scenario of a bounded buffer.
pub fn all_of_buffer<B: Unregistered<Item = u64> + Factory + 'static>(stage: &mut impl Stage) {
    buffer::all_of::<ProcessLocal<B>>(stage);
}
