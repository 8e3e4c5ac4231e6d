//! Errors of links.

use rustix::io::Errno;
use std::io;

/// The error returned when sending a message over a [`Link`](super::Link) fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkSendError {
    /// The socket's buffer stayed full until the timeout. Nothing was sent.
    #[error("timed out while the socket's buffer was full; nothing was sent")]
    Timeout,
    /// Only a part of the message was sent before the timeout expired or the kernel refused the
    /// rest.
    ///
    /// The link keeps the rest and sends it before the next message, or in
    /// [`StreamLink::finish_with`](super::StreamLink::finish_with). Do not send the message again.
    #[error("{left} bytes of the message are not sent yet; finish it with `finish_with`")]
    Unfinished {
        /// The number of unsent bytes, which the link keeps.
        left: usize,
    },
    /// The peer has closed its socket or does not exist.
    #[error("cannot send: the peer has closed the connection")]
    Disconnected,
    /// The message exceeds the limit of the link. Nothing was sent.
    #[error("the message has {length} bytes, the limit is {limit}; split it or raise the limit")]
    TooLong {
        /// The length of the message in bytes.
        length: usize,
        /// The limit of the link in bytes.
        limit: usize,
    },
    /// A system call failed.
    #[error("{call}: {error}")]
    System {
        /// The name of the call.
        call: &'static str,
        /// The error that the call returned.
        #[source]
        error: io::Error,
    },
}

/// The error returned when receiving a message from a [`Link`](super::Link) fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkRecvError {
    /// No complete message arrived before the timeout. The bytes that arrived are kept.
    #[error("timed out waiting for a message")]
    Timeout,
    /// The connection was reset: the peer died, or the peer closed its socket before it had read
    /// all messages.
    #[error("cannot receive: the peer has reset the connection")]
    Disconnected,
    /// The peer sent a message that exceeds the limit of this link.
    ///
    /// After this error, a stream link is unusable and returns the same error again. A packet link
    /// discards the message.
    #[error(
        "the peer sent a message of {length} bytes, the limit is {limit}; raise it on this side"
    )]
    TooLong {
        /// The length of the message in bytes.
        length: usize,
        /// The limit of the link in bytes.
        limit: usize,
    },
    /// The stream ended within a message.
    #[error("the stream ended within a message: {found} of {expected} bytes arrived")]
    Torn {
        /// The length of the message with its header in bytes.
        expected: usize,
        /// The number of bytes that arrived before the stream ended.
        found: usize,
    },
    /// A system call failed.
    #[error("{call}: {error}")]
    System {
        /// The name of the call.
        call: &'static str,
        /// The error that the call returned.
        #[source]
        error: io::Error,
    },
}

impl LinkSendError {
    /// Returns a function for `map_err` that converts an error of this system call.
    pub(super) fn from_call(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| match is_disconnection(&error) {
            true => Self::Disconnected,
            false => Self::System { call, error },
        }
    }
}

impl LinkRecvError {
    /// Returns a function for `map_err` that converts an error of this system call.
    pub(super) fn from_call(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| match is_disconnection(&error) {
            true => Self::Disconnected,
            false => Self::System { call, error },
        }
    }
}

/// Returns whether the error means that the peer is gone. If the peer of a datagram link is gone,
/// the kernel reports a refused connection.
fn is_disconnection(error: &io::Error) -> bool {
    const GONE: [Errno; 4] = [
        Errno::PIPE,
        Errno::CONNRESET,
        Errno::CONNREFUSED,
        Errno::NOTCONN,
    ];
    let found = error.raw_os_error();
    GONE.iter().any(|gone| Some(gone.raw_os_error()) == found)
}
