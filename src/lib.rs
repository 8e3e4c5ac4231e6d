//! Locks, semaphores, condition variables and channels for processes that share memory.
//!
//! Robust types survive the death of any process that uses them, at any instruction: the next
//! `lock()` of a [`RobustMutex`] returns the guard with the error `OwnerDied`, and the other side
//! of a robust channel gets `Disconnected`. Every primitive has one source. Programs run this
//! source, and a model checker explores the same source.
//!
//! # Example
//!
//! ```
//! use interlatch::channel::Slot;
//! use interlatch::{Channel, RegionName, RegionOptions, RobustMonitorBuffer};
//!
//! // In the sender:
//! let name = RegionName::posix(&format!("example-{}", std::process::id()))?;
//! let region = RegionOptions::new(1 << 16).create_or_attach(&name)?;
//! let queue: &RobustMonitorBuffer<u64, [Slot<u64>]> = region.create_or_attach("queue", 64)?;
//! queue.sender()?.send(7)?;
//!
//! // In the receiver, another process that knows the name:
//! let region = RegionOptions::new(1 << 16).create_or_attach(&name)?;
//! let queue: &RobustMonitorBuffer<u64, [Slot<u64>]> = region.create_or_attach("queue", 64)?;
//! assert_eq!(queue.receiver()?.recv()?, 7);
//! name.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which one do I pick?
//!
//! | need | type |
//! | --- | --- |
//! | memory that processes share | [`Region`], found by a [`RegionName`] |
//! | a lock between processes | [`RobustMutex`]; a [`Mutex`] stays locked if its holder is killed |
//! | a lock between threads | [`Mutex`] |
//! | wait until shared data changes | [`Condvar`] |
//! | count permits | [`RobustSemaphore`], whose permits come back after a death; [`Semaphore`] |
//! | a work queue | [`RobustMonitorBuffer`]; [`RobustBoundedBuffer`] for long items and loans |
//! | a stream from one sender to one receiver | [`RingBuffer`] |
//! | messages of variable size, servers that restart | [`MessageQueue`] |
//! | a stream of bytes | [`BytePipe`] |
//! | a queue without a fixed capacity | [`UnboundedBuffer`] |
//! | wait until the item is received | [`Rendezvous`] |
//! | processes that share descriptors and no memory | [`channel::PipeBuffer`] |
//!
//! The [guide](https://github.com/interlatch/interlatch/tree/main/docs) explains regions, crashes,
//! containers and the choice of a channel.
//!
//! # Modules
//!
//! | module | contents |
//! | --- | --- |
//! | [`sync`] | locks, condition variables, semaphores |
//! | [`channel`] | bounded buffers, rings, rendezvous, message queues, pipes |
//! | [`region`] | shared memory and the objects in it |
//! | [`named`] | channels that create regions of their own: unbounded queues, addressed channels |
//! | [`inspect`] | read-only views of a region and the state of its objects |
//! | [`platform`] | the layer between the primitives and Linux or a model checker |
//!
//! # Features
//!
//! There are no cargo features. The crates `interlatch-ipc` (sockets, pipelines, signals, named
//! pipes), `interlatch-cli` (the command line tool) and `interlatch-check` (the model checking
//! toolkit) build on this one.
//!
//! # Platforms
//!
//! The crate supports 64-bit Linux with glibc. The tests run on x86-64; on aarch64 the crate is
//! only compiled. Robust locks join the robust list that glibc registers for each thread. All
//! processes that use a region must belong to one pid namespace. The crate needs Rust 1.89 or
//! later.

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
compile_error!(
    "interlatch supports Linux with glibc on 64-bit targets only: it uses the Linux futex, and \
     robust locks join the list that glibc registers for each thread"
);

// The derive macros refer to this crate by its name.
extern crate self as interlatch;

pub mod channel;
pub mod inspect;
pub mod named;
pub mod platform;
pub mod region;
pub mod sync;

pub use channel::{
    BoundedBuffer, Buffer, BytePipe, Channel, MessageQueue, MonitorBuffer, Receiver, Rendezvous,
    RingBuffer, RobustBoundedBuffer, RobustMonitorBuffer, Sender,
};
#[cfg(not(loom))]
pub use named::UnboundedBuffer;
pub use platform::{Pod, ShmSafe, ShmType};
#[cfg(not(loom))]
pub use region::{Region, RegionError, RegionName, RegionOptions};
pub use sync::{Condvar, Mutex, RobustMutex, RobustSemaphore, Semaphore};

/// The pages of the guide that contain programs, which `cargo test --doc` compiles and runs.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../docs/getting-started.md")]
    struct GettingStarted;
    #[doc = include_str!("../docs/surviving-a-crash.md")]
    struct SurvivingACrash;
}
