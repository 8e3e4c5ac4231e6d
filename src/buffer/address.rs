//! Who sends to whom: messages with their sender, and the three ways to name the two ends.
//!
//! | naming | who names whom | type |
//! | --- | --- | --- |
//! | direct, symmetric | both name each other; a message of anybody else is refused | [`DirectLink`] |
//! | direct, asymmetric | the sender names the receiver, who learns who has sent | [`Outbox`], [`Inbox`] |
//! | indirect | both name a mailbox, which several share | [`Mailbox`], which gives out those two |
//!
//! All of it is thin, over any [`Buffer`]: how long a send takes, and what a death does, is the buffer's affair.

use super::{Buffer, Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use crate::platform::Plain;
use crate::sync::Patience;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A process, by the number that its pid namespace has for it. A number is used again some time after its
/// process has died.
///
/// # Example
/// ```
/// use interlatch::ProcessId;
///
/// assert_eq!(ProcessId::this().number(), std::process::id());
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable)]
pub struct ProcessId(u32);

impl ProcessId {
    /// The process that has this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The one that asks.
    pub fn this() -> Self {
        Self(std::process::id())
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

/// A message with its sender, as that one says: whoever may write the memory may say anything.
///
/// # Example
/// ```
/// use interlatch::{Addressed, ProcessId};
///
/// let message = Addressed::new(ProcessId::new(7), 1.5_f64);
/// assert_eq!((message.from().number(), message.item()), (7, 1.5));
/// ```
#[repr(C, packed)]
#[derive(FromBytes, IntoBytes, Immutable)]
pub struct Addressed<T> {
    from: ProcessId,
    item: T,
}

// Without padding, and so without references to what is inside.
impl<T: Copy> Clone for Addressed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Copy> Copy for Addressed<T> {}

impl<T: Plain> Addressed<T> {
    /// A message of that process.
    pub fn new(from: ProcessId, item: T) -> Self {
        Self { from, item }
    }

    /// Who has sent it.
    pub fn from(&self) -> ProcessId {
        self.from
    }

    /// What was sent.
    pub fn item(&self) -> T {
        self.item
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Addressed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addressed")
            .field("from", &self.from())
            .field("item", &self.item())
            .finish()
    }
}

/// Sends in the name of one process.
///
/// # Process death
/// As of the [`Sender`] inside.
///
/// # Example
/// See [`Mailbox`].
#[derive(Debug)]
pub struct Outbox<'a, B: Buffer + ?Sized + 'a> {
    me: ProcessId,
    sender: Sender<'a, B>,
}

impl<'a, T: Plain, B: Buffer<Item = Addressed<T>> + ?Sized> Outbox<'a, B> {
    /// For this process, to whoever receives from that buffer.
    pub fn new(me: ProcessId, sender: Sender<'a, B>) -> Self {
        Self { me, sender }
    }

    /// Sends as long as patience lasts.
    ///
    /// # Errors
    /// As of [`Sender::send_within`].
    pub fn send_within(&self, item: T, patience: Patience) -> Result<(), SendTimeoutError<T>> {
        let sent = self
            .sender
            .send_within(Addressed::new(self.me, item), patience);
        sent.map_err(|refused| match refused {
            SendTimeoutError::Timeout(back) => SendTimeoutError::Timeout(back.item()),
            SendTimeoutError::Disconnected(back) => SendTimeoutError::Disconnected(back.item()),
        })
    }
}

/// Receives from whoever sends, and learns who.
///
/// # Process death
/// As of the [`Receiver`] inside.
///
/// # Example
/// See [`Mailbox`].
#[derive(Debug)]
pub struct Inbox<'a, B: Buffer + ?Sized + 'a> {
    receiver: Receiver<'a, B>,
}

impl<'a, T: Plain, B: Buffer<Item = Addressed<T>> + ?Sized> Inbox<'a, B> {
    /// Of that buffer.
    pub fn new(receiver: Receiver<'a, B>) -> Self {
        Self { receiver }
    }

    /// Receives a message as long as patience lasts.
    ///
    /// # Errors
    /// As of [`Receiver::recv_within`].
    pub fn recv_within(&self, patience: Patience) -> Result<Addressed<T>, RecvTimeoutError> {
        self.receiver.recv_within(patience)
    }
}

/// Two processes that name each other, each with a buffer for what it receives.
///
/// # Process death
/// As of the [`Sender`] and the [`Receiver`] inside.
///
/// # Example
/// ```
/// use interlatch::{Addressed, Buffer, DirectLink, DirectLinkError, MonitorBuffer, ProcessId};
/// use interlatch::sync::Patience;
///
/// let (ann, bob, eve) = (ProcessId::new(1), ProcessId::new(2), ProcessId::new(3));
/// let to_bob = MonitorBuffer::<Addressed<u64>>::with_capacity(2)?;
/// let to_ann = MonitorBuffer::with_capacity(2)?;
/// let here = DirectLink::new([ann, bob], to_bob.sender()?, to_ann.receiver()?);
/// let there = DirectLink::new([bob, ann], to_ann.sender()?, to_bob.receiver()?);
/// here.send_within(7, Patience::Forever)?;
/// assert_eq!(there.recv_within(Patience::Forever), Ok(7));
///
/// to_bob.sender()?.send(Addressed::new(eve, 8))?;
/// let refused = there.recv_within(Patience::Forever);
/// assert_eq!(refused, Err(DirectLinkError::Stranger { expected: ann, found: eve }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirectLink<'a, B: Buffer + ?Sized + 'a> {
    peer: ProcessId,
    out: Outbox<'a, B>,
    receiver: Receiver<'a, B>,
}

/// Why nothing was received over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectLinkError {
    /// Nothing came in time, or nothing will.
    #[error(transparent)]
    Nothing(#[from] RecvTimeoutError),
    /// A message of somebody else. It is gone.
    #[error("a message of {found}: expected one of {expected}")]
    Stranger {
        /// The other end of the link.
        expected: ProcessId,
        /// Who has sent it.
        found: ProcessId,
    },
}

impl<'a, T: Plain, B: Buffer<Item = Addressed<T>> + ?Sized> DirectLink<'a, B> {
    /// The end of the first of these two, over a handle of each buffer.
    pub fn new(
        [me, peer]: [ProcessId; 2],
        sender: Sender<'a, B>,
        receiver: Receiver<'a, B>,
    ) -> Self {
        let out = Outbox::new(me, sender);
        Self {
            peer,
            out,
            receiver,
        }
    }

