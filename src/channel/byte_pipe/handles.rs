//! The operations of the handles of a byte pipe.

use super::BytePipe;
use crate::channel::OperationError;
use crate::channel::slot::Slots;
use crate::channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError,
};
use crate::sync::Timeout;
use std::io;
use std::time::Duration;

/// The operations of a [`BytePipe`]. The handle implements [`Write`](std::io::Write).
///
/// # Example
/// ```
/// use interlatch::channel::{Slot, TrySendError};
/// use interlatch::{BytePipe, Channel};
///
/// let pipe: &BytePipe<_> = BytePipe::from_slots([const { Slot::new() }; 4]).leak();
/// let sender = pipe.sender()?;
/// assert_eq!(sender.try_write(b"abc"), Ok(3));
/// assert_eq!(sender.try_write(b"de"), Err(TrySendError::Full(())), "a small write is atomic");
/// assert_eq!(sender.try_write(b"defgh"), Ok(1), "a large write is not");
/// drop(pipe.receiver()?);
/// assert_eq!(sender.try_write(b"e"), Err(TrySendError::Disconnected(())));
/// # Ok::<(), interlatch::channel::AttachError>(())
/// ```
impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> Sender<'_, BytePipe<S, MAX_ENDPOINTS>> {
    /// Writes as many bytes as fit into the free space, and returns the number of bytes.
    ///
    /// # Errors
    /// `Full` if there is no free space, or if there is too little free space for an atomic write.
    /// For other errors, see [`write_with`](Self::write_with).
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, TrySendError<()>> {
        Ok(self.write_with(bytes, Timeout::NonBlocking)?)
    }

    /// Writes bytes for at most this duration, and returns their number.
    ///
    /// # Errors
    /// Returns the same errors as [`write_with`](Self::write_with).
    pub fn write_timeout(
        &self,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<usize, SendTimeoutError<()>> {
        self.write_with(bytes, Timeout::after(timeout))
    }

    /// Writes bytes until the timeout expires, and returns the number of written bytes.
    ///
    /// A write of at most 4096 bytes, or of at most the capacity if that is less, is atomic: either
    /// all of its bytes are written together, or none are written. A larger write returns before
    /// all bytes are written only if the timeout expires or the last receiver disconnects.
    ///
    /// # Errors
    /// If this returns an error, no byte was written. `Timeout` if there was not enough free space
    /// in time, `Disconnected` if all receivers are gone, `Failed` with the cause otherwise.
    pub fn write_with(
        &self,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<usize, SendTimeoutError<()>> {
        self.owned_endpoint().map_err(OperationError::from)?;
        Ok(self.channel().write(bytes, timeout)?)
    }
}

/// The operations of a [`BytePipe`]. The handle implements [`Read`](std::io::Read).
///
/// # Example
/// ```
/// use interlatch::channel::{Slot, TryRecvError};
/// use interlatch::{BytePipe, Channel};
///
/// let pipe: &BytePipe<_> = BytePipe::from_slots([const { Slot::new() }; 4]).leak();
/// let (sender, receiver) = (pipe.sender()?, pipe.receiver()?);
/// let mut bytes = [0; 8];
/// assert_eq!(receiver.try_read(&mut bytes), Err(TryRecvError::Empty));
/// assert_eq!(sender.try_write(b"abc"), Ok(3));
/// drop(sender);
/// assert_eq!(receiver.try_read(&mut bytes), Ok(3), "all available bytes");
/// assert_eq!(receiver.try_read(&mut bytes), Ok(0), "the end of the stream");
/// # Ok::<(), interlatch::channel::AttachError>(())
/// ```
impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> Receiver<'_, BytePipe<S, MAX_ENDPOINTS>> {
    /// Reads the available bytes, and returns their number.
    ///
    /// # Errors
    /// `Empty` if the pipe is empty. For other errors, see [`read_with`](Self::read_with).
    pub fn try_read(&self, bytes: &mut [u8]) -> Result<usize, TryRecvError> {
        Ok(self.read_with(bytes, Timeout::NonBlocking)?)
    }

    /// Reads the available bytes, waiting at most this long for the first byte, and returns the
    /// number of bytes.
    ///
    /// # Errors
    /// Returns the same errors as [`read_with`](Self::read_with).
    pub fn read_timeout(
        &self,
        bytes: &mut [u8],
        timeout: Duration,
    ) -> Result<usize, RecvTimeoutError> {
        self.read_with(bytes, Timeout::after(timeout))
    }

    /// Reads the available bytes, waiting for the first byte until the timeout expires.
    ///
    /// Returns the number of bytes. 0 means the end of the stream, unless `bytes` is empty.
    ///
    /// # Errors
    /// `Timeout` if there was no byte in time, `Failed` with the cause otherwise.
    pub fn read_with(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        self.owned_endpoint().map_err(OperationError::from)?;
        Ok(self.channel().read(bytes, timeout)?)
    }
}

impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> io::Write
    for Sender<'_, BytePipe<S, MAX_ENDPOINTS>>
{
    /// Writes all bytes, waiting for free space. Writes fewer bytes only if the last receiver
    /// disconnects.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.write_with(bytes, Timeout::Infinite)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Slots<u8> + ?Sized, const MAX_ENDPOINTS: usize> io::Read
    for Receiver<'_, BytePipe<S, MAX_ENDPOINTS>>
{
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_with(bytes, Timeout::Infinite)?)
    }
}

/// Converts `Timeout` to `WouldBlock` and `Disconnected` to `BrokenPipe`.
impl From<SendTimeoutError<()>> for io::Error {
    fn from(error: SendTimeoutError<()>) -> Self {
        let kind = match error {
            SendTimeoutError::Timeout(()) => io::ErrorKind::WouldBlock,
            SendTimeoutError::Disconnected(()) => io::ErrorKind::BrokenPipe,
            SendTimeoutError::Failed((), _) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Converts `Timeout` to `WouldBlock` and `Disconnected` to `UnexpectedEof`.
impl From<RecvTimeoutError> for io::Error {
    fn from(error: RecvTimeoutError) -> Self {
        let kind = match error {
            RecvTimeoutError::Timeout => io::ErrorKind::WouldBlock,
            RecvTimeoutError::Disconnected => io::ErrorKind::UnexpectedEof,
            RecvTimeoutError::Failed(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
