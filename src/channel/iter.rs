//! Iterators over received items.

use super::{Buffer, ChannelError, Receiver, RecvError, TryRecvError};
use core::iter::FusedIterator;

/// A blocking iterator over received items, created by [`Receiver::iter`].
///
/// The iterator ends when the stream ends. After a failure, it yields one `Err` and then ends.
#[derive(Debug)]
pub struct Iter<'r, 'a, C: Buffer + ?Sized> {
    receiver: &'r Receiver<'a, C>,
    has_ended: bool,
}

/// A non-blocking iterator over received items, created by [`Receiver::try_iter`].
///
/// The iterator returns `None` while the buffer is empty and after the end of the stream. After a
/// failure, it yields one `Err` and then ends.
#[derive(Debug)]
pub struct TryIter<'r, 'a, C: Buffer + ?Sized> {
    receiver: &'r Receiver<'a, C>,
    has_failed: bool,
}

/// A blocking iterator over received items that owns its receiver.
///
/// The iterator ends when the stream ends. After a failure, it yields one `Err` and then ends.
#[derive(Debug)]
pub struct IntoIter<'a, C: Buffer + ?Sized> {
    receiver: Receiver<'a, C>,
    has_ended: bool,
}

impl<'r, 'a, C: Buffer + ?Sized> Iter<'r, 'a, C> {
    pub(super) fn new(receiver: &'r Receiver<'a, C>) -> Self {
        Self {
            receiver,
            has_ended: false,
        }
    }
}

impl<'r, 'a, C: Buffer + ?Sized> TryIter<'r, 'a, C> {
    pub(super) fn new(receiver: &'r Receiver<'a, C>) -> Self {
        Self {
            receiver,
            has_failed: false,
        }
    }
}

impl<'a, C: Buffer + ?Sized> IntoIter<'a, C> {
    pub(super) fn new(receiver: Receiver<'a, C>) -> Self {
        Self {
            receiver,
            has_ended: false,
        }
    }
}

fn next<C: Buffer + ?Sized>(
    receiver: &Receiver<'_, C>,
    has_ended: &mut bool,
) -> Option<Result<C::Item, ChannelError>> {
    if *has_ended {
        return None;
    }
    let received = receiver.recv();
    *has_ended = received.is_err();
    match received {
        Ok(item) => Some(Ok(item)),
        Err(RecvError::Failed(cause)) => Some(Err(cause)),
        Err(RecvError::Disconnected) => None,
    }
}

impl<C: Buffer + ?Sized> Iterator for Iter<'_, '_, C> {
    type Item = Result<C::Item, ChannelError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(self.receiver, &mut self.has_ended)
    }
}

impl<C: Buffer + ?Sized> Iterator for IntoIter<'_, C> {
    type Item = Result<C::Item, ChannelError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&self.receiver, &mut self.has_ended)
    }
}

impl<C: Buffer + ?Sized> Iterator for TryIter<'_, '_, C> {
    type Item = Result<C::Item, ChannelError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        match self.receiver.try_recv() {
            Ok(item) => Some(Ok(item)),
            Err(TryRecvError::Failed(cause)) => {
                self.has_failed = true;
                Some(Err(cause))
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }
}

impl<C: Buffer + ?Sized> FusedIterator for Iter<'_, '_, C> {}
impl<C: Buffer + ?Sized> FusedIterator for IntoIter<'_, C> {}
