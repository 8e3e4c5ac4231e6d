//! What an object is.

use super::kind::TypeText;
use crate::channel::message_queue::{MessageQueue, QueueState};
use crate::channel::{BoundedBuffer, BufferState, DEFAULT_ENDPOINTS, MonitorBuffer, RingBuffer};
use crate::channel::{
    BytePipe, Rendezvous, RendezvousState, Segment, SegmentList, SegmentListState, SegmentState,
};
use crate::channel::{RobustBoundedBuffer, RobustMonitorBuffer};
use crate::platform::{Config, MemoryReader};
use crate::region::directory::Object;
use crate::sync::{
    Condvar, CondvarState, LockState, RawMutex, RawRobustMutex, RobustMutex, RobustSemaphore,
    RobustSemaphorePair, RobustSemaphorePairState, RobustSemaphoreState, Semaphore, SemaphorePair,
    SemaphorePairState, SemaphoreState,
};

/// What an object was a moment ago, as far as its words say.
///
/// It is told by the name of its type, its size and its plan, which a hostile peer may have written, as it
/// may have written the words: then it is wrong, and no more than that. What a region holds of somebody's
/// own type is [`Opaque`](ObjectState::Opaque), and so is what is of one of this crate's names and another
/// size.
///
/// # Example
/// ```
/// use interlatch::inspect::ObjectState;
/// use interlatch::sync::SemaphoreState;
/// use interlatch::inspect::RegionView;
/// use interlatch::{RegionName, RegionOptions, Semaphore};
///
/// let name = RegionName::posix(&format!("example-{}", std::process::id()))?;
/// let region = RegionOptions::new(4096).remove_on_drop(true).create(&name)?;
/// region.create::<Semaphore>("ready", ())?.release(3)?;
///
/// let view = RegionView::attach(&name)?;
/// let object = view.objects().next().expect("one");
/// let expected = SemaphoreState { permits: 3, waiters: false };
/// assert_eq!(view.inspect(&object), ObjectState::Semaphore(expected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectState {
    /// A lock, robust or not.
    Lock(LockState),
    /// A condition variable.
    Condvar(CondvarState),
    /// A semaphore.
    Semaphore(SemaphoreState),
    /// A semaphore pair.
    Pair(SemaphorePairState),
    /// A semaphore whose permits know their holders.
    Recoverable(RobustSemaphoreState),
    /// A pair whose turns know their holders.
    RobustSemaphorePair(RobustSemaphorePairState),
    /// A buffer.
    Buffer(BufferState),
    /// A pipe in shared memory: a buffer of bytes.
    BytePipe(BufferState),
    /// A buffer of no place.
    Rendezvous(RendezvousState),
    /// A message queue.
    Queue(QueueState),
    /// What the users of a queue that grows share.
    SegmentList(SegmentListState),
    /// A segment of a queue that grows.
    Segment(SegmentState),
    /// Something else, of which no more is known.
    Opaque,
    /// It cannot be where its entry says: a faulty peer was there, or the memory was cut short.
    Outside,
}

impl ObjectState {
    /// The state of the object that these words are, from its first one on.
    pub fn of(object: &Object, words: &dyn MemoryReader) -> Self {
        let name = object.kind.type_name();
        let text = TypeText(&name);
        let (size, align) = (object.kind.size(), object.kind.align());
        let fits = |least: usize, most: usize| {
            (least as u64..=most as u64).contains(&size) && align.is_power_of_two()
        };
        let is = |bytes: usize| fits(bytes, bytes);
        let at_least = |bytes: usize| fits(bytes, usize::MAX);
        let state = match text.base() {
            "RawMutex" if is(size_of::<RawMutex>()) => RawMutex::read_state(words).map(Self::Lock),
            // lock_api's, with the lock first: see `guard`.
            "Mutex" if at_least(size_of::<RawMutex>()) => {
                RawMutex::read_state(words).map(Self::Lock)
            }
            "RawRobustMutex" if is(size_of::<RawRobustMutex>()) => {
                RawRobustMutex::read_state(words).map(Self::Lock)
            }
            "RobustMutex" if at_least(size_of::<RawRobustMutex>()) => {
                RobustMutex::read_state(words).map(Self::Lock)
            }
            "Condvar" if is(size_of::<Condvar>()) => Condvar::read_state(words).map(Self::Condvar),
            "Semaphore" if is(size_of::<Semaphore>()) => {
                Semaphore::read_state(words).map(Self::Semaphore)
            }
            "SemaphorePair" if is(size_of::<SemaphorePair>()) => {
                SemaphorePair::read_state(words).map(Self::Pair)
            }
            "RobustSemaphore" if at_least(1) => {
                RobustSemaphore::read_state(words, size).map(Self::Recoverable)
            }
            "RobustSemaphorePair" if at_least(1) => {
                RobustSemaphorePair::read_state(words, size, align, None)
                    .map(Self::RobustSemaphorePair)
            }
            _ if at_least(1) => Self::of_buffer(object, text, words),
            _ => None,
        };
        state.unwrap_or(Self::Opaque)
    }

    fn of_buffer(object: &Object, text: TypeText<'_>, words: &dyn MemoryReader) -> Option<Self> {
        let ends = text.last_number(DEFAULT_ENDPOINTS);
        let (size, align) = (object.kind.size(), object.kind.align());
        // One that has its places inside has no plan.
        let plan = <usize as Config>::from_word(object.plan).filter(|plan| *plan != 0);
        let capacity = plan.map(|plan| plan as u64).or(text.array_length());
        let state = match text.base() {
            "BoundedBuffer" => BoundedBuffer::read_state(words, align, capacity),
            "MonitorBuffer" => MonitorBuffer::read_state(words, align, capacity),
            "RobustBoundedBuffer" => {
                RobustBoundedBuffer::read_state(words, (size, align), capacity, ends)
            }
            "RingBuffer" => RingBuffer::read_state(words, capacity),
            "RobustMonitorBuffer" => RobustMonitorBuffer::read_state(words, capacity, ends),
            "BytePipe" => return BytePipe::read_state(words, capacity, ends).map(Self::BytePipe),
            "Segment" => return Segment::read_state(words, capacity).map(Self::Segment),
            "SegmentList" => return SegmentList::read_state(words, ends).map(Self::SegmentList),
            "MessageQueue" => return MessageQueue::read_state(words).map(Self::Queue),
            "Rendezvous" => {
                let state = Rendezvous::read_state(words, (size, align), ends);
                return state.map(Self::Rendezvous);
            }
            _ => None,
        };
        state.map(Self::Buffer)
    }
}
