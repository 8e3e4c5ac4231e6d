//! The handles of a byte pipe, in the three forms of every operation here, and as the standard library has them.

use super::byte_pipe::BytePipe;
use super::endpoints::RobustEndpoint;
use crate::channel::Endpoint;
use crate::channel::slot::Slots;
use crate::sync::{AcquireError, LockError, Timeout};
use core::fmt;
use std::io;
use std::time::Duration;

/// Why no byte has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BytePipeError {
    /// In time there was nothing to read, or no room for what was to be written.
    #[error("timed out: expected bytes to read, or room for those to write")]
    Timeout,
    /// Nobody reads any more.
    #[error("writing to a byte pipe without readers")]
    Disconnected,
    /// The lock inside is not to be had: this thread holds too many, or a faulty peer has written there.
    #[error(transparent)]
    Unusable(AcquireError),
}

impl From<LockError> for BytePipeError {
    fn from(error: LockError) -> Self {
        match AcquireError::from(error) {
            AcquireError::TimedOut => Self::Timeout,
            error => Self::Unusable(error),
        }
    }
}

impl From<BytePipeError> for io::Error {
    fn from(error: BytePipeError) -> Self {
        let kind = match error {
            BytePipeError::Timeout => io::ErrorKind::WouldBlock,
            BytePipeError::Disconnected => io::ErrorKind::BrokenPipe,
            BytePipeError::Unusable(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The end that writes. The last one that goes ends the stream.
///
/// # Process death
/// As of [`BytePipe`]. To the copy in the child of a `fork(3)` nobody reads.
///
/// # Example
/// ```
/// use interlatch::channel::{BytePipeError, Slot};
/// use interlatch::BytePipe;
///
/// static PIPE: BytePipe<[Slot<u8>; 4]> = BytePipe::from_slots([const { Slot::new() }; 4]);
/// let writer = PIPE.writer()?;
/// assert_eq!(writer.try_write(b"abc"), Ok(3));
/// assert_eq!(writer.try_write(b"de"), Err(BytePipeError::Timeout), "a small piece is not divided");
/// assert_eq!(writer.try_write(b"defgh"), Ok(1), "a large one is");
/// drop(PIPE.reader()?);
/// assert_eq!(writer.try_write(b"e"), Err(BytePipeError::Disconnected));
/// # Ok::<(), interlatch::channel::AttachError>(())
/// ```
#[must_use = "dropping the last writer ends the stream"]
pub struct ByteWriter<'a, S: Slots<u8> + ?Sized, const ENDS: usize = 8> {
    pipe: &'a BytePipe<S, ENDS>,
    seat: RobustEndpoint<'a>,
}

/// The end that reads. The last one that goes breaks the pipe.
///
/// # Process death
/// As of [`BytePipe`]. To the copy in the child of a `fork(3)` the stream has ended.
///
/// # Example
/// ```
/// use interlatch::channel::{BytePipeError, Slot};
/// use interlatch::BytePipe;
///
/// static PIPE: BytePipe<[Slot<u8>; 4]> = BytePipe::from_slots([const { Slot::new() }; 4]);
/// let (writer, reader) = (PIPE.writer()?, PIPE.reader()?);
/// let mut bytes = [0; 8];
/// assert_eq!(reader.try_read(&mut bytes), Err(BytePipeError::Timeout));
/// assert_eq!(writer.try_write(b"abc"), Ok(3));
/// drop(writer);
/// assert_eq!(reader.try_read(&mut bytes), Ok(3), "what there is");
/// assert_eq!(reader.try_read(&mut bytes), Ok(0), "and then the end");
/// # Ok::<(), interlatch::channel::AttachError>(())
/// ```
#[must_use = "dropping the last reader breaks the pipe"]
pub struct ByteReader<'a, S: Slots<u8> + ?Sized, const ENDS: usize = 8> {
    pipe: &'a BytePipe<S, ENDS>,
    seat: RobustEndpoint<'a>,
}

impl<'a, S: Slots<u8> + ?Sized, const ENDS: usize> ByteWriter<'a, S, ENDS> {
    pub(super) fn new(pipe: &'a BytePipe<S, ENDS>, seat: RobustEndpoint<'a>) -> Self {
        Self { pipe, seat }
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// As [`write_with`](Self::write_with).
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, BytePipeError> {
        self.write_with(bytes, Timeout::NonBlocking)
    }

    /// Writes everything, or as much as there was room for in time.
    ///
    /// # Errors
    /// As [`write_with`](Self::write_with).
    pub fn write_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<usize, BytePipeError> {
        self.write_with(bytes, Timeout::after(timeout))
    }

    /// Writes as long as timeout lasts: as [`BytePipe::write_with`].
    ///
    /// # Errors
    /// As there.
    pub fn write_with(&self, bytes: &[u8], timeout: Timeout) -> Result<usize, BytePipeError> {
        match self.seat.is_owned() {
            true => self.pipe.write_with(bytes, timeout),
            false => Err(BytePipeError::Disconnected),
        }
    }
}

impl<'a, S: Slots<u8> + ?Sized, const ENDS: usize> ByteReader<'a, S, ENDS> {
    pub(super) fn new(pipe: &'a BytePipe<S, ENDS>, seat: RobustEndpoint<'a>) -> Self {
        Self { pipe, seat }
    }

    /// Reads what there is now.
    ///
    /// # Errors
    /// There is nothing.
    pub fn try_read(&self, bytes: &mut [u8]) -> Result<usize, BytePipeError> {
        self.read_with(bytes, Timeout::NonBlocking)
    }

    /// Reads what there is as soon as there is something, or gives up after that time.
    ///
    /// # Errors
    /// There was nothing in time.
    pub fn read_timeout(
        &self,
        bytes: &mut [u8],
        timeout: Duration,
    ) -> Result<usize, BytePipeError> {
        self.read_with(bytes, Timeout::after(timeout))
    }

    /// Reads as long as timeout lasts: as [`BytePipe::read_with`].
    ///
    /// # Errors
    /// As there.
    pub fn read_with(&self, bytes: &mut [u8], timeout: Timeout) -> Result<usize, BytePipeError> {
        match self.seat.is_owned() {
            true => self.pipe.read_with(bytes, timeout),
            false => Ok(0),
        }
    }
}

impl<S: Slots<u8> + ?Sized, const ENDS: usize> io::Write for ByteWriter<'_, S, ENDS> {
    /// Writes everything, however long that takes; less only if the last reader goes meanwhile.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.write_with(bytes, Timeout::Infinite)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Slots<u8> + ?Sized, const ENDS: usize> io::Read for ByteReader<'_, S, ENDS> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_with(bytes, Timeout::Infinite)?)
    }
}

impl<S: Slots<u8> + ?Sized, const ENDS: usize> fmt::Debug for ByteWriter<'_, S, ENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByteWriter { .. }")
    }
}

impl<S: Slots<u8> + ?Sized, const ENDS: usize> fmt::Debug for ByteReader<'_, S, ENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByteReader { .. }")
    }
}
