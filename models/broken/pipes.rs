//! Pipes, and what is made of semaphores, with a step left out.

use crate::pipes::{Item, Kernel};
use interlatch::buffer::{Disconnected, End, RecvTimeoutError, Seat, SendTimeoutError};
use interlatch::check::FailureKind::{Deadlock, WrongResult};
use interlatch::check::Model;
use interlatch::contract::private::{Countable, Fresh, Private};
use interlatch::contract::{Scenario, buffer, condvar, semaphore};
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::{Condition, Held, Lock, Patience, Permits, PipeSemaphore, SemaphoreLock};
use interlatch::{Buffer, PermitOverflow, PipeBuffer};
use zerocopy::IntoBytes;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("acquirer_that_believes_poll", WrongResult, || {
            semaphore::admits_no_more_than_its_permits::<Private<Believing>>()
        }),
        Model::broken("condvar_whose_notifier_does_not_wait", Deadlock, || {
            condvar::hands_back_and_forth::<
                Private<Flawed<HASTY>>,
                Private<SemaphoreLock<PipeSemaphore>>,
            >()
        }),
        Model::broken("condvar_whose_waiter_leaves_its_entry", Deadlock, || {
            condvar::a_timed_out_waiter_eats_no_notification::<
                Private<Flawed<FORGETFUL>>,
                Private<SemaphoreLock<PipeSemaphore>>,
            >()
        }),
        Model::broken("items_in_pieces_without_a_turn", WrongResult, || {
            buffer::two_senders_are_both_heard::<Private<Torn>>()
        }),
        Model::broken("two_way_pipe_that_both_fill", Deadlock, both_fill),
        Model::broken("pipe_whose_receiver_keeps_a_sending_end", Deadlock, || {
            Scenario::new("hears_the_end", vec![send_one, receive_all])
        }),
    ]
}

/// A semaphore whose acquirer waits until there is something to read, and takes it for granted that it is the
/// one who reads it.
#[derive(Debug)]
pub struct Believing(Reader, Writer);

impl Fresh for Believing {
    fn fresh() -> Self {
        let (reader, writer) = pipe::pipe(8).expect("a model has pipes");
        Self(reader, writer)
    }
}

impl Permits for Believing {
    fn acquire_within(&self, patience: Patience) -> bool {
        // The scenario's acquirers have all the time there is.
        assert_eq!(patience, Patience::Forever);
        self.0.wait(None).expect("a model has memory");
        let _ = self.0.read(&mut [0]);
        true
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        let _ = self.1.write(&[0; 8][..count as usize]);
        Ok(())
    }
}

/// Who notifies does not wait until a waiter has taken the wake-up: one that comes later, or it itself, may
/// take it.
const HASTY: u8 = 0;
/// A waiter whose time is over leaves its entry on the list: a notifier waits for its answer.
const FORGETFUL: u8 = 1;

/// `SemaphoreCondvar`, with a step left out.
#[derive(Debug)]
pub struct Flawed<const FLAW: u8> {
    entry: PipeSemaphore,
    waiting: PipeSemaphore,
    wakes: PipeSemaphore,
    woken: PipeSemaphore,
}

impl<const FLAW: u8> Fresh for Flawed<FLAW> {
    fn fresh() -> Self {
        let [entry, waiting, wakes, woken] = [1, 0, 0, 0].map(PipeSemaphore::with);
        Self {
            entry,
            waiting,
            wakes,
            woken,
        }
    }
}

impl<const FLAW: u8> Flawed<FLAW> {
    fn wait(&self, patience: Patience) -> bool {
        if !self.wakes.acquire_within(patience) {
            if FLAW == FORGETFUL || self.waiting.acquire_within(Patience::Never) {
                return false;
            }
            take(&self.wakes);
        }
        give(&self.woken, 1);
        true
    }

    fn notify(&self, most: u32) {
        take(&self.entry);
        let listed = (0..most).take_while(|_| self.waiting.acquire_within(Patience::Never));
        let count = listed.count() as u32;
        give(&self.wakes, count);
        if FLAW != HASTY {
            (0..count).for_each(|_| take(&self.woken));
        }
        give(&self.entry, 1);
    }
}

