//! The reports of objects.

use crate::channels::{
    BytePipeReport, QueueReport, RendezvousReport, SegmentListReport, SegmentReport,
};
use crate::format::fill_level;
use crate::processes::process_of;
use interlatch::channel::{BufferState, EndState};
use interlatch::inspect::ObjectState;
use interlatch::sync::{LockState, RobustSemaphorePairState, RobustSemaphoreState, SemaphoreState};
use serde::Serialize;
use std::fmt;

/// The report of an object in a region. In JSON, the field `kind` names the variant.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ObjectReport {
    Lock(LockReport),
    Condvar {
        /// Whether threads may be waiting for the object.
        waiters: bool,
    },
    Semaphore(SemaphoreReport),
    SemaphorePair {
        writer: SemaphoreReport,
        reader: SemaphoreReport,
    },
    RobustSemaphore {
        lock: LockReport,
        /// The total number of the semaphore's permits.
        total: usize,
        /// The number of available permits.
        permits: usize,
        /// The threads that hold the remaining permits.
        holders: Vec<Thread>,
    },
    RobustSemaphorePair {
        lock: LockReport,
        /// The number of slots that a writer may fill.
        writable: usize,
        /// The number of slots that a reader may read.
        readable: usize,
        /// The threads that hold a slot.
        holders: Vec<Thread>,
    },
    Buffer(BufferReport),
    BytePipe(BytePipeReport),
    Rendezvous(RendezvousReport),
    MessageQueue(QueueReport),
    SegmentList(SegmentListReport),
    Segment(SegmentReport),
    /// An object without further information.
    Opaque,
    /// The entry does not lie within the region.
    Outside,
}

/// The report of a buffer.
#[derive(Debug, Serialize)]
pub struct BufferReport {
    pub lock: LockReport,
    /// The number of items; `null` if unknown.
    pub fill: Option<u64>,
    /// The capacity in items; `null` if unknown.
    pub capacity: Option<u64>,
    pub senders: EndReport,
    pub receivers: EndReport,
}

/// The report of a lock.
#[derive(Debug, Serialize)]
pub struct LockReport {
    /// `free`, `held`, `owner died`, `unrecoverable`, `damaged` or `unknown`.
    pub state: &'static str,
    /// The holder, if the lock records it.
    pub holder: Option<Thread>,
    /// Whether threads may be waiting for the object.
    pub waiters: bool,
}

/// A thread that holds or waits for something.
#[derive(Debug, Serialize)]
pub struct Thread {
    /// The thread ID.
    pub thread: u32,
    /// The process of the thread, if the thread is alive.
    pub process: Option<u32>,
    /// Whether the thread is alive; `null` for another PID namespace.
    pub alive: Option<bool>,
}

/// The report of a semaphore.
#[derive(Debug, Serialize)]
pub struct SemaphoreReport {
    pub permits: u32,
    /// Whether threads may be waiting for the object.
    pub waiters: bool,
}

/// The report of one side of a channel.
#[derive(Debug, Serialize)]
pub struct EndReport {
    /// `open`, `closed` or `unknown`.
    pub state: &'static str,
    /// The number of handles; `null` if unknown.
    pub handles: Option<u64>,
    /// The threads that own the handles, if the channel records them.
    pub threads: Vec<Thread>,
}

impl ObjectReport {
    /// Creates a report. `is_here` says whether the region belongs to this PID namespace.
    pub fn new(state: ObjectState, is_here: bool) -> Self {
        match state {
            ObjectState::Lock(lock) => Self::Lock(LockReport::new(lock, is_here)),
            ObjectState::Condvar(condvar) => Self::Condvar {
                waiters: condvar.waiters,
            },
            ObjectState::Semaphore(semaphore) => Self::Semaphore(semaphore.into()),
            ObjectState::SemaphorePair(pair) => Self::SemaphorePair {
                writer: pair.writer.into(),
                reader: pair.reader.into(),
            },
            ObjectState::RobustSemaphore(state) => Self::robust_semaphore(&state, is_here),
            ObjectState::RobustSemaphorePair(state) => Self::robust_semaphore_pair(&state, is_here),
            ObjectState::Buffer(buffer) => Self::Buffer(BufferReport::new(buffer, is_here)),
            ObjectState::BytePipe(pipe) => Self::BytePipe(BytePipeReport::new(pipe, is_here)),
            ObjectState::Rendezvous(place) => {
                Self::Rendezvous(RendezvousReport::new(place, is_here))
            }
            ObjectState::Queue(queue) => Self::MessageQueue(QueueReport::new(&queue, is_here)),
            ObjectState::SegmentList(chain) => {
                Self::SegmentList(SegmentListReport::new(chain, is_here))
            }
            ObjectState::Segment(segment) => Self::Segment(segment.into()),
            ObjectState::Outside => Self::Outside,
            _ => Self::Opaque,
        }
    }

    fn robust_semaphore(state: &RobustSemaphoreState, is_here: bool) -> Self {
        let free =
            |lock: &&LockState| matches!(lock, LockState::Free | LockState::OwnerDied { .. });
        Self::RobustSemaphore {
            lock: LockReport::new(state.lock, is_here),
            total: state.permits.len(),
            permits: state.permits.iter().filter(free).count(),
            holders: threads(
                state.permits.iter().filter_map(|lock| lock.holder()),
                is_here,
            ),
        }
    }

    fn robust_semaphore_pair(state: &RobustSemaphorePairState, is_here: bool) -> Self {
        let readable = state.slots.iter().filter(|slot| slot.readable).count();
        Self::RobustSemaphorePair {
            lock: LockReport::new(state.lock, is_here),
            writable: state.slots.len() - readable,
            readable,
            holders: threads(
                state.slots.iter().filter_map(|slot| slot.holder.holder()),
                is_here,
            ),
        }
    }
}

