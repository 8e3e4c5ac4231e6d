//! What can go wrong at either end of a link.

use rustix::io::Errno;
use std::io;

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum LinkSendError {
    /// There was no room in time. Nothing was sent.
    #[error("timed out waiting to send")]
    Timeout,
    /// There was room for a part of it only, or the kernel refused the rest. The link keeps the rest and sends it before the next message, or
    /// in `StreamLink::finish_with`: do not send it again.
    #[error("stopped in the middle of a message: {left} bytes are still to be sent")]
    Unfinished {
        /// Bytes that the link has kept.
        left: usize,
    },
    /// Nobody will receive it.
    #[error("sending on a link whose peer has gone")]
    Disconnected,
    /// Longer than the limit of the link. Nothing was sent.
    #[error("a message of {length} bytes: expected at most {limit}")]
    TooLong {
        /// Bytes of the message.
        length: usize,
        /// The most that the link takes.
        limit: usize,
    },
    /// The kernel refused.
    #[error("{call}: {error}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
pub enum LinkRecvError {
    /// None came in time, or not all of it. Nothing is lost.
    #[error("timed out waiting to receive")]
    Timeout,
    /// The peer has gone without a proper end: it has died, or has left unread what was sent to it.
    #[error("receiving on a link whose peer has gone")]
    Disconnected,
    /// The peer has sent a message that is longer than the limit of the link. A stream is of no use any more
    /// then, and goes on saying so; of packets, this one is gone.
    #[error("a message of {length} bytes: expected at most {limit}")]
    TooLong {
        /// Bytes of the message.
        length: usize,
        /// The most that the link takes.
        limit: usize,
    },
    /// The stream has ended in the middle of a message.
    #[error(
        "the stream has ended after {found} bytes of a message with its length: expected {expected}"
    )]
    Torn {
        /// Bytes of the message and of its length.
        expected: usize,
        /// Bytes that have come.
        found: usize,
    },
    /// The kernel refused.
    #[error("{call}: {error}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

impl LinkSendError {
    /// For `map_err` of a system call.
    pub(super) fn of(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| match is_of_the_peer(&error) {
            true => Self::Disconnected,
            false => Self::System { call, error },
        }
    }
}

impl LinkRecvError {
    /// For `map_err` of a system call.
    pub(super) fn of(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| match is_of_the_peer(&error) {
            true => Self::Disconnected,
            false => Self::System { call, error },
        }
    }
}

/// What the kernel says if there is no peer. Of datagrams it is refused, since nobody has that address now.
fn is_of_the_peer(error: &io::Error) -> bool {
    const GONE: [Errno; 4] = [
        Errno::PIPE,
        Errno::CONNRESET,
        Errno::CONNREFUSED,
        Errno::NOTCONN,
    ];
    let found = error.raw_os_error();
    GONE.iter().any(|gone| Some(gone.raw_os_error()) == found)
}
