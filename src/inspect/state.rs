//! The state of an object.

use crate::channel::message_queue::{MessageCell, MessageQueue, QueueState};
use crate::channel::{
    BoundedBuffer, BufferState, BytePipe, MonitorBuffer, Rendezvous, RendezvousState, RingBuffer,
    RobustBoundedBuffer, RobustMonitorBuffer, Segment, SegmentList, SegmentListState, SegmentState,
    Slot,
};
use crate::platform::{Config, MemoryReader, ShmType};
use crate::region::directory::Object;
use crate::sync::{
    Condvar, CondvarState, LockState, Mutex, RawMutex, RawRobustMutex, RobustMutex,
    RobustSemaphore, RobustSemaphorePair, RobustSemaphorePairState, RobustSemaphoreState,
    Semaphore, SemaphorePair, SemaphorePairState, SemaphoreState,
};

/// The state of an object at one moment, as read from its memory.
///
/// The type comes from the object's entry in the directory. A peer may write any values into the
/// entry and into the object. The state may then be wrong, but reading a wrong state does no other
/// harm. An object is [`Opaque`](ObjectState::Opaque) if its type is not from this crate, or if its
/// size does not fit its type.
///
/// # Example
/// ```
/// use interlatch::inspect::{ObjectState, RegionView};
/// use interlatch::sync::SemaphoreState;
/// use interlatch::{RegionName, RegionOptions, Semaphore};
///
/// let name = RegionName::posix(&format!("example-{}", std::process::id()))?;
/// let region = RegionOptions::new(4096).remove_on_drop(true).create(&name)?;
/// region.create::<Semaphore>("ready", ())?.release(3)?;
///
/// // In another program, which needs the permission to read only:
/// let view = RegionView::attach(&name)?;
/// let object = view.objects().next().expect("one object");
/// let state = view.inspect(&object);
/// assert!(matches!(state, ObjectState::Semaphore(SemaphoreState { permits: 3, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectState {
    /// The state of a mutex, robust or not.
    Lock(LockState),
    /// A condition variable.
    Condvar(CondvarState),
    /// A semaphore.
    Semaphore(SemaphoreState),
    /// A semaphore pair.
    SemaphorePair(SemaphorePairState),
    /// A robust semaphore.
    RobustSemaphore(RobustSemaphoreState),
    /// A robust semaphore pair.
    RobustSemaphorePair(RobustSemaphorePairState),
    /// A buffer.
    Buffer(BufferState),
    /// A byte pipe.
    BytePipe(BufferState),
    /// A rendezvous.
    Rendezvous(RendezvousState),
    /// A message queue.
    Queue(QueueState),
    /// The shared part of an unbounded channel.
    SegmentList(SegmentListState),
    /// A segment of an unbounded channel.
    Segment(SegmentState),
    /// An object whose type is not from this crate, or whose size does not fit its type.
    Opaque,
    /// An object whose entry names memory outside the region: a faulty peer wrote into the
    /// directory, or the memory was truncated.
    Outside,
}

/// The declarations of this crate's types. A declaration does not depend on a type's parameters.
mod declaration {
    use super::*;

    pub const RAW_MUTEX: u64 = RawMutex::TYPE.declaration();
    pub const MUTEX: u64 = Mutex::<()>::TYPE.declaration();
    pub const RAW_ROBUST_MUTEX: u64 = RawRobustMutex::TYPE.declaration();
    pub const ROBUST_MUTEX: u64 = RobustMutex::<()>::TYPE.declaration();
    pub const CONDVAR: u64 = Condvar::TYPE.declaration();
    pub const SEMAPHORE: u64 = Semaphore::TYPE.declaration();
    pub const SEMAPHORE_PAIR: u64 = SemaphorePair::<Semaphore>::TYPE.declaration();
    pub const ROBUST_SEMAPHORE: u64 = RobustSemaphore::<1>::TYPE.declaration();
    pub const ROBUST_SEMAPHORE_PAIR: u64 =
        RobustSemaphorePair::<[crate::sync::PairSlot; 1]>::TYPE.declaration();
    pub const BOUNDED: u64 = BoundedBuffer::<(), [Slot<()>]>::TYPE.declaration();
    pub const MONITOR: u64 = MonitorBuffer::<(), [Slot<()>]>::TYPE.declaration();
    pub const RING: u64 = RingBuffer::<(), [Slot<()>]>::TYPE.declaration();
    pub const ROBUST_BOUNDED: u64 =
        RobustBoundedBuffer::<(), [crate::sync::PairSlot<Slot<()>>]>::TYPE.declaration();
    pub const ROBUST_MONITOR: u64 = RobustMonitorBuffer::<(), [Slot<()>]>::TYPE.declaration();
    pub const BYTE_PIPE: u64 = BytePipe::<[Slot<u8>]>::TYPE.declaration();
    pub const RENDEZVOUS: u64 = Rendezvous::<()>::TYPE.declaration();
    pub const SEGMENT: u64 = Segment::<(), [Slot<()>]>::TYPE.declaration();
    pub const SEGMENT_LIST: u64 = SegmentList::<()>::TYPE.declaration();
    pub const MESSAGE_QUEUE: u64 = MessageQueue::<[MessageCell]>::TYPE.declaration();
}

