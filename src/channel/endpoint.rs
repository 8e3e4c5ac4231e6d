//! The registration of a handle with its side of a channel.

use super::{AttachError, Channel, Direction};

/// The registration of a handle with its side of a channel.
pub trait Endpoint {
    /// Whether the handle may use the channel.
    ///
    /// If the channel identifies its users, the copy of a handle in a forked child may not use the
    /// channel. An operation on such a copy fails with
    /// [`ChannelError::Inherited`](super::ChannelError::Inherited).
    fn is_owned(&self) -> bool {
        true
    }
}

/// A channel that counts the handles of each side.
pub trait CountsEndpoints: Channel {
    /// Adds one handle to the count of handles of one side.
    ///
    /// # Errors
    /// `Closed` if this side has closed.
    fn join(&self, direction: Direction) -> Result<(), AttachError>;

    /// Removes one handle from the count.
    ///
    /// Removing the last handle closes the side and wakes all waiters of the other side.
    fn leave(&self, direction: Direction);
}

/// A registration that only increments the channel's count of handles. The count does not decrease
/// when the process dies.
#[derive(Debug)]
pub struct EndpointRef<'a, C: CountsEndpoints + ?Sized> {
    channel: &'a C,
    direction: Direction,
    is_registered: bool,
}

impl<'a, C: CountsEndpoints + ?Sized> EndpointRef<'a, C> {
    /// Adds one handle to the count of one side until the registration is dropped.
    ///
    /// # Errors
    /// `Closed` if this side has closed.
    pub fn new(channel: &'a C, direction: Direction) -> Result<Self, AttachError> {
        channel.join(direction)?;
        Ok(Self {
            channel,
            direction,
            is_registered: true,
        })
    }

    /// An endpoint that is not counted: see [`Unregistered`](super::Unregistered).
    #[doc(hidden)]
    pub fn unregistered(channel: &'a C, direction: Direction) -> Self {
        Self {
            channel,
            direction,
            is_registered: false,
        }
    }
}

impl<C: CountsEndpoints + ?Sized> Endpoint for EndpointRef<'_, C> {}

impl<C: CountsEndpoints + ?Sized> Drop for EndpointRef<'_, C> {
    fn drop(&mut self) {
        if self.is_registered {
            self.channel.leave(self.direction);
        }
    }
}
