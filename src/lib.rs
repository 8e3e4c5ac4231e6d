//! Synchronization primitives for processes that share memory: written once, model-checked
//! exhaustively, and run over real shared memory.
//!
//! The map, bottom to top; each folder knows only those above it in this list:
//!
//! - [`platform`]: the seam to Linux, and to loom under `--cfg loom`;
//! - [`sync`]: mutex, condition variable, semaphore, semaphore pair;
//! - [`buffer`]: bounded buffers, from a semaphore pair and from condition variables, and over pipes;
//! - [`queue`]: message queues;
//! - [`guard`]: `Mutex<T>` with lock_api's guards, and condition variables that take them;
//! - [`directory`]: what is in a region, and where;
//! - [`inspect`]: what the objects of a region are, to one who only looks;
//! - [`memory`]: regions of shared memory;
//! - [`ipc`]: what the kernel has between processes: pipelines, signals, sockets, named pipes;
//! - [`naming`]: which buffers of a region belong to whom;
//! - [`unbounded`]: a queue that grows in regions of its own;
//! - [`contract`]: what each primitive promises, as scenarios that run on every stage;
//! - [`check`]: the checking toolkit that the models call.

#[cfg(not(target_os = "linux"))]
compile_error!("interlatch supports Linux only: it is built on the Linux futex");

pub mod buffer;
pub mod check;
pub mod contract;
pub mod directory;
#[cfg(not(loom))]
pub mod guard;
pub mod inspect;
#[cfg(not(loom))]
pub mod ipc;
#[cfg(not(loom))]
pub mod memory;
#[cfg(not(loom))]
pub mod naming;
pub mod platform;
pub mod queue;
pub mod sync;
#[cfg(not(loom))]
pub mod unbounded;

pub use buffer::{
    Addressed, AttachError, Borrowed, BoundedBuffer, Buffer, BytePipe, BytePipeError, ByteReader,
    ByteWriter, Delivery, DirectLink, DirectLinkError, Disconnected, Duplex, DuplexSendError,
    GrowError, Grown, Growth, Inbox, Loan, LoanError, Mailbox, MailboxId, MonitorBuffer, Outbox,
    PipeBuffer, PipeTorn, ProcessId, Receiver, RecvError, RecvTimeoutError, Rendezvous, RingBorrow,
    RingBuffer, RingLoan, RingReceiver, RingSender, RobustBoundedBuffer, RobustMonitorBuffer,
    SendError, SendTimeoutError, Sender, Slot, TakeError, TryRecvError, TrySendError, TurnSlot,
    Withdrawn,
};
#[cfg(not(loom))]
pub use guard::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub use memory::{Options, Region, RegionError, RegionName, RegionState, RegionView};
#[cfg(not(loom))]
pub use naming::Post;
#[cfg(not(loom))]
pub use platform::futex::{recheck_interval, set_recheck_interval};
#[cfg(not(loom))]
pub use platform::spin::set_spinning;
pub use platform::{Deadline, InPlace, Place, Plain, PlanError};
pub use queue::{
    BadMessageType, Fit, Message, MessageCell, MessageQueue, MessageType, Messages, QueueLimits,
    ReceiveMessageError, Received, Select, SendMessageError,
};
pub use sync::{
    AcquireError, Condvar, Inconsistent, MAX_PERMITS, PairSlot, PermitOverflow, RawMutex,
    RecoverablePair, RecoverablePermit, RecoverableSemaphore, RobustLockError, RobustLockResult,
    RobustMutex, RobustMutexGuard, Semaphore, SemaphorePair,
};
#[cfg(not(loom))]
pub use unbounded::{UnboundedBuffer, UnboundedReceiver, UnboundedSender};
