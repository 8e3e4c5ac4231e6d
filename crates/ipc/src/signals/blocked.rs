//! Counts the readers of each signal that a thread has blocked.
//!
//! The signal mask says only whether a signal is blocked. If a thread has two readers of a signal,
//! dropping the first reader must not unblock the signal. Otherwise the next signal would be
//! delivered and could terminate the process. So each thread counts the readers per signal. A
//! signal that was blocked before the first reader stays blocked after the last one.

use super::SignalError;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::cell::RefCell;

/// The size of an array with an entry for each standard signal. Signal numbers start at 1.
const SIGNALS: usize = 32;

/// The readers of one signal in this thread.
#[derive(Clone, Copy)]
struct BlockCount {
    readers: usize,
    was_blocked: bool,
}

const UNUSED: BlockCount = BlockCount {
    readers: 0,
    was_blocked: false,
};

thread_local! {
    static COUNTS: RefCell<[BlockCount; SIGNALS]> = const { RefCell::new([UNUSED; SIGNALS]) };
}

/// A guard that keeps a set of signals blocked in this thread until the guard is dropped.
#[derive(Debug)]
pub(super) struct BlockedSignals(SigSet);

impl BlockedSignals {
    pub(super) fn new(signals: SigSet) -> Result<Self, SignalError> {
        let before = signals
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(SignalError::system("pthread_sigmask"))?;
        for signal in &signals {
            with_count(signal, |count| {
                if count.readers == 0 {
                    count.was_blocked = before.contains(signal);
                }
                count.readers += 1;
            });
        }
        Ok(Self(signals))
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        let was_last_reader = |signal: &Signal| {
            let last = with_count(*signal, |count| {
                count.readers = count.readers.saturating_sub(1);
                count.readers == 0 && !count.was_blocked
            });
            // While the thread ends, its counts may already have been dropped. The signal then
            // stays blocked, which is harmless.
            last.unwrap_or(false)
        };
        let free: SigSet = self.0.iter().filter(was_last_reader).collect();
        // The call fails only for an invalid command.
        let _ = free.thread_unblock();
    }
}

/// Calls `f` with the count of a signal in this thread.
fn with_count<R>(signal: Signal, f: impl FnOnce(&mut BlockCount) -> R) -> Option<R> {
    let counts = COUNTS.try_with(|counts| {
        let mut counts = counts.borrow_mut();
        counts.get_mut(signal as usize).map(f)
    });
    counts.ok().flatten()
}
