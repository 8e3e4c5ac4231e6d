//! A queue that grows in named segments of shared memory.

use crate::channel::{
    AttachError, Buffer, Channel, Direction, GrowthLimit, RecvTimeoutError, RobustEndpoint,
    Segment, SegmentList, Segments, SendTimeoutError, Slot, Usage,
};
use crate::inspect::RegionView;
use crate::platform::Ordering::Relaxed;
use crate::platform::{AtomicU64, ConfigError, Pod, ShmObject, ShmSafe};
use crate::region::{Attached, Region, RegionError, RegionName, RegionOptions};
use crate::sync::Timeout;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// The name of the segment list in the first region.
const LIST: &str = "chain";
/// The name of the queue's identity in the first region.
const IDENTITY: &str = "number";

/// The name of the items in each segment of the queue with this identity.
fn items_name(identity: u64) -> String {
    format!("items {identity:016x}")
}

/// A random number that identifies a queue.
#[repr(C)]
#[derive(ShmSafe)]
struct Identity(#[shm(initial = AtomicU64::new(random_identity()))] AtomicU64);

fn random_identity() -> u64 {
    // The keys of `RandomState` are random, but a forked child shares them with its parent.
    let unique = (std::process::id(), SystemTime::now());
    RandomState::new().hash_one(unique)
}

type Items<T> = Segment<T, [Slot<T>]>;

/// A first-in-first-out channel that grows in segments of shared memory, up to a limit.
///
/// Use it where senders must not wait for receivers and the number of items is hard to bound. It
/// survives the death of its users, and has at most 8 senders and 8 receivers at a time. Memory is
/// reserved when a segment is created, and freed when the segment is drained, except for the last
/// one: a lack of memory is an error of `send`, and never a signal later.
///
/// A value of this type is the view of one thread. Other threads and processes open their own by
/// name.
///
/// # Cost
/// Each operation takes one lock. Now and then a sender creates a region, and a receiver removes
/// one, under that lock: a few system calls. Each process maps a segment when it first uses it. A
/// queue whose items fit into one segment does none of this. A view maps at most two segments, the
/// first and the last, and keeps a descriptor for each.
///
/// # Waiting
/// A sender never waits for room, only for the lock: it may wait behind a process that creates or
/// removes a segment. The same holds for [`try_recv`](crate::Receiver::try_recv). A process that is
/// stopped under the lock is not dead: all others wait until it continues, except for senders with
/// a timeout and receivers with a deadline. A timeout bounds the wait for the lock, not the
/// creation of a segment. `try_send` fails with `Full` if the lock is held.
///
/// # Errors
/// A send fails with [`ChannelError::LimitReached`](crate::channel::ChannelError::LimitReached) if
/// all segments are full, and with [`ChannelError::Storage`](crate::channel::ChannelError::Storage)
/// if a segment cannot be created or opened; the item comes back. A receive fails with
/// [`ChannelError::Storage`](crate::channel::ChannelError::Storage) if a segment is missing.
///
/// # Fairness
/// None, as for [`Condvar`](crate::Condvar).
///
/// # Panics
/// None.
///
/// # Process death
/// A process that is killed has sent or received its item, or not. The next sender completes a
/// segment that a dead sender has begun to create. The next receiver removes a segment that a dead
/// receiver has drained and not removed. Handles end with their thread; when the last sender dies,
/// receivers get `Disconnected` after they have drained the queue: immediately if they call after
/// the death, and within the [`recheck_interval`](crate::platform::futex) if they sleep. Names stay
/// until [`remove`](Self::remove). A process that dies in [`create`](Self::create) has created the
/// queue, or leaves nothing behind.
///
/// # Permissions
/// All regions have mode 0600. A process that may write them may also remove a segment; operations
/// on it then fail with `Storage`. The growth limit is read and checked when the queue is opened,
/// and no peer can change it later. If another user has created a file with the name of the next
/// segment, senders fail with `Storage`.
///
/// # How it works
/// The first region holds the segment list: one robust lock, a condition variable for receivers,
/// and the numbers of the linked segments. Segment 7 of the queue `posix:orders` is a region of its
/// own, `posix:orders.5.7`. The 5 stands for a random number of 64 bits that identifies the queue,
/// and that also is part of the name of the items in a segment. It is checked before a segment is
/// used or removed, so a queue never touches the regions of others, nor those of another queue of
/// the same name.
///
/// | number | meaning |
/// | --- | --- |
/// | `first` | the segment of the oldest item; `last + 1` if there is no segment |
/// | `last` | the segment of the newest item |
/// | `removed` | all segments before this number are removed |
/// | `sent`, `received` of a segment | the numbers of items ever put into it and taken out of it |
///
/// Every change is made under the lock, by one store of one word. An item is in its slot before
/// `sent` includes it. A segment is created and empty before `last` includes it, and is removed
/// after `first` has passed it. A death in between leaves a created segment that is not linked,
/// which the next sender reuses, or a drained segment that is not removed, which the next receiver
/// removes. Segment numbers are never reused, so the two cases cannot be confused. Each segment is
/// a ring, so a queue that stays short creates and removes nothing. Each region is filled before it
/// gets its name, so no process ever finds an incomplete one.
///
/// A faulty peer may write any number into shared memory. Numbers are clamped to the growth limit
/// that each view has read at first, so a peer decides neither how much memory a process reserves
/// nor how many steps an operation takes.
///
/// # Sources
/// The linked blocks of unbounded queues (Michael and Scott 1996), under one lock, with numbers as
/// links.
///
/// # Example
/// ```
/// use interlatch::channel::{ChannelError, GrowthLimit, SendError};
/// use interlatch::{Channel, RegionName, UnboundedBuffer};
///
/// let name = RegionName::posix(&format!("unbounded-{}", std::process::id()))?;
/// let limit = GrowthLimit { items: 100, segments: 3 };
/// let queue = UnboundedBuffer::<u64>::create(&name, limit)?;
/// let sender = queue.sender()?;
///
/// // Another process attaches to the queue by its name.
/// let peer = UnboundedBuffer::<u64>::attach(&name)?;
/// let receiver = peer.receiver()?;
/// for item in 0..300 {
///     sender.send(item)?;
/// }
/// assert_eq!(queue.usage().unwrap().segments, 3);
/// let error = ChannelError::LimitReached { segments: 3 };
/// assert_eq!(sender.send(300), Err(SendError::Failed(300, error)));
/// for item in 0..300 {
///     assert_eq!(receiver.recv()?, item);
/// }
/// assert_eq!(queue.usage().unwrap().segments, 1);
/// drop((sender, receiver));
/// UnboundedBuffer::<u64>::remove(&name)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnboundedBuffer<T: Pod> {
    list: Attached<SegmentList<T>>,
    name: RegionName,
    /// The growth limit, read when this view was opened.
    limit: GrowthLimit,
    /// The identity of the queue, read when this view was opened.
    identity: u64,
    /// The name of the items in its segments.
    items_name: String,
    /// The segments that this view has mapped, with their numbers.
    mapped: RefCell<Vec<(u64, Attached<Items<T>>)>>,
}