fn take(semaphore: &PipeSemaphore) {
    assert!(semaphore.acquire_within(Patience::Forever));
}

fn give(semaphore: &PipeSemaphore, count: u32) {
    semaphore.release(count).expect("few");
}

impl<const FLAW: u8> Condition for Flawed<FLAW> {
    fn wait_within<L: Lock>(&self, held: &mut Held<'_, L>, patience: Patience) -> bool {
        take(&self.entry);
        give(&self.waiting, 1);
        give(&self.entry, 1);
        // SAFETY: it is locked again below.
        unsafe { held.lock().unlock() };
        let is_notified = self.wait(patience);
        while !held.lock().lock_within(Patience::Forever) {}
        is_notified
    }

    fn notify_one(&self) {
        self.notify(1);
    }

    fn notify_all(&self) {
        self.notify(u32::MAX);
    }
}

/// Items in pieces, whose senders take no turns: each writes what there is room for.
#[derive(Debug)]
pub struct Torn {
    received: PipeBuffer<[u64; 2]>,
    writer: Writer,
}

impl Fresh for Torn {
    fn fresh() -> Self {
        let (reader, writer) = pipe::pipe(12).expect("a model has pipes");
        let received = PipeBuffer::from_ends(Some(reader), None, None);
        Self { received, writer }
    }
}

/// The scenario ends before its handles do.
#[derive(Debug)]
pub struct Uncounted;

impl Seat for Uncounted {}

impl Buffer for Torn {
    type Item = u64;
    type Seat<'a> = Uncounted;
    type AttachError = Disconnected;

    fn send_within(&self, item: u64, _patience: Patience) -> Result<(), SendTimeoutError<u64>> {
        let item = <[u64; 2] as Item>::of(item);
        let (bytes, mut moved) = (item.as_bytes(), 0);
        while moved < bytes.len() {
            moved += self.writer.write_blocking(&bytes[moved..]).unwrap_or(0);
        }
        Ok(())
    }

    fn recv_within(&self, patience: Patience) -> Result<u64, RecvTimeoutError> {
        self.received.recv_within(patience).map(Item::number)
    }

    fn len(&self) -> usize {
        self.received.len()
    }

    fn capacity(&self) -> usize {
        self.received.capacity()
    }

    fn attach(&self, _end: End) -> Result<Uncounted, Disconnected> {
        Ok(Uncounted)
    }
}

/// Both directions of a two-way pipe.
#[derive(Debug)]
struct TwoWay([PipeBuffer<u64>; 2]);

impl Fresh for TwoWay {
    fn fresh() -> Self {
        Self([(); 2].map(|()| PipeBuffer::with_capacity(1).expect("a model has pipes")))
    }
}

/// Both send more than fits, and only then receive, as `duplex/both_send_first` does.
fn both_fill() -> Scenario<Private<TwoWay>> {
    fn talk<const ME: usize>(shared: &Private<TwoWay>) {
        let [out, back] = [&shared.0.0[ME], &shared.0.0[1 - ME]];
        for item in 1..=2 {
            let sent = out.send_within(item, Patience::Forever);
            sent.expect("the other side is there");
        }
        for item in 1..=2 {
            assert_eq!(back.recv_within(Patience::Forever), Ok(item));
        }
    }
    Scenario::new("both_send_first", vec![talk::<0>, talk::<1>])
}

fn send_one(shared: &Private<Kernel<u64, 1>>) {
    let sender = shared.sender().expect("a receiver is there");
    let sent = sender.send_within(1, Patience::Forever);
    sent.expect("it goes on receiving");
}

/// As a shell would that forgets to close what its child inherits: the end comes when nobody can send any more,
/// and this one could.
fn receive_all(shared: &Private<Kernel<u64, 1>>) {
    let _forgotten = shared.sender().ok();
    let receiver = shared.receiver().expect("nobody else");
    while receiver.recv_within(Patience::Forever).is_ok() {}
}
