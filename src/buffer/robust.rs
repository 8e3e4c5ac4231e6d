//! The bounded buffer of `monitor`, over parts that survive the death of a process.
//!
//! **Promise.** That of the other buffers, and: a sender that is killed in `send` has sent its item or
//! not, and a receiver that is killed in `recv` has taken one or not; nothing is torn, doubled, or
//! lost among the living. When the last sender or receiver dies, the other side hears of it as if it had
//! gone.
//!
//! **Source.** Hoare's bounded buffer, as in `monitor`; the commit by one write is that of every log.
//!
//! **Why it is correct.** What the lock protects changes in one step of one word: the item is in its
//! place before the number of those that were sent says so, and is copied out before the number of those
//! that were received does. So whoever dies inside leaves nothing to repair. A handle is a robust lock
//! that is held as long as the handle lives; the kernel ends it with its thread. Nobody is told of that
//! end: sleepers look again.

use super::slot::Slot;
use super::{
    Disconnected, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use crate::platform::robust::{Refusal, commit};
use crate::platform::{InPlace, Plain, UnsafeCell, constructor, repeat};
use crate::sync::{
    Condvar, LockError, Patience, RawRobustMutex, RobustLockError, RobustMutex, Stamp,
};
use std::time::Duration;

/// A first-in-first-out buffer of `N` places that survives the death of its users, for at most `ENDS`
/// senders and as many receivers at one time.
///
/// Items are plain data: what a dead process has half-written is never looked at.
///
/// # Fairness
/// None of its own: that of the condition variables.
///
/// # Process death
/// See [`RobustSender`] and [`RobustReceiver`]. A handle belongs to the thread that made it, and ends
/// with it, but not where that is not the main thread of its process and calls `exec`: then it never
/// ends, as the lock that it is. The child of a `fork(3)` makes handles of its own; to those that it
/// inherits the other side has gone.
///
/// # Leaks
/// A handle that is leaked (`mem::forget`) stays until its thread ends, and the buffer has to stay where
/// it is for as long: see [`RawRobustMutex`](crate::sync::RawRobustMutex).
///
/// # Many locks
/// A thread can hold 128 robust locks, handles included. To one that holds as many, every operation
/// here says `Disconnected`, since it cannot take the lock inside.
///
/// # Example
/// ```
/// use interlatch::{RecvError, RobustBuffer};
///
/// static BUFFER: RobustBuffer<u64, 4> = RobustBuffer::new();
///
/// // A thread that ends without closing anything.
/// std::thread::spawn(|| {
///     let sender = BUFFER.sender().unwrap();
///     sender.send(7).unwrap();
///     std::mem::forget(sender);
/// })
/// .join()
/// .unwrap();
///
/// let receiver = BUFFER.receiver().unwrap();
/// assert_eq!(receiver.recv(), Ok(7));
/// assert_eq!(receiver.recv(), Err(RecvError), "nobody will send any more");
/// ```
#[repr(C)]
pub struct RobustBuffer<T, const N: usize, const ENDS: usize = 8> {
    lock: RobustMutex<()>,
    not_full: Condvar,
    not_empty: Condvar,
    /// How many items were sent, and how many received.
    sent: UnsafeCell<u64>,
    received: UnsafeCell<u64>,
    senders: Handles<ENDS>,
    receivers: Handles<ENDS>,
    slots: [Slot<T>; N],
}

// SAFETY: the numbers and the slots are accessed only by the holder of the lock, and items move from
// the one that sends to the one that receives.
unsafe impl<T: Send, const N: usize, const ENDS: usize> Sync for RobustBuffer<T, N, ENDS> {}

// SAFETY: `repr(C)`, of parts that are `InPlace`, numbers that are reduced where they are read, and
// items that are valid for every bit pattern.
unsafe impl<T: Plain, const N: usize, const ENDS: usize> InPlace for RobustBuffer<T, N, ENDS> {
    fn initial() -> Self {
        Self::new()
    }
}

/// The handles of one side. Everything about them happens under the lock of the buffer, but their end
/// by a death.
#[repr(C)]
struct Handles<const ENDS: usize> {
    /// Whether there has been one.
    opened: UnsafeCell<u64>,
    /// Held, each by the owner of a handle.
    held: [RawRobustMutex; ENDS],
}

/// Why there is no handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// That side has closed for good.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// There are as many handles of that side as there can be.
    #[error("there are {0} handles already: expected fewer")]
    TooMany(usize),
    /// This thread can hold no handle, or no more of them.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The lock inside is not to be had any more, which only a faulty peer brings about.
    #[error("the buffer is broken: a faulty peer has written into it")]
    Broken,
}

