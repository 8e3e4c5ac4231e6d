//! The object that a program is about, in a region, and what an actor can do with it.

use super::program::{Call, Kind, Object, Wait, selected};
use interlatch::channel::Unregistered;
use interlatch::channel::message_queue::{MessageCell, MessageQueueExt, MessageType};
use interlatch::channel::{RecvTimeoutError, SendTimeoutError, Slot, TurnSlot};
use interlatch::region::ShmObject;
use interlatch::sync::{Deadline, PermitOverflow, RawMutex, SemaphorePair};
use interlatch::sync::{RawLock, RawSemaphore, Timeout};
use interlatch::{
    BoundedBuffer, Buffer, MessageQueue, MonitorBuffer, Pod, Receiver, Region, RegionError,
    RobustBoundedBuffer, RobustMonitorBuffer, Semaphore, Sender, ShmType,
};
use interlatch_contract::specification::Outcome;
use std::time::{Duration, Instant};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Something that calls are performed on.
pub trait Subject {
    fn perform(&mut self, call: Call) -> Outcome;
}

/// How an object is found in a region: the driver creates it, the actors attach to it.
#[derive(Clone, Copy)]
pub enum Find {
    Create,
    Attach,
}

/// Bytes of a region for this object and a gate before it.
pub fn size(object: &Object) -> usize {
    let item = if object.large {
        size_of::<TurnSlot<Large>>()
    } else {
        size_of::<TurnSlot<u64>>()
    };
    let queue = size_of::<MessageCell>() * object.limits().cells();
    4096 + (item * object.capacity).max(queue)
}

/// Creates the object, or attaches to it with a handle at each end.
pub fn find<'a>(
    region: &'a Region,
    object: &Object,
    how: Find,
) -> Result<Box<dyn Subject + 'a>, RegionError> {
    Ok(match (object.kind, object.large) {
        (Kind::Lock, _) => Box::new(Locked(place::<RawMutex>(region, (), how)?)),
        (Kind::Semaphore, _) => {
            let semaphore = place::<Semaphore>(region, (), how)?;
            if let Find::Create = how {
                semaphore
                    .release(object.capacity as u32)
                    .expect("few permits");
            }
            Box::new(Counted(semaphore))
        }
        (Kind::Pair, _) => pair(region, object, how)?,
        (Kind::Queue, _) => Box::new(Posting(place::<MessageQueue>(
            region,
            object.limits(),
            how,
        )?)),
        (Kind::Bounded, false) => {
            buffer::<u64, BoundedBuffer<u64, [Slot<u64>]>>(region, object, how)?
        }
        (Kind::Bounded, true) => {
            buffer::<Large, BoundedBuffer<Large, [Slot<Large>]>>(region, object, how)?
        }
        (Kind::Monitor, false) => {
            buffer::<u64, MonitorBuffer<u64, [Slot<u64>]>>(region, object, how)?
        }
        (Kind::Monitor, true) => {
            buffer::<Large, MonitorBuffer<Large, [Slot<Large>]>>(region, object, how)?
        }
        (Kind::RobustBounded, false) => {
            buffer::<u64, RobustBoundedBuffer<u64, [TurnSlot<u64>]>>(region, object, how)?
        }
        (Kind::RobustBounded, true) => {
            buffer::<Large, RobustBoundedBuffer<Large, [TurnSlot<Large>]>>(region, object, how)?
        }
        (Kind::RobustMonitor, false) => {
            buffer::<u64, RobustMonitorBuffer<u64, [Slot<u64>]>>(region, object, how)?
        }
        (Kind::RobustMonitor, true) => {
            buffer::<Large, RobustMonitorBuffer<Large, [Slot<Large>]>>(region, object, how)?
        }
    })
}

fn place<T: ShmObject + ?Sized>(
    region: &Region,
    plan: T::Config,
    how: Find,
) -> Result<&T, RegionError> {
    match how {
        Find::Create => region.create("object", plan),
        Find::Attach => region.attach("object"),
    }
}

fn pair<'a>(
    region: &'a Region,
    object: &Object,
    how: Find,
) -> Result<Box<dyn Subject + 'a>, RegionError> {
    let pair = place::<SemaphorePair>(region, (), how)?;
    if let Find::Create = how {
        let more = object.capacity as u32 - 1;
        pair.writer().release(more).expect("few slots");
    }
    Ok(Box::new(Paired(pair)))
}

fn buffer<'a, T, B>(
    region: &'a Region,
    object: &Object,
    how: Find,
) -> Result<Box<dyn Subject + 'a>, RegionError>
where
    T: Item,
    B: Unregistered<Item = T> + ShmObject<Config = usize> + ?Sized + 'a,
{
    let buffer: &B = place(region, object.capacity, how)?;
    Ok(match how {
        Find::Create => Box::new(Nothing),
        Find::Attach => Box::new(Ends {
            sender: Some(present(buffer.sender())),
            receiver: Some(present(buffer.receiver())),
            buffer,
            batches: object.batches,
        }),
    })
}

fn present<T, E: std::error::Error>(handle: Result<T, E>) -> T {
    handle.unwrap_or_else(|error| panic!("no end is closed before all are ready: {error}"))
}

fn timeout(wait: Wait) -> Timeout {
    match wait {
        Wait::Forever => Timeout::Infinite,
        Wait::Never => Timeout::NonBlocking,
        Wait::Zero => {
            let past = Instant::now().checked_sub(Duration::from_secs(1));
            Timeout::At(past.map_or_else(|| Deadline::after(Duration::ZERO), Deadline::at))
        }
        Wait::Briefly => Timeout::after(Duration::from_micros(300)),
    }
}

fn acquired(acquired: bool) -> Outcome {
    if acquired {
        Outcome::Done
    } else {
        Outcome::WouldBlock
    }
}

