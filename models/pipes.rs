//! The semaphore in a pipe, and what is made of it by the source that is made of any semaphore.

use interlatch::channel::Duplex;
use interlatch::channel::{
    AttachError, Buffer, Channel, RecvError, RecvTimeoutError, SendTimeoutError, Unregistered,
};
use interlatch::platform::pipe;
use interlatch::sync::{
    PipeSemaphore, RawCondvar, RawLock, SemaphoreCondvar, SemaphoreLock, Timeout,
};
use interlatch::{PipeBuffer, Pod};
use interlatch_check::Model;
use interlatch_check::Scenario;
use interlatch_contract::process_local::{self, Factory, ProcessLocal};
use interlatch_contract::{buffer, condvar, lock, semaphore};
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

impl<T: Item, const N: usize, const TURNS: bool> Channel for Kernel<T, N, TURNS> {
    type SendEndpoint<'a> = <PipeBuffer<T> as Channel>::SendEndpoint<'a>;
    type RecvEndpoint<'a> = <PipeBuffer<T> as Channel>::RecvEndpoint<'a>;

    fn attach_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError> {
        self.0.attach_sender()
    }

    fn attach_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError> {
        self.0.attach_receiver()
    }
}

impl<T: Item, const N: usize, const TURNS: bool> Unregistered for Kernel<T, N, TURNS> {
    fn unregistered_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError> {
        self.0.unregistered_sender()
    }

    fn unregistered_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError> {
        self.0.unregistered_receiver()
    }
}

impl<T: Item, const N: usize, const TURNS: bool> Buffer for Kernel<T, N, TURNS> {
    type Item = u64;

    fn send_with(
        &self,
        endpoint: &Self::SendEndpoint<'_>,
        item: u64,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<u64>> {
        let sent = self.0.send_with(endpoint, T::of(item), timeout);
        sent.map_err(|error| error.map(T::number))
    }

    fn recv_with(
        &self,
        endpoint: &Self::RecvEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        self.0.recv_with(endpoint, timeout).map(T::number)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
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

fn locks<L: RawLock + Factory + 'static>(name: &'static str, limit: Limit) -> Vec<Model> {
    let model = move |build: fn() -> _| Model::new(name, build);
    vec![
        model(|| lock::excludes::<ProcessLocal<L>>(2)),
        limit(model(|| lock::excludes::<ProcessLocal<L>>(3)), 3),
        model(lock::can_be_taken_again::<ProcessLocal<L>>),
        model(lock::publishes_writes::<ProcessLocal<L>>),
        limit(
            model(lock::a_timed_out_locker_takes_nothing_along::<ProcessLocal<L>>),
            3,
        ),
        model(lock::answers_odd_timeouts::<ProcessLocal<L>>),
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
            model(condvar::does_not_lose_wakeup_under_the_lock::<ProcessLocal<C>, ProcessLocal<L>>),
            4,
        ),
        model(condvar::one_notification_wakes_one::<ProcessLocal<C>, ProcessLocal<L>>).bounded(2),
        model(condvar::notify_all_wakes_everyone::<ProcessLocal<C>, ProcessLocal<L>>).bounded(2),
        model(condvar::hands_back_and_forth::<ProcessLocal<C>, ProcessLocal<L>>).bounded(2),
        model(condvar::a_timed_out_waiter_eats_no_notification::<ProcessLocal<C>, ProcessLocal<L>>)
            .bounded(2),
        model(condvar::answers_odd_timeouts::<ProcessLocal<C>, ProcessLocal<L>>),
    ]
}

fn buffers<One, Two>(name: &'static str, limit: Limit) -> Vec<Model>
where
    One: Unregistered<Item = u64> + Factory + 'static,
    Two: Unregistered<Item = u64> + Factory + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        limit(one(buffer::keeps_order::<ProcessLocal<One>>), 3),
        limit(two(buffer::keeps_order::<ProcessLocal<Two>>), 3),
        limit(one(buffer::never_exceeds_capacity::<ProcessLocal<One>>), 3),
        one(buffer::a_closed_buffer_stays_closed::<ProcessLocal<One>>),
        limit(
            one(buffer::closing_lets_receivers_drain_and_end::<ProcessLocal<One>>),
            2,
        ),
        one(buffer::two_receivers_share::<ProcessLocal<One>>).bounded(2),
        one(buffer::closing_wakes_every_receiver::<ProcessLocal<One>>).bounded(2),
        one(buffer::closing_wakes_every_sender::<ProcessLocal<One>>).bounded(2),
        one(buffer::an_impatient_receiver_takes_nothing_along::<ProcessLocal<One>>).bounded(2),
        one(buffer::an_impatient_sender_leaves_nothing_behind::<ProcessLocal<One>>).bounded(2),
        one(buffer::answers_odd_timeouts::<ProcessLocal<One>>),
        two(buffer::every_way_to_send_and_receive_passes_items::<ProcessLocal<Two>>),
        one(buffer::delivers_each_once::<ProcessLocal<One>>).bounded(2),
    ]
}

