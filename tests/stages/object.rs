//! The object of a program in a region, and the calls that an actor performs on it.

use super::program::{Call, Kind, Object, Wait, parse_select};
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

/// An object that performs calls.
pub trait Subject {
    fn perform(&mut self, call: Call) -> Outcome;
}

/// How an object is opened: the driver creates it, and the actors attach to it.
#[derive(Clone, Copy)]
pub enum Open {
    Create,
    Attach,
}

/// Returns the size of a region for this object and a gate before the object.
pub fn size(object: &Object) -> usize {
    let item = if object.large {
        size_of::<TurnSlot<Large>>()
    } else {
        size_of::<TurnSlot<u64>>()
    };
    let queue = size_of::<MessageCell>() * object.limits().cells();
    4096 + (item * object.capacity).max(queue)
}

/// Creates the object, or attaches to the object with a handle on each side.
pub fn open<'a>(
    region: &'a Region,
    object: &Object,
    mode: Open,
) -> Result<Box<dyn Subject + 'a>, RegionError> {
    Ok(match (object.kind, object.large) {
        (Kind::Lock, _) => Box::new(LockSubject(open_object::<RawMutex>(region, (), mode)?)),
        (Kind::Semaphore, _) => {
            let semaphore = open_object::<Semaphore>(region, (), mode)?;
            if let Open::Create = mode {
                semaphore
                    .release(object.capacity as u32)
                    .expect("few permits");
            }
            Box::new(SemaphoreSubject(semaphore))
        }
        (Kind::Pair, _) => pair(region, object, mode)?,
        (Kind::Queue, _) => Box::new(QueueSubject(open_object::<MessageQueue>(
            region,
            object.limits(),
            mode,
        )?)),
        (Kind::Bounded, false) => {
            buffer::<u64, BoundedBuffer<u64, [Slot<u64>]>>(region, object, mode)?
        }
        (Kind::Bounded, true) => {
            buffer::<Large, BoundedBuffer<Large, [Slot<Large>]>>(region, object, mode)?
        }
        (Kind::Monitor, false) => {
            buffer::<u64, MonitorBuffer<u64, [Slot<u64>]>>(region, object, mode)?
        }
        (Kind::Monitor, true) => {
            buffer::<Large, MonitorBuffer<Large, [Slot<Large>]>>(region, object, mode)?
        }
        (Kind::RobustBounded, false) => {
            buffer::<u64, RobustBoundedBuffer<u64, [TurnSlot<u64>]>>(region, object, mode)?
        }
        (Kind::RobustBounded, true) => {
            buffer::<Large, RobustBoundedBuffer<Large, [TurnSlot<Large>]>>(region, object, mode)?
        }
        (Kind::RobustMonitor, false) => {
            buffer::<u64, RobustMonitorBuffer<u64, [Slot<u64>]>>(region, object, mode)?
        }
        (Kind::RobustMonitor, true) => {
            buffer::<Large, RobustMonitorBuffer<Large, [Slot<Large>]>>(region, object, mode)?
        }
    })
}

fn open_object<T: ShmObject + ?Sized>(
    region: &Region,
    config: T::Config,
    mode: Open,
) -> Result<&T, RegionError> {
    match mode {
        Open::Create => region.create("object", config),
        Open::Attach => region.attach("object"),
    }
}

fn pair<'a>(
    region: &'a Region,
    object: &Object,
    mode: Open,
) -> Result<Box<dyn Subject + 'a>, RegionError> {
    let pair = open_object::<SemaphorePair>(region, (), mode)?;
    if let Open::Create = mode {
        let additional = object.capacity as u32 - 1;
        pair.writer().release(additional).expect("few slots");
    }
    Ok(Box::new(PairSubject(pair)))
}

fn buffer<'a, T, B>(
    region: &'a Region,
    object: &Object,
    mode: Open,
) -> Result<Box<dyn Subject + 'a>, RegionError>
where
    T: Item,
    B: Unregistered<Item = T> + ShmObject<Config = usize> + ?Sized + 'a,
{
    let buffer: &B = open_object(region, object.capacity, mode)?;
    Ok(match mode {
        Open::Create => Box::new(DriverSubject),
        Open::Attach => Box::new(BufferSubject {
            sender: Some(attached(buffer.sender())),
            receiver: Some(attached(buffer.receiver())),
            buffer,
            batches: object.batches,
        }),
    })
}

fn attached<T, E: std::error::Error>(handle: Result<T, E>) -> T {
    handle.unwrap_or_else(|error| panic!("no side is closed before all actors are ready: {error}"))
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

/// The subject of the driver process. The driver itself calls no operation of a buffer.
struct DriverSubject;

impl Subject for DriverSubject {
    fn perform(&mut self, call: Call) -> Outcome {
        panic!("the driver does not {call}")
    }
}

struct LockSubject<'a>(&'a RawMutex);

