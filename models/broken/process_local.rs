//! Pipes, and what is made of semaphores, with a step left out.

use crate::process_local::{Item, Kernel};
use interlatch::channel::{Direction, Disconnected, Endpoint, RecvTimeoutError, SendTimeoutError};
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::PermitOverflow;
use interlatch::sync::{
    LockGuard, PipeSemaphore, RawCondvar, RawLock, RawSemaphore, SemaphoreLock, Timeout,
};
use interlatch::{Buffer, PipeBuffer};
use interlatch_check::FailureKind::{Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::Scenario;
use interlatch_contract::process_local::{Factory, ProcessLocal, SemaphoreFactory};
use interlatch_contract::{buffer, condvar, semaphore};
use zerocopy::IntoBytes;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("pipe_semaphore_that_trusts_poll", WrongResult, || {
            semaphore::admits_no_more_than_its_permits::<ProcessLocal<Believing>>()
        }),
        Model::broken(
            "semaphore_condvar_whose_notifier_does_not_wait",
            Deadlock,
            || {
                condvar::two_waiters_alternate::<
                    ProcessLocal<Flawed<HASTY>>,
                    ProcessLocal<SemaphoreLock<PipeSemaphore>>,
                >()
            },
        ),
        Model::broken(
            "semaphore_condvar_whose_waiter_leaves_its_entry",
            Deadlock,
            || {
                condvar::timed_out_waiter_takes_no_notification::<
                    ProcessLocal<Flawed<FORGETFUL>>,
                    ProcessLocal<SemaphoreLock<PipeSemaphore>>,
                >()
            },
        ),
        Model::broken("pipe_without_turns_for_split_items", WrongResult, || {
            buffer::items_of_both_senders_arrive::<ProcessLocal<Torn>>()
        }),
        Model::broken("duplex_that_both_sides_fill", Deadlock, both_fill),
        Model::broken("pipe_whose_receiver_keeps_a_writer", Deadlock, || {
            Scenario::new("hears_the_end", vec![send_one, receive_all])
        }),
    ]
}

/// A semaphore whose acquirer waits until there is something to read, and takes it for granted that it is the
/// one who reads it.
#[derive(Debug)]
pub struct Believing(Reader, Writer);

impl Factory for Believing {
    fn create() -> Self {
        let (reader, writer) = pipe::pipe(8).expect("a model has pipes");
        Self(reader, writer)
    }
}

impl RawSemaphore for Believing {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        // The scenario's acquirers have all the time there is.
        assert_eq!(timeout, Timeout::Infinite);
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

impl<const FLAW: u8> Factory for Flawed<FLAW> {
    fn create() -> Self {
        let [entry, waiting, wakes, woken] = [1, 0, 0, 0].map(PipeSemaphore::with_permits);
        Self {
            entry,
            waiting,
            wakes,
            woken,
        }
    }
}

impl<const FLAW: u8> Flawed<FLAW> {
    fn wait(&self, timeout: Timeout) -> bool {
        if !self.wakes.acquire_with(timeout) {
            if FLAW == FORGETFUL || self.waiting.acquire_with(Timeout::NonBlocking) {
                return false;
            }
            take(&self.wakes);
        }
        give(&self.woken, 1);
        true
    }

    fn notify(&self, most: u32) {
        take(&self.entry);
        let listed = (0..most).take_while(|_| self.waiting.acquire_with(Timeout::NonBlocking));
        let count = listed.count() as u32;
        give(&self.wakes, count);
        if FLAW != HASTY {
            (0..count).for_each(|_| take(&self.woken));
        }
        give(&self.entry, 1);
    }
}

fn take(semaphore: &PipeSemaphore) {
    assert!(semaphore.acquire_with(Timeout::Infinite));
}

fn give(semaphore: &PipeSemaphore, count: u32) {
    semaphore.release(count).expect("few");
}

impl<const FLAW: u8> RawCondvar for Flawed<FLAW> {
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        take(&self.entry);
        give(&self.waiting, 1);
        give(&self.entry, 1);
        // SAFETY: it is locked again below.
        unsafe { held.mutex().unlock() };
        let is_notified = self.wait(timeout);
        while !held.mutex().raw_lock_with(Timeout::Infinite) {}
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

impl Factory for Torn {
    fn create() -> Self {
        let (reader, writer) = pipe::pipe(12).expect("a model has pipes");
        let received = PipeBuffer::from_ends(Some(reader), None, None);
        Self { received, writer }
    }
}

/// The scenario ends before its handles do.
#[derive(Debug)]
pub struct Uncounted;

impl Endpoint for Uncounted {}

impl Buffer for Torn {
    type Item = u64;
    type Endpoint<'a> = Uncounted;
    type AttachError = Disconnected;

    fn send_with(&self, item: u64, _patience: Timeout) -> Result<(), SendTimeoutError<u64>> {
        let item = <[u64; 2] as Item>::of(item);
        let (bytes, mut moved) = (item.as_bytes(), 0);
        while moved < bytes.len() {
            moved += self.writer.write_blocking(&bytes[moved..]).unwrap_or(0);
        }
        Ok(())
    }

    fn recv_with(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError> {
        self.received.recv_with(timeout).map(Item::number)
    }

    fn len(&self) -> usize {
        self.received.len()
    }

    fn capacity(&self) -> usize {
        self.received.capacity()
    }

    fn attach(&self, _end: Direction) -> Result<Uncounted, Disconnected> {
        Ok(Uncounted)
    }
}

/// Both directions of a two-way pipe.
#[derive(Debug)]
struct TwoWay([PipeBuffer<u64>; 2]);

impl Factory for TwoWay {
    fn create() -> Self {
        Self([(); 2].map(|()| PipeBuffer::with_capacity(1).expect("a model has pipes")))
    }
}

/// Both send more than fits, and only then receive, as `duplex/both_sides_send_before_they_receive` does.
fn both_fill() -> Scenario<ProcessLocal<TwoWay>> {
    fn talk<const ME: usize>(shared: &ProcessLocal<TwoWay>) {
        let [out, back] = [&shared.0.0[ME], &shared.0.0[1 - ME]];
        for item in 1..=2 {
            let sent = out.send_with(item, Timeout::Infinite);
            sent.expect("the other side is there");
        }
        for item in 1..=2 {
            assert_eq!(back.recv_with(Timeout::Infinite), Ok(item));
        }
    }
    Scenario::new(
        "both_sides_send_before_they_receive",
        vec![talk::<0>, talk::<1>],
    )
}

fn send_one(shared: &ProcessLocal<Kernel<u64, 1>>) {
    let sender = shared.sender().expect("a receiver is there");
    let sent = sender.send_with(1, Timeout::Infinite);
    sent.expect("it goes on receiving");
}

/// As a shell would that forgets to close what its child inherits: the end comes when nobody can send any more,
/// and this one could.
fn receive_all(shared: &ProcessLocal<Kernel<u64, 1>>) {
    let _forgotten = shared.sender().ok();
    let receiver = shared.receiver().expect("nobody else");
    while receiver.recv_with(Timeout::Infinite).is_ok() {}
}
