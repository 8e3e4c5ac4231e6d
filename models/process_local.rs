//! Models of the semaphore in a pipe, and of the primitives that are built on any semaphore.

use crate::buffer::CLOSING_AND_TIMEOUTS;
use crate::collector::{Collector, finish_sizes};
use interlatch::Pod;
use interlatch::channel::{
    AttachError, Buffer, Channel, ChannelError, RecvError, RecvTimeoutError, SendTimeoutError,
    TryRecvError, TrySendError, Unregistered,
};
use interlatch::channel::{Duplex, PipeBuffer};
use interlatch::platform::PipeStop;
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::{
    PipeSemaphore, RawCondvar, RawLock, SemaphoreCondvar, SemaphoreLock, Timeout,
};
use interlatch_check::Model;
use interlatch_check::Scenario;
use interlatch_contract::process_local::{self, Factory, ProcessLocal};
use interlatch_contract::{buffer, semaphore};
use std::sync::Mutex;
use std::time::Duration;

type PipeLock = SemaphoreLock<PipeSemaphore>;
type PipeCondvar = SemaphoreCondvar<PipeSemaphore>;
type Bounded<const N: usize> = process_local::Bounded<PipeSemaphore, N>;
type Monitor<const N: usize> = process_local::Monitor<PipeSemaphore, N>;

/// A kernel pipe as a buffer. It holds `N` atomic items, or `N` bytes of items in parts.
///
/// An item in parts contains a check that its parts belong together. With `TURNS`, a sender writes
/// its whole item before another sender begins.
#[derive(Debug)]
pub struct Kernel<T, const N: usize, const TURNS: bool = true>(PipeBuffer<T>);

impl<T: Item, const N: usize, const TURNS: bool> Factory for Kernel<T, N, TURNS> {
    fn create() -> Self {
        Self(T::buffer(N, TURNS))
    }
}

/// An item that encodes a number.
pub trait Item: Pod {
    fn from_number(number: u64) -> Self;
    fn number(self) -> u64;
    fn buffer(capacity: usize, turns: bool) -> PipeBuffer<Self>;
}

impl Item for u64 {
    fn from_number(number: u64) -> Self {
        number
    }

    fn number(self) -> u64 {
        self
    }

    fn buffer(capacity: usize, _turns: bool) -> PipeBuffer<Self> {
        PipeBuffer::with_capacity(capacity).expect("a model can create pipes")
    }
}

impl Item for [u64; 2] {
    fn from_number(number: u64) -> Self {
        [number, !number]
    }

    fn number(self) -> u64 {
        assert_eq!(self[1], !self[0], "the item is torn");
        self[0]
    }

    /// Creates a buffer with a capacity of `capacity` bytes (not items). The models pass sizes that
    /// are not multiples of the item size.
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
        let sent = self.0.send_with(endpoint, T::from_number(item), timeout);
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
    models.extend(locks::<PipeLock>("pipe_lock", exhaustive));
    models.extend(locks::<SemaphoreLock>("semaphore_lock", Collector::bounded));
    models.extend(condvars::<SemaphoreCondvar, SemaphoreLock>(
        "semaphore_condvar",
        Collector::bounded,
    ));
    models.extend(condvars::<PipeCondvar, PipeLock>(
        "pipe_condvar",
        exhaustive,
    ));
    models.extend(buffers::<Bounded<1>, Bounded<2>>(
        "pipe_bounded",
        exhaustive,
    ));
    models.extend(buffers::<Monitor<1>, Monitor<2>>(
        "pipe_monitor",
        Collector::bounded,
    ));
    models.extend(buffers::<Kernel<u64, 1>, Kernel<u64, 2>>(
        "pipe", exhaustive,
    ));
    models.extend(split_items());
    models.extend(duplexes());
    models
}

