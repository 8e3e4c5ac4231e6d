//! What the kernel has for processes that share no memory: descriptors, signals, process groups.
//!
//! | file | what it is |
//! | --- | --- |
//! | `fifo` | named pipes |
//! | `wait` | how long anything here may wait for a descriptor |
//! | `link` | messages over sockets, five kinds of them, and regions that are passed |
//! | `pipeline` | what a shell does for `a \| b \| c` |
//! | `signals` | signals as messages, and as permits of a semaphore |

mod fifo;
mod link;
mod pipeline;
mod signals;
pub mod wait;

pub use fifo::{Fifo, FifoError};
pub use link::{
    Link, LinkRecvError, LinkSendError, PacketLink, PassError, SeqpacketListener, StreamLink,
    recv_region, recv_region_with, send_region, send_region_with,
};
pub use nix::sys::signal::Signal;
pub use pipeline::{Finished, Pipeline, PipelineError, Running};
pub use signals::{Notification, Received, SignalError, SignalFd, notify_semaphore};