impl<T: Pod> UnboundedBuffer<T> {
    /// Creates a queue with this name.
    ///
    /// # Errors
    /// Fails if a region of this name exists, if the region or such segments cannot be created, or
    /// if the name is a System V key, from which no names of segments can be derived.
    pub fn create(name: &RegionName, limit: GrowthLimit) -> Result<Self, RegionError> {
        Self::check(name, limit)?;
        let options = RegionOptions::new(size_of::<SegmentList<T>>() + size_of::<Identity>());
        let region = options.create_filled(name, |region| {
            region.create::<SegmentList<T>>(LIST, limit)?;
            region.create::<Identity>(IDENTITY, ()).map(drop)
        })?;
        Self::open(name, region)
    }

    /// Attaches to the queue of this name.
    ///
    /// # Errors
    /// Fails if there is no such queue, if it has items of another type, or if this process lacks
    /// the permission.
    pub fn attach(name: &RegionName) -> Result<Self, RegionError> {
        Self::open(name, RegionOptions::attach(name)?)
    }

    /// Attaches to the queue of this name, or creates it if it does not exist.
    ///
    /// One of several concurrent callers creates the queue; if that process dies, another one
    /// creates it. An existing queue keeps its growth limit.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`attach`](Self::attach).
    pub fn create_or_attach(name: &RegionName, limit: GrowthLimit) -> Result<Self, RegionError> {
        /// A limit for the case that other processes create and remove the queue all the time.
        const ATTEMPTS: usize = 100;
        Self::check(name, limit)?;
        for _ in 0..ATTEMPTS {
            match Self::attach(name) {
                Err(RegionError::NotFound(_)) => {}
                attached => return attached,
            }
            match Self::create(name, limit) {
                Err(RegionError::RegionExists(_)) => {}
                created => return created,
            }
        }
        Err(RegionError::Busy)
    }