    /// Sends to the other end as long as patience lasts.
    ///
    /// # Errors
    /// As of [`Sender::send_within`].
    pub fn send_within(&self, item: T, patience: Patience) -> Result<(), SendTimeoutError<T>> {
        self.out.send_within(item, patience)
    }

    /// Receives from the other end as long as patience lasts.
    ///
    /// # Errors
    /// As of [`Receiver::recv_within`]; or the message is of somebody else, and refused.
    pub fn recv_within(&self, patience: Patience) -> Result<T, DirectLinkError> {
        let message = self.receiver.recv_within(patience)?;
        let (expected, found) = (self.peer, message.from());
        match found == expected {
            true => Ok(message.item()),
            false => Err(DirectLinkError::Stranger { expected, found }),
        }
    }

    /// The process at the other end.
    pub fn peer(&self) -> ProcessId {
        self.peer
    }
}

/// The number of a mailbox, unique in its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MailboxId(pub u32);

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mailbox {}", self.0)
    }
}

/// A buffer that processes know by a number, and into which any of them sends and from which any receives.
///
/// # Process death
/// The mailbox stays, but a buffer that has closed stays closed: once the last inbox has gone, nobody sends into
/// it any more, and a server that is started again takes a mailbox of another number, or keeps the place open with
/// an inbox of another process. The rest is as of the buffer.
///
/// # Example
/// ```
/// use interlatch::sync::Patience;
/// use interlatch::{Mailbox, MailboxId, Post, ProcessId, Region};
///
/// let region = Region::memfd("mail", 1 << 16)?;
/// let mailbox = Mailbox::<Post<u64>>::open(&region, MailboxId(7), 4)?;
/// let inbox = mailbox.inbox()?;
/// let outbox = mailbox.outbox(ProcessId::this())?;
/// outbox.send_within(42, Patience::Forever)?;
/// let message = inbox.recv_within(Patience::Forever)?;
/// assert_eq!((message.from(), message.item()), (ProcessId::this(), 42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mailbox<'a, B: Buffer + ?Sized> {
    id: MailboxId,
    buffer: &'a B,
}

impl<'a, T: Plain, B: Buffer<Item = Addressed<T>> + ?Sized> Mailbox<'a, B> {
    /// Over that buffer.
    pub fn new(id: MailboxId, buffer: &'a B) -> Self {
        Self { id, buffer }
    }

    /// Its number.
    pub fn id(&self) -> MailboxId {
        self.id
    }

    /// To send into it.
    ///
    /// # Errors
    /// As of [`Buffer::sender`].
    pub fn outbox(&self, me: ProcessId) -> Result<Outbox<'a, B>, B::AttachError> {
        Ok(Outbox::new(me, self.buffer.sender()?))
    }

    /// To receive from it.
    ///
    /// # Errors
    /// As of [`Buffer::receiver`].
    pub fn inbox(&self) -> Result<Inbox<'a, B>, B::AttachError> {
        Ok(Inbox::new(self.buffer.receiver()?))
    }
}