impl ObjectState {
    /// Reads the state of an object. Offset 0 of the reader is the object's first byte.
    pub fn read(object: &Object, reader: &dyn MemoryReader) -> Self {
        let object_type = &object.object_type;
        if object_type.size() == 0 || !object_type.align().is_power_of_two() {
            return Self::Opaque;
        }
        let state = match Self::read_lock(object, reader) {
            None => Self::read_channel(object, reader),
            state => state,
        };
        state.unwrap_or(Self::Opaque)
    }

    fn read_lock(object: &Object, reader: &dyn MemoryReader) -> Option<Self> {
        use declaration::*;
        let (size, align) = (object.object_type.size(), object.object_type.align());
        let is = |bytes: usize| size == bytes as u64;
        let is_at_least = |bytes: usize| size >= bytes as u64;
        match object.object_type.declaration() {
            RAW_MUTEX if is(size_of::<RawMutex>()) => RawMutex::read_state(reader).map(Self::Lock),
            // The lock is the first field.
            MUTEX if is_at_least(size_of::<RawMutex>()) => {
                RawMutex::read_state(reader).map(Self::Lock)
            }
            RAW_ROBUST_MUTEX if is(size_of::<RawRobustMutex>()) => {
                RawRobustMutex::read_state(reader).map(Self::Lock)
            }
            ROBUST_MUTEX if is_at_least(size_of::<RawRobustMutex>()) => {
                RobustMutex::read_state(reader).map(Self::Lock)
            }
            CONDVAR if is(size_of::<Condvar>()) => Condvar::read_state(reader).map(Self::Condvar),
            SEMAPHORE if is(size_of::<Semaphore>()) => {
                Semaphore::read_state(reader).map(Self::Semaphore)
            }
            SEMAPHORE_PAIR if is(size_of::<SemaphorePair>()) => {
                SemaphorePair::read_state(reader).map(Self::SemaphorePair)
            }
            ROBUST_SEMAPHORE => {
                RobustSemaphore::read_state(reader, size).map(Self::RobustSemaphore)
            }
            ROBUST_SEMAPHORE_PAIR => RobustSemaphorePair::read_state(reader, size, align, None)
                .map(Self::RobustSemaphorePair),
            _ => None,
        }
    }

    fn read_channel(object: &Object, reader: &dyn MemoryReader) -> Option<Self> {
        use declaration::*;
        let object_type = &object.object_type;
        let (size, align) = (object_type.size(), object_type.align());
        let max_endpoints = object_type.max_endpoints();
        let capacity = capacity(object);
        match object_type.declaration() {
            BOUNDED => BoundedBuffer::read_state(reader, align, capacity).map(Self::Buffer),
            MONITOR => MonitorBuffer::read_state(reader, align, capacity).map(Self::Buffer),
            ROBUST_BOUNDED => {
                RobustBoundedBuffer::read_state(reader, (size, align), capacity, max_endpoints)
                    .map(Self::Buffer)
            }
            RING => RingBuffer::read_state(reader, capacity).map(Self::Buffer),
            ROBUST_MONITOR => {
                RobustMonitorBuffer::read_state(reader, capacity, max_endpoints).map(Self::Buffer)
            }
            BYTE_PIPE => BytePipe::read_state(reader, capacity, max_endpoints).map(Self::BytePipe),
            SEGMENT => Segment::read_state(reader, capacity).map(Self::Segment),
            SEGMENT_LIST => SegmentList::read_state(reader, max_endpoints).map(Self::SegmentList),
            MESSAGE_QUEUE => MessageQueue::read_state(reader).map(Self::Queue),
            RENDEZVOUS => {
                Rendezvous::read_state(reader, (size, align), max_endpoints).map(Self::Rendezvous)
            }
            _ => None,
        }
    }
}

/// Returns the capacity of a buffer: the number of slots that its type states, or otherwise the
/// capacity in its configuration.
fn capacity(object: &Object) -> Option<u64> {
    let config = <usize as Config>::from_word(object.config).filter(|config| *config != 0);
    config
        .map(|config| config as u64)
        .or(object.object_type.slots())
}
