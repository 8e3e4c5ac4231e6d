//! A queue that grows in named segments of shared memory.
//!
//! **Promise.** Who sends never waits for a receiver. Memory is reserved when it is needed and given back when
//! it is drained: a full machine is an error of `send`, not a signal later.
//!
//! **How.** A first region has the [`Chain`]: its lock, and the numbers of the segments that are linked. Segment
//! 7 of the queue `posix:orders` is a region of its own, `posix:orders.7`; each process maps it when it comes
//! to it. Why the chain is whole wherever a process dies is said at [`Chain`].

use crate::buffer::{
    AttachError, Chain, End, GrowError, Grown, Growth, RobustSeat, Seat, Segment, Segments, Slot,
    TakeError,
};
use crate::memory::{Options, Region, RegionError, RegionName};
use crate::platform::{Place, Plain, PlanError};
use crate::sync::Patience;
use core::marker::PhantomData;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

/// The name of the chain in the first region.
const CHAIN: &str = "chain";
/// When a queue is removed, no more segments than that are missing in a row: only a faulty peer has the chain say
/// that there are more.
const MISSING: u32 = 1000;
/// The name of the items in a segment.
const ITEMS: &str = "items";

/// A first-in-first-out queue that grows in segments of shared memory up to a limit, and survives the death of
/// its users; for at most 8 senders and 8 receivers at one time.
///
/// This is the view of one thread; others open their own by the name.
///
/// # Cost
/// Every operation takes the one lock, and looks up a segment. Now and then a sender makes a region, and a
/// receiver removes one, inside that lock: a few system calls. A process keeps no more segments mapped than
/// are linked.
///
/// # Fairness
/// That of [`Condvar`](crate::Condvar): none.
///
/// # Process death
/// Whoever is killed has sent, or received, its item or not. A segment that a dead sender has begun to make is
/// made by the next one; one that a dead receiver has drained and not removed is removed by the next one.
/// Handles end with their thread; when the last sender dies, receivers hear of the end: at once if they ask
/// then, or within the [`recheck_interval`](crate::platform::futex) if they sleep. Names stay until
/// [`remove`](Self::remove).
///
/// # Who may
/// All regions have mode 0600, for the user who makes them. Whoever may write them may remove a segment: that
/// is a typed error here, [`GrowError::Segment`] or [`TakeError::Segment`].
///
/// # Example
/// ```
/// use interlatch::{Growth, GrowError, RegionName, UnboundedBuffer};
///
/// let name = RegionName::posix(&format!("unbounded-{}", std::process::id()))?;
/// let growth = Growth { items: 100, segments: 3 };
/// let queue = UnboundedBuffer::<u64>::create(&name, growth)?;
/// let (sender, receiver) = (queue.sender()?, queue.receiver()?);
/// for item in 0..300 {
///     sender.send(item)?;
/// }
/// assert_eq!(queue.grown()?.unwrap().segments, 3);
/// assert!(matches!(sender.send(300), Err(GrowError::AtLimit(3))));
/// for item in 0..300 {
///     assert_eq!(receiver.recv()?, item);
/// }
/// assert_eq!(queue.grown()?.unwrap().segments, 0);
/// drop((sender, receiver));
/// UnboundedBuffer::<u64>::remove(&name)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnboundedBuffer<T: Plain> {
    region: Region,
    name: RegionName,
    /// As it was when this was opened: a peer that changes it later does not make this one reserve more.
    growth: Growth,
    /// Those segments that this process has mapped.
    mapped: RefCell<BTreeMap<u64, Region>>,
    item: PhantomData<T>,
}

impl<T: Plain> UnboundedBuffer<T> {
    /// A new queue of this name, without a segment.
    ///
    /// # Errors
    /// If there is a region of this name, it cannot be made, no such segments can be, or the name is a System V
    /// key, of which there is none for the segments.
    pub fn create(name: &RegionName, growth: Growth) -> Result<Self, RegionError> {
        Self::check(name, growth)?;
        let region = Options::new(size_of::<Chain>()).create(name)?;
        region.create::<Chain>(CHAIN, growth)?;
        Self::over(name, region)
    }