impl<const ENDS: usize> Handles<ENDS> {
    constructor! {
        fn new() -> Self {
            Self { opened: UnsafeCell::new(0), held: repeat!(RawRobustMutex::new()) }
        }
    }

    /// Whether the last one has gone, or died. The caller holds the lock of the buffer.
    fn has_closed(&self) -> bool {
        // SAFETY: the lock is held.
        let opened = self.opened.with(|opened| unsafe { *opened }) != 0;
        opened && !self.held.iter().any(RawRobustMutex::is_locked)
    }

    /// Takes a handle. The caller holds the lock of the buffer.
    fn attach(&self) -> Result<&RawRobustMutex, AttachError> {
        if self.has_closed() {
            return Err(Disconnected.into());
        }
        for handle in &self.held {
            match handle.lock_within(Patience::Never) {
                Ok(_) => {
                    // SAFETY: the lock is held.
                    unsafe { commit(&self.opened, 1) };
                    return Ok(handle);
                }
                Err(LockError::Refused(refusal)) => return Err(refusal.into()),
                Err(_) => {}
            }
        }
        Err(AttachError::TooMany(ENDS))
    }
}

/// Why an operation ended before it was done: in time there was nothing to do, or never will be.
enum Refused {
    Timeout,
    Disconnected,
}

impl<T> From<RobustLockError<'_, T>> for Refused {
    /// What is no timeout is a thread that holds too many locks, or a faulty peer: for this handle
    /// there is no other side then.
    fn from(error: RobustLockError<'_, T>) -> Self {
        match error {
            RobustLockError::TimedOut => Self::Timeout,
            _ => Self::Disconnected,
        }
    }
}

impl<T: Plain, const N: usize, const ENDS: usize> RobustBuffer<T, N, ENDS> {
    constructor! {
        /// An empty buffer. One without a place or without ends does not compile.
        pub fn new() -> Self {
            const { assert!(N > 0 && ENDS > 0, "at least 1 place and 1 end") };
            Self {
                lock: RobustMutex::new(()),
                not_full: Condvar::new(),
                not_empty: Condvar::new(),
                sent: UnsafeCell::new(0),
                received: UnsafeCell::new(0),
                senders: Handles::new(),
                receivers: Handles::new(),
                slots: repeat!(Slot::new()),
            }
        }
    }

