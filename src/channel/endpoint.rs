//! The registration of a handle with its side of a channel.

use super::{AttachError, Channel, Direction};
use crate::platform::identity::Generation;

/// The registration of a handle with its side of a channel.
pub trait Endpoint {
    /// Whether the handle may use the channel.
    ///
    /// The copy of a handle in a forked child may not use a channel in shared memory. An operation
    /// on such a copy fails with [`ChannelError::Inherited`](super::ChannelError::Inherited). A
    /// pipe belongs to each process that has its descriptors, so the copies of its handles work.
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
///
/// # Fork
/// The channel does not count the copy of a handle in a forked child. Operations on the copy fail
/// with [`ChannelError::Inherited`](super::ChannelError::Inherited), and dropping it does nothing.
#[derive(Debug)]
pub struct EndpointRef<'a, C: CountsEndpoints + ?Sized> {
    channel: &'a C,
    direction: Direction,
    is_registered: bool,
    /// The process that owns the handle.
    generation: Generation,
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
            generation: Generation::current(),
        })
    }

    /// An endpoint that is not counted: see [`Unregistered`](super::Unregistered).
    #[doc(hidden)]
    pub fn unregistered(channel: &'a C, direction: Direction) -> Self {
        Self {
            channel,
            direction,
            is_registered: false,
            generation: Generation::current(),
        }
    }
}

impl<C: CountsEndpoints + ?Sized> Endpoint for EndpointRef<'_, C> {
    #[inline]
    fn is_owned(&self) -> bool {
        !self.generation.is_inherited()
    }
}

impl<C: CountsEndpoints + ?Sized> Drop for EndpointRef<'_, C> {
    fn drop(&mut self) {
        if self.is_registered && self.is_owned() {
            self.channel.leave(self.direction);
        }
    }
}
