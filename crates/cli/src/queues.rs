//! What is said of what passes from process to process and is no buffer of items.

use crate::state::{EndReport, LockReport, Thread};
use crate::text::{bar, level};
use interlatch::channel::message_queue::QueueState;
use interlatch::channel::{
    BufferState, RendezvousState, SegmentListState, SegmentState, WaitState,
};
use serde::Serialize;
use std::fmt;

/// A pipe in shared memory.
#[derive(Debug, Serialize)]
pub struct BytePipeReport {
    lock: LockReport,
    /// How many bytes there are.
    fill: Option<u64>,
    /// How many bytes fit; `null` if that cannot be told.
    capacity: Option<u64>,
    writers: EndReport,
    readers: EndReport,
}

/// A buffer of no place.
#[derive(Debug, Serialize)]
pub struct RendezvousReport {
    lock: LockReport,
    /// Whether an item is offered, and by whom.
    offered: WaitReport,
    /// Whether somebody waits for an item, and who.
    asked: WaitReport,
    /// Whether somebody has accepted what is offered, and who.
    accepted: WaitReport,
    senders: EndReport,
    receivers: EndReport,
}

/// Somebody at a rendezvous.
#[derive(Debug, Serialize)]
pub struct WaitReport {
    /// `yes`, `no` or `unknown`.
    state: &'static str,
    /// Who it is.
    thread: Option<Thread>,
}

/// A message queue.
#[derive(Debug, Serialize)]
pub struct QueueReport {
    lock: LockReport,
    messages: u64,
    most_messages: u32,
    bytes: u64,
    most_bytes: u32,
    /// Whether somebody may be asleep who wants a message.
    receivers_wait: bool,
    /// Whether somebody may be asleep who wants room.
    senders_wait: bool,
}

/// What the users of a queue that grows share.
#[derive(Debug, Serialize)]
pub struct SegmentListReport {
    lock: LockReport,
    /// How many segments there are.
    segments: u64,
    most_segments: u32,
    /// How many there ever were.
    ever: u64,
    /// Items of one segment.
    items: u32,
    /// Whether a receiver may be asleep.
    waiters: bool,
    senders: EndReport,
    receivers: EndReport,
}

/// A segment of a queue that grows.
#[derive(Debug, Serialize)]
pub struct SegmentReport {
    /// How many items are in it.
    fill: u64,
    /// How many there can be; `null` if that cannot be told.
    capacity: Option<u64>,
}

impl BytePipeReport {
    /// Of a region of this pid namespace, or of another one; as in all that follows.
    pub fn new(pipe: BufferState, is_here: bool) -> Self {
        Self {
            lock: LockReport::new(pipe.lock, is_here),
            fill: pipe.fill,
            capacity: pipe.capacity,
            writers: EndReport::new(pipe.senders, is_here),
            readers: EndReport::new(pipe.receivers, is_here),
        }
    }
}

impl RendezvousReport {
    pub fn new(place: RendezvousState, is_here: bool) -> Self {
        Self {
            lock: LockReport::new(place.lock, is_here),
            offered: WaitReport::new(place.offered, is_here),
            asked: WaitReport::new(place.asked, is_here),
            accepted: WaitReport::new(place.accepted, is_here),
            senders: EndReport::new(place.senders, is_here),
            receivers: EndReport::new(place.receivers, is_here),
        }
    }
}

impl WaitReport {
    fn new(wait: WaitState, is_here: bool) -> Self {
        let (state, thread) = match wait {
            WaitState::Vacant => ("no", None),
            WaitState::Thread(thread) => ("yes", Some(Thread::new(thread, is_here))),
            _ => ("unknown", None),
        };
        Self { state, thread }
    }

    /// Says who does this, if somebody does.
    fn write(&self, f: &mut fmt::Formatter<'_>, does: &str) -> fmt::Result {
        let Some(thread) = &self.thread else {
            return Ok(());
        };
        write!(f, "{does} by {thread}, ")
    }
}

impl QueueReport {
    pub fn new(queue: &QueueState, is_here: bool) -> Self {
        Self {
            lock: LockReport::new(queue.lock, is_here),
            messages: queue.messages,
            most_messages: queue.limits.messages,
            bytes: queue.bytes,
            most_bytes: queue.limits.bytes,
            receivers_wait: queue.receivers_wait,
            senders_wait: queue.senders_wait,
        }
    }
}

impl SegmentListReport {
    pub fn new(chain: SegmentListState, is_here: bool) -> Self {
        Self {
            lock: LockReport::new(chain.lock, is_here),
            segments: chain.segments,
            most_segments: chain.growth.segments,
            ever: chain.ever,
            items: chain.growth.items,
            waiters: chain.waiters,
            senders: EndReport::new(chain.senders, is_here),
            receivers: EndReport::new(chain.receivers, is_here),
        }
    }
}

impl From<SegmentState> for SegmentReport {
    fn from(segment: SegmentState) -> Self {
        Self {
            fill: segment.fill,
            capacity: segment.capacity,
        }
    }
}

impl fmt::Display for BytePipeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (writers, readers) = (&self.writers, &self.readers);
        write!(f, "{} bytes", level(self.fill, self.capacity))?;
        write!(f, ", writers: {writers}, readers: {readers}")?;
        self.lock.write_unless_free(f)
    }
}

impl fmt::Display for RendezvousReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.offered.write(f, "offered")?;
        self.accepted.write(f, "accepted")?;
        self.asked.write(f, "awaited")?;
        let (senders, receivers) = (&self.senders, &self.receivers);
        write!(f, "senders: {senders}, receivers: {receivers}")?;
        self.lock.write_unless_free(f)
    }
}

impl fmt::Display for QueueReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = bar(self.messages, self.most_messages.into());
        write!(
            f,
            "{messages} messages, {}/{} bytes",
            self.bytes, self.most_bytes
        )?;
        if self.receivers_wait {
            f.write_str(", receivers wait")?;
        }
        if self.senders_wait {
            f.write_str(", senders wait")?;
        }
        self.lock.write_unless_free(f)
    }
}

impl fmt::Display for SegmentListReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = bar(self.segments, self.most_segments.into());
        let (ever, items) = (self.ever, self.items);
        write!(f, "{segments} segments, {ever} ever, of {items} items")?;
        if self.waiters {
            f.write_str(", receivers wait")?;
        }
        let (senders, receivers) = (&self.senders, &self.receivers);
        write!(f, ", senders: {senders}, receivers: {receivers}")?;
        self.lock.write_unless_free(f)
    }
}

impl fmt::Display for SegmentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = if self.capacity.is_some() {
            " items"
        } else {
            ""
        };
        write!(f, "{}{items}", level(Some(self.fill), self.capacity))
    }
}
