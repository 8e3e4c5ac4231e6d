//! A semaphore whose permits are bytes in a pipe.
//!
//! **Promise.** That of every semaphore: what a process did before it released is seen by who acquires that
//! permit; and no more permits are acquired than were released.
//!
//! **Source.** The jobserver of GNU make (Paul Smith, 1999), whose tokens are bytes in a pipe; the idea is
//! older than semaphores in the Unix kernel.
//!
//! **Why it is correct.** To acquire is to read one byte, to release is to write one; the kernel hands each
//! byte to one reader. Nothing else is shared, so processes need nothing in common but the two descriptors.

use super::{PermitOverflow, RawSemaphore, Timeout, TrustedSemaphore};
use crate::platform::pipe::{self, Descriptor, Reader, Writer};
use crate::platform::{PipeStop, Wake};

/// A counting semaphore for processes that share descriptors, but no memory.
///
/// # Fairness
/// None: whoever reads first has it.
///
/// # Process death
/// A permit whose holder dies is lost, as in a make that is killed: it is in nobody's hands and not in the pipe.
///
/// # Memory ordering
/// A release happens before the acquisition of what it has released, as the pipe's lock in the kernel
/// orders them.
///
/// # Example
/// ```
/// use interlatch::sync::{Timeout, RawSemaphore, PipeSemaphore};
///
/// let semaphore = PipeSemaphore::new(1)?;
/// assert!(semaphore.acquire_with(Timeout::Infinite));
/// assert!(!semaphore.acquire_with(Timeout::NonBlocking));
/// semaphore.release(1)?;
/// assert_eq!(semaphore.permits(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PipeSemaphore {
    permits: Reader,
    releases: Writer,
}

/// The oldest page has no room any more for what was taken from it. So one page is no room for any number of permits.
const MIN: usize = 2 * MAX_AT_ONCE;

/// So many permits are released in one step: more could not be, if there was room for some of them only.
const MAX_AT_ONCE: usize = pipe::PIPE_BUF;

impl PipeSemaphore {
    /// A semaphore in a pipe of its own, with so many permits.
    ///
    /// # Errors
    /// No descriptor is left, or there are more permits than can be released at once.
    pub fn new(permits: u32) -> std::io::Result<Self> {
        let (reader, writer) = pipe::pipe(MIN)?;
        let semaphore = Self::from_ends(reader, writer);
        semaphore.release(permits).map_err(std::io::Error::other)?;
        Ok(semaphore)
    }

    /// The semaphore of a pipe that this process has been given. One of less than two pages is made larger: else
    /// a permit may find no room although others have been taken. Where the kernel refuses that, as it does to
    /// users with too many pipes, such a release is a [`PermitOverflow`].
    pub fn from_ends(reader: Reader, writer: Writer) -> Self {
        // Said above.
        let _ = writer.enlarge(MIN);
        Self {
            permits: reader,
            releases: writer,
        }
    }

    /// Both ends, to pass on: that of the permits, and that of the releases. Whoever reads a byte there has
    /// acquired a permit, and whoever writes one has released one.
    ///
    /// Reading there waits until there is a permit, as programs expect that know of a jobserver and not of this
    /// crate.
    pub fn ends(&self) -> (Descriptor<'_>, Descriptor<'_>) {
        (self.permits.descriptor(), self.releases.descriptor())
    }

    /// The most permits that fit.
    pub fn capacity(&self) -> usize {
        self.releases.capacity()
    }

    /// How many permits there were a moment ago.
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
                // Nobody can release any more, or the descriptor is none that can be read.
                _ => return false,
            }
            match self.permits.wait(timeout.deadline()) {
                Ok(Wake::TimedOut) | Err(_) => return false,
                Ok(_) => {}
            }
        }
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        let permits = [TOKEN; MAX_AT_ONCE];
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

/// What make writes.
const TOKEN: u8 = b'+';

// SAFETY: the kernel hands each byte to one reader, after its writer has written it. That nobody writes bytes
// there who has no permit to release, is for whoever makes a lock of it to promise.
unsafe impl TrustedSemaphore for PipeSemaphore {}
