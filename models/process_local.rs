//! The semaphore in a pipe, and what is made of it by the source that is made of any semaphore.

use interlatch::channel::Duplex;
use interlatch::channel::{Buffer, Direction, RecvTimeoutError, SendTimeoutError};
use interlatch::platform::pipe;
use interlatch::sync::{
    PipeSemaphore, RawCondvar, RawLock, SemaphoreCondvar, SemaphoreLock, Timeout,
};
use interlatch::{PipeBuffer, Pod};
use interlatch_check::Model;
use interlatch_check::Scenario;
use interlatch_contract::process_local::{self, Factory, ProcessLocal};
use interlatch_contract::{buffer, condvar, mutex, semaphore};
use std::sync::Mutex;

type PipeLock = SemaphoreLock<PipeSemaphore>;
type PipeCondvar = SemaphoreCondvar<PipeSemaphore>;
type Bounded<const N: usize> = process_local::Bounded<PipeSemaphore, N>;
type Monitor<const N: usize> = process_local::Monitor<PipeSemaphore, N>;

/// The kernel's own pipe of so many items, which go in one piece, or of so many bytes for items in several: then it is looked at
/// whether the pieces belong together.
#[derive(Debug)]
pub struct Kernel<T, const N: usize, const TURNS: bool = true>(PipeBuffer<T>);

impl<T: Item, const N: usize, const TURNS: bool> Factory for Kernel<T, N, TURNS> {
    fn create() -> Self {
        Self(T::buffer(N, TURNS))
    }
}

/// An item that a number can be told from.
pub trait Item: Pod {
    fn of(number: u64) -> Self;
    fn number(self) -> u64;
    fn buffer(capacity: usize, turns: bool) -> PipeBuffer<Self>;
}

impl Item for u64 {
    fn of(number: u64) -> Self {
        number
    }

    fn number(self) -> u64 {
        self
    }

    fn buffer(capacity: usize, _turns: bool) -> PipeBuffer<Self> {
        PipeBuffer::with_capacity(capacity).expect("a model has pipes")
    }
}

impl Item for [u64; 2] {
    fn of(number: u64) -> Self {
        [number, !number]
    }

    fn number(self) -> u64 {
        assert_eq!(self[1], !self[0], "torn");
        self[0]
    }

    /// In a pipe of so many bytes, which is no whole number of items.
    fn buffer(capacity: usize, turns: bool) -> PipeBuffer<Self> {
        let (reader, writer) = pipe::pipe(capacity).expect("a pipe");
        PipeBuffer::from_ends(
            Some(reader),
            Some(writer),
            turns.then(|| [PipeLock::create(), PipeLock::create()]),
        )
    }
}

fn with_number<T: Item>(error: SendTimeoutError<T>) -> SendTimeoutError<u64> {
    match error {
        SendTimeoutError::Timeout(item) => SendTimeoutError::Timeout(item.number()),
        SendTimeoutError::Disconnected(item) => SendTimeoutError::Disconnected(item.number()),
    }
}

impl<T: Item, const N: usize, const TURNS: bool> Buffer for Kernel<T, N, TURNS> {
    type Item = u64;
    type Endpoint<'a> = <PipeBuffer<T> as Buffer>::Endpoint<'a>;
    type AttachError = <PipeBuffer<T> as Buffer>::AttachError;

    fn send_with(&self, item: u64, timeout: Timeout) -> Result<(), SendTimeoutError<u64>> {
        let sent = self.0.send_with(T::of(item), timeout);
        sent.map_err(with_number)
    }

