//! Addressed channels in a region: the objects behind links, outboxes, inboxes and mailboxes.
//!
//! | naming | name of the object |
//! | --- | --- |
//! | direct, symmetric: [`DirectLink`] | `from 12 to 34`, one for each direction |
//! | direct, asymmetric: [`Outbox`] and [`Inbox`] | `to 34` |
//! | indirect: [`Mailbox`] | `mailbox 7` |
//!
//! A region has at most 24 objects, which stay while the region exists. A link needs two objects,
//! so a region has at most 12 links in its lifetime. After the last receiver of a buffer is
//! dropped, the buffer stays closed, even if a later process has the same id. To avoid both limits,
//! use a separate region for each conversation, and remove that region after the conversation.

use super::{DirectLink, Envelope, Inbox, Mailbox, MailboxId, Outbox, ProcessId};
use crate::channel::{AttachError, Channel, RobustMonitorBuffer, Slot};
use crate::platform::Pod;
use crate::region::{Region, RegionError};
use std::fmt;

/// The buffer behind addressed channels in a region. The buffer survives the death of its users.
pub type NamedChannel<T> = RobustMonitorBuffer<Envelope<T>, [Slot<Envelope<T>>]>;

/// The error returned when opening an addressed channel fails.
#[derive(Debug)]
#[non_exhaustive]
pub enum NamedChannelError {
    /// The region could not create or find the buffer.
    Region(RegionError),
    /// The buffer is closed, or all handle slots for senders or for receivers are in use.
    Attach(AttachError),
}

impl fmt::Display for NamedChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(error) => error.fmt(f),
            Self::Attach(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NamedChannelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Region(error) => error.source(),
            Self::Attach(error) => error.source(),
        }
    }
}

impl From<RegionError> for NamedChannelError {
    fn from(error: RegionError) -> Self {
        Self::Region(error)
    }
}

impl From<AttachError> for NamedChannelError {
    fn from(error: AttachError) -> Self {
        Self::Attach(error)
    }
}

fn channel<'a, T: Pod>(
    region: &'a Region,
    name: &str,
    capacity: usize,
) -> Result<&'a NamedChannel<T>, RegionError> {
    region.create_or_attach(name, capacity)
}

impl<'a, T: Pod> DirectLink<'a, NamedChannel<T>> {
    /// Opens the endpoint of the first process. The process that calls this function first creates
    /// both buffers.
    ///
    /// # Errors
    /// Fails if the region cannot create or find a buffer, or if a buffer is closed. When either
    /// process ends, the link is closed.
    pub fn open(
        region: &'a Region,
        [process, peer]: [ProcessId; 2],
        capacity: usize,
    ) -> Result<Self, NamedChannelError> {
        let buffer = |from: ProcessId, to: ProcessId| {
            let name = format!("from {} to {}", from.number(), to.number());
            channel(region, &name, capacity)
        };
        let (outgoing, incoming): (&NamedChannel<T>, &NamedChannel<T>) =
            (buffer(process, peer)?, buffer(peer, process)?);
        // If one direction is closed, returning the error drops the handle of the other direction,
        // which closes that direction too.
        let (sender, receiver) = (outgoing.sender()?, incoming.receiver()?);
        Ok(Self::new([process, peer], sender, receiver))
    }
}

impl<'a, T: Pod> Outbox<'a, NamedChannel<T>> {
    /// Opens a sender from the first process to the second process. The second process need not
    /// know the first process.
    ///
    /// # Errors
    /// Fails if the region cannot create or find the buffer, or if the buffer is closed.
    pub fn open(
        region: &'a Region,
        [process, receiver]: [ProcessId; 2],
        capacity: usize,
    ) -> Result<Self, NamedChannelError> {
        let buffer = channel(region, &format!("to {}", receiver.number()), capacity)?;
        Ok(Self::new(process, buffer.sender()?))
    }
}

impl<'a, T: Pod> Inbox<'a, NamedChannel<T>> {
    /// Opens the receiver of this process for messages from any sender.
    ///
    /// # Errors
    /// Fails if the region cannot create or find the buffer, or if the buffer is closed.
    pub fn open(
        region: &'a Region,
        process: ProcessId,
        capacity: usize,
    ) -> Result<Self, NamedChannelError> {
        let buffer = channel(region, &format!("to {}", process.number()), capacity)?;
        Ok(Self::new(buffer.receiver()?))
    }
}

impl<'a, T: Pod> Mailbox<'a, NamedChannel<T>> {
    /// Opens the mailbox with this number, or creates the mailbox.
    ///
    /// # Errors
    /// Fails if the region cannot create the buffer, or if an existing buffer has items of another
    /// type.
    pub fn open(region: &'a Region, id: MailboxId, capacity: usize) -> Result<Self, RegionError> {
        Ok(Self::new(id, channel(region, &id.to_string(), capacity)?))
    }
}
