//! A queue that grows in named segments of shared memory.
//!
//! **Promise.** Who sends never waits for a receiver, only for its turn at the lock. Memory is reserved when it
//! is needed and given back when it is drained, but that of one segment: a full machine is an error of `send`, not a signal later.
//!
//! **How.** A first region has the chain: its lock, and the numbers of the segments that are linked. Segment 7
//! of the queue `posix:orders` is a region of its own, `posix:orders.5.7`; each process maps it when it comes to
//! it. Why the chain is whole wherever a process dies is said in `buffer/robust/chain`.
//!
//! **Whose a segment is.** The 5 stands for a random number of 64 bits, that of this one queue, which its first
//! region has. It is part of the name of what is in a segment, too, and is looked for there before a segment is
//! used or removed; so a queue touches nobody else's regions, nor those of a later queue of its name.
//!
//! **No half of it.** Every region is filled before it gets its name. Whoever dies before that leaves nothing,
//! and whoever dies after it leaves what the next one uses, or removes.

use crate::channel::{
    AttachError, Direction, Endpoint, GrowError, GrowthLimit, RobustEndpoint, Segment, SegmentList,
    Segments, Slot, TakeError, Usage,
};
use crate::inspect::RegionView;
use crate::platform::Ordering::Relaxed;
use crate::platform::{AtomicU64, ConfigError, Deadline, Pod, ShmObject, ShmSafe};
use crate::region::{Attached, Region, RegionError, RegionName, RegionOptions};
use crate::sync::Timeout;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

/// The name of the chain in the first region.
const CHAIN: &str = "chain";
/// The name of the queue's number in the first region.
const NUMBER: &str = "number";

/// The name of the items in a segment of the queue of this number.
fn items_of(queue: u64) -> String {
    format!("items {queue:016x}")
}

/// A number that no other queue has.
#[repr(C)]
#[derive(ShmSafe)]
struct Number(#[shm(initial = AtomicU64::new(random_number()))] AtomicU64);

fn random_number() -> u64 {
    // The keys are random, but the child of a fork has those of its parent.
    let unlike = (std::process::id(), SystemTime::now());
    RandomState::new().hash_one(unlike)
}

/// What a segment has.
type Items<T> = Segment<T, [Slot<T>]>;

/// A first-in-first-out queue that grows in segments of shared memory up to a limit, and survives the death of
/// its users; for at most 8 senders and 8 receivers at one time.
///
/// This is the view of one thread; others open their own by the name.
///
/// # Cost
/// Every operation takes the one lock. Now and then a sender makes a region, and a receiver removes one, inside
/// that lock: a few system calls; and each maps a segment when it first comes to it. As long as the items fit into
/// one segment, there are none of these. No more than two segments stay mapped, the first and the last, with a
/// descriptor for each.
///
/// # Waiting
/// Nobody waits for room. But who sends waits for the lock, as everybody does, and so behind those who make or
/// remove a segment just then; [`try_recv`](UnboundedReceiver::try_recv), too. One that is stopped inside is not
/// dead: all wait until it goes on, but those who [send within a timeout](UnboundedSender::send_with), or
/// receive with a deadline.
///
/// # Fairness
/// That of [`Condvar`](crate::Condvar): none.
///
/// # Process death
/// Whoever is killed has sent, or received, its item or not. A segment that a dead sender has begun to make is
/// made by the next one; one that a dead receiver has drained and not removed is removed by the next one.
/// Handles end with their thread; when the last sender dies, receivers hear of the end: at once if they ask
/// then, or within the [`recheck_interval`](crate::platform::futex) if they sleep. Names stay until
/// [`remove`](Self::remove). Who dies while it makes a queue has made it or left nothing.
///
/// # Who may
/// All regions have mode 0600, for the user who makes them. Whoever may write them may remove a segment: that
/// is a typed error here, [`GrowError::Segment`] or [`TakeError::Segment`]. How far the queue grows is read
/// when it is opened, and checked: no peer changes that afterwards. Of a file that another user has put where
/// the next segment would be, senders hear in the same way.
///
/// # Example
/// ```
/// use interlatch::channel::{GrowError, GrowthLimit};
/// use interlatch::{RegionName, UnboundedBuffer};
///
/// let name = RegionName::posix(&format!("unbounded-{}", std::process::id()))?;
/// let growth = GrowthLimit { items: 100, segments: 3 };
/// let queue = UnboundedBuffer::<u64>::create(&name, growth)?;
/// let (sender, receiver) = (queue.sender()?, queue.receiver()?);
/// for item in 0..300 {
///     sender.send(item)?;
/// }
/// assert_eq!(queue.grown().unwrap().segments, 3);
/// assert!(matches!(sender.send(300), Err(GrowError::AtLimit(3))));
/// for item in 0..300 {
///     assert_eq!(receiver.recv()?, item);
/// }
/// assert_eq!(queue.grown().unwrap().segments, 1);
/// drop((sender, receiver));
/// UnboundedBuffer::<u64>::remove(&name)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnboundedBuffer<T: Pod> {
    chain: Attached<SegmentList<T>>,
    name: RegionName,
    /// How far it grows, as it was when this was opened.
    growth: GrowthLimit,
    /// Of this queue alone, as it was when this was opened.
    number: u64,
    /// What the items in its segments are called.
    items: String,
    /// Those segments that this view has mapped.
    mapped: RefCell<Vec<(u64, Attached<Items<T>>)>>,
}