    /// Removes the queue and its segments, whatever the type of its items.
    ///
    /// It also removes what earlier queues of this name have left behind, and what this process can
    /// no longer use, as [`RegionName::remove`] does. It takes no lock. If it dies, the next call
    /// removes the rest. No process should have the queue open: a process that continues to send
    /// creates segments that stay until a queue of this name is removed again.
    ///
    /// # Errors
    /// Fails if there is no such queue, if the name belongs to something else, or if this process
    /// lacks the permission.
    pub fn remove(name: &RegionName) -> Result<(), RegionError> {
        let first = view_if_exists(name)?;
        if let Some(view) = &first {
            // Of any item type.
            view.find::<SegmentList<T>>(LIST)?;
        }
        let segments = name.numbered_twice()?;
        // If no queue of this name was created since `first` was opened, all listed segments belong
        // to that queue or to earlier ones.
        let is_unchanged = match &first {
            Some(view) => view.has_name(name)?,
            None => view_if_exists(name)?.is_none(),
        };
        let missing = || RegionError::NotFound(name.clone());
        if !is_unchanged {
            return Err(missing());
        }
        let mut removed = false;
        for (identity, segment) in segments {
            removed |= unlink_segment(&segment, identity)?;
        }
        match first {
            Some(view) => view.unlink(name),
            None if removed => Ok(()),
            None => Err(missing()),
        }
    }

    fn open(name: &RegionName, region: Region) -> Result<Self, RegionError> {
        let list = <Attached<SegmentList<T>>>::new(region, LIST)?;
        let limit = list.limit()?;
        Self::check(name, limit)?;
        let identity = list.region().attach::<Identity>(IDENTITY)?;
        // Relaxed: the identity was written before the region got its name.
        let identity = identity.0.load(Relaxed);
        Ok(Self {
            list,
            name: name.clone(),
            limit,
            identity,
            items_name: items_name(identity),
            mapped: RefCell::new(Vec::new()),
        })
    }

    /// Checks that the segments of such a queue can be created and named.
    fn check(name: &RegionName, limit: GrowthLimit) -> Result<(), RegionError> {
        name.numbered(u64::MAX)?.numbered(u64::MAX)?;
        <SegmentList<T>>::layout(limit)?;
        Self::segment_size(limit.items)?;
        Ok(())
    }

    fn segment_size(items: u32) -> Result<usize, ConfigError> {
        let layout = <Items<T>>::layout(items as usize)?;
        Ok(layout.size())
    }

    fn segment_name(&self, number: u64) -> Result<RegionName, RegionError> {
        self.name.numbered(self.identity)?.numbered(number)
    }

    /// Records a segment that this view has mapped.
    fn insert_mapped(&self, number: u64, segment: Attached<Items<T>>) {
        let mut mapped = self.mapped.borrow_mut();
        mapped.retain(|(other, _)| *other != number);
        mapped.push((number, segment));
    }

    /// Returns the number of segments; `None` if the calling thread cannot take the lock.
    pub fn usage(&self) -> Option<Usage> {
        self.list.usage(self.limit)
    }
}

impl<T: Pod> Channel for UnboundedBuffer<T> {
    type SendEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;
    type RecvEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;

    fn attach_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.list.attach(Direction::Sending)
    }

    fn attach_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.list.attach(Direction::Receiving)
    }
}

impl<T: Pod> Buffer for UnboundedBuffer<T> {
    type Item = T;

