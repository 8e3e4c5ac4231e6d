//! A semaphore whose permits are bytes in a pipe.

use super::{PermitOverflow, RawSemaphore, Timeout, TrustedSemaphore};
use crate::platform::pipe::{self, Descriptor, Reader, Writer};
use crate::platform::{PipeStop, Wake};

/// A counting semaphore for processes that share descriptors but no memory.
///
/// Where memory is shared, use [`Semaphore`](super::Semaphore), which needs no system call while
/// permits are available.
///
/// # Errors
/// [`new`](Self::new) fails if no descriptor is left. `release` returns [`PermitOverflow`] if the
/// pipe has no free space for the permits. `acquire_with` returns false if the timeout expired, or
/// if all processes that could release a permit have closed the pipe.
///
/// # Fairness
/// The semaphore is not fair: the process that reads first acquires the permit.
///
/// # Process death
/// The permits of a process that dies are lost, like the tokens of a killed `make`.
///
/// # How it works
/// A thread acquires a permit by reading one byte from the pipe, and releases a permit by writing
/// one byte. The kernel delivers each byte to one reader. The processes share nothing but the two
/// descriptors.
///
/// # Ordering
/// A release happens before the acquisition of the released permit, because the kernel's internal
/// lock of the pipe orders the write before the read.
///
/// # Sources
/// The jobserver of GNU make (Paul Smith, 1999), whose tokens are bytes in a pipe. The idea is
/// older than the semaphores of the Unix kernel.
///
/// # Example
/// ```
/// use interlatch::platform::pipe::{Reader, Writer};
/// use interlatch::sync::{PipeSemaphore, RawSemaphore, Timeout};
///
/// // One process creates the semaphore.
/// let semaphore = PipeSemaphore::new(1)?;
///
/// // Another process inherits or receives both descriptors.
/// let (reader, writer) = semaphore.ends();
/// let other = PipeSemaphore::from_ends(Reader::reopen(reader)?, Writer::reopen(writer)?);
///
/// assert!(semaphore.acquire_with(Timeout::Infinite));
/// assert!(!other.acquire_with(Timeout::NonBlocking), "the only permit is acquired");
/// semaphore.release(1)?;
/// assert_eq!(other.permits(), 1);
///
/// let error = semaphore.release(u32::MAX).unwrap_err();
/// assert_eq!(error.held, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PipeSemaphore {
    permits: Reader,
    releases: Writer,
}

/// Minimum capacity of the pipe: two pages.
///
/// The kernel frees a page only when all bytes of the page have been read. So a pipe of one page
/// may have no free space although permits have been acquired.
const MIN_CAPACITY: usize = 2 * MAX_RELEASE;

/// Maximum number of permits in one release. The kernel writes up to this number of bytes in one
/// atomic step.
const MAX_RELEASE: usize = pipe::PIPE_BUF;

impl PipeSemaphore {
    /// Creates a semaphore with `permits` permits in a new pipe.
    ///
    /// # Errors
    /// Fails if no descriptor is left, or if `permits` is more than one release can add.
    pub fn new(permits: u32) -> std::io::Result<Self> {
        let (reader, writer) = pipe::pipe(MIN_CAPACITY)?;
        let semaphore = Self::from_ends(reader, writer);
        semaphore.release(permits).map_err(std::io::Error::other)?;
        Ok(semaphore)
    }

    /// Creates a semaphore from an existing pipe, whose bytes are the permits.
    ///
    /// A pipe of less than two pages is enlarged. In a smaller pipe, a release might find no free
    /// space although permits were acquired before. The kernel refuses to enlarge the pipes of
    /// users with too many pipes. In that case, such a release fails with [`PermitOverflow`].
    pub fn from_ends(reader: Reader, writer: Writer) -> Self {
        // A failure is ignored here. The documentation of this function describes its effect.
        let _ = writer.enlarge(MIN_CAPACITY);
        Self {
            permits: reader,
            releases: writer,
        }
    }

    /// Returns the read end and the write end of the pipe, for passing to another process.
    ///
    /// A process that reads a byte acquires a permit, and a process that writes a byte releases
    /// one. A read blocks until a permit is available. Programs that support jobservers but do not
    /// use this crate expect this behavior.
    pub fn ends(&self) -> (Descriptor<'_>, Descriptor<'_>) {
        (self.permits.descriptor(), self.releases.descriptor())
    }

    /// Returns the maximum number of permits that the pipe holds.
    pub fn capacity(&self) -> usize {
        self.releases.capacity()
    }

    /// Returns the number of permits a moment ago, for diagnosis.
    pub fn permits(&self) -> usize {
        self.permits.available()
    }
}

impl RawSemaphore for PipeSemaphore {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        loop {
            let read = match timeout {
                Timeout::Infinite => self.permits.read_blocking(&mut [0]),
                _ => self.permits.read(&mut [0]),
            };
            match read {
                Ok(count) if count > 0 => return true,
                Err(PipeStop::WouldBlock) if timeout != Timeout::NonBlocking => {}
                // No permit will come: all write ends are closed, or the descriptor cannot be read.
                _ => return false,
            }
            match self.permits.wait(timeout.deadline()) {
                Ok(Wake::TimedOut) | Err(_) => return false,
                Ok(_) => {}
            }
        }
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        let permits = [TOKEN; MAX_RELEASE];
        let written = match permits.get(..count as usize) {
            Some([]) => return Ok(()),
            Some(permits) => self.releases.write(permits).is_ok(),
            None => false,
        };
        written.then_some(()).ok_or_else(|| PermitOverflow {
            held: u32::try_from(self.permits()).unwrap_or(u32::MAX),
            added: count,
        })
    }
}

/// The byte that GNU make writes as a token.
const TOKEN: u8 = b'+';

// SAFETY: the kernel delivers each byte to one reader, after its writer has written it. The
// constructors that create a lock from the semaphore are `unsafe` and forbid writing bytes that are
// not permits.
unsafe impl TrustedSemaphore for PipeSemaphore {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acquire_fails_if_no_process_can_release() {
        let new = || pipe::pipe(MIN_CAPACITY).expect("descriptors");
        let ((reader, last), (_reader, writer)) = (new(), new());
        let semaphore = PipeSemaphore::from_ends(reader, writer);
        drop(last);
        for timeout in [Timeout::Infinite, Timeout::NonBlocking] {
            assert!(!semaphore.acquire_with(timeout), "there is no permit");
        }
    }
}
