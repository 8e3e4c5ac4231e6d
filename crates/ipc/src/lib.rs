//! Linux IPC through the kernel: pipelines, signals, sockets and named pipes.
//!
//! Use these mechanisms between processes that share no memory region. All waits take the timeouts
//! and deadlines of [`interlatch`], resume after signals, and report a peer's death as an error.
//!
//! # Example
//! ```
//! use interlatch_ipc::{Link, Pipeline, StreamLink};
//! use std::process::Command;
//!
//! // A shell's `sort | uniq`, with its output captured.
//! let output = Pipeline::new()
//!     .command(Command::new("sort"))
//!     .command(Command::new("uniq"))
//!     .input_bytes(b"b\na\nb\n")
//!     .capture()
//!     .run()?;
//! assert!(output.success());
//!
//! // Whole messages over a socket.
//! let (mut client, mut server) = StreamLink::pair()?;
//! client.send(&output.output)?;
//! assert_eq!(server.recv()?.as_deref(), Some(&b"a\nb\n"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which one do I pick?
//! | need | pick |
//! | --- | --- |
//! | whole messages in both directions, one machine | [`PacketLink`] of a [`SeqpacketListener`] |
//! | whole messages in both directions, if they are long or use TCP | [`StreamLink`] |
//! | whole messages without a connection | [`PacketLink`] over Unix datagram or UDP |
//! | bytes or items in one direction, by a path | [`Fifo`] with [`interlatch::channel::PipeBuffer`] |
//! | run `a \| b \| c`, with its statuses and Ctrl+C | [`Pipeline`] |
//! | receive signals in a loop or in `poll` | [`SignalFd`] |
//! | wake a thread from a signal | [`notify_semaphore`] |
//! | give another process a region without a name | [`send_region`], [`recv_region`] |
//! | poll a descriptor up to a deadline | [`wait`] |
//!
//! If the processes can share a region, the channels of [`interlatch`] are faster.

mod fifo;
mod link;
mod pipeline;
mod signals;
pub mod wait;

pub use fifo::{Fifo, FifoError};
pub use link::{
    Link, LinkRecvError, LinkSendError, PacketLink, RegionTransferError, SeqpacketListener,
    StreamLink, recv_region, recv_region_with, recv_region_with_options, send_region,
    send_region_with,
};
/// The signals of Linux, re-exported from `nix`.
///
/// `nix` is a public dependency of this crate: an incompatible version of `nix` is an incompatible
/// version of this crate. Use this re-export instead of a dependency on `nix`.
pub use nix::sys::signal::Signal;
pub use pipeline::{Pipeline, PipelineError, PipelineOutput, RunningPipeline};
pub use signals::{ReceivedSignal, SignalError, SignalFd, SignalNotification, notify_semaphore};