/// Whether the smaller models explore every execution or only executions up to a preemption bound.
type Limit = fn(Collector, usize, &[&'static str]) -> Collector;

fn exhaustive(models: Collector, _at_least: usize, _scenarios: &[&'static str]) -> Collector {
    models
}

fn semaphores() -> Vec<Model> {
    type Pipe = ProcessLocal<PipeSemaphore>;
    let mut models = Collector::new("pipe_semaphore")
        .bounded(
            3,
            &[
                "admits_no_more_than_its_permits",
                "each_release_wakes_a_waiter",
                "concurrent_releases_wake_two_waiters",
            ],
        )
        .bounded(2, &["later_release_wakes_the_last_waiter"]);
    semaphore::all_of_any_semaphore::<Pipe>(&mut models);
    let interrupted = Model::new("pipe_semaphore", || {
        semaphore::excludes_with_one_permit::<Pipe>(2).interruptions(2)
    });
    [models.finish(), vec![interrupted]].concat()
}

fn locks<L: RawLock + Factory + 'static>(name: &str, limit: Limit) -> Vec<Model> {
    let models = Collector::new(name).bounded(2, &["excludes/4"]);
    let mut models = limit(
        models,
        3,
        &["excludes/3", "timed_out_locker_takes_no_wakeup"],
    );
    process_local::all_of_lock::<L>(&mut models);
    models.finish()
}

fn condvars<C, L>(name: &str, limit: Limit) -> Vec<Model>
where
    C: RawCondvar + Factory + 'static,
    L: RawLock + Factory + 'static,
{
    let models = Collector::new(name)
        .bounded(
            2,
            &[
                "two_notifications_wake_two_waiters",
                "notify_all_wakes_every_waiter",
                "notify_all_wakes_waiters_of_different_conditions",
                "two_waiters_alternate",
                "notification_ends_no_later_wait",
                "timed_out_waiter_takes_no_notification",
            ],
        )
        .bounded(1, &["three_notifications_wake_three_waiters"]);
    let mut models = limit(
        models,
        4,
        &[
            "does_not_lose_wakeup",
            "does_not_lose_wakeup_sent_under_the_lock",
            "waiter_returns_only_after_a_notification",
            "unlocking_waiter_does_not_lose_wakeup",
        ],
    );
    process_local::all_of_condvar::<C, L>(&mut models);
    models.finish()
}

fn buffers<One, Two>(name: &str, limit: Limit) -> Vec<Model>
where
    One: Unregistered<Item = u64> + Factory + 'static,
    Two: Unregistered<Item = u64> + Factory + 'static,
{
    let one = Collector::new(&format!("{name}<1>"))
        .bounded(
            2,
            &[
                "delivers_each_once",
                "items_of_both_senders_arrive",
                "two_receivers_share_the_items",
                "dropping_one_of_two_senders_keeps_the_buffer_open",
                "closing_wakes_every_receiver",
                "closing_wakes_every_sender",
                "every_receiver_sees_disconnection",
                "every_sender_sees_disconnection",
                "timed_out_receiver_takes_no_item",
                "timed_out_sender_keeps_its_item",
                "batch_keeps_order",
                "batch_wakes_every_receiver",
                "every_batch_receiver_sees_disconnection",
                "timed_out_batch_loses_no_item",
                "timed_operations_lose_no_item",
            ],
        )
        .at_another_size(&["batch_receive_wakes_every_sender"]);
    let one = limit(one, 3, &["keeps_order", "never_exceeds_capacity"]);
    let mut one = limit(one, 2, &["closed_buffer_can_be_drained"]);
    process_local::all_of_buffer::<One>(&mut one);
    let two = Collector::new(&format!("{name}<2>"))
        .bounded(
            2,
            &[
                "never_exceeds_capacity",
                "items_of_both_senders_arrive",
                "two_receivers_share_the_items",
                "batch_keeps_order",
                "batch_wakes_every_receiver",
                "batch_receive_wakes_every_sender",
                "every_batch_receiver_sees_disconnection",
                "timed_out_batch_loses_no_item",
                "timed_operations_lose_no_item",
            ],
        )
        .at_another_size(&CLOSING_AND_TIMEOUTS);
    let mut two = limit(two, 3, &["keeps_order"]);
    process_local::all_of_buffer::<Two>(&mut two);
    finish_sizes([one, two])
}

/// Models of items that are written and read in parts.
///
/// An operation with a deadline does not begin an item that it might not finish.
fn split_items() -> Vec<Model> {
    type SplitItems = ProcessLocal<Kernel<[u64; 2], 20>>;
    type LargeItems = ProcessLocal<Kernel<[u64; 2], 12>>;
    type WithoutTurns = ProcessLocal<Kernel<[u64; 2], 12, false>>;
    let model = |build: fn() -> _| Model::new("pipe_of_split_items", build);
    vec![
        model(buffer::keeps_order::<SplitItems>),
        model(buffer::closed_buffer_can_be_drained::<SplitItems>),
        model(buffer::items_of_both_senders_arrive::<SplitItems>).bounded(2),
        model(buffer::two_receivers_share_the_items::<SplitItems>).bounded(2),
        Model::new("pipe_smaller_than_item", buffer::keeps_order::<LargeItems>).bounded(3),
        Model::new(
            "pipe_smaller_than_item",
            buffer::items_of_both_senders_arrive::<LargeItems>,
        )
        .bounded(2),
        Model::new(
            "pipe_smaller_than_item",
            buffer::two_receivers_share_the_items::<LargeItems>,
        )
        .bounded(2),
        model(buffer::closing_wakes_every_receiver::<SplitItems>).bounded(2),
        model(buffer::delivers_each_once::<SplitItems>).bounded(2),
        model(buffer::timed_out_receiver_takes_no_item::<SplitItems>).bounded(2),
        model(buffer::timed_out_sender_keeps_its_item::<SplitItems>).bounded(2),
        // A turn is a lock between processes, so the threads of one process do not need turns.
        Model::new(
            "pipe_without_turns",
            buffer::items_of_both_senders_arrive::<WithoutTurns>,
        )
        .bounded(2),
        Model::new(
            "pipe_without_turns",
            buffer::two_receivers_share_the_items::<WithoutTurns>,
        )
        .bounded(2),
        Model::new(
            "pipe_of_items_in_parts",
            timed_out_receivers_keep_the_parts_of_items::<PipeBuffer<u64>>,
        )
        .bounded(2),
    ]
}

/// Both sides of a duplex, each used by one process.
#[derive(Debug)]
struct Sides([Mutex<Duplex<u64>>; 2]);

impl Factory for Sides {
    fn create() -> Self {
        let (one, other) = Duplex::pair(1).expect("a model can create pipes");
        Self([one, other].map(Mutex::new))
    }
}

/// Both sides of a duplex may send more than the pipes hold before they receive.
///
/// Each side receives while it waits for free space. Without these receives, both sides would hang.
fn both_sides_send_before_they_receive() -> Scenario<ProcessLocal<Sides>> {
    fn talk<const ME: usize>(shared: &ProcessLocal<Sides>) {
        let mut side = shared.0.0[ME]
            .lock()
            .expect("no other process uses this side");
        (1..=2).for_each(|item| side.send(item).expect("the other side is connected"));
        let received = [(); 2].map(|()| side.recv().expect("the other side sends"));
        assert_eq!(received, [1, 2]);
    }
    Scenario::new(
        "both_sides_send_before_they_receive",
        vec![talk::<0>, talk::<1>],
    )
}

/// The items of a side that was dropped are received before the disconnection.
///
/// The other side sends until it is disconnected, and then receives.
fn items_of_a_dropped_side_are_received() -> Scenario<ProcessLocal<Sides>> {
    fn goes(shared: &ProcessLocal<Sides>) {
        let mut side = shared.0.0[0]
            .lock()
            .expect("no other process uses this side");
        side.send(1).expect("the pipe has room");
        let (_, mut other) = Duplex::pair(1).expect("a model can create pipes");
        core::mem::swap(&mut *side, &mut other);
        drop(other);
    }
    fn stays(shared: &ProcessLocal<Sides>) {
        let mut side = shared.0.0[1]
            .lock()
            .expect("no other process uses this side");
        // The number of sends is not fixed, because a real pipe holds more than the pipe of a
        // model.
        while side.send(2).is_ok() {}
        assert_eq!(side.recv(), Ok(1));
        assert_eq!(side.recv(), Err(RecvError::Disconnected));
    }
    Scenario::new("items_of_a_dropped_side_are_received", vec![goes, stays])
}

/// A side that cannot send stores at most as many items as its limit, and then fails.
///
/// Both pipes are full, and the other side does not receive. The stored item is received first.
fn full_duplex_stores_items_up_to_its_limit() -> Scenario<ProcessLocal<Sides>> {
    fn alone(_: &ProcessLocal<Sides>) {
        let (side, mut other) = Duplex::pair(1).expect("a model can create pipes");
        let mut side = side.with_limit(1);
        let filled = (0_u64..).take_while(|item| other.try_send(*item).is_ok());
        let filled = filled.count() as u64;
        while side.try_send(9).is_ok() {}
        let flooded = Err(SendTimeoutError::Failed(
            9,
            ChannelError::Flooded { limit: 1 },
        ));
        assert_eq!(side.send_with(9, Timeout::Infinite), flooded);
        assert_eq!(side.try_send(9), Err(TrySendError::Full(9)));
        for item in 0..filled {
            assert_eq!(side.try_recv(), Ok(item));
        }
        assert_eq!(side.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(other.try_recv(), Ok(9));
    }
    Scenario::new("full_duplex_stores_items_up_to_its_limit", vec![alone])
}

/// One side of a duplex, and the ends of a peer that does not use this crate.
#[derive(Debug)]
struct SideAndPeer {
    side: Mutex<Duplex<u64>>,
    peer: Mutex<Option<(Reader, Writer)>>,
}

impl Factory for SideAndPeer {
    fn create() -> Self {
        let (incoming, writer) = pipe::pipe(ITEM_SIZE).expect("a pipe");
        let (reader, outgoing) = pipe::pipe(ITEM_SIZE).expect("a pipe");
        Self {
            side: Mutex::new(Duplex::from_ends(incoming, outgoing)),
            peer: Mutex::new(Some((reader, writer))),
        }
    }
}

const ITEM_SIZE: usize = size_of::<u64>();

/// Writes all bytes, which the pipe of a model writes at once, even if a wait ends spuriously.
fn write_blocking(writer: &Writer, bytes: &[u8]) {
    while let Err(stop) = writer.write_blocking(bytes) {
        assert_eq!(stop, PipeStop::WouldBlock);
    }
}

/// A peer may write everything before it reads, and may close its sending end before it reads.
///
/// The side stores items while it waits for free space. If it waits only for free space, both
/// processes hang. After the end of the stream, it waits only for free space. If it still waited
/// for items, it would never sleep.
fn peer_writes_everything_before_it_reads() -> Scenario<ProcessLocal<SideAndPeer>> {
    fn send_and_receive(shared: &ProcessLocal<SideAndPeer>) {
        let side = shared.0.side.lock();
        let mut side = side.expect("no other process uses this side");
        (1..=2).for_each(|item| side.send(item).expect("the peer reads"));
        let received = [(); 2].map(|()| side.recv().expect("the peer has sent"));
        assert_eq!(received, [4, 5]);
        assert_eq!(side.recv(), Err(RecvError::Disconnected));
    }
    fn write_and_read(shared: &ProcessLocal<SideAndPeer>) {
        let ends = shared.0.peer.lock().map(|mut ends| ends.take());
        let (reader, writer) = ends.expect("no other process uses it").expect("both ends");
        (4..=5_u64).for_each(|item| write_blocking(&writer, &item.to_ne_bytes()));
        drop(writer);
        for item in 1..=2_u64 {
            let mut bytes = [0; ITEM_SIZE];
            while reader.read_blocking(&mut bytes) != Ok(ITEM_SIZE) {}
            assert_eq!(bytes, item.to_ne_bytes());
        }
    }
    Scenario::new(
        "peer_writes_everything_before_it_reads",
        vec![send_and_receive, write_and_read],
    )
}

/// A receiver of items that arrive in parts.
pub trait PartsReceiver: Sync + 'static {
    fn from_reader(reader: Reader) -> Self;
    fn receive(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError>;
}

impl PartsReceiver for PipeBuffer<u64> {
    fn from_reader(reader: Reader) -> Self {
        Self::from_ends(Some(reader), None, None)
    }

    fn receive(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError> {
        self.recv_unregistered(timeout)
    }
}

/// A pipe whose items a writer that does not use this crate writes in parts.
#[derive(Debug)]
pub struct Parts<R> {
    receiver: R,
    writer: Writer,
    received: Mutex<Vec<u64>>,
}

/// An item that consists of one byte, so its parts may arrive in any order.
const UNIFORM: u64 = u64::from_ne_bytes([7; ITEM_SIZE]);

impl<R: PartsReceiver> Parts<R> {
    fn write(&self, count: usize) {
        write_blocking(&self.writer, &[7; ITEM_SIZE][..count]);
    }

    /// Receives an item unless the timeout expires. Returns whether an item was received.
    fn receive(&self, timeout: Timeout) -> bool {
        match self.receiver.receive(timeout) {
            Ok(item) => self.received.lock().expect("no process panics").push(item),
            Err(error) => {
                assert_eq!(error, RecvTimeoutError::Timeout);
                return false;
            }
        }
        true
    }
}

impl<R: PartsReceiver> Factory for Parts<R> {
    fn create() -> Self {
        let (reader, writer) = pipe::pipe(3 * ITEM_SIZE).expect("a pipe");
        Self {
            receiver: R::from_reader(reader),
            writer,
            received: Mutex::default(),
        }
    }
}

/// Two receivers that time out within an item lose none of its bytes.
///
/// Each of them may have read most of an item. The bytes that both of them leave are more than an
/// item.
pub fn timed_out_receivers_keep_the_parts_of_items<R: PartsReceiver>()
-> Scenario<ProcessLocal<Parts<R>>> {
    fn receive<R: PartsReceiver>(shared: &ProcessLocal<Parts<R>>) {
        shared.0.receive(Timeout::after(Duration::from_micros(50)));
    }
    fn write_parts<R: PartsReceiver>(shared: &ProcessLocal<Parts<R>>) {
        shared.0.write(5);
        shared.0.write(5);
    }
    Scenario::new(
        "timed_out_receivers_keep_the_parts_of_items",
        vec![receive as fn(&ProcessLocal<Parts<R>>), receive, write_parts],
    )
    .verify(|shared| {
        shared.0.write(6);
        while shared.0.receive(Timeout::NonBlocking) {}
        let received = shared.0.received.lock().expect("no process panics");
        assert_eq!(*received, [UNIFORM; 2]);
    })
    .choices(8)
}

fn duplexes() -> Vec<Model> {
    vec![
        Model::new("duplex", full_duplex_stores_items_up_to_its_limit),
        Model::new("duplex", both_sides_send_before_they_receive),
        Model::new("duplex", items_of_a_dropped_side_are_received),
        Model::new("duplex", peer_writes_everything_before_it_reads).bounded(2),
    ]
}