impl<T: Pod> UnboundedBuffer<T> {
    /// A new queue of this name, without a segment.
    ///
    /// # Errors
    /// If there is a region of this name, it cannot be made, no such segments can be, or the name is a System V
    /// key, of which there is none for the segments.
    pub fn create(name: &RegionName, growth: GrowthLimit) -> Result<Self, RegionError> {
        Self::check(name, growth)?;
        let options = RegionOptions::new(size_of::<SegmentList<T>>() + size_of::<Number>());
        let region = options.create_filled(name, |region| {
            region.create::<SegmentList<T>>(CHAIN, growth)?;
            region.create::<Number>(NUMBER, ()).map(drop)
        })?;
        Self::over(name, region)
    }

    /// The queue of this name.
    ///
    /// # Errors
    /// If there is none, it is one of other items, or this process may not use it.
    pub fn attach(name: &RegionName) -> Result<Self, RegionError> {
        Self::over(name, RegionOptions::attach(name)?)
    }

    /// The queue of this name, which is made if there is none. Of all that do this at once one makes it, and if
    /// that one dies, another one does. Who attaches gets the growth that it was made with.
    ///
    /// # Errors
    /// As of both.
    pub fn create_or_attach(name: &RegionName, growth: GrowthLimit) -> Result<Self, RegionError> {
        /// More often than that nobody removes it just then.
        const ATTEMPTS: usize = 100;
        Self::check(name, growth)?;
        for _ in 0..ATTEMPTS {
            match Self::attach(name) {
                Err(RegionError::NotFound(_)) => {}
                found => return found,
            }
            match Self::create(name, growth) {
                Err(RegionError::RegionExists(_)) => {}
                made => return made,
            }
        }
        Err(RegionError::Busy)
    }

    /// Removes the queue and its segments, whatever its items, and what earlier queues of this name have left:
    /// also what this process cannot use any more, as [`RegionName::remove`] does. Who dies in between leaves
    /// what the next one removes. It waits for no lock.
    ///
    /// Nobody should have the queue open any more: whoever has, and sends on, makes segments that stay until a
    /// queue of this name is removed again.
    ///
    /// # Errors
    /// If there is none, there is something else, or this process may not remove it.
    pub fn remove(name: &RegionName) -> Result<(), RegionError> {
        let first = look(name)?;
        if let Some(view) = &first {
            // Of whatever items.
            view.find::<SegmentList<T>>(CHAIN)?;
        }
        let left = name.numbered_twice()?;
        // If no queue of this name was made meanwhile, all that were listed are those of the one that was found,
        // or of earlier ones.
        let is_same = match &first {
            Some(view) => view.has_name(name)?,
            None => look(name)?.is_none(),
        };
        let gone = || RegionError::NotFound(name.clone());
        if !is_same {
            return Err(gone());
        }
        let mut removed = false;
        for (queue, segment) in left {
            removed |= unlink(&segment, queue)?;
        }
        match first {
            Some(view) => view.unlink(name),
            None if removed => Ok(()),
            None => Err(gone()),
        }
    }

    fn over(name: &RegionName, region: Region) -> Result<Self, RegionError> {
        let chain = <Attached<SegmentList<T>>>::new(region, CHAIN)?;
        let growth = chain.growth()?;
        Self::check(name, growth)?;
        let number = chain.region().attach::<Number>(NUMBER)?;
        // Relaxed: it was written before the region had its name.
        let number = number.0.load(Relaxed);
        Ok(Self {
            chain,
            name: name.clone(),
            growth,
            number,
            items: items_of(number),
            mapped: RefCell::new(Vec::new()),
        })
    }

    /// Whether there can be such a queue, and its segments can be made and have names.
    fn check(name: &RegionName, growth: GrowthLimit) -> Result<(), RegionError> {
        name.numbered(u64::MAX)?.numbered(u64::MAX)?;
        <SegmentList<T>>::layout(growth)?;
        Self::size(growth.items)?;
        Ok(())
    }

