//! The semaphore in a pipe, and what is made of it by the source that is made of any semaphore.

use interlatch::buffer::{Buffer, End, RecvTimeoutError, SendTimeoutError};
use interlatch::check::Model;
use interlatch::contract::{buffer, condvar, lock, semaphore};
use interlatch::sync::{
    Condition, Held, Lock, Patience, Permits, PipeSemaphore, SemaphoreCondvar, SemaphoreLock,
};
use interlatch::{BoundedBuffer, InPlace, MonitorBuffer, PermitOverflow, SemaphorePair, Slot};

/// What a process has of its own, not in shared memory: in a model there is one address space.
#[derive(Debug)]
struct Private<T>(T);

/// Something that can be made in a model.
trait Fresh: Sync {
    fn fresh() -> Self;
}

// SAFETY: the models run it in one address space.
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

impl Fresh for PipeSemaphore {
    fn fresh() -> Self {
        Self::new(0).expect("a model has pipes")
    }
}

impl Fresh for SemaphoreLock<PipeSemaphore> {
    fn fresh() -> Self {
        Self::in_a_pipe().expect("a model has pipes")
    }
}

fn pipe(permits: u32) -> PipeSemaphore {
    PipeSemaphore::new(permits).expect("a model has pipes")
}

impl Fresh for SemaphoreCondvar<PipeSemaphore> {
    fn fresh() -> Self {
        Self::from_parts([pipe(1), pipe(0), pipe(0), pipe(0)])
    }
}

impl Fresh for SemaphoreCondvar {
    fn fresh() -> Self {
        Self::new()
    }
}

impl Fresh for SemaphoreLock {
    fn fresh() -> Self {
        Self::new()
    }
}

type PipeLock = SemaphoreLock<PipeSemaphore>;
type PipeCondvar = SemaphoreCondvar<PipeSemaphore>;
type Bounded<const N: usize> = BoundedBuffer<u64, [Slot<u64>; N], PipeSemaphore, PipeLock>;
type Monitor<const N: usize> = MonitorBuffer<u64, [Slot<u64>; N], PipeCondvar, PipeLock>;

fn slots<const N: usize>() -> [Slot<u64>; N] {
    core::array::from_fn(|_| Slot::new())
}

impl<const N: usize> Fresh for Bounded<N> {
    fn fresh() -> Self {
        let turns = SemaphorePair::from_parts(pipe(N as u32), pipe(0));
        Self::from_parts(turns, PipeLock::fresh(), slots())
    }
}

impl<const N: usize> Fresh for Monitor<N> {
    fn fresh() -> Self {
        Self::from_parts(
            PipeCondvar::fresh(),
            PipeCondvar::fresh(),
            PipeLock::fresh(),
            slots(),
        )
    }
}

pub fn models() -> Vec<Model> {
    let mut models = semaphores();
    models.extend(locks::<PipeLock>("pipe_lock", every));
    models.extend(locks::<SemaphoreLock>("semaphore_lock", Model::bounded));
    models.extend(condvars::<SemaphoreCondvar, SemaphoreLock>(
        "semaphore_condvar",
        Model::bounded,
    ));
    models.extend(condvars::<PipeCondvar, PipeLock>("pipe_condvar", every));
    models.extend(buffers::<Bounded<1>, Bounded<2>>("pipe_bounded", every));
    models.extend(buffers::<Monitor<1>, Monitor<2>>(
        "pipe_monitor",
        Model::bounded,
    ));
    models
}

/// How far the smaller models go: in every order, where that ends, or by preemptions.
type Limit = fn(Model, usize) -> Model;

fn every(model: Model, _preemptions: usize) -> Model {
    model
}

