//! Messages that contain their sender's id, and three ways to name the endpoints of a channel.
//!
//! | naming | type | names |
//! | --- | --- | --- |
//! | direct, symmetric | [`DirectLink`] | sender and receiver name each other |
//! | direct, asymmetric | [`Outbox`], [`Inbox`] | the sender names the receiver |
//! | indirect | [`Mailbox`] | sender and receiver name a mailbox, which several processes share |
//!
//! A message contains the process id of its sender. Receiving from a [`DirectLink`] returns an
//! error if a third process has sent the message.
//!
//! These types wrap the handles of any [`Buffer`]. The buffer's type determines when operations
//! block and what happens when a process dies.

use crate::channel::{AttachError, Buffer, Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use crate::platform::{Pod, ShmType};
use crate::sync::Timeout;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The id of a process in its pid namespace.
///
/// The kernel may reuse the id of a dead process for a new process.
///
/// # Example
/// ```
/// use interlatch::named::ProcessId;
///
/// assert_eq!(ProcessId::current().number(), std::process::id());
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, ShmType)]
pub struct ProcessId(u32);

impl ProcessId {
    /// Creates a process id from a number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the id of this process.
    pub fn current() -> Self {
        Self(std::process::id())
    }

    /// Returns the process id as a number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

/// An item with the process id of its sender.
///
/// The sender sets the id. A process that can write to the shared memory can claim any id.
///
/// # Example
/// ```
/// use interlatch::named::{Envelope, ProcessId};
///
/// let message = Envelope::new(ProcessId::new(7), 1.5_f64);
/// assert_eq!((message.from().number(), message.item()), (7, 1.5));
/// ```
#[repr(C, packed)]
#[derive(FromBytes, IntoBytes, Immutable, ShmType)]
pub struct Envelope<T> {
    from: ProcessId,
    item: T,
}

// Written by hand because a derive would borrow the fields, which may be unaligned.
impl<T: Copy> Clone for Envelope<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Copy> Copy for Envelope<T> {}

impl<T: Pod> Envelope<T> {
    /// Creates a message from this process.
    pub fn new(from: ProcessId, item: T) -> Self {
        Self { from, item }
    }

    /// Returns the process id of the sender.
    pub fn from(&self) -> ProcessId {
        self.from
    }

    /// Returns the item.
    pub fn item(&self) -> T {
        self.item
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("from", &self.from())
            .field("item", &self.item())
            .finish()
    }
}

/// A sender that adds the id of its process to each item.
///
/// # Process death
/// The documentation of the [`Sender`]'s buffer states the effect of a user's death.
///
/// # Example
/// See [`Mailbox`].
#[derive(Debug)]
pub struct Outbox<'a, B: Buffer + ?Sized + 'a> {
    process: ProcessId,
    sender: Sender<'a, B>,
}

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> Outbox<'a, B> {
    /// Wraps a sender and adds the id of this process to each item that it sends.
    pub fn new(process: ProcessId, sender: Sender<'a, B>) -> Self {
        Self { process, sender }
    }

    /// Sends an item, blocking while the buffer is full.
    ///
    /// # Errors
    /// Returns the same errors as [`Sender::send_with`], each with the item.
    pub fn send_with(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        let envelope = Envelope::new(self.process, item);
        let sent = self.sender.send_with(envelope, timeout);
        sent.map_err(|error| error.map(|envelope| envelope.item()))
    }
}

/// A receiver of items with the ids of their senders.
///
/// # Process death
/// The documentation of the [`Receiver`]'s buffer states the effect of a user's death.
///
/// # Example
/// See [`Mailbox`].
#[derive(Debug)]
pub struct Inbox<'a, B: Buffer + ?Sized + 'a> {
    receiver: Receiver<'a, B>,
}

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> Inbox<'a, B> {
    /// Wraps a receiver of items with the ids of their senders.
    pub fn new(receiver: Receiver<'a, B>) -> Self {
        Self { receiver }
    }

    /// Receives an item and the id of its sender, blocking while the buffer is empty.
    ///
    /// # Errors
    /// Returns the same errors as [`Receiver::recv_with`].
    pub fn recv_with(&self, timeout: Timeout) -> Result<Envelope<T>, RecvTimeoutError> {
        self.receiver.recv_with(timeout)
    }
}

/// A link between two processes that name each other, with a buffer for each direction.
///
/// Use a `DirectLink` if a message from a third process must be treated as an error.
///
/// # Process death
/// The documentation of the buffer's type states the effect of a user's death.
///
/// # Between processes
/// `DirectLink::open` creates or finds both buffers in a region. The second process passes the two
/// ids in reverse order:
/// ```no_run
/// use interlatch::named::{DirectLink, NamedChannel, ProcessId};
/// use interlatch::sync::Timeout;
/// use interlatch::{RegionName, RegionOptions};
///
/// # let server = ProcessId::new(1234);
/// let region = RegionOptions::new(1 << 16).create_or_attach(&RegionName::posix("talk")?)?;
/// let ids = [ProcessId::current(), server];
/// let link = DirectLink::<NamedChannel<u64>>::open(&region, ids, 8)?;
/// link.send_with(7, Timeout::Infinite)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Example
/// ```
/// use interlatch::named::{DirectLink, DirectLinkError, Envelope, ProcessId};
/// use interlatch::{Channel, MonitorBuffer};
/// use interlatch::sync::Timeout;
///
/// let (ann, bob, eve) = (ProcessId::new(1), ProcessId::new(2), ProcessId::new(3));
/// let to_bob = MonitorBuffer::<Envelope<u64>>::with_capacity(2)?;
/// let to_ann = MonitorBuffer::with_capacity(2)?;
/// let here = DirectLink::new([ann, bob], to_bob.sender()?, to_ann.receiver()?);
/// let there = DirectLink::new([bob, ann], to_ann.sender()?, to_bob.receiver()?);
/// here.send_with(7, Timeout::Infinite)?;
/// assert_eq!(there.recv_with(Timeout::Infinite), Ok(7));
///
/// to_bob.sender()?.send(Envelope::new(eve, 8))?;
/// let received = there.recv_with(Timeout::Infinite);
/// assert_eq!(received, Err(DirectLinkError::WrongSender { expected: ann, found: eve }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirectLink<'a, B: Buffer + ?Sized + 'a> {
    peer: ProcessId,
    outbox: Outbox<'a, B>,
    receiver: Receiver<'a, B>,
}