    /// Bytes of a segment.
    fn size(items: u32) -> Result<usize, ConfigError> {
        let layout = <Items<T>>::layout(items as usize)?;
        Ok(layout.size())
    }

    fn segment(&self, number: u64) -> Result<RegionName, RegionError> {
        self.name.numbered(self.number)?.numbered(number)
    }

    /// Uses that segment from here on.
    fn map(&self, number: u64, segment: Attached<Items<T>>) {
        let mut mapped = self.mapped.borrow_mut();
        mapped.retain(|(other, _)| *other != number);
        mapped.push((number, segment));
    }

    /// How far it has grown; nothing, if this thread can hold no lock.
    pub fn grown(&self) -> Option<Usage> {
        self.chain.grown(self.growth)
    }

    /// A handle for sending. After the last one is gone, receivers drain the queue and hear of the end.
    ///
    /// # Errors
    /// If the last sender has already gone, or no handle can be had.
    pub fn sender(&self) -> Result<UnboundedSender<'_, T>, AttachError> {
        let seat = self.chain.attach(Direction::Sending)?;
        Ok(UnboundedSender { queue: self, seat })
    }

    /// A handle for receiving. After the last one is gone, nothing can be sent.
    ///
    /// # Errors
    /// If the last receiver has already gone, or no handle can be had.
    pub fn receiver(&self) -> Result<UnboundedReceiver<'_, T>, AttachError> {
        let seat = self.chain.attach(Direction::Receiving)?;
        Ok(UnboundedReceiver { queue: self, seat })
    }
}

/// What is in the region of this name, if there is one.
fn look(name: &RegionName) -> Result<Option<RegionView>, RegionError> {
    match RegionView::attach(name) {
        Err(RegionError::NotFound(_)) => Ok(None),
        found => found.map(Some),
    }
}

/// Removes the segment of that queue, and says whether it was there. It may be gone already: somebody died after
/// this, and before saying so. What is somebody else's stays.
fn unlink(name: &RegionName, queue: u64) -> Result<bool, RegionError> {
    let is_ours = |view: &RegionView| view.find::<Items<u8>>(&items_of(queue)).is_ok();
    let view = match RegionView::attach(name) {
        Ok(view) if is_ours(&view) => view,
        Ok(_) | Err(RegionError::NotARegion { .. } | RegionError::NotAFile(_)) => return Ok(false),
        Err(error) => return unless_not_ours(error),
    };
    view.unlink(name)
        .map_or_else(unless_not_ours, |()| Ok(true))
}

/// Nothing was removed: it is not there, or another user's.
fn unless_not_ours(error: RegionError) -> Result<bool, RegionError> {
    match error {
        RegionError::NotFound(_) | RegionError::Denied(_) => Ok(false),
        error => Err(error),
    }
}

/// The segments of a queue, for its own chain.
struct Regions<'a, T: Pod>(&'a UnboundedBuffer<T>);