    fn send_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        let sent = self.list.send_with(&RegionSegments(self), &item, timeout);
        sent.map_err(|error| error.map(|()| item))
    }

    fn send_ref_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        self.list.send_with(&RegionSegments(self), item, timeout)
    }

    fn recv_with(
        &self,
        endpoint: &RobustEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        let mut item = T::new_zeroed();
        self.recv_into_with(endpoint, &mut item, timeout)?;
        Ok(item)
    }

    fn recv_into_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        self.list
            .recv_into_with(&RegionSegments(self), destination, timeout)
    }

    /// Returns the current number of items; 0 if the lock or a segment is not available.
    fn len(&self) -> usize {
        self.list.count(&RegionSegments(self)).unwrap_or(0)
    }

    fn capacity(&self) -> usize {
        (self.limit.items as usize).saturating_mul(self.limit.segments as usize)
    }
}

/// Opens a read-only view of the region of this name, if it exists.
fn view_if_exists(name: &RegionName) -> Result<Option<RegionView>, RegionError> {
    match RegionView::attach(name) {
        Err(RegionError::NotFound(_)) => Ok(None),
        view => view.map(Some),
    }
}

/// Removes a segment of the queue with this identity. Returns whether it existed.
///
/// It may be missing: a process has removed it and died before it recorded that. A region that is
/// not a segment of this queue stays.
fn unlink_segment(name: &RegionName, identity: u64) -> Result<bool, RegionError> {
    let is_segment = |view: &RegionView| view.find::<Items<u8>>(&items_name(identity)).is_ok();
    let view = match RegionView::attach(name) {
        Ok(view) if is_segment(&view) => view,
        Ok(_) | Err(RegionError::NotARegion { .. } | RegionError::NotAFile(_)) => return Ok(false),
        Err(error) => return false_if_not_ours(error),
    };
    view.unlink(name)
        .map_or_else(false_if_not_ours, |()| Ok(true))
}

/// Returns `false` if the region does not exist or belongs to another user.
fn false_if_not_ours(error: RegionError) -> Result<bool, RegionError> {
    match error {
        RegionError::NotFound(_) | RegionError::Denied(_) => Ok(false),
        error => Err(error),
    }
}

/// The storage of a queue's segments: one region for each.
struct RegionSegments<'a, T: Pod>(&'a UnboundedBuffer<T>);

// SAFETY: this is passed only to the list in the queue's first region. The segments belong to that
// list alone, because no other queue has its random identity; a peer that shares the memory is
// trusted not to claim it. A segment is one file, which all its users map.
unsafe impl<T: Pod> Segments for RegionSegments<'_, T> {
    type Item = T;
    type Slots = [Slot<T>];
    type Error = RegionError;

    fn limit(&self) -> GrowthLimit {
        self.0.limit
    }

    fn create(&self, number: u64) -> Result<(), RegionError> {
        let (name, items) = (self.0.segment_name(number)?, self.0.limit.items);
        let options = RegionOptions::new(UnboundedBuffer::<T>::segment_size(items)?);
        let created = options.create_filled(&name, |region| {
            let created = region.create::<Items<T>>(&self.0.items_name, items as usize);
            created.map(drop)
        });
        match created {
            Ok(region) => {
                let segment = Attached::new(region, &self.0.items_name)?;
                self.0.insert_mapped(number, segment);
                Ok(())
            }
            // A process has died before it linked the segment. `with` checks that it is one.
            Err(RegionError::RegionExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn with<R>(
        &self,
        number: u64,
        use_segment: impl FnOnce(&Items<T>) -> R,
    ) -> Result<R, RegionError> {
        let mapped = self.0.mapped.borrow();
        if let Some((_, segment)) = mapped.iter().find(|(other, _)| *other == number) {
            return Ok(use_segment(segment));
        }
        drop(mapped);
        let region = RegionOptions::attach(&self.0.segment_name(number)?)?;
        let segment = Attached::new(region, &self.0.items_name)?;
        let result = use_segment(&segment);
        self.0.insert_mapped(number, segment);
        Ok(result)
    }

    fn remove(&self, number: u64) {
        if let Ok(name) = self.0.segment_name(number) {
            // A segment that cannot be removed now is removed with the queue.
            let _ = unlink_segment(&name, self.0.identity);
        }
    }

    fn retain(&self, first: u64, last: u64) {
        let mut mapped = self.0.mapped.borrow_mut();
        mapped.retain(|(number, _)| [first, last].contains(number));
    }
}