/// The error returned when receiving from a [`DirectLink`] fails.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectLinkError {
    /// No item was received.
    Recv(RecvTimeoutError),
    /// Another process sent the item, which is discarded.
    WrongSender {
        /// The peer of the link.
        expected: ProcessId,
        /// The sender of the item.
        found: ProcessId,
    },
}

impl fmt::Display for DirectLinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recv(error) => error.fmt(f),
            Self::WrongSender { expected, found } => {
                write!(f, "received an item from {found}, expected {expected}")
            }
        }
    }
}

impl core::error::Error for DirectLinkError {}

impl From<RecvTimeoutError> for DirectLinkError {
    fn from(error: RecvTimeoutError) -> Self {
        Self::Recv(error)
    }
}

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> DirectLink<'a, B> {
    /// Creates the endpoint of the first process from one handle of each buffer.
    pub fn new(
        [process, peer]: [ProcessId; 2],
        sender: Sender<'a, B>,
        receiver: Receiver<'a, B>,
    ) -> Self {
        let outbox = Outbox::new(process, sender);
        Self {
            peer,
            outbox,
            receiver,
        }
    }

    /// Sends an item to the peer, blocking while the buffer is full.
    ///
    /// # Errors
    /// Returns the same errors as [`Sender::send_with`], each with the item.
    pub fn send_with(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        self.outbox.send_with(item, timeout)
    }

    /// Receives an item from the peer, blocking while the buffer is empty.
    ///
    /// # Errors
    /// Returns the same errors as [`Receiver::recv_with`]. If a process other than the peer sent
    /// the item, `recv_with` discards the item and returns an error.
    pub fn recv_with(&self, timeout: Timeout) -> Result<T, DirectLinkError> {
        let message = self.receiver.recv_with(timeout)?;
        let (expected, found) = (self.peer, message.from());
        match found == expected {
            true => Ok(message.item()),
            false => Err(DirectLinkError::WrongSender { expected, found }),
        }
    }

    /// Returns the id of the other process of the link.
    pub fn peer(&self) -> ProcessId {
        self.peer
    }
}

/// The number that identifies a mailbox in its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MailboxId(pub u32);

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mailbox {}", self.0)
    }
}

/// A numbered buffer that any process can send to and receive from.
///
/// # Process death
/// A mailbox stays in its region, but its buffer is closed when the last inbox is dropped. Sending
/// to a closed buffer fails, and a closed buffer cannot be reopened. So a restarted server must use
/// a mailbox with another number, unless another process kept an inbox. The documentation of the
/// buffer states all other effects of a user's death.
///
/// # Example
/// ```
/// use interlatch::sync::Timeout;
/// use interlatch::named::{Mailbox, MailboxId, NamedChannel, ProcessId};
/// use interlatch::Region;
///
/// // Two separate programs would use a named region and the same mailbox number.
/// let region = Region::memfd("mail", 1 << 16)?;
/// let mailbox = Mailbox::<NamedChannel<u64>>::open(&region, MailboxId(7), 4)?;
/// let inbox = mailbox.inbox()?;
/// let outbox = mailbox.outbox(ProcessId::current())?;
/// outbox.send_with(42, Timeout::Infinite)?;
/// let message = inbox.recv_with(Timeout::Infinite)?;
/// assert_eq!((message.from(), message.item()), (ProcessId::current(), 42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mailbox<'a, B: Buffer + ?Sized> {
    id: MailboxId,
    buffer: &'a B,
}

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> Mailbox<'a, B> {
    /// Creates a mailbox with this number from a buffer.
    pub fn new(id: MailboxId, buffer: &'a B) -> Self {
        Self { id, buffer }
    }

    /// Returns the number of the mailbox.
    pub fn id(&self) -> MailboxId {
        self.id
    }

    /// Creates a sender for this process.
    ///
    /// # Errors
    /// Returns the same errors as [`Channel::sender`](crate::Channel::sender).
    pub fn outbox(&self, process: ProcessId) -> Result<Outbox<'a, B>, AttachError> {
        Ok(Outbox::new(process, self.buffer.sender()?))
    }

    /// Creates a receiver of the mailbox's items.
    ///
    /// # Errors
    /// Returns the same errors as [`Channel::receiver`](crate::Channel::receiver).
    pub fn inbox(&self) -> Result<Inbox<'a, B>, AttachError> {
        Ok(Inbox::new(self.buffer.receiver()?))
    }
}