    /// A handle for sending.
    ///
    /// # Errors
    /// If the last sender has gone, if there are too many, or if this thread can hold none.
    pub fn sender(&self) -> Result<RobustSender<'_, T, N, ENDS>, AttachError> {
        Ok(RobustSender {
            handle: self.attach(&self.senders, &self.not_empty)?,
            buffer: self,
        })
    }

    /// A handle for receiving.
    ///
    /// # Errors
    /// If the last receiver has gone, if there are too many, or if this thread can hold none.
    pub fn receiver(&self) -> Result<RobustReceiver<'_, T, N, ENDS>, AttachError> {
        Ok(RobustReceiver {
            handle: self.attach(&self.receivers, &self.not_full)?,
            buffer: self,
        })
    }

    fn attach<'a>(
        &'a self,
        side: &'a Handles<ENDS>,
        others: &'a Condvar,
    ) -> Result<Handle<'a, ENDS>, AttachError> {
        let guard = self
            .lock
            .lock()
            .or_else(RobustLockError::mark_consistent)
            .map_err(|error| match error {
                RobustLockError::Refused(refusal) => refusal.into(),
                _ => AttachError::Broken,
            })?;
        let held = side.attach()?;
        drop(guard);
        Ok(Handle {
            held,
            side,
            lock: &self.lock,
            others,
            stamp: Stamp::new(),
        })
    }

    /// How many items there were a moment ago; none, if the lock is not to be had.
    pub fn len(&self) -> usize {
        self.lock
            .lock()
            .or_else(RobustLockError::mark_consistent)
            .map_or(0, |_guard| self.length())
    }

    /// Whether there was no item a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most items that fit.
    pub fn capacity(&self) -> usize {
        N
    }

    /// The caller holds the lock.
    fn length(&self) -> usize {
        let (sent, received) = self.numbers();
        // A number that is too large was written by a faulty peer.
        usize::try_from(sent.wrapping_sub(received)).map_or(N, |length| length.min(N))
    }

    /// Those sent and received. The caller holds the lock.
    fn numbers(&self) -> (u64, u64) {
        // SAFETY: the lock is held.
        let read = |number: &UnsafeCell<u64>| number.with(|number| unsafe { *number });
        (read(&self.sent), read(&self.received))
    }

    /// The place of the item with this number.
    fn slot(&self, number: u64) -> &Slot<T> {
        &self.slots[(number % N as u64) as usize]
    }

    fn send_within(
        &self,
        handle: &Handle<'_, ENDS>,
        item: T,
        patience: Patience,
    ) -> Result<(), Refused> {
        if handle.stamp.is_inherited() {
            return Err(Refused::Disconnected);
        }
        let mut guard = self
            .lock
            .lock_within(patience.at_a_lock())
            .or_else(RobustLockError::mark_consistent)?;
        let mut in_time = true;
        loop {
            if self.receivers.has_closed() {
                return Err(Refused::Disconnected);
            }
            if self.length() < N {
                break;
            }
            if !in_time {
                return Err(Refused::Timeout);
            }
            let locked;
            (locked, in_time) = self.not_full.wait_robust(guard, patience);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
        let (sent, _) = self.numbers();
        // SAFETY: the lock is held. The place is not among those with items; what was in it was
        // copied out, and is plain.
        unsafe {
            self.slot(sent).put(item);
            commit(&self.sent, sent.wrapping_add(1));
        }
        drop(guard);
        self.not_empty.notify_one();
        Ok(())
    }

    fn recv_within(&self, handle: &Handle<'_, ENDS>, patience: Patience) -> Result<T, Refused> {
        if handle.stamp.is_inherited() {
            return Err(Refused::Disconnected);
        }
        let mut guard = self
            .lock
            .lock_within(patience.at_a_lock())
            .or_else(RobustLockError::mark_consistent)?;
        let mut in_time = true;
        while self.length() == 0 {
            if self.senders.has_closed() {
                return Err(Refused::Disconnected);
            }
            if !in_time {
                return Err(Refused::Timeout);
            }
            let locked;
            (locked, in_time) = self.not_empty.wait_robust(guard, patience);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
        let (_, received) = self.numbers();
        // SAFETY: the lock is held. The place has an item, or whatever a faulty peer has made one;
        // it is plain, so it may be copied out again if this process dies before the next step.
        let item = unsafe {
            let item = self.slot(received).take();
            commit(&self.received, received.wrapping_add(1));
            item
        };
        drop(guard);
        self.not_full.notify_one();
        Ok(item)
    }
}

impl<T: Plain, const N: usize, const ENDS: usize> Default for RobustBuffer<T, N, ENDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize, const ENDS: usize> core::fmt::Debug for RobustBuffer<T, N, ENDS> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RobustBuffer { .. }")
    }
}

/// What a sender and a receiver have in common: being there.
struct Handle<'a, const ENDS: usize> {
    held: &'a RawRobustMutex,
    side: &'a Handles<ENDS>,
    lock: &'a RobustMutex<()>,
    /// Where the other side waits.
    others: &'a Condvar,
    stamp: Stamp,
}

impl<const ENDS: usize> Drop for Handle<'_, ENDS> {
    fn drop(&mut self) {
        if self.stamp.is_inherited() {
            return;
        }
        // Not to be had only where this thread holds too many, or of a faulty peer; who waits then
        // looks again by itself.
        let guard = self.lock.lock().or_else(RobustLockError::mark_consistent);
        // SAFETY: a handle is made only by locking, and unlocks only once, here.
        unsafe { self.held.unlock() };
        let closes = guard.is_ok() && self.side.has_closed();
        drop(guard);
        if closes {
            self.others.notify_all();
        }
    }
}

