//! A queue that grows in named segments of shared memory.

use crate::channel::{
    AttachError, Buffer, Channel, Direction, GrowthLimit, RecvTimeoutError, RobustEndpoint,
    Segment, SegmentList, Segments, SendTimeoutError, Slot, Usage,
};
use crate::inspect::RegionView;
use crate::platform::Ordering::Relaxed;
use crate::platform::{AtomicU64, ConfigError, MemoryReader, Pod, ShmObject, ShmSafe};
use crate::region::directory::Object;
use crate::region::{Attached, Region, RegionError, RegionName, RegionOptions};
use crate::sync::Timeout;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// The name of the segment list in the first region.
const LIST: &str = "chain";
/// The name of the queue's identity in the first region.
const IDENTITY: &str = "number";

/// Returns the object name of the items in each segment of the queue with this identity.
fn items_name(identity: u64) -> String {
    format!("items {identity:016x}")
}

/// A random number that identifies a queue.
#[repr(C)]
#[derive(ShmSafe)]
struct Identity(#[shm(initial = AtomicU64::new(random_identity()))] AtomicU64);

fn random_identity() -> u64 {
    // The keys of `RandomState` are random, but a forked child has the same keys as its parent.
    let unique = (std::process::id(), SystemTime::now());
    RandomState::new().hash_one(unique)
}

type Items<T> = Segment<T, [Slot<T>]>;

/// A first-in-first-out channel that grows in segments of shared memory, up to a limit.
///
/// Use this queue if senders must not wait for receivers and the number of items is hard to bound.
/// The queue survives the death of its users, and has at most 8 senders and 8 receivers at a time.
/// Memory is reserved when a segment is created. So a lack of memory causes an error of `send`, and
/// never a signal when the memory is used. The memory of a drained segment is freed, unless it is
/// the last segment.
///
/// A value of this type is the view of one thread. Other threads and processes open their own views
/// by the name of the queue.
///
/// # Cost
/// Each operation acquires one lock. Occasionally a sender creates a region or a receiver removes a
/// region, which takes a few system calls under that lock. Each process maps a segment when it
/// first uses the segment. A queue whose items fit into one segment creates and removes no further
/// regions. A view maps at most two segments, the first and the last, and keeps a descriptor for
/// each.
///
/// # Waiting
/// A sender never waits for free space. A sender waits only for the lock, which another process may
/// hold while that process creates or removes a segment. [`try_recv`](crate::Receiver::try_recv)
/// waits only for the lock, too. A process that is stopped while it holds the lock is not dead.
/// Operations without a deadline wait until it continues. Operations with a timeout return at most
/// 100 milliseconds after it. `try_send` and `try_recv` fail with `Failed(Busy)` after
/// 100 milliseconds, and [`usage`](Self::usage) and `len` give up. A timeout bounds the wait for
/// the lock, not the creation of a segment.
///
/// # Errors
/// A send fails with [`ChannelError::LimitReached`](crate::channel::ChannelError::LimitReached) if
/// all segments are full, and with [`ChannelError::Storage`](crate::channel::ChannelError::Storage)
/// if a segment cannot be created or opened. Both errors return the item. A receive fails with
/// [`ChannelError::Storage`](crate::channel::ChannelError::Storage) if a segment is missing.
///
/// # Fairness
/// The queue makes no fairness guarantee, like [`Condvar`](crate::Condvar).
///
/// # Panics
/// None.
///
/// # Process death
/// If a process is killed during `send` or `recv`, either the whole item is transferred or the
/// queue is unchanged. The next sender completes a segment that a dead sender has begun to create.
/// The next receiver removes a segment that a dead receiver has drained but not removed. When a
/// process dies, its handles are closed. When the last sender dies, receivers drain the queue and
/// then get `Disconnected`. A receiver that calls after the death gets this error immediately, and
/// a sleeping receiver gets it within the [`recheck_interval`](crate::platform::futex). The names
/// of the queue's regions stay until [`remove`](Self::remove) removes them. If a process dies in
/// [`create`](Self::create), either the queue exists or no region remains, apart from a file with a
/// temporary name on a file system without `O_TMPFILE` (see
/// [`Region`](crate::Region#process-death)).
///
/// If a thread other than the main thread calls `exec`, its handles never end.
///
/// # Fork
/// Handles belong to the process that created them. Operations of a copy in a forked child fail
/// with
/// [`ChannelError::Inherited`](crate::channel::ChannelError::Inherited), and dropping the copy does
/// nothing. The child creates handles of its own.
///
/// # Permissions
/// All regions of the queue have mode 0600. A process that may write to these regions may also
/// remove a segment. Operations on a removed segment fail with `Storage`. Each view reads and
/// checks the growth limit when it opens the queue, and no peer can change the limit of an open
/// view. If another user has created a file with the name of the next segment, senders fail with
/// `Storage`. Every region of the queue must belong to the user of this process or to root, like
/// [any region](crate::Region#other-users).
///
/// # How it works
/// The first region holds the segment list: one robust lock, a condition variable for receivers,
/// and the numbers of the linked segments. Segment 7 of the queue `posix:orders` is a region of its
/// own, `posix:orders.5.7`. The 5 stands for the identity of the queue, a random 64-bit number,
/// which is also part of the object name of the items in a segment. A view checks the identity
/// before it uses or removes a segment. So a queue never touches regions that belong to other
/// programs or to another queue of the same name.
///
/// | number | meaning |
/// | --- | --- |
/// | `first` | the segment of the oldest item; `last + 1` if there is no segment |
/// | `last` | the segment of the newest item |
/// | `removed` | all segments before this number are removed |
/// | `sent`, `received` of a segment | the total numbers of items sent to and received from it |
///
/// Every change is made under the lock, by one store of one word. An item is written to its slot
/// before `sent` counts the item. A segment is created empty before `last` reaches the segment's
/// number. A segment is removed after `first` has passed the segment's number. A death between
/// these steps leaves either a created segment that is not linked or a drained segment that is not
/// removed. The next sender reuses the former, and the next receiver removes the latter. Segment
/// numbers are never reused, so the two cases cannot be confused. Each segment is a ring, so a
/// queue that stays short creates and removes no segments. Each region is filled before it gets its
/// name, so no process ever finds an incomplete region.
///
/// A faulty peer may write any number into shared memory. Each view clamps the numbers to the
/// growth limit that it read when it opened the queue. So a peer determines neither how much memory
/// a process reserves nor how many steps an operation takes.
///
/// # Sources
/// The design follows the linked blocks of unbounded queues (Michael and Scott 1996). One lock
/// protects the list, and the links are segment numbers.
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
    /// The growth limit of the queue, read when this view was opened.
    limit: GrowthLimit,
    /// The identity of the queue, read when this view was opened.
    identity: u64,
    /// The object name of the items in the queue's segments.
    items_name: String,
    /// The segments that this view has mapped, with their numbers.
    mapped: RefCell<Vec<(u64, Attached<Items<T>>)>>,
}

