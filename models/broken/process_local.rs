//! Broken pipes, and broken primitives that are built on semaphores.

use crate::process_local::{
    Item, Kernel, PartsReceiver, timed_out_receivers_keep_the_parts_of_items,
};
use interlatch::channel::{
    AttachError, Endpoint, PipeBuffer, RecvTimeoutError, SendTimeoutError, Unregistered,
};
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::PermitOverflow;
use interlatch::sync::{
    LockGuard, PipeSemaphore, RawCondvar, RawLock, RawSemaphore, SemaphoreLock, Timeout,
};
use interlatch::{Buffer, Channel};
use interlatch_check::FailureKind::{Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::Scenario;
use interlatch_contract::process_local::{Factory, ProcessLocal, SemaphoreFactory};
use interlatch_contract::{buffer, condvar, semaphore};
use zerocopy::IntoBytes;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("pipe_semaphore_that_trusts_poll", WrongResult, || {
            semaphore::admits_no_more_than_its_permits::<ProcessLocal<TrustsPoll>>()
        }),
        Model::broken(
            "semaphore_condvar_whose_notifier_does_not_wait",
            Deadlock,
            || {
                condvar::two_waiters_alternate::<
                    ProcessLocal<Flawed<NOTIFIER_DOES_NOT_WAIT>>,
                    ProcessLocal<SemaphoreLock<PipeSemaphore>>,
                >()
            },
        ),
        Model::broken(
            "semaphore_condvar_whose_waiter_leaves_its_entry",
            Deadlock,
            || {
                condvar::timed_out_waiter_takes_no_notification::<
                    ProcessLocal<Flawed<WAITER_LEAVES_ITS_ENTRY>>,
                    ProcessLocal<SemaphoreLock<PipeSemaphore>>,
                >()
            },
        ),
        Model::broken("pipe_without_turns_for_split_items", WrongResult, || {
            buffer::items_of_both_senders_arrive::<ProcessLocal<MixesParts>>()
        }),
        Model::broken("pipe_receiver_that_loses_parts", WrongResult, || {
            timed_out_receivers_keep_the_parts_of_items::<LosesParts>()
        }),
        Model::broken("duplex_that_both_sides_fill", Deadlock, both_fill),
        Model::broken("pipe_whose_receiver_keeps_a_writer", Deadlock, || {
            Scenario::new("receiver_sees_the_end", vec![send_one, receive_all])
        }),
    ]
}

/// A semaphore in a pipe whose acquirer waits with `poll(2)` and ignores the result of its read.
///
/// Between the wait and the read, another acquirer may read the permit, so too many processes hold
/// a permit.
#[derive(Debug)]
pub struct TrustsPoll(Reader, Writer);

impl Factory for TrustsPoll {
    fn create() -> Self {
        let (reader, writer) = pipe::pipe(8).expect("a model has pipes");
        Self(reader, writer)
    }
}

impl RawSemaphore for TrustsPoll {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        // The acquirers of the scenario have no timeout.
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

/// The notifier does not wait until the notified waiter takes the wake-up. A later waiter may take
/// the wake-up, and the notified waiter hangs.
const NOTIFIER_DOES_NOT_WAIT: u8 = 0;
/// A timed-out waiter leaves its entry in the list of waiters. The next notifier waits for this
/// waiter's answer and hangs.
const WAITER_LEAVES_ITS_ENTRY: u8 = 1;

/// A copy of `SemaphoreCondvar` in which one step is left out.
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
            if FLAW == WAITER_LEAVES_ITS_ENTRY || self.waiting.acquire_with(Timeout::NonBlocking) {
                return false;
            }
            acquire(&self.wakes);
        }
        release(&self.woken, 1);
        true
    }

    fn notify(&self, max: u32) {
        acquire(&self.entry);
        let listed = (0..max).take_while(|_| self.waiting.acquire_with(Timeout::NonBlocking));
        let count = listed.count() as u32;
        release(&self.wakes, count);
        if FLAW != NOTIFIER_DOES_NOT_WAIT {
            (0..count).for_each(|_| acquire(&self.woken));
        }
        release(&self.entry, 1);
    }
}

fn acquire(semaphore: &PipeSemaphore) {
    assert!(semaphore.acquire_with(Timeout::Infinite));
}

fn release(semaphore: &PipeSemaphore, count: u32) {
    semaphore.release(count).expect("far below the maximum");
}

