//! Broken condition variables that lose notifications, and a caller that waits without a loop.

use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::spin::{Spin, SpinPolicy};
use interlatch::platform::{AtomicU32, ShmSafe, Wake, futex};
use interlatch::sync::RawMutex;
use interlatch::sync::{Condvar, LockGuard, RawCondvar, RawLock, Timeout};
use interlatch_check::FailureKind::{Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use interlatch_contract::condvar;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "condvar_that_reads_its_word_after_unlocking",
            Deadlock,
            condvar::does_not_lose_wakeup::<FlawedCondvar<READS_AFTER_UNLOCKING>, RawMutex>,
        ),
        Model::broken(
            "condvar_whose_unlocking_waiter_registers_late",
            Deadlock,
            condvar::unlocking_waiter_does_not_lose_wakeup::<
                FlawedCondvar<READS_AFTER_UNLOCKING>,
                RawMutex,
            >,
        ),
        Model::broken(
            "condvar_whose_notify_all_wakes_one",
            Deadlock,
            condvar::notify_all_wakes_every_waiter::<FlawedCondvar<NOTIFY_ALL_WAKES_ONE>, RawMutex>,
        ),
        Model::broken(
            "condvar_that_forgets_a_waiter",
            Deadlock,
            condvar::two_notifications_wake_two_waiters::<FlawedCondvar<FORGETS_A_WAITER>, RawMutex>,
        ),
        Model::broken(
            "condvar_whose_timed_out_waiter_takes_a_notification",
            Deadlock,
            condvar::timed_out_waiter_takes_no_notification::<
                FlawedCondvar<TIMED_OUT_WAITER_TAKES_ONE>,
                RawMutex,
            >,
        ),
        Model::broken(
            "condvar_that_sleeps_unregistered_after_a_spin",
            Deadlock,
            condvar::does_not_lose_wakeup::<FlawedCondvar<SLEEPS_UNREGISTERED>, RawMutex>,
        ),
        Model::broken(
            "condvar_whose_interrupted_wait_reports_a_notification",
            WrongResult,
            || {
                condvar::loop_of_timed_waits_ends::<FlawedCondvar<REPORTS_INTERRUPTIONS>, RawMutex>(
                )
                .interruptions(1)
            },
        ),
        Model::broken(
            "condvar_whose_wait_ends_at_an_interruption",
            WrongResult,
            || {
                condvar::waiter_returns_only_after_a_notification::<
                    FlawedCondvar<REPORTS_INTERRUPTIONS>,
                    RawMutex,
                >(2)
                .interruptions(1)
            },
        ),
        Model::broken("wait_without_a_loop", WrongResult, waits_without_a_loop),
    ]
}

/// A waiter reads the number of notifications only after unlocking. A notification between these
/// steps is lost, and the waiter hangs.
const READS_AFTER_UNLOCKING: u8 = 0;
/// `notify_all` wakes only one waiter, so the other waiter hangs.
const NOTIFY_ALL_WAKES_ONE: u8 = 1;
/// A notifier clears the waiters bit after a wake call that woke no waiter, although a new waiter
/// may be asleep.
///
/// The next notification makes no wake call, and the waiter hangs. A draft of `sync/condvar.rs` had
/// this bug, and the checker found it.
const FORGETS_A_WAITER: u8 = 2;
/// A waiter consumes a notification but reports a timeout, so the other waiter hangs.
const TIMED_OUT_WAITER_TAKES_ONE: u8 = 3;
/// After spinning without success, a waiter sleeps without setting the waiters bit, and hangs.
const SLEEPS_UNREGISTERED: u8 = 4;
/// A waiter whose sleep is interrupted reports a notification. A loop that ends at the first
/// timeout may then never end. Version 0.1 of `sync/condvar.rs` had this bug at every recheck.
const REPORTS_INTERRUPTIONS: u8 = 5;

const WAITERS: u32 = 1;
const NOTIFICATION: u32 = 2;

#[repr(C)]
#[derive(Debug, ShmSafe)]
struct FlawedCondvar<const FLAW: u8> {
    word: AtomicU32,
}

impl<const FLAW: u8> RawCondvar for FlawedCondvar<FLAW> {
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        let mut spin = Spin::new(&self.word, SpinPolicy::Event, None);
        let mark = match FLAW == SLEEPS_UNREGISTERED && spin.wait_until(|_| true) {
            true => 0,
            false => WAITERS,
        };
        let register = || self.word.fetch_or(mark, Relaxed) | mark;
        let early = if FLAW == READS_AFTER_UNLOCKING {
            None
        } else {
            Some(register())
        };
        let lock = held.mutex();
        // SAFETY: the caller's guard holds the lock, and this function acquires the lock again
        // before it returns.
        unsafe { lock.unlock() };
        let deadline = match timeout {
            Timeout::At(deadline) => Some(deadline),
            Timeout::NonBlocking | Timeout::Infinite => None,
        };
        let wake = futex::wait(&self.word, early.unwrap_or_else(register), deadline);
        let in_time = match (FLAW, wake) {
            (_, Wake::TimedOut) => false,
            (TIMED_OUT_WAITER_TAKES_ONE, _) => deadline.is_none(),
            _ => true,
        };
        while !lock.raw_lock_with(Timeout::Infinite) {}
        in_time
    }

    fn notify_one(&self) {
        let before = self.word.fetch_add(NOTIFICATION, Relaxed);
        if before & WAITERS == 0 {
            return;
        }
        if futex::wake(&self.word, 1) == 0 && FLAW == FORGETS_A_WAITER {
            let after = before.wrapping_add(NOTIFICATION);
            let _ = self
                .word
                .compare_exchange(after, after & !WAITERS, Relaxed, Relaxed);
        }
    }

    fn notify_all(&self) {
        self.word.fetch_add(NOTIFICATION, Relaxed);
        futex::wake(
            &self.word,
            if FLAW == NOTIFY_ALL_WAKES_ONE {
                1
            } else {
                u32::MAX
            },
        );
    }
}

/// A correct condition variable that two processes use wrongly to wait for one token.
///
/// The waiter checks the condition with `if` instead of `while`. When the waiter wakes up, the
/// other process may have taken the token.
#[repr(C)]
#[derive(Debug, ShmSafe)]
struct Tokens {
    lock: RawMutex,
    changed: Condvar,
    tokens: RaceCell,
}

fn waits_without_a_loop() -> Scenario<Tokens> {
    let try_take = |shared: &Tokens| {
        let _held = shared.lock.lock();
        if shared.tokens.get() > 0 {
            shared.tokens.set(shared.tokens.get() - 1);
        }
    };
    let take = |shared: &Tokens| {
        let mut held = shared.lock.lock();
        if shared.tokens.get() == 0 {
            shared.changed.wait_with(&mut held, Timeout::Infinite);
        }
        let tokens = shared.tokens.get();
        assert!(tokens > 0, "woken, but another process took the token");
        shared.tokens.set(tokens - 1);
    };
    let put = |shared: &Tokens| {
        let held = shared.lock.lock();
        shared.tokens.increment();
        drop(held);
        shared.changed.notify_one();
    };
    Scenario::new("waits_without_a_loop", vec![take, try_take, put]).choices(8)
}
