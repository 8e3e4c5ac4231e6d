//! Reports of channels that are not buffers: pipes, rendezvous, message queues, unbounded queues.

use crate::format::{fill_bar, fill_level};
use crate::state::{EndReport, LockReport, Thread};
use interlatch::channel::message_queue::QueueState;
use interlatch::channel::{
    BufferState, RendezvousState, SegmentListState, SegmentState, WaitState,
};
use serde::Serialize;
use std::fmt;

/// The report of a byte pipe.
#[derive(Debug, Serialize)]
pub struct BytePipeReport {
    lock: LockReport,
    /// The number of bytes in the pipe.
    fill: Option<u64>,
    /// The capacity in bytes; `null` if unknown.
    capacity: Option<u64>,
    writers: EndReport,
    readers: EndReport,
}

/// The report of a rendezvous.
#[derive(Debug, Serialize)]
pub struct RendezvousReport {
    lock: LockReport,
    /// The sender that offers an item.
    offered: WaitReport,
    /// The receiver that waits for an item.
    awaited: WaitReport,
    /// The receiver that has accepted the offered item.
    accepted: WaitReport,
    senders: EndReport,
    receivers: EndReport,
}

/// A party of a rendezvous.
#[derive(Debug, Serialize)]
pub struct WaitReport {
    /// `yes`, `no` or `unknown`.
    state: &'static str,
    /// The thread that is this party.
    thread: Option<Thread>,
}

/// The report of a message queue.
#[derive(Debug, Serialize)]
pub struct QueueReport {
    lock: LockReport,
    messages: u64,
    max_messages: u32,
    bytes: u64,
    max_bytes: u32,
    /// Whether receivers may be waiting for a message.
    receivers_waiting: bool,
    /// Whether senders may be waiting for free space.
    senders_waiting: bool,
}

/// The report of the segment list of an unbounded queue.
#[derive(Debug, Serialize)]
pub struct SegmentListReport {
    lock: LockReport,
    /// The number of existing segments.
    segments: u64,
    max_segments: u32,
    /// The number of segments created so far.
    created: u64,
    /// The capacity of one segment in items.
    items_per_segment: u32,
    /// Whether receivers may be waiting.
    waiters: bool,
    senders: EndReport,
    receivers: EndReport,
}

/// The report of a segment of an unbounded queue.
#[derive(Debug, Serialize)]
pub struct SegmentReport {
    /// The number of items in the segment.
    fill: u64,
    /// The capacity in items; `null` if unknown.
    capacity: Option<u64>,
}

impl BytePipeReport {
    /// Creates a report. `is_here` says whether the region belongs to this PID namespace.
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
            awaited: WaitReport::new(place.asked, is_here),
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

    /// Writes an action and the thread that performs the action. Writes nothing if no thread
    /// performs it.
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
            max_messages: queue.limits.messages,
            bytes: queue.bytes,
            max_bytes: queue.limits.bytes,
            receivers_waiting: queue.receivers_wait,
            senders_waiting: queue.senders_wait,
        }
    }
}

impl SegmentListReport {
    pub fn new(chain: SegmentListState, is_here: bool) -> Self {
        Self {
            lock: LockReport::new(chain.lock, is_here),
            segments: chain.segments,
            max_segments: chain.growth.segments,
            created: chain.ever,
            items_per_segment: chain.growth.items,
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
        write!(f, "{} bytes", fill_level(self.fill, self.capacity))?;
        write!(f, ", writers: {writers}, readers: {readers}")?;
        self.lock.write_unless_free(f)
    }
}

impl fmt::Display for RendezvousReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.offered.write(f, "offered")?;
        self.accepted.write(f, "accepted")?;
        self.awaited.write(f, "awaited")?;
        let (senders, receivers) = (&self.senders, &self.receivers);
        write!(f, "senders: {senders}, receivers: {receivers}")?;
        self.lock.write_unless_free(f)
    }
}

impl fmt::Display for QueueReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = fill_bar(self.messages, self.max_messages.into());
        write!(
            f,
            "{messages} messages, {}/{} bytes",
            self.bytes, self.max_bytes
        )?;
        if self.receivers_waiting {
            f.write_str(", receivers wait")?;
        }
        if self.senders_waiting {
            f.write_str(", senders wait")?;
        }
        self.lock.write_unless_free(f)
    }
}

impl fmt::Display for SegmentListReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = fill_bar(self.segments, self.max_segments.into());
        let (created, items) = (self.created, self.items_per_segment);
        write!(f, "{segments} segments of {items} items, {created} created")?;
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
        write!(f, "{}{items}", fill_level(Some(self.fill), self.capacity))
    }
}