fn semaphores() -> Vec<Model> {
    type Pipe = Private<PipeSemaphore>;
    let model = |build: fn() -> _| Model::new("pipe_semaphore", build);
    vec![
        model(semaphore::publishes_writes::<Pipe>),
        model(|| semaphore::excludes_with_one_permit::<Pipe>(2)),
        model(|| semaphore::excludes_with_one_permit::<Pipe>(3)),
        model(semaphore::admits_no_more_than_its_permits::<Pipe>).bounded(3),
        model(semaphore::each_release_lets_one_go::<Pipe>).bounded(3),
        model(semaphore::releases_by_two_let_two_go::<Pipe>).bounded(3),
        model(semaphore::a_release_of_many_lets_many_go::<Pipe>),
        model(semaphore::a_timed_out_acquirer_takes_nothing_along::<Pipe>),
        model(|| semaphore::excludes_with_one_permit::<Pipe>(2).interruptions(2)),
        model(semaphore::later_releases_find_the_last_waiter::<Pipe>).bounded(2),
        model(semaphore::counts_each_permit::<Pipe>),
        model(semaphore::answers_odd_timeouts::<Pipe>),
    ]
}

fn locks<L: Lock + Fresh + 'static>(name: &'static str, limit: Limit) -> Vec<Model> {
    let model = move |build: fn() -> _| Model::new(name, build);
    vec![
        model(|| lock::excludes::<Private<L>>(2)),
        limit(model(|| lock::excludes::<Private<L>>(3)), 3),
        model(lock::can_be_taken_again::<Private<L>>),
        model(lock::publishes_writes::<Private<L>>),
        limit(
            model(lock::a_timed_out_locker_takes_nothing_along::<Private<L>>),
            3,
        ),
        model(lock::answers_odd_timeouts::<Private<L>>),
    ]
}

fn condvars<C, L>(name: &'static str, limit: Limit) -> Vec<Model>
where
    C: Condition + Fresh + 'static,
    L: Lock + Fresh + 'static,
{
    let model = move |build: fn() -> _| Model::new(name, build);
    vec![
        limit(
            model(condvar::does_not_lose_wakeup::<Private<C>, Private<L>>),
            4,
        ),
        limit(
            model(condvar::does_not_lose_wakeup_under_the_lock::<Private<C>, Private<L>>),
            4,
        ),
        model(condvar::one_notification_wakes_one::<Private<C>, Private<L>>).bounded(2),
        model(condvar::notify_all_wakes_everyone::<Private<C>, Private<L>>).bounded(2),
        model(condvar::hands_back_and_forth::<Private<C>, Private<L>>).bounded(2),
        model(condvar::a_timed_out_waiter_eats_no_notification::<Private<C>, Private<L>>)
            .bounded(2),
        model(condvar::answers_odd_timeouts::<Private<C>, Private<L>>),
    ]
}

fn buffers<One, Two>(name: &'static str, limit: Limit) -> Vec<Model>
where
    One: Buffer<Item = u64> + Fresh + 'static,
    Two: Buffer<Item = u64> + Fresh + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        limit(one(buffer::keeps_order::<Private<One>>), 3),
        limit(two(buffer::keeps_order::<Private<Two>>), 3),
        limit(one(buffer::never_exceeds_capacity::<Private<One>>), 3),
        one(buffer::a_closed_buffer_stays_closed::<Private<One>>),
        limit(
            one(buffer::closing_lets_receivers_drain_and_end::<Private<One>>),
            2,
        ),
        one(buffer::two_receivers_share::<Private<One>>).bounded(2),
        one(buffer::closing_wakes_every_receiver::<Private<One>>).bounded(2),
        one(buffer::closing_wakes_every_sender::<Private<One>>).bounded(2),
        one(buffer::an_impatient_receiver_takes_nothing_along::<Private<One>>).bounded(2),
        one(buffer::an_impatient_sender_leaves_nothing_behind::<Private<One>>).bounded(2),
        one(buffer::answers_odd_timeouts::<Private<One>>),
        two(buffer::every_way_to_send_and_receive_passes_items::<Private<Two>>),
        one(buffer::delivers_each_once::<Private<One>>).bounded(2),
    ]
}