impl BufferReport {
    pub fn new(buffer: BufferState, is_here: bool) -> Self {
        Self {
            lock: LockReport::new(buffer.lock, is_here),
            fill: buffer.fill,
            capacity: buffer.capacity,
            senders: EndReport::new(buffer.senders, is_here),
            receivers: EndReport::new(buffer.receivers, is_here),
        }
    }
}

impl LockReport {
    pub fn new(lock: LockState, is_here: bool) -> Self {
        let (state, waiters) = match lock {
            LockState::Free => ("free", false),
            LockState::Held { waiters } | LockState::HeldBy { waiters, .. } => ("held", waiters),
            LockState::OwnerDied { waiters } => ("owner died", waiters),
            LockState::Unrecoverable => ("unrecoverable", false),
            LockState::Damaged(_) => ("damaged", false),
            _ => ("unknown", false),
        };
        Self {
            state,
            holder: lock.holder().map(|thread| Thread::new(thread, is_here)),
            waiters,
        }
    }
}

impl Thread {
    pub fn new(thread: u32, is_here: bool) -> Self {
        let process = if is_here { process_of(thread) } else { None };
        Self {
            thread,
            process,
            alive: is_here.then_some(process.is_some()),
        }
    }
}

fn threads(ids: impl Iterator<Item = u32>, is_here: bool) -> Vec<Thread> {
    ids.map(|id| Thread::new(id, is_here)).collect()
}

impl From<SemaphoreState> for SemaphoreReport {
    fn from(state: SemaphoreState) -> Self {
        Self {
            permits: state.permits,
            waiters: state.waiters,
        }
    }
}

impl EndReport {
    pub fn new(end: EndState, is_here: bool) -> Self {
        let (state, handles, held_by) = match end {
            EndState::Counted(handles) => ("open", Some(handles), Vec::new()),
            EndState::HeldBy(held_by) => ("open", Some(held_by.len() as u64), held_by),
            EndState::Closed => ("closed", Some(0), Vec::new()),
            _ => ("unknown", None, Vec::new()),
        };
        Self {
            state,
            handles,
            threads: threads(held_by.into_iter(), is_here),
        }
    }
}

impl fmt::Display for ObjectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(lock) => lock.fmt(f),
            Self::Condvar { waiters } => f.write_str(waiting(*waiters).unwrap_or("no waiters")),
            Self::Semaphore(semaphore) => semaphore.fmt(f),
            Self::SemaphorePair { writer, reader } => {
                write!(f, "writer: {writer}; reader: {reader}")
            }
            Self::RobustSemaphore {
                lock,
                total,
                permits,
                holders,
            } => {
                write!(f, "{permits} of {total} permits")?;
                write_holders(f, holders)?;
                lock.write_unless_free(f)
            }
            Self::RobustSemaphorePair {
                lock,
                writable,
                readable,
                holders,
            } => {
                write!(f, "{writable} writers' and {readable} readers' slots")?;
                write_holders(f, holders)?;
                lock.write_unless_free(f)
            }
            Self::Buffer(buffer) => buffer.fmt(f),
            Self::BytePipe(pipe) => pipe.fmt(f),
            Self::Rendezvous(place) => place.fmt(f),
            Self::MessageQueue(queue) => queue.fmt(f),
            Self::SegmentList(chain) => chain.fmt(f),
            Self::Segment(segment) => segment.fmt(f),
            Self::Opaque => f.write_str("-"),
            Self::Outside => f.write_str("outside the region"),
        }
    }
}

impl fmt::Display for BufferReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (senders, receivers) = (&self.senders, &self.receivers);
        f.write_str(&fill_level(self.fill, self.capacity))?;
        write!(f, ", senders: {senders}, receivers: {receivers}")?;
        self.lock.write_unless_free(f)
    }
}

fn waiting(waiters: bool) -> Option<&'static str> {
    waiters.then_some("has waiters")
}

fn write_holders(f: &mut fmt::Formatter<'_>, holders: &[Thread]) -> fmt::Result {
    match holders {
        [] => Ok(()),
        holders => write!(f, ", held by {}", Threads(holders)),
    }
}

impl fmt::Display for LockReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state)?;
        if let Some(holder) = &self.holder {
            write!(f, " by {holder}")?;
        }
        waiting(self.waiters).map_or(Ok(()), |waiting| write!(f, ", {waiting}"))
    }
}

impl LockReport {
    pub fn write_unless_free(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            "free" | "unknown" => Ok(()),
            _ => write!(f, ", lock: {self}"),
        }
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.thread)?;
        match (self.process, self.alive) {
            (Some(process), _) if process != self.thread => write!(f, " of process {process}"),
            (None, Some(false)) => f.write_str(" (dead)"),
            _ => Ok(()),
        }
    }
}

/// Displays the first threads of a list and the number of the remaining threads.
struct Threads<'a>(&'a [Thread]);

impl fmt::Display for Threads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let shown: Vec<String> = self.0.iter().take(SHOWN).map(Thread::to_string).collect();
        f.write_str(&shown.join(", "))?;
        match self.0.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for SemaphoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.permits == 1 { "" } else { "s" };
        write!(f, "{} permit{plural}", self.permits)?;
        waiting(self.waiters).map_or(Ok(()), |waiting| write!(f, ", {waiting}"))
    }
}

impl fmt::Display for EndReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.handles {
            Some(handles) if self.state == "open" => write!(f, "{handles}")?,
            _ => f.write_str(self.state)?,
        }
        match &self.threads[..] {
            [] => Ok(()),
            threads => write!(f, " ({})", Threads(threads)),
        }
    }
}
