//! What an object is.

use super::kind::TypeText;
use crate::buffer::{BoundedBuffer, BufferState, MonitorBuffer, RingBuffer, USUAL_ENDS};
use crate::buffer::{
    BytePipe, Chain, ChainState, Rendezvous, RendezvousState, Segment, SegmentState,
};
use crate::buffer::{RobustBoundedBuffer, RobustMonitorBuffer};
use crate::directory::Object;
use crate::platform::{Plan, Words};
use crate::queue::{MessageQueue, QueueState};
use crate::sync::{
    Condvar, CondvarState, LockState, PairState, RawMutex, RawRobustMutex, RecoverablePair,
    RecoverablePairState, RecoverableSemaphore, RecoverableState, RobustMutex, Semaphore,
    SemaphorePair, SemaphoreState,
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
/// use interlatch::{Options, RegionName, RegionView, Semaphore};
///
/// let name = RegionName::posix(&format!("example-{}", std::process::id()))?;
/// let region = Options::new(4096).remove_on_drop(true).create(&name)?;
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
    Pair(PairState),
    /// A semaphore whose permits know their holders.
    Recoverable(RecoverableState),
    /// A pair whose turns know their holders.
    RecoverablePair(RecoverablePairState),
    /// A buffer.
    Buffer(BufferState),
    /// A pipe in shared memory: a buffer of bytes.
    BytePipe(BufferState),
    /// A buffer of no place.
    Rendezvous(RendezvousState),
    /// A message queue.
    Queue(QueueState),
    /// What the users of a queue that grows share.
    Chain(ChainState),
    /// A segment of a queue that grows.
    Segment(SegmentState),
    /// Something else, of which no more is known.
    Opaque,
    /// It cannot be where its entry says: a faulty peer was there, or the memory was cut short.
    Outside,
}

impl ObjectState {
    /// The state of the object that these words are, from its first one on.
    pub fn of(object: &Object, words: &dyn Words) -> Self {
        let name = object.kind.type_name();
        let text = TypeText(&name);
        let (size, align) = (object.kind.size(), object.kind.align());
        let fits = |least: usize, most: usize| {
            (least as u64..=most as u64).contains(&size) && align.is_power_of_two()
        };
        let is = |bytes: usize| fits(bytes, bytes);
        let at_least = |bytes: usize| fits(bytes, usize::MAX);
        let state = match text.base() {
            "RawMutex" if is(size_of::<RawMutex>()) => RawMutex::state_of(words).map(Self::Lock),
            // lock_api's, with the lock first: see `guard`.
            "Mutex" if at_least(size_of::<RawMutex>()) => RawMutex::state_of(words).map(Self::Lock),
            "RawRobustMutex" if is(size_of::<RawRobustMutex>()) => {
                RawRobustMutex::state_of(words).map(Self::Lock)
            }
            "RobustMutex" if at_least(size_of::<RawRobustMutex>()) => {
                RobustMutex::state_of(words).map(Self::Lock)
            }
            "Condvar" if is(size_of::<Condvar>()) => Condvar::state_of(words).map(Self::Condvar),
            "Semaphore" if is(size_of::<Semaphore>()) => {
                Semaphore::state_of(words).map(Self::Semaphore)
            }
            "SemaphorePair" if is(size_of::<SemaphorePair>()) => {
                SemaphorePair::state_of(words).map(Self::Pair)
            }
            "RecoverableSemaphore" if at_least(1) => {
                RecoverableSemaphore::state_of(words, size).map(Self::Recoverable)
            }
            "RecoverablePair" if at_least(1) => {
                RecoverablePair::state_of(words, size, align, None).map(Self::RecoverablePair)
            }
            _ if at_least(1) => Self::of_buffer(object, text, words),
            _ => None,
        };
        state.unwrap_or(Self::Opaque)
    }

    fn of_buffer(object: &Object, text: TypeText<'_>, words: &dyn Words) -> Option<Self> {
        let ends = text.last_number(USUAL_ENDS);
        let (size, align) = (object.kind.size(), object.kind.align());
        // One that has its places inside has no plan.
        let plan = <usize as Plan>::of_word(object.plan).filter(|plan| *plan != 0);
        let capacity = plan.map(|plan| plan as u64).or(text.array_length());
        let state = match text.base() {
            "BoundedBuffer" => BoundedBuffer::state_of(words, align, capacity),
            "MonitorBuffer" => MonitorBuffer::state_of(words, align, capacity),
            "RobustBoundedBuffer" => {
                RobustBoundedBuffer::state_of(words, (size, align), capacity, ends)
            }
            "RingBuffer" => RingBuffer::state_of(words, capacity),
            "RobustMonitorBuffer" => RobustMonitorBuffer::state_of(words, capacity, ends),
            "BytePipe" => return BytePipe::state_of(words, capacity, ends).map(Self::BytePipe),
            "Segment" => return Segment::state_of(words, capacity).map(Self::Segment),
            "Chain" => return Chain::state_of(words, ends).map(Self::Chain),
            "MessageQueue" => return MessageQueue::state_of(words).map(Self::Queue),
            "Rendezvous" => {
                let state = Rendezvous::state_of(words, (size, align), ends);
                return state.map(Self::Rendezvous);
            }
            _ => None,
        };
        state.map(Self::Buffer)
    }
}