    /// The queue of this name.
    ///
    /// # Errors
    /// If there is none, or this process may not use it.
    pub fn attach(name: &RegionName) -> Result<Self, RegionError> {
        Self::over(name, Options::attach(name)?)
    }

    /// The queue of this name, which is made if there is none. Of all that do this at once one makes it, and if
    /// that one dies, another one does. Who attaches gets the growth that it was made with.
    ///
    /// # Errors
    /// As of both.
    pub fn create_or_attach(name: &RegionName, growth: Growth) -> Result<Self, RegionError> {
        Self::check(name, growth)?;
        let options = Options::new(size_of::<Chain>());
        let region = options.create_or_attach(name)?;
        region.create_or_attach::<Chain>(CHAIN, growth)?;
        Self::over(name, region)
    }

    /// Removes the queue and its segments. Nobody should have it open any more: whoever has, and sends on, makes
    /// segments whose names are those of the next queue of this name.
    ///
    /// # Errors
    /// If there is none, or this process may not remove it.
    pub fn remove(name: &RegionName) -> Result<(), RegionError> {
        let this = Self::attach(name)?;
        let chain = this.chain()?;
        let mut missing = 0;
        for number in chain.numbers() {
            missing = match this.unlink(number) {
                true => 0,
                false => missing + 1,
            };
            if missing > MISSING {
                break;
            }
            // Should this one die, the next one goes on from here.
            chain.leave_behind(number);
        }
        name.remove()
    }

    fn over(name: &RegionName, region: Region) -> Result<Self, RegionError> {
        let growth = region.attach::<Chain>(CHAIN)?.growth();
        Ok(Self {
            region,
            name: name.clone(),
            growth,
            mapped: RefCell::new(BTreeMap::new()),
            item: PhantomData,
        })
    }

    /// Whether segments can be made, and have names.
    fn check(name: &RegionName, growth: Growth) -> Result<(), RegionError> {
        name.numbered(u64::MAX)?;
        Self::size(growth.items)?;
        Ok(())
    }

    /// Bytes of a segment.
    fn size(items: u32) -> Result<usize, PlanError> {
        let layout = <Segment<T, [Slot<T>]>>::layout(items as usize)?;
        Ok(layout.size())
    }

    fn chain(&self) -> Result<&Chain, RegionError> {
        self.region.attach(CHAIN)
    }

    /// False, if there is none: somebody died after this, and before saying so.
    fn unlink(&self, number: u64) -> bool {
        let name = self.name.numbered(number);
        name.and_then(|name| name.remove()).is_ok()
    }

    /// How far it has grown; nothing, if this thread can hold no lock.
    ///
    /// # Errors
    /// If the first region is damaged.
    pub fn grown(&self) -> Result<Option<Grown>, RegionError> {
        Ok(self.chain()?.grown())
    }

    /// A handle for sending. After the last one is gone, receivers drain the queue and hear of the end.
    ///
    /// # Errors
    /// If the last sender has already gone, or no handle can be had.
    pub fn sender(&self) -> Result<UnboundedSender<'_, T>, OpenError> {
        let seat = self.chain()?.attach(End::Sending)?;
        Ok(UnboundedSender { queue: self, seat })
    }

    /// A handle for receiving. After the last one is gone, nothing can be sent.
    ///
    /// # Errors
    /// If the last receiver has already gone, or no handle can be had.
    pub fn receiver(&self) -> Result<UnboundedReceiver<'_, T>, OpenError> {
        let seat = self.chain()?.attach(End::Receiving)?;
        Ok(UnboundedReceiver { queue: self, seat })
    }
}

/// Why there is no handle.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The first region is damaged.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// That end has closed, or has no seat.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

impl<T: Plain> Segments for UnboundedBuffer<T> {
    type Item = T;
    type Slots = [Slot<T>];
    type Error = RegionError;