impl<const FLAW: u8> RawCondvar for Flawed<FLAW> {
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        acquire(&self.entry);
        release(&self.waiting, 1);
        release(&self.entry, 1);
        // SAFETY: the caller's guard holds the lock, and this function acquires the lock again
        // before it returns.
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

/// A pipe whose items are written in parts, without a lock between the senders.
///
/// Each sender writes as many bytes as fit, so the parts of two items mix.
#[derive(Debug)]
pub struct MixesParts {
    received: PipeBuffer<[u64; 2]>,
    writer: Writer,
}

impl Factory for MixesParts {
    fn create() -> Self {
        let (reader, writer) = pipe::pipe(12).expect("a model has pipes");
        let received = PipeBuffer::from_ends(Some(reader), None, None);
        Self { received, writer }
    }
}

/// An endpoint that does not count its handles, because the scenario does not depend on
/// disconnection.
#[derive(Debug)]
pub struct Uncounted;

impl Endpoint for Uncounted {}

impl Channel for MixesParts {
    type SendEndpoint<'a> = Uncounted;
    type RecvEndpoint<'a> = Uncounted;

    fn attach_sender(&self) -> Result<Uncounted, AttachError> {
        Ok(Uncounted)
    }

    fn attach_receiver(&self) -> Result<Uncounted, AttachError> {
        Ok(Uncounted)
    }
}

impl Unregistered for MixesParts {
    fn unregistered_sender(&self) -> Result<Uncounted, AttachError> {
        Ok(Uncounted)
    }

    fn unregistered_receiver(&self) -> Result<Uncounted, AttachError> {
        Ok(Uncounted)
    }
}

impl Buffer for MixesParts {
    type Item = u64;

    fn send_with(
        &self,
        _endpoint: &Uncounted,
        item: u64,
        _timeout: Timeout,
    ) -> Result<(), SendTimeoutError<u64>> {
        let item = <[u64; 2] as Item>::from_number(item);
        let (bytes, mut moved) = (item.as_bytes(), 0);
        while moved < bytes.len() {
            moved += self.writer.write_blocking(&bytes[moved..]).unwrap_or(0);
        }
        Ok(())
    }

    fn recv_with(&self, _endpoint: &Uncounted, timeout: Timeout) -> Result<u64, RecvTimeoutError> {
        self.received.recv_unregistered(timeout).map(Item::number)
    }

    fn len(&self) -> usize {
        self.received.len()
    }

    fn capacity(&self) -> usize {
        self.received.capacity()
    }
}

/// A pair of pipes, one for each direction.
#[derive(Debug)]
struct TwoWay([PipeBuffer<u64>; 2]);

impl Factory for TwoWay {
    fn create() -> Self {
        Self([(); 2].map(|()| PipeBuffer::with_capacity(1).expect("a model has pipes")))
    }
}

/// A receiver that reads once, and drops the bytes if they are not a whole item.
struct LosesParts(Reader);

impl PartsReceiver for LosesParts {
    fn from_reader(reader: Reader) -> Self {
        Self(reader)
    }

    fn receive(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError> {
        if let Timeout::At(deadline) = timeout {
            let _ = self.0.wait(Some(deadline));
        }
        let mut item = 0_u64;
        match self.0.read(item.as_mut_bytes()) {
            Ok(count) if count == size_of::<u64>() => Ok(item),
            _ => Err(RecvTimeoutError::Timeout),
        }
    }
}

/// Both sides send more than the pipes hold before they receive, so both wait for free space.
///
/// `duplex/both_sides_send_before_they_receive` holds, because a `Duplex` receives while it waits
/// to send.
fn both_fill() -> Scenario<ProcessLocal<TwoWay>> {
    fn send_then_receive<const ME: usize>(shared: &ProcessLocal<TwoWay>) {
        let [out, back] = [&shared.0.0[ME], &shared.0.0[1 - ME]];
        for item in 1..=2 {
            let sent = out.send_unregistered(item, Timeout::Infinite);
            sent.expect("the other side is connected");
        }
        for item in 1..=2 {
            assert_eq!(back.recv_unregistered(Timeout::Infinite), Ok(item));
        }
    }
    Scenario::new(
        "both_sides_send_before_they_receive",
        vec![send_then_receive::<0>, send_then_receive::<1>],
    )
}

fn send_one(shared: &ProcessLocal<Kernel<u64, 1>>) {
    let sender = shared.sender().expect("the pipe is open");
    let sent = sender.send_with(1, Timeout::Infinite);
    sent.expect("the receiver is connected");
}

/// A receiver that keeps a writer open, like a shell that does not close the pipe ends that its
/// child inherits.
///
/// A read returns the end of file only after all writers are closed. The receiver never closes its
/// own writer, so it waits forever.
fn receive_all(shared: &ProcessLocal<Kernel<u64, 1>>) {
    let _not_closed = shared.sender().ok();
    let receiver = shared.receiver().expect("no other receiver is attached");
    while receiver.recv_with(Timeout::Infinite).is_ok() {}
}