impl Subject for LockSubject<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Acquire(wait) => acquired(self.0.raw_lock_with(timeout(wait))),
            Call::Release(_) => {
                // SAFETY: the calling process holds the lock, because programs unlock only after
                // locking.
                unsafe { self.0.unlock() };
                Outcome::Done
            }
            other => panic!("{other} on a lock"),
        }
    }
}

struct SemaphoreSubject<'a>(&'a Semaphore);

impl Subject for SemaphoreSubject<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Acquire(wait) => acquired(self.0.acquire_with(timeout(wait))),
            Call::Release(count) => released(self.0.release(count)),
            other => panic!("{other} on a semaphore"),
        }
    }
}

struct PairSubject<'a>(&'a SemaphorePair);

impl Subject for PairSubject<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Write(wait) => acquired(self.0.write_with(timeout(wait)).is_some()),
            Call::Read(wait) => acquired(self.0.read_with(timeout(wait)).is_some()),
            other => panic!("{other} on a pair"),
        }
    }
}

struct QueueSubject<'a>(&'a MessageQueue);

impl Subject for QueueSubject<'_> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Post(message_type, item, length, wait) => {
                let message_type = MessageType::new(message_type).expect("positive");
                match self
                    .0
                    .send_with(message_type, &message(item, length), timeout(wait))
                {
                    Ok(()) => Outcome::Done,
                    Err(SendTimeoutError::Timeout(())) => Outcome::WouldBlock,
                    Err(error) => panic!("{error}"),
                }
            }
            Call::Fetch(select, wait) => {
                match self.0.receive_with(parse_select(select), timeout(wait)) {
                    Ok(received) => Outcome::Item(item_of(&received.bytes)),
                    Err(RecvTimeoutError::Timeout) => Outcome::WouldBlock,
                    Err(error) => panic!("{error}"),
                }
            }
            Call::Len => Outcome::Count(self.0.len() as u64),
            other => panic!("{other} on a message queue"),
        }
    }
}

/// Encodes a message: the item, then copies of the item's lowest byte up to the length.
fn message(item: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![item as u8; length];
    bytes[..8].copy_from_slice(&item.to_ne_bytes());
    bytes
}

/// Decodes the item of a message. Panics if the message is torn.
fn item_of(bytes: &[u8]) -> u64 {
    let item = u64::from_ne_bytes(*bytes.first_chunk().expect("the item"));
    assert_eq!(bytes, message(item, bytes.len()), "a torn message");
    item
}

struct BufferSubject<'a, B: Buffer + ?Sized> {
    buffer: &'a B,
    batches: bool,
    sender: Option<Sender<'a, B>>,
    receiver: Option<Receiver<'a, B>>,
}

impl<T: Item, B: Unregistered<Item = T> + ?Sized> Subject for BufferSubject<'_, B> {
    fn perform(&mut self, call: Call) -> Outcome {
        match call {
            Call::Send(number, wait) => match self.send(T::from_number(number), timeout(wait)) {
                Ok(()) => Outcome::Done,
                Err(SendTimeoutError::Timeout(returned)) => {
                    returned_item(returned, number, Outcome::WouldBlock)
                }
                Err(SendTimeoutError::Disconnected(returned)) => {
                    returned_item(returned, number, Outcome::Disconnected)
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

impl<T: Item, B: Unregistered<Item = T> + ?Sized> BufferSubject<'_, B> {
    fn send(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        if !self.batches {
            return self.buffer.send_unregistered(item, timeout);
        }
        let mut batch = vec![item];
        let sent = self.buffer.send_many_unregistered(&mut batch, timeout);
        let returned = batch.pop();
        match sent {
            Ok(()) => {
                assert!(
                    returned.is_none(),
                    "the item was sent, but it is still in the batch"
                );
                Ok(())
            }
            Err(error) => Err(error.map(|()| returned.expect("the item was not sent"))),
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

fn returned_item<T: Item>(returned: T, number: u64, outcome: Outcome) -> Outcome {
    assert_eq!(
        returned.number(),
        number,
        "a failed send returns the unchanged item"
    );
    outcome
}

/// An item that encodes a number.
trait Item: Pod {
    fn from_number(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    fn from_number(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

/// An item of 1 KiB. All words of an intact item are equal; a torn item has different words.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, ShmType)]
struct Large([u64; 128]);

impl Item for Large {
    fn from_number(number: u64) -> Self {
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
