//! Signals that are read like messages: `signalfd(2)`.

use super::SignalError;
use super::blocked::Blocked;
use super::error::check;
use crate::wait;
use core::marker::PhantomData;
use interlatch::platform::Deadline;
use interlatch::sync::Timeout;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd as Descriptor};
use rustix::event::PollFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Signals that this thread waits for and reads, instead of being interrupted by them.
///
/// They are blocked in this thread, and in those that it starts from now on, until this is dropped. A signal
/// to the process goes to any thread that does not block it: make this before other threads.
///
/// Several in one thread may have one signal in common: it is blocked until the last of them is dropped, and each
/// delivery of it is read by one of them, whoever is first.
///
/// A signal that comes twice before it is read is read once, as the kernel has it: it says that something has
/// happened, not how often. What has not been read when this is dropped is delivered then, which may end the
/// process.
///
/// # Process death
/// It goes with the process.
///
/// # Example
/// ```
/// use interlatch_ipc::{Signal, SignalFd};
///
/// let signals = SignalFd::new([Signal::SIGHUP, Signal::SIGUSR1])?;
/// assert!(signals.try_recv()?.is_none());
/// nix::sys::signal::raise(Signal::SIGUSR1)?;
/// let received = signals.recv()?;
/// assert_eq!(received.signal, Signal::SIGUSR1);
/// assert_eq!(received.process, Some(std::process::id()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SignalFd {
    /// Its open file description is nobody else's, so it is non-blocking for nobody else.
    descriptor: Descriptor,
    /// Those that it keeps blocked, together with others of this thread.
    _blocked: Blocked,
    /// The mask is that of a thread.
    stays_on_its_thread: PhantomData<*const ()>,
}

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which one.
    pub signal: Signal,
    /// Who has sent it, or of `SIGCHLD` which child. Nothing if the kernel has sent it, or a process that has
    /// no number in this pid namespace.
    pub process: Option<u32>,
}

impl SignalFd {
    /// Blocks these signals in this thread, to be read.
    ///
    /// # Errors
    /// If one of them is no notification, or there is no descriptor left.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> Result<Self, SignalError> {
        let mut set = SigSet::empty();
        for signal in signals {
            check(signal)?;
            set.add(signal);
        }
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor =
            Descriptor::with_flags(&set, flags).map_err(SignalError::system("signalfd"))?;
        let blocked = Blocked::now(set)?;
        Ok(Self {
            descriptor,
            _blocked: blocked,
            stays_on_its_thread: PhantomData,
        })
    }

    /// Reads a signal, however long it takes for one to come.
    ///
    /// # Errors
    /// If the kernel has no memory for it.
    pub fn recv(&self) -> Result<Received, SignalError> {
        loop {
            if let Some(received) = self.recv_with(Timeout::Infinite)? {
                return Ok(received);
            }
        }
    }

    /// Reads a signal if one has come.
    ///
    /// # Errors
    /// As of [`recv`](SignalFd::recv).
    pub fn try_recv(&self) -> Result<Option<Received>, SignalError> {
        self.recv_with(Timeout::NonBlocking)
    }

    /// Reads a signal, or gives up after that time.
    ///
    /// # Errors
    /// As of [`recv`](SignalFd::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Received>, SignalError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Reads a signal, or gives up at that time.
    ///
    /// # Errors
    /// As of [`recv`](SignalFd::recv).
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<Option<Received>, SignalError> {
        self.recv_with(Timeout::At(deadline))
    }

    /// Reads a signal, as long as timeout lasts.
    ///
    /// # Errors
    /// As of [`recv`](SignalFd::recv).
    pub fn recv_with(&self, timeout: Timeout) -> Result<Option<Received>, SignalError> {
        let read = || {
            let read = self.descriptor.read_signal()?;
            read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        };
        let read = wait::until_done(&self.descriptor, PollFlags::IN, timeout, read);
        let read = read.map_err(SignalError::io("signalfd"))?;
        Ok(read.and_then(|signal| {
            Some(Received {
                signal: Signal::try_from(signal.ssi_signo as i32).ok()?,
                process: (signal.ssi_pid != 0).then_some(signal.ssi_pid),
            })
        }))
    }
}

impl AsFd for SignalFd {
    /// To be polled beside others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
