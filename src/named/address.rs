//! Who sends to whom: messages with their sender, and the three ways to name the two ends.
//!
//! | naming | who names whom | type |
//! | --- | --- | --- |
//! | direct, symmetric | both name each other; a message of anybody else is refused | [`DirectLink`] |
//! | direct, asymmetric | the sender names the receiver, who learns who has sent | [`Outbox`], [`Inbox`] |
//! | indirect | both name a mailbox, which several share | [`Mailbox`], which gives out those two |
//!
//! All of it is thin, over any [`Buffer`]: how long a send takes, and what a death does, is the buffer's affair.

use crate::channel::{AttachError, Buffer, Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use crate::platform::Pod;
use crate::sync::Timeout;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A process, by the number that its pid namespace has for it. A number is used again some time after its
/// process has died.
///
/// # Example
/// ```
/// use interlatch::named::ProcessId;
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
/// use interlatch::named::{Envelope, ProcessId};
///
/// let message = Envelope::new(ProcessId::new(7), 1.5_f64);
/// assert_eq!((message.from().number(), message.item()), (7, 1.5));
/// ```
#[repr(C, packed)]
#[derive(FromBytes, IntoBytes, Immutable)]
pub struct Envelope<T> {
    from: ProcessId,
    item: T,
}

// Without padding, and so without references to what is inside.
impl<T: Copy> Clone for Envelope<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Copy> Copy for Envelope<T> {}

impl<T: Pod> Envelope<T> {
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

impl<T: Pod + fmt::Debug> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
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

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> Outbox<'a, B> {
    /// For this process, to whoever receives from that buffer.
    pub fn new(me: ProcessId, sender: Sender<'a, B>) -> Self {
        Self { me, sender }
    }

    /// Sends as long as timeout lasts.
    ///
    /// # Errors
    /// As of [`Sender::send_with`].
    pub fn send_with(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        let sent = self.sender.send_with(Envelope::new(self.me, item), timeout);
        sent.map_err(|error| error.map(|message| message.item()))
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

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> Inbox<'a, B> {
    /// Of that buffer.
    pub fn new(receiver: Receiver<'a, B>) -> Self {
        Self { receiver }
    }

    /// Receives a message as long as timeout lasts.
    ///
    /// # Errors
    /// As of [`Receiver::recv_with`].
    pub fn recv_with(&self, timeout: Timeout) -> Result<Envelope<T>, RecvTimeoutError> {
        self.receiver.recv_with(timeout)
    }
}

/// Two processes that name each other, each with a buffer for what it receives.
///
/// # Process death
/// As of the [`Sender`] and the [`Receiver`] inside.
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
/// let refused = there.recv_with(Timeout::Infinite);
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> DirectLink<'a, B> {
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

    /// Sends to the other end as long as timeout lasts.
    ///
    /// # Errors
    /// As of [`Sender::send_with`].
    pub fn send_with(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        self.out.send_with(item, timeout)
    }

    /// Receives from the other end as long as timeout lasts.
    ///
    /// # Errors
    /// As of [`Receiver::recv_with`]; or the message is of somebody else, and refused.
    pub fn recv_with(&self, timeout: Timeout) -> Result<T, DirectLinkError> {
        let message = self.receiver.recv_with(timeout)?;
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
/// use interlatch::sync::Timeout;
/// use interlatch::named::{Mailbox, MailboxId, NamedChannel, ProcessId};
/// use interlatch::Region;
///
/// let region = Region::memfd("mail", 1 << 16)?;
/// let mailbox = Mailbox::<NamedChannel<u64>>::open(&region, MailboxId(7), 4)?;
/// let inbox = mailbox.inbox()?;
/// let outbox = mailbox.outbox(ProcessId::this())?;
/// outbox.send_with(42, Timeout::Infinite)?;
/// let message = inbox.recv_with(Timeout::Infinite)?;
/// assert_eq!((message.from(), message.item()), (ProcessId::this(), 42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mailbox<'a, B: Buffer + ?Sized> {
    id: MailboxId,
    buffer: &'a B,
}

impl<'a, T: Pod, B: Buffer<Item = Envelope<T>> + ?Sized> Mailbox<'a, B> {
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
    /// As of [`Channel::sender`](crate::Channel::sender).
    pub fn outbox(&self, me: ProcessId) -> Result<Outbox<'a, B>, AttachError> {
        Ok(Outbox::new(me, self.buffer.sender()?))
    }

    /// To receive from it.
    ///
    /// # Errors
    /// As of [`Channel::receiver`](crate::Channel::receiver).
    pub fn inbox(&self) -> Result<Inbox<'a, B>, AttachError> {
        Ok(Inbox::new(self.buffer.receiver()?))
    }
}
