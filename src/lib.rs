//! Synchronization primitives for processes that share memory.
//!
//! | module | contents |
//! | --- | --- |
//! | [`sync`] | locks, condition variables, semaphores |
//! | [`channel`] | bounded buffers, rings, rendezvous, message queues, pipes |
//! | [`region`] | shared memory and the objects in it |
//! | [`named`] | channels that create regions of their own: unbounded queues, addressed channels |
//! | [`inspect`] | read-only views of a region and the state of its objects |
//! | [`platform`] | the layer between the primitives and Linux or a model checker |

#[cfg(not(target_os = "linux"))]
compile_error!("interlatch supports Linux only: it is built on the Linux futex");

// The derive macros name this crate.
extern crate self as interlatch;

pub mod channel;
pub mod inspect;
pub mod named;
pub mod platform;
pub mod region;
pub mod sync;

pub use channel::{
    BoundedBuffer, Buffer, BytePipe, Channel, MessageQueue, MonitorBuffer, PipeBuffer, Receiver,
    Rendezvous, RingBuffer, RobustBoundedBuffer, RobustMonitorBuffer, Sender,
};
#[cfg(not(loom))]
pub use named::UnboundedBuffer;
pub use platform::{Pod, ShmSafe, ShmType};
#[cfg(not(loom))]
pub use region::{Region, RegionError, RegionName, RegionOptions};
#[cfg(not(loom))]
pub use sync::Mutex;
pub use sync::{Condvar, RobustMutex, RobustSemaphore, Semaphore, Timeout};
