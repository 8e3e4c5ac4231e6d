//! The three ways to name the ends of a message passage, in a region: which buffer belongs to whom.
//!
//! | naming | object of the region |
//! | --- | --- |
//! | direct, symmetric: [`DirectLink`] | `from 12 to 34`, one for each direction |
//! | direct, asymmetric: [`Outbox`] and [`Inbox`] | `to 34` |
//! | indirect: [`Mailbox`] | `mailbox 7` |
//!
//! Objects of a region stay as long as it does, and it has 24 at most: so a region has 11 links at most in its
//! time, and a buffer whose last receiver has gone is closed for good, for a later process of the same number
//! too. A region for each conversation, removed when that is over, knows no such limit.

use super::{DirectLink, Envelope, Inbox, Mailbox, MailboxId, Outbox, ProcessId};
use crate::channel::{AttachError, Channel, RobustMonitorBuffer, Slot};
use crate::platform::Pod;
use crate::region::{Region, RegionError};

/// What messages pass through in a region: it survives the death of its users.
pub type NamedChannel<T> = RobustMonitorBuffer<Envelope<T>, [Slot<Envelope<T>>]>;

/// Why there is no end.
#[derive(Debug, thiserror::Error)]
pub enum NamingError {
    /// The buffer is not to be made or found.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// It has closed, or has no seat.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

fn post<'a, T: Pod>(
    region: &'a Region,
    name: &str,
    capacity: usize,
) -> Result<&'a NamedChannel<T>, RegionError> {
    region.create_or_attach(name, capacity)
}

impl<'a, T: Pod> DirectLink<'a, NamedChannel<T>> {
    /// The end of this process, in a region, to that other one. Whoever comes first makes both buffers.
    ///
    /// # Errors
    /// If they are not to be made, or have closed: a link ends with either of its ends.
    pub fn open(
        region: &'a Region,
        [me, peer]: [ProcessId; 2],
        capacity: usize,
    ) -> Result<Self, NamingError> {
        let buffer = |from: ProcessId, to: ProcessId| {
            let name = format!("from {} to {}", from.number(), to.number());
            post(region, &name, capacity)
        };
        let (out, incoming): (&NamedChannel<T>, &NamedChannel<T>) =
            (buffer(me, peer)?, buffer(peer, me)?);
        // If one direction has closed, so does the other: it is no link any more.
        Ok(Self::new([me, peer], out.sender()?, incoming.receiver()?))
    }
}

impl<'a, T: Pod> Outbox<'a, NamedChannel<T>> {
    /// In the name of this process, to that other one, which need not know of it.
    ///
    /// # Errors
    /// If the buffer is not to be made, or has closed.
    pub fn open(
        region: &'a Region,
        [me, to]: [ProcessId; 2],
        capacity: usize,
    ) -> Result<Self, NamingError> {
        let buffer = post(region, &format!("to {}", to.number()), capacity)?;
        Ok(Self::new(me, buffer.sender()?))
    }
}

impl<'a, T: Pod> Inbox<'a, NamedChannel<T>> {
    /// That of this process, for messages of anybody.
    ///
    /// # Errors
    /// If the buffer is not to be made, or has closed.
    pub fn open(region: &'a Region, me: ProcessId, capacity: usize) -> Result<Self, NamingError> {
        let buffer = post(region, &format!("to {}", me.number()), capacity)?;
        Ok(Self::new(buffer.receiver()?))
    }
}

impl<'a, T: Pod> Mailbox<'a, NamedChannel<T>> {
    /// The one of this number in the region, which is made if there is none.
    ///
    /// # Errors
    /// If it is not to be made, or has items of another type.
    pub fn open(region: &'a Region, id: MailboxId, capacity: usize) -> Result<Self, RegionError> {
        Ok(Self::new(id, post(region, &id.to_string(), capacity)?))
    }
}