    fn recv_with(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError> {
        self.0.recv_with(timeout).map(T::number)
    }

    fn send_seated(
        &self,
        seat: &Self::Endpoint<'_>,
        item: u64,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<u64>> {
        let sent = self.0.send_seated(seat, T::of(item), timeout);
        sent.map_err(with_number)
    }

    fn recv_seated(
        &self,
        seat: &Self::Endpoint<'_>,
        timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        self.0.recv_seated(seat, timeout).map(T::number)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn attach(&self, end: Direction) -> Result<Self::Endpoint<'_>, Self::AttachError> {
        self.0.attach(end)
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
    models.extend(buffers::<Kernel<u64, 1>, Kernel<u64, 2>>("pipe", every));
    models.extend(pieces());
    models.extend(duplexes());
    models
}

/// How far the smaller models go: in every order, where that ends, or by preemptions.
type Limit = fn(Model, usize) -> Model;

fn every(model: Model, _preemptions: usize) -> Model {
    model
}

fn semaphores() -> Vec<Model> {
    type Pipe = ProcessLocal<PipeSemaphore>;
    let model = |build: fn() -> _| Model::new("pipe_semaphore", build);
    vec![
        model(semaphore::publishes_writes::<Pipe>),
        model(|| semaphore::excludes_with_one_permit::<Pipe>(2)),
        model(|| semaphore::excludes_with_one_permit::<Pipe>(3)),
        model(semaphore::admits_no_more_than_its_permits::<Pipe>).bounded(3),
        model(semaphore::each_release_wakes_a_waiter::<Pipe>).bounded(3),
        model(semaphore::concurrent_releases_wake_two_waiters::<Pipe>).bounded(3),
        model(semaphore::release_of_two_wakes_two_waiters::<Pipe>),
        model(semaphore::timed_out_acquirer_takes_no_permit::<Pipe>),
        model(|| semaphore::excludes_with_one_permit::<Pipe>(2).interruptions(2)),
        model(semaphore::later_release_wakes_the_last_waiter::<Pipe>).bounded(2),
        model(semaphore::counts_each_permit::<Pipe>),
        model(semaphore::handles_extreme_timeouts::<Pipe>),
    ]
}

fn locks<L: RawLock + Factory + 'static>(name: &'static str, limit: Limit) -> Vec<Model> {
    let model = move |build: fn() -> _| Model::new(name, build);
    vec![
        model(|| mutex::excludes::<ProcessLocal<L>>(2)),
        limit(model(|| mutex::excludes::<ProcessLocal<L>>(3)), 3),
        model(mutex::locks_again_after_contention::<ProcessLocal<L>>),
        model(mutex::publishes_writes::<ProcessLocal<L>>),
        limit(
            model(mutex::timed_out_locker_takes_no_wakeup::<ProcessLocal<L>>),
            3,
        ),
        model(mutex::handles_extreme_timeouts::<ProcessLocal<L>>),
    ]
}

fn condvars<C, L>(name: &'static str, limit: Limit) -> Vec<Model>
where
    C: RawCondvar + Factory + 'static,
    L: RawLock + Factory + 'static,
{
    let model = move |build: fn() -> _| Model::new(name, build);
    vec![
        limit(
            model(condvar::does_not_lose_wakeup::<ProcessLocal<C>, ProcessLocal<L>>),
            4,
        ),
        limit(
            model(
                condvar::does_not_lose_wakeup_sent_under_the_lock::<ProcessLocal<C>, ProcessLocal<L>>,
            ),
            4,
        ),
        model(condvar::two_notifications_wake_two_waiters::<ProcessLocal<C>, ProcessLocal<L>>)
            .bounded(2),
        model(condvar::notify_all_wakes_every_waiter::<ProcessLocal<C>, ProcessLocal<L>>)
            .bounded(2),
        model(condvar::two_waiters_alternate::<ProcessLocal<C>, ProcessLocal<L>>).bounded(2),
        model(condvar::timed_out_waiter_takes_no_notification::<ProcessLocal<C>, ProcessLocal<L>>)
            .bounded(2),
        model(condvar::handles_extreme_timeouts::<ProcessLocal<C>, ProcessLocal<L>>),
    ]
}

fn buffers<One, Two>(name: &'static str, limit: Limit) -> Vec<Model>
where
    One: Buffer<Item = u64> + Factory + 'static,
    Two: Buffer<Item = u64> + Factory + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        limit(one(buffer::keeps_order::<ProcessLocal<One>>), 3),
        limit(two(buffer::keeps_order::<ProcessLocal<Two>>), 3),
        limit(one(buffer::never_exceeds_capacity::<ProcessLocal<One>>), 3),
        one(buffer::closed_buffer_stays_closed::<ProcessLocal<One>>),
        limit(
            one(buffer::closed_buffer_can_be_drained::<ProcessLocal<One>>),
            2,
        ),
        one(buffer::two_receivers_share_the_items::<ProcessLocal<One>>).bounded(2),
        one(buffer::closing_wakes_every_receiver::<ProcessLocal<One>>).bounded(2),
        one(buffer::closing_wakes_every_sender::<ProcessLocal<One>>).bounded(2),
        one(buffer::timed_out_receiver_takes_no_item::<ProcessLocal<One>>).bounded(2),
        one(buffer::timed_out_sender_keeps_its_item::<ProcessLocal<One>>).bounded(2),
        one(buffer::handles_extreme_timeouts::<ProcessLocal<One>>),
        two(buffer::every_send_and_receive_method_passes_items::<ProcessLocal<Two>>),
        one(buffer::delivers_each_once::<ProcessLocal<One>>).bounded(2),
    ]
}

/// Items that go in pieces. Who has a deadline begins with none that it could not end.
fn pieces() -> Vec<Model> {
    type Pieces = ProcessLocal<Kernel<[u64; 2], 20>>;
    type Large = ProcessLocal<Kernel<[u64; 2], 12>>;
    type Threads = ProcessLocal<Kernel<[u64; 2], 12, false>>;
    let model = |build: fn() -> _| Model::new("pipe_of_split_items", build);
    vec![
        model(buffer::keeps_order::<Pieces>),
        model(buffer::closed_buffer_can_be_drained::<Pieces>),
        model(buffer::items_of_both_senders_arrive::<Pieces>).bounded(2),
        model(buffer::two_receivers_share_the_items::<Pieces>).bounded(2),
        Model::new("pipe_smaller_than_item", buffer::keeps_order::<Large>).bounded(3),
        Model::new(
            "pipe_smaller_than_item",
            buffer::items_of_both_senders_arrive::<Large>,
        )
        .bounded(2),
        Model::new(
            "pipe_smaller_than_item",
            buffer::two_receivers_share_the_items::<Large>,
        )
        .bounded(2),
        model(buffer::closing_wakes_every_receiver::<Pieces>).bounded(2),
        model(buffer::delivers_each_once::<Pieces>).bounded(2),
        model(buffer::timed_out_receiver_takes_no_item::<Pieces>).bounded(2),
        model(buffer::timed_out_sender_keeps_its_item::<Pieces>).bounded(2),
        // Of threads of one process, without the locks that processes need.
        Model::new(
            "pipe_without_turns",
            buffer::items_of_both_senders_arrive::<Threads>,
        )
        .bounded(2),
        Model::new(
            "pipe_without_turns",
            buffer::two_receivers_share_the_items::<Threads>,
        )
        .bounded(2),
    ]
}

/// Both sides of a two-way link, each used by one process.
#[derive(Debug)]
struct Sides([Mutex<Duplex<u64>>; 2]);

impl Factory for Sides {
    fn create() -> Self {
        let (here, there) = Duplex::pair(1).expect("a model has pipes");
        Self([here, there].map(Mutex::new))
    }
}

/// Both send more than fits, and only then receive.
fn both_sides_send_before_they_receive() -> Scenario<ProcessLocal<Sides>> {
    fn talk<const ME: usize>(shared: &ProcessLocal<Sides>) {
        let mut side = shared.0.0[ME].lock().expect("nobody else uses this side");
        (1..=2).for_each(|item| side.send(item).expect("the other side is there"));
        let received = [(); 2].map(|()| side.recv().expect("the other side has sent"));
        assert_eq!(received, [1, 2]);
    }
    Scenario::new(
        "both_sides_send_before_they_receive",
        vec![talk::<0>, talk::<1>],
    )
}

/// One sends too much and goes; the other one, which sends too, gets all of it.
fn items_of_a_dropped_side_are_received() -> Scenario<ProcessLocal<Sides>> {
    fn goes(shared: &ProcessLocal<Sides>) {
        let mut side = shared.0.0[0].lock().expect("nobody else uses this side");
        side.send(1).expect("there is room");
        let (_, mut other) = Duplex::pair(1).expect("a model has pipes");
        core::mem::swap(&mut *side, &mut other);
        drop(other);
    }
    fn stays(shared: &ProcessLocal<Sides>) {
        let mut side = shared.0.0[1].lock().expect("nobody else uses this side");
        // Until it hears of it: the pipes of a machine have more room than those of a model.
        while side.send(2).is_ok() {}
        assert_eq!(side.recv(), Ok(1));
        assert_eq!(side.recv(), Err(RecvTimeoutError::Disconnected));
    }
    Scenario::new("items_of_a_dropped_side_are_received", vec![goes, stays])
}

fn duplexes() -> Vec<Model> {
    vec![
        Model::new("duplex", both_sides_send_before_they_receive),
        Model::new("duplex", items_of_a_dropped_side_are_received),
    ]
}
