//! Which signals a thread has blocked to read them, and for how many that read.
//!
//! The mask of a thread says only that a signal is blocked. If the first of two that read it unblocked it, the next one
//! would be delivered, and that may end the process. So each thread counts; and a signal that was blocked before
//! the first of them stays so after the last.

use super::SignalError;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::cell::RefCell;

/// The numbers of signals that have a name. The first is 1.
const SIGNALS: usize = 32;

/// Of one signal.
#[derive(Clone, Copy)]
struct Count {
    readers: usize,
    was_blocked: bool,
}

const NOBODY: Count = Count {
    readers: 0,
    was_blocked: false,
};

thread_local! {
    static COUNTS: RefCell<[Count; SIGNALS]> = const { RefCell::new([NOBODY; SIGNALS]) };
}

/// These signals are blocked in this thread as long as this is there.
#[derive(Debug)]
pub(super) struct Blocked(SigSet);

impl Blocked {
    pub(super) fn now(signals: SigSet) -> Result<Self, SignalError> {
        let before = signals
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(SignalError::system("pthread_sigmask"))?;
        for signal in &signals {
            of(signal, |count| {
                if count.readers == 0 {
                    count.was_blocked = before.contains(signal);
                }
                count.readers += 1;
            });
        }
        Ok(Self(signals))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let nobody_else_reads = |signal: &Signal| {
            let last = of(*signal, |count| {
                count.readers = count.readers.saturating_sub(1);
                count.readers == 0 && !count.was_blocked
            });
            // At the end of a thread there may be no counts any more: then it stays blocked, which harms nobody.
            last.unwrap_or(false)
        };
        let free: SigSet = self.0.iter().filter(nobody_else_reads).collect();
        // It refuses nothing but a command that does not exist.
        let _ = free.thread_unblock();
    }
}

/// Does something with the count of a signal in this thread.
fn of<R>(signal: Signal, act: impl FnOnce(&mut Count) -> R) -> Option<R> {
    let counts = COUNTS.try_with(|counts| {
        let mut counts = counts.borrow_mut();
        counts.get_mut(signal as usize).map(act)
    });
    counts.ok().flatten()
}