/// Items that go in pieces. Who has a deadline begins with none that it could not end.
fn pieces() -> Vec<Model> {
    type Pieces = ProcessLocal<Kernel<[u64; 2], 20>>;
    type Large = ProcessLocal<Kernel<[u64; 2], 12>>;
    type Threads = ProcessLocal<Kernel<[u64; 2], 12, false>>;
    let model = |build: fn() -> _| Model::new("pipe_in_pieces", build);
    vec![
        model(buffer::keeps_order::<Pieces>),
        model(buffer::closing_lets_receivers_drain_and_end::<Pieces>),
        model(buffer::two_senders_are_both_heard::<Pieces>).bounded(2),
        model(buffer::two_receivers_share::<Pieces>).bounded(2),
        Model::new("pipe_of_less", buffer::keeps_order::<Large>).bounded(3),
        Model::new("pipe_of_less", buffer::two_senders_are_both_heard::<Large>).bounded(2),
        Model::new("pipe_of_less", buffer::two_receivers_share::<Large>).bounded(2),
        model(buffer::closing_wakes_every_receiver::<Pieces>).bounded(2),
        model(buffer::delivers_each_once::<Pieces>).bounded(2),
        model(buffer::an_impatient_receiver_takes_nothing_along::<Pieces>).bounded(2),
        model(buffer::an_impatient_sender_leaves_nothing_behind::<Pieces>).bounded(2),
        // Of threads of one process, without the locks that processes need.
        Model::new(
            "pipe_of_threads",
            buffer::two_senders_are_both_heard::<Threads>,
        )
        .bounded(2),
        Model::new("pipe_of_threads", buffer::two_receivers_share::<Threads>).bounded(2),
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
fn both_send_first() -> Scenario<ProcessLocal<Sides>> {
    fn talk<const ME: usize>(shared: &ProcessLocal<Sides>) {
        let mut side = shared.0.0[ME].lock().expect("nobody else uses this side");
        (1..=2).for_each(|item| side.send(item).expect("the other side is there"));
        let received = [(); 2].map(|()| side.recv().expect("the other side has sent"));
        assert_eq!(received, [1, 2]);
    }
    Scenario::new("both_send_first", vec![talk::<0>, talk::<1>])
}

/// One sends too much and goes; the other one, which sends too, gets all of it.
fn who_goes_is_heard_to_the_end() -> Scenario<ProcessLocal<Sides>> {
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
        assert_eq!(side.recv(), Err(RecvError::Disconnected));
    }
    Scenario::new("who_goes_is_heard_to_the_end", vec![goes, stays])
}

fn duplexes() -> Vec<Model> {
    vec![
        Model::new("duplex", both_send_first),
        Model::new("duplex", who_goes_is_heard_to_the_end),
    ]
}
