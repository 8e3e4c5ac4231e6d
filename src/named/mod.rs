//! Channels that create regions and objects of their own.

mod address;
#[cfg(not(loom))]
mod channels;
#[cfg(not(loom))]
mod unbounded;

pub use address::{
    DirectLink, DirectLinkError, Envelope, Inbox, Mailbox, MailboxId, Outbox, ProcessId,
};
#[cfg(not(loom))]
pub use channels::{NamedChannel, NamingError};
#[cfg(not(loom))]
pub use unbounded::UnboundedBuffer;