/// A sending end of a [`RobustBuffer`]. It stays on its thread.
///
/// # Process death
/// One that is killed in `send` has sent its item or not. When the last one goes or dies, receivers
/// drain the buffer and then hear so: at once if they ask then, or within the
/// [`recheck_interval`](crate::platform::futex) if they sleep.
///
/// # Example
/// See [`RobustBuffer`].
#[must_use = "dropping the last sender closes the stream"]
pub struct RobustSender<'a, T, const N: usize, const ENDS: usize> {
    handle: Handle<'a, ENDS>,
    buffer: &'a RobustBuffer<T, N, ENDS>,
}

/// A receiving end of a [`RobustBuffer`]. It stays on its thread.
///
/// # Process death
/// One that is killed in `recv` has taken an item or not; one that it has taken is gone with it. When
/// the last one goes or dies, senders hear so: at once if they ask then, or within the
/// [`recheck_interval`](crate::platform::futex) if they sleep.
///
/// # Example
/// See [`RobustBuffer`].
#[must_use = "dropping the last receiver breaks the pipe"]
pub struct RobustReceiver<'a, T, const N: usize, const ENDS: usize> {
    handle: Handle<'a, ENDS>,
    buffer: &'a RobustBuffer<T, N, ENDS>,
}

impl<T: Plain, const N: usize, const ENDS: usize> RobustSender<'_, T, N, ENDS> {
    /// Sends, waiting for a free place.
    ///
    /// # Errors
    /// The item comes back if all receivers are gone or dead; also if this thread holds as many robust
    /// locks as it can, or a faulty peer has ruined the lock.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        loop {
            match self
                .buffer
                .send_within(&self.handle, item, Patience::Forever)
            {
                Ok(()) => return Ok(()),
                Err(Refused::Disconnected) => return Err(SendError(item)),
                // Forever does not run out.
                Err(Refused::Timeout) => {}
            }
        }
    }

    /// Sends if there is a free place.
    ///
    /// # Errors
    /// The item comes back.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let sent = self.buffer.send_within(&self.handle, item, Patience::Never);
        sent.map_err(|refused| match refused {
            Refused::Timeout => TrySendError::Full(item),
            Refused::Disconnected => TrySendError::Disconnected(item),
        })
    }

    /// Sends, or gives up after that time.
    ///
    /// # Errors
    /// The item comes back.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        let sent = self
            .buffer
            .send_within(&self.handle, item, Patience::of(timeout));
        sent.map_err(|refused| match refused {
            Refused::Timeout => SendTimeoutError::Timeout(item),
            Refused::Disconnected => SendTimeoutError::Disconnected(item),
        })
    }

    /// Closes this end, as dropping it does.
    pub fn close(self) {
        drop(self.handle);
    }
}

impl<T: Plain, const N: usize, const ENDS: usize> RobustReceiver<'_, T, N, ENDS> {
    /// Receives the oldest item, waiting for one.
    ///
    /// # Errors
    /// If the buffer is empty and all senders are gone or dead; also as of [`RobustSender::send`].
    pub fn recv(&self) -> Result<T, RecvError> {
        loop {
            match self.buffer.recv_within(&self.handle, Patience::Forever) {
                Ok(item) => return Ok(item),
                Err(Refused::Disconnected) => return Err(RecvError),
                // Forever does not run out.
                Err(Refused::Timeout) => {}
            }
        }
    }

    /// Receives the oldest item if there is one.
    ///
    /// # Errors
    /// There is none now, or never will be; also as of [`RobustSender::send`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let received = self.buffer.recv_within(&self.handle, Patience::Never);
        received.map_err(|refused| match refused {
            Refused::Timeout => TryRecvError::Empty,
            Refused::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// Receives the oldest item, or gives up after that time.
    ///
    /// # Errors
    /// There was none in time, or never will be; also as of [`RobustSender::send`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let received = self.buffer.recv_within(&self.handle, Patience::of(timeout));
        received.map_err(|refused| match refused {
            Refused::Timeout => RecvTimeoutError::Timeout,
            Refused::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// Closes this end, as dropping it does.
    pub fn close(self) {
        drop(self.handle);
    }
}
