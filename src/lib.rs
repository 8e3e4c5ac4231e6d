//! Synchronization primitives for processes that share memory: written once, model-checked
//! exhaustively, and run over real shared memory.
//!
//! The map, bottom to top; each folder knows only those above it in this list:
//!
//! - [`platform`]: the seam to Linux, and to loom under `--cfg loom`;
//! - [`sync`]: mutex, condition variable, semaphore, semaphore pair;
//! - [`buffer`]: two bounded buffers, from a semaphore pair and from condition variables;
//! - [`guard`]: `Mutex<T>` with lock_api's guards, and condition variables that take them;
//! - [`directory`]: what is in a region, and where;
//! - [`inspect`]: what the objects of a region are, to one who only looks;
//! - [`memory`]: regions of shared memory;
//! - [`ipc`]: named pipes;
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
pub mod platform;
pub mod sync;

pub use buffer::{
    AttachError, BoundedBuffer, Buffer, BytePipe, BytePipeError, ByteReader, ByteWriter,
    Disconnected, Duplex, MonitorBuffer, PipeBuffer, Receiver, RecvError, RecvTimeoutError,
    RobustBoundedBuffer, RobustMonitorBuffer, SendError, SendTimeoutError, Sender, Slot,
    TryRecvError, TrySendError, TurnSlot,
};
#[cfg(not(loom))]
pub use guard::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub use memory::{Options, Region, RegionError, RegionName, RegionState, RegionView};
#[cfg(not(loom))]
pub use platform::futex::{recheck_interval, set_recheck_interval};
pub use platform::{Deadline, InPlace, Place, Plain, PlanError};
pub use sync::{
    AcquireError, Condvar, Inconsistent, MAX_PERMITS, PairSlot, PermitOverflow, RawMutex,
    RecoverablePair, RecoverablePermit, RecoverableSemaphore, RobustLockError, RobustLockResult,
    RobustMutex, RobustMutexGuard, Semaphore, SemaphorePair,
};
