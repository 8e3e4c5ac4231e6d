//! Channels that create their own regions and objects.

mod addressed;
#[cfg(not(loom))]
mod named_channel;
#[cfg(not(loom))]
mod unbounded;

pub use addressed::{
    DirectLink, DirectLinkError, Envelope, Inbox, Mailbox, MailboxId, Outbox, ProcessId,
};
#[cfg(not(loom))]
pub use named_channel::{NamedChannel, NamedChannelError};
#[cfg(not(loom))]
pub use unbounded::UnboundedBuffer;