// SAFETY: only the chain in the queue's first region is given these. Segments belong to that chain alone, since
// no other one has its random number, and to share memory is to trust a peer not to claim it. A segment is one
// file, which is mapped by all who use it.
unsafe impl<T: Pod> Segments for Regions<'_, T> {
    type Item = T;
    type Slots = [Slot<T>];
    type Error = RegionError;

    fn growth(&self) -> GrowthLimit {
        self.0.growth
    }

    fn make(&self, number: u64) -> Result<(), RegionError> {
        let (name, items) = (self.0.segment(number)?, self.0.growth.items);
        let options = RegionOptions::new(UnboundedBuffer::<T>::size(items)?);
        let made = options.create_filled(&name, |region| {
            let made = region.create::<Items<T>>(&self.0.items, items as usize);
            made.map(drop)
        });
        match made {
            Ok(region) => {
                let segment = Attached::new(region, &self.0.items)?;
                self.0.map(number, segment);
                Ok(())
            }
            // Of one that has died before it has linked it. Whose it is, is seen when it is used.
            Err(RegionError::RegionExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn with<R>(&self, number: u64, act: impl FnOnce(&Items<T>) -> R) -> Result<R, RegionError> {
        let mapped = self.0.mapped.borrow();
        if let Some((_, segment)) = mapped.iter().find(|(other, _)| *other == number) {
            return Ok(act(segment));
        }
        drop(mapped);
        let segment = Attached::new(
            RegionOptions::attach(&self.0.segment(number)?)?,
            &self.0.items,
        )?;
        let done = act(&segment);
        self.0.map(number, segment);
        Ok(done)
    }

    fn remove(&self, number: u64) {
        if let Ok(name) = self.0.segment(number) {
            // What cannot be removed now is removed with the queue.
            let _ = unlink(&name, self.0.number);
        }
    }

    fn keep(&self, first: u64, last: u64) {
        let mut mapped = self.0.mapped.borrow_mut();
        mapped.retain(|(number, _)| [first, last].contains(number));
    }
}

/// A sending end of an [`UnboundedBuffer`]. The last one that goes ends the stream.
///
/// # Process death
/// As going. See [`UnboundedBuffer`], also for an example.
#[derive(Debug)]
#[must_use = "dropping the last sender ends the stream"]
pub struct UnboundedSender<'a, T: Pod> {
    queue: &'a UnboundedBuffer<T>,
    seat: RobustEndpoint<'a>,
}

impl<T: Pod> UnboundedSender<'_, T> {
    /// Sends, without waiting for a receiver. It waits for the lock, as long as it takes: also while one that
    /// has it is stopped.
    ///
    /// # Errors
    /// The queue is at its limit, all receivers are gone, or a segment cannot be made: then the item was not
    /// sent. It is plain data, and so still the caller's.
    pub fn send(&self, item: T) -> Result<(), GrowError<RegionError>> {
        self.send_with(item, Timeout::Infinite)
    }

    /// Sends if nobody has the lock just now, which all take for moments who send or receive.
    ///
    /// # Errors
    /// `Timeout`, if somebody has; and as [`send`](Self::send).
    pub fn try_send(&self, item: T) -> Result<(), GrowError<RegionError>> {
        self.send_with(item, Timeout::NonBlocking)
    }

    /// Sends, or gives up if the lock was not to be had for that time.
    ///
    /// # Errors
    /// `Timeout`, if so; and as [`send`](Self::send): nobody waits for room.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), GrowError<RegionError>> {
        self.send_with(item, Timeout::after(timeout))
    }

    /// Sends, or gives up if the lock was not to be had before that moment.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    pub fn send_deadline(&self, item: T, deadline: Deadline) -> Result<(), GrowError<RegionError>> {
        self.send_with(item, Timeout::At(deadline))
    }

    /// Sends, and waits for the lock as long as timeout lasts. (What is done with the lock, making a segment, has
    /// no deadline.)
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    pub fn send_with(&self, item: T, timeout: Timeout) -> Result<(), GrowError<RegionError>> {
        self.send_ref_with(&item, timeout)
    }

    /// Sends a copy of an item, the only one that is made, and waits for the lock as long as timeout lasts.
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with).
    pub fn send_ref_with(&self, item: &T, timeout: Timeout) -> Result<(), GrowError<RegionError>> {
        if !self.seat.is_owned() {
            return Err(GrowError::Disconnected);
        }
        let chain = &self.queue.chain;
        chain.send_with(&Regions(self.queue), item, timeout)
    }
}

/// A receiving end of an [`UnboundedBuffer`].
///
/// # Process death
/// As going. See [`UnboundedBuffer`], also for an example.
#[derive(Debug)]
#[must_use = "dropping the last receiver stops the senders"]
pub struct UnboundedReceiver<'a, T: Pod> {
    queue: &'a UnboundedBuffer<T>,
    seat: RobustEndpoint<'a>,
}

impl<T: Pod> UnboundedReceiver<'_, T> {
    /// Receives the oldest item, waiting for one.
    ///
    /// # Errors
    /// There is none and all senders are gone, or a segment is not to be found.
    pub fn recv(&self) -> Result<T, TakeError<RegionError>> {
        loop {
            match self.recv_with(Timeout::Infinite) {
                // Forever does not run out.
                Err(TakeError::Timeout) => {}
                result => return result,
            }
        }
    }

    /// Receives the oldest item if there is one. To know it takes the lock, however long that takes.
    ///
    /// # Errors
    /// `Timeout`, if there is none; and as [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<T, TakeError<RegionError>> {
        self.recv_with(Timeout::NonBlocking)
    }

    /// Receives the oldest item, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, TakeError<RegionError>> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives the oldest item, or gives up at that moment.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<T, TakeError<RegionError>> {
        self.recv_with(Timeout::At(deadline))
    }

    /// Receives the oldest item as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_with(&self, timeout: Timeout) -> Result<T, TakeError<RegionError>> {
        let mut item = T::new_zeroed();
        self.recv_into_with(&mut item, timeout)?;
        Ok(item)
    }

    /// Receives the oldest item into memory of the caller's as long as timeout lasts: of a large one the only copy.
    ///
    /// # Errors
    /// As [`recv`](Self::recv) and [`try_recv`](Self::try_recv): nothing was received.
    pub fn recv_into_with(
        &self,
        place: &mut T,
        timeout: Timeout,
    ) -> Result<(), TakeError<RegionError>> {
        if !self.seat.is_owned() {
            return Err(TakeError::Disconnected);
        }
        let chain = &self.queue.chain;
        chain.take(&Regions(self.queue), place, timeout)
    }
}