    fn make(&self, number: u64, _items: u32) -> Result<(), RegionError> {
        let items = self.growth.items;
        let name = self.name.numbered(number)?;
        let region = Options::new(Self::size(items)?).create_or_attach(&name)?;
        region.create_or_attach::<Segment<T, [Slot<T>]>>(ITEMS, items as usize)?;
        self.mapped.borrow_mut().insert(number, region);
        Ok(())
    }

    fn with<R>(
        &self,
        number: u64,
        act: impl FnOnce(&Segment<T, [Slot<T>]>) -> R,
    ) -> Result<R, RegionError> {
        let mut mapped = self.mapped.borrow_mut();
        let region = match mapped.entry(number) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => free.insert(Options::attach(&self.name.numbered(number)?)?),
        };
        let segment = region.attach::<Segment<T, [Slot<T>]>>(ITEMS)?;
        Ok(act(segment))
    }

    fn remove(&self, number: u64) {
        let _ = self.unlink(number);
    }

    fn forget_before(&self, number: u64) {
        self.mapped.borrow_mut().retain(|kept, _| *kept >= number);
    }
}

/// A sending end of an [`UnboundedBuffer`]. The last one that goes ends the stream.
///
/// # Process death
/// As going. See [`UnboundedBuffer`], also for an example.
#[derive(Debug)]
#[must_use = "dropping the last sender ends the stream"]
pub struct UnboundedSender<'a, T: Plain> {
    queue: &'a UnboundedBuffer<T>,
    seat: RobustSeat<'a>,
}

impl<T: Plain> UnboundedSender<'_, T> {
    /// Sends, without waiting for a receiver.
    ///
    /// # Errors
    /// The queue is at its limit, all receivers are gone, or a segment cannot be made: then the item was not
    /// sent. It is plain data, and so still the caller's.
    pub fn send(&self, item: T) -> Result<(), GrowError<RegionError>> {
        self.send_within(item, Patience::Forever)
    }

    /// The same, but waits only that long for one who makes or removes a segment, or is stopped there.
    ///
    /// # Errors
    /// `Timeout`, if that was not long enough; and as [`send`](Self::send).
    pub fn send_within(&self, item: T, patience: Patience) -> Result<(), GrowError<RegionError>> {
        if !self.seat.is_taken() {
            return Err(GrowError::Disconnected);
        }
        let chain = self.queue.chain();
        let chain = chain.map_err(|error| GrowError::Segment { number: 0, error })?;
        chain.send_within(self.queue, item, patience)
    }
}

/// A receiving end of an [`UnboundedBuffer`].
///
/// # Process death
/// As going. See [`UnboundedBuffer`], also for an example.
#[derive(Debug)]
#[must_use = "dropping the last receiver stops the senders"]
pub struct UnboundedReceiver<'a, T: Plain> {
    queue: &'a UnboundedBuffer<T>,
    seat: RobustSeat<'a>,
}

impl<T: Plain> UnboundedReceiver<'_, T> {
    /// Receives the oldest item, waiting for one.
    ///
    /// # Errors
    /// There is none and all senders are gone, or a segment is not to be found.
    pub fn recv(&self) -> Result<T, TakeError<RegionError>> {
        loop {
            match self.recv_within(Patience::Forever) {
                // Forever does not run out.
                Err(TakeError::Timeout) => {}
                result => return result,
            }
        }
    }

    /// Receives the oldest item if there is one.
    ///
    /// # Errors
    /// `Timeout`, if there is none; and as [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<T, TakeError<RegionError>> {
        self.recv_within(Patience::Never)
    }

    /// Receives the oldest item, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, TakeError<RegionError>> {
        self.recv_within(Patience::of(timeout))
    }

    /// Receives the oldest item as long as patience lasts.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn recv_within(&self, patience: Patience) -> Result<T, TakeError<RegionError>> {
        if !self.seat.is_taken() {
            return Err(TakeError::Disconnected);
        }
        let chain = self.queue.chain();
        let chain = chain.map_err(|error| TakeError::Segment { number: 0, error })?;
        chain.take(self.queue, patience)
    }
}
