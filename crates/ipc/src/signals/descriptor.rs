//! Signals that are received like messages: `signalfd(2)`.

use super::SignalError;
use super::blocked::BlockedSignals;
use super::error::check_supported;
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

/// Receives signals as messages, so that the signals do not interrupt the thread.
///
/// The constructor blocks the signals in this thread and in the threads that it starts later, until
/// the `SignalFd` is dropped. The kernel delivers a signal for the process to any thread that does
/// not block the signal, so create a `SignalFd` before you start other threads.
///
/// Several `SignalFd`s of one thread may share a signal. The signal stays blocked until the last of
/// them is dropped. The first `SignalFd` that receives a signal consumes it.
///
/// If a signal is sent again before it is read, the kernel delivers the signal only once. A
/// received signal therefore says that the event happened, but not how often. Signals that are
/// still unread when the last `SignalFd` is dropped are delivered then, which may terminate the
/// process.
///
/// # Process death
/// The kernel closes the descriptor when the process dies.
///
/// # Fork
/// A copy in a forked child receives the signals of the child. Dropping the copy unblocks the
/// signals only in the child.
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
    /// The non-blocking descriptor. No other process shares the open file description, so the flag
    /// affects only this process.
    descriptor: Descriptor,
    /// Keeps the signals blocked until this reader and all other readers of the thread are dropped.
    _blocked: BlockedSignals,
    /// Makes the type `!Send`, because the signal mask belongs to a thread.
    stays_on_its_thread: PhantomData<*const ()>,
}

/// A received signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedSignal {
    /// The signal.
    pub signal: Signal,
    /// The process that sent the signal, or the child for `SIGCHLD`. `None` if the kernel sent it,
    /// or if the sender has no number in this PID namespace.
    pub process: Option<u32>,
}

impl SignalFd {
    /// Blocks these signals in this thread and receives them.
    ///
    /// # Errors
    /// Returns an error if a signal cannot be received, or if the process has no free descriptor.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> Result<Self, SignalError> {
        let mut set = SigSet::empty();
        for signal in signals {
            check_supported(signal)?;
            set.add(signal);
        }
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor =
            Descriptor::with_flags(&set, flags).map_err(SignalError::system("signalfd"))?;
        let blocked = BlockedSignals::new(set)?;
        Ok(Self {
            descriptor,
            _blocked: blocked,
            stays_on_its_thread: PhantomData,
        })
    }

    /// Receives a signal, blocking until one arrives.
    ///
    /// # Errors
    /// Returns the error of `read(2)` or `ppoll(2)`, which fail if the kernel is out of memory.
    pub fn recv(&self) -> Result<ReceivedSignal, SignalError> {
        loop {
            if let Some(received) = self.recv_with(Timeout::Infinite)? {
                return Ok(received);
            }
        }
    }

    /// Receives a signal if one is pending.
    ///
    /// # Errors
    /// See [`recv`](SignalFd::recv).
    pub fn try_recv(&self) -> Result<Option<ReceivedSignal>, SignalError> {
        self.recv_with(Timeout::NonBlocking)
    }

    /// Receives a signal, or returns `None` after the timeout.
    ///
    /// # Errors
    /// See [`recv`](SignalFd::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<ReceivedSignal>, SignalError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives a signal, or returns `None` at the deadline.
    ///
    /// # Errors
    /// See [`recv`](SignalFd::recv).
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<Option<ReceivedSignal>, SignalError> {
        self.recv_with(Timeout::At(deadline))
    }

    /// Receives a signal, or returns `None` on timeout.
    ///
    /// # Errors
    /// See [`recv`](SignalFd::recv).
    pub fn recv_with(&self, timeout: Timeout) -> Result<Option<ReceivedSignal>, SignalError> {
        let read = || {
            let read = self.descriptor.read_signal()?;
            read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        };
        let read = wait::retry_until_ready(&self.descriptor, PollFlags::IN, timeout, read);
        let read = read.map_err(SignalError::io("signalfd"))?;
        Ok(read.and_then(|signal| {
            Some(ReceivedSignal {
                signal: Signal::try_from(signal.ssi_signo as i32).ok()?,
                process: (signal.ssi_pid != 0).then_some(signal.ssi_pid),
            })
        }))
    }
}

impl AsFd for SignalFd {
    /// Returns the descriptor, to poll it together with others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