fn released(released: Result<(), PermitOverflow>) -> Outcome {
    if released.is_ok() {
        Outcome::Done
    } else {
        Outcome::Overflow
    }
}

/// What the driver has of a buffer: it takes no part.
struct Nothing;

impl Subject for Nothing {
    fn perform(&mut self, call: Call) -> Outcome {
        panic!("the driver does not {call}")
    }
}

struct Locked<'a>(&'a RawMutex);

impl Subject for Locked<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Acquire(wait) => acquired(self.0.raw_lock_with(timeout(wait))),
            Call::Release(_) => {
                // SAFETY: programs unlock only what they have locked.
                unsafe { self.0.unlock() };
                Outcome::Done
            }
            other => panic!("{other} on a lock"),
        }
    }
}

struct Counted<'a>(&'a Semaphore);

impl Subject for Counted<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Acquire(wait) => acquired(self.0.acquire_with(timeout(wait))),
            Call::Release(count) => released(self.0.release(count)),
            other => panic!("{other} on a semaphore"),
        }
    }
}

struct Paired<'a>(&'a SemaphorePair);

impl Subject for Paired<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Write(wait) => acquired(self.0.write_with(timeout(wait)).is_some()),
            Call::Read(wait) => acquired(self.0.read_with(timeout(wait)).is_some()),
            other => panic!("{other} on a pair"),
        }
    }
}

struct Posting<'a>(&'a MessageQueue);

impl Subject for Posting<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Post(kind, item, length, wait) => {
                let kind = MessageType::new(kind).expect("positive");
                match self
                    .0
                    .send_with(kind, &message(item, length), timeout(wait))
                {
                    Ok(()) => Outcome::Done,
                    Err(SendTimeoutError::Timeout(())) => Outcome::WouldBlock,
                    Err(error) => panic!("{error}"),
                }
            }
            Call::Fetch(select, wait) => {
                match self.0.receive_with(selected(select), timeout(wait)) {
                    Ok(received) => Outcome::Item(said(&received.bytes)),
                    Err(RecvTimeoutError::Timeout) => Outcome::WouldBlock,
                    Err(error) => panic!("{error}"),
                }
            }
            Call::Len => Outcome::Count(self.0.len() as u64),
            other => panic!("{other} on a message queue"),
        }
    }
}

/// The item, and then its lowest byte as often as there is room.
fn message(item: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![item as u8; length];
    bytes[..8].copy_from_slice(&item.to_ne_bytes());
    bytes
}

/// The item of a message that is whole.
fn said(bytes: &[u8]) -> u64 {
    let item = u64::from_ne_bytes(*bytes.first_chunk().expect("the item"));
    assert_eq!(bytes, message(item, bytes.len()), "a torn message");
    item
}

struct Ends<'a, B: Buffer + ?Sized> {
    buffer: &'a B,
    batches: bool,
    sender: Option<Sender<'a, B>>,
    receiver: Option<Receiver<'a, B>>,
}

impl<T: Item, B: Unregistered<Item = T> + ?Sized> Subject for Ends<'_, B> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Send(number, wait) => match self.send(T::of(number), timeout(wait)) {
                Ok(()) => Outcome::Done,
                Err(SendTimeoutError::Timeout(back)) => {
                    came_back(back, number, Outcome::WouldBlock)
                }
                Err(SendTimeoutError::Disconnected(back)) => {
                    came_back(back, number, Outcome::Disconnected)
                }
                Err(error) => panic!("{error}"),
            },
            Call::Recv(wait) => match self.recv(timeout(wait)) {
                Ok(item) => Outcome::Item(item.number()),
                Err(RecvTimeoutError::Timeout) => Outcome::WouldBlock,
                Err(RecvTimeoutError::Disconnected) => Outcome::Disconnected,
                Err(error) => panic!("{error}"),
            },
            Call::Len => Outcome::Count(self.buffer.len() as u64),
            Call::CloseSending => {
                self.sender = None;
                Outcome::Done
            }
            Call::CloseReceiving => {
                self.receiver = None;
                Outcome::Done
            }
            other => panic!("{other} on a buffer"),
        }
    }
}

impl<T: Item, B: Unregistered<Item = T> + ?Sized> Ends<'_, B> {
    fn send(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        if !self.batches {
            return self.buffer.send_unregistered(item, timeout);
        }
        let mut batch = vec![item];
        let sent = self.buffer.send_many_unregistered(&mut batch, timeout);
        let back = batch.pop();
        match sent {
            Ok(()) => {
                assert!(back.is_none(), "sent, but it is here still");
                Ok(())
            }
            Err(error) => Err(error.map(|()| back.expect("not sent"))),
        }
    }

    fn recv(&self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        if !self.batches {
            return self.buffer.recv_unregistered(timeout);
        }
        let mut batch = Vec::new();
        let received = self.buffer.recv_many_unregistered(&mut batch, 1, timeout)?;
        assert_eq!((received, batch.len()), (1, 1));
        Ok(batch.swap_remove(0))
    }
}

fn came_back<T: Item>(back: T, number: u64, outcome: Outcome) -> Outcome {
    assert_eq!(back.number(), number, "a refused item comes back as it was");
    outcome
}

/// Something to send, made from a number that can be read from it again.
trait Item: Pod {
    fn of(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    fn of(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

/// An item of 1 KiB; one that is torn has different words.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, ShmType)]
struct Large([u64; 128]);

impl Item for Large {
    fn of(number: u64) -> Self {
        Self([number; 128])
    }

    fn number(&self) -> u64 {
        let first = self.0[0];
        assert!(
            self.0.iter().all(|word| *word == first),
            "a torn item: {:?}",
            self.0
        );
        first
    }
}