impl<T: Pod> UnboundedBuffer<T> {
    /// Creates a queue with this name.
    ///
    /// # Errors
    /// Fails if a region of this name exists, if the region cannot be created, if the growth limit
    /// allows no valid segment, or if the name is a System V key. Segment names cannot be derived
    /// from a key.
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
    /// Fails if the queue does not exist, if its items have another type, or if this process lacks
    /// the permission to use it.
    pub fn attach(name: &RegionName) -> Result<Self, RegionError> {
        Self::open(name, RegionOptions::attach(name)?)
    }

    /// Attaches to the queue of this name, or creates it if it does not exist.
    ///
    /// Exactly one of several concurrent callers creates the queue. If that process dies, another
    /// caller creates the queue. An existing queue keeps its growth limit.
    ///
    /// # Errors
    /// Returns the same errors as [`create`](Self::create) and [`attach`](Self::attach).
    pub fn create_or_attach(name: &RegionName, limit: GrowthLimit) -> Result<Self, RegionError> {
        /// The maximum number of attempts while other processes repeatedly create and remove the
        /// queue.
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

    /// Removes the queue and its segments, regardless of the type of its items.
    ///
    /// Like [`RegionName::remove`], this function also removes regions that this process can no
    /// longer use. It acquires no lock. If the calling process dies, the next call removes the
    /// remaining regions. A process that still has the queue open can use the segments that it has
    /// mapped, but its queue no longer grows: `send` fails with
    /// [`ChannelError::Storage`](crate::channel::ChannelError::Storage).
    ///
    /// The first region contains the numbers of the segments, so this function does not search for
    /// them. It searches the directory only if the first region is missing or truncated, or if the
    /// queue has more than 1024 segments. It then also removes the segments of earlier queues of
    /// this name.
    ///
    /// # Errors
    /// Fails if the queue does not exist, if the name belongs to a region or file that is not a
    /// queue, or if this process lacks the permission.
    pub fn remove(name: &RegionName) -> Result<(), RegionError> {
        let Some(first) = view_if_exists(name)? else {
            return Self::remove_segments_of_missing_queue(name);
        };
        // `find` compares only the declaration, so it finds the list of any item type.
        let list = first.find::<SegmentList<T>>(LIST)?;
        let segments = || known_segments(name, &first, &list);
        let found = match segments() {
            Some(known) => known?,
            None => name.numbered_twice()?,
        };
        // If no queue of this name was created since `first` was opened, all found segments belong
        // to that queue or to earlier ones.
        if !first.has_name(name)? {
            return Err(RegionError::NotFound(name.clone()));
        }
        for (identity, segment) in found {
            unlink_segment(&segment, identity)?;
        }
        first.unlink(name)?;
        // A sender may have created a segment since the first search. A sender that creates a
        // segment later finds that the name of the first region is gone, and removes the segment.
        for (identity, segment) in segments().transpose()?.unwrap_or_default() {
            unlink_segment(&segment, identity)?;
        }
        Ok(())
    }

    /// Removes segments whose first region does not exist.
    fn remove_segments_of_missing_queue(name: &RegionName) -> Result<(), RegionError> {
        let segments = name.numbered_twice()?;
        let mut removed = false;
        // If a queue of this name was created meanwhile, the segments may belong to that queue.
        if view_if_exists(name)?.is_none() {
            for (identity, segment) in segments {
                removed |= unlink_segment(&segment, identity)?;
            }
        }
        match removed {
            true => Ok(()),
            false => Err(RegionError::NotFound(name.clone())),
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

    /// Checks that the segments of a queue with this name and limit can be created and named.
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

    /// Adds a segment to the list of segments that this view has mapped.
    fn insert_mapped(&self, number: u64, segment: Attached<Items<T>>) {
        let mut mapped = self.mapped.borrow_mut();
        mapped.retain(|(other, _)| *other != number);
        mapped.push((number, segment));
    }

    /// Returns the number of segments, or `None` if the calling thread cannot acquire the lock.
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

    /// Returns the current number of items, or 0 if the lock or a segment is not available.
    fn len(&self) -> usize {
        self.list.count(&RegionSegments(self)).unwrap_or(0)
    }

    fn capacity(&self) -> usize {
        (self.limit.items as usize).saturating_mul(self.limit.segments as usize)
    }
}

/// Opens a read-only view of the region with this name, if the region exists.
fn view_if_exists(name: &RegionName) -> Result<Option<RegionView>, RegionError> {
    match RegionView::attach(name) {
        Err(RegionError::NotFound(_)) => Ok(None),
        view => view.map(Some),
    }
}

/// A segment's name and the identity of its queue.
type FoundSegment = (u64, RegionName);

/// Returns the segments of the queue in this region that may exist. Returns `None` if the region is
/// truncated or names so many segments that a search of the directory is faster.
fn known_segments(
    name: &RegionName,
    region: &RegionView,
    list: &Object,
) -> Option<Result<Vec<FoundSegment>, RegionError>> {
    /// The maximum number of segments. It also bounds the effect of a faulty peer.
    const MAX: u64 = 1024;
    let identity = region.find::<Identity>(IDENTITY).ok()?;
    let identity = region.reader(&identity)?.read_u64(0)?;
    let numbers = SegmentList::read_segments(&region.reader(list)?)?;
    if numbers.end() - numbers.start() >= MAX {
        return None;
    }
    let named = |number| Ok((identity, name.numbered(identity)?.numbered(number)?));
    Some(numbers.map(named).collect())
}

/// Removes a segment of the queue with this identity. Returns whether the segment existed.
///
/// The segment may be missing because another process removed the segment and died before it
/// recorded the removal. A region that is not a segment of this queue is not removed.
fn unlink_segment(name: &RegionName, identity: u64) -> Result<bool, RegionError> {
    let is_segment = |view: &RegionView| view.find::<Items<u8>>(&items_name(identity)).is_ok();
    let view = match RegionView::attach(name) {
        Ok(view) if is_segment(&view) => view,
        Ok(_)
        | Err(
            RegionError::NotARegion { .. }
            | RegionError::OtherVersion { .. }
            | RegionError::NotAFile(_),
        ) => return Ok(false),
        Err(error) => return false_if_not_ours(error),
    };
    view.unlink(name)
        .map_or_else(false_if_not_ours, |()| Ok(true))
}

/// Returns `false` if the error says that the region does not exist or belongs to another user.
fn false_if_not_ours(error: RegionError) -> Result<bool, RegionError> {
    match error {
        RegionError::NotFound(_) | RegionError::Denied(_) => Ok(false),
        error => Err(error),
    }
}

/// The storage of a queue's segments, which creates one region for each segment.
struct RegionSegments<'a, T: Pod>(&'a UnboundedBuffer<T>);

// SAFETY: this value is passed only to the segment list in the queue's first region. Only that list
// uses these segments, because their items have a name that contains the queue's random identity. A
// peer that can read the identity is trusted not to create another queue with it. A segment is one
// file, and all users of the segment map that file.
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
            }
            // The region already exists because an earlier process died before it linked the
            // segment to the list. `with` checks that the region is a segment of this queue.
            Err(RegionError::RegionExists(_)) => {}
            Err(error) => return Err(error),
        }
        // `remove` removes the name of the queue and then looks for new segments once more. So
        // either `remove` finds this segment, or this process finds that the name is gone.
        match self.0.list.region().has_name(&self.0.name)? {
            true => Ok(()),
            false => {
                self.remove(number);
                Err(RegionError::NotFound(self.0.name.clone()))
            }
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

    fn remove(&self, number: u64) -> bool {
        let name = self.0.segment_name(number);
        name.is_ok_and(|name| unlink_segment(&name, self.0.identity).is_ok())
    }

    fn retain(&self, first: u64, last: u64) {
        let mut mapped = self.0.mapped.borrow_mut();
        mapped.retain(|(number, _)| [first, last].contains(number));
    }
}
