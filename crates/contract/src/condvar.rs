//! The promises of a condition variable.

use super::{RaceCell, Scenario, Stage, expired_timeouts, short_timeout};
use interlatch::platform::ShmSafe;
use interlatch::sync::{Condvar, LockGuard, Mutex, RawCondvar, RawLock, RawMutex, Timeout};
use std::time::{Duration, Instant};

/// A condition variable, its lock, and the number of tokens that waiters wait for.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct CondvarState<C, L> {
    changed: C,
    lock: L,
    tokens: RaceCell,
}

/// Runs every scenario of a condition variable.
pub fn all<C, L>(stage: &mut impl Stage)
where
    C: RawCondvar + ShmSafe + 'static,
    L: RawLock + ShmSafe + 'static,
{
    stage.run(does_not_lose_wakeup::<C, L>());
    stage.run(does_not_lose_wakeup_sent_under_the_lock::<C, L>());
    stage.run(two_notifications_wake_two_waiters::<C, L>());
    stage.run(three_notifications_wake_three_waiters::<C, L>());
    stage.run(notify_all_wakes_every_waiter::<C, L>());
    stage.run(notify_all_wakes_waiters_of_different_conditions::<C, L>());
    stage.run(two_waiters_alternate::<C, L>());
    stage.run(timed_out_waiter_takes_no_notification::<C, L>());
    stage.run(waiter_returns_only_after_a_notification::<C, L>(2));
    stage.run(unlocking_waiter_does_not_lose_wakeup::<C, L>());
    stage.run(notification_ends_no_later_wait::<C, L>());
    stage.run(loop_of_timed_waits_ends::<C, L>());
    stage.run(handles_extreme_timeouts::<C, L>());
}

/// Runs every scenario of the wait methods that take a
/// [`MutexGuard`](interlatch::sync::MutexGuard).
pub fn all_of_mutex_guards(stage: &mut impl Stage) {
    stage.run(every_wait_method_waits());
    stage.run(waits_of_every_kind_see_one_notification());
}

/// Runs the scenarios of the default methods of [`RawCondvar`].
pub fn all_of_default_methods(stage: &mut impl Stage) {
    stage.run(unlocking_waiter_does_not_lose_wakeup::<
        WithDefaults,
        RawMutex,
    >());
    stage.run(handles_extreme_timeouts::<WithDefaults, RawMutex>());
}

/// A condition variable that has the default methods of [`RawCondvar`].
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct WithDefaults(Condvar);

impl RawCondvar for WithDefaults {
    fn wait_with<L: RawLock>(&self, guard: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        self.0.wait_with(guard, timeout)
    }

    fn notify_one(&self) {
        self.0.notify_one();
    }

    fn notify_all(&self) {
        self.0.notify_all();
    }
}

fn take<C: RawCondvar, L: RawLock>(shared: &CondvarState<C, L>) {
    let mut guard = shared.lock.lock();
    while shared.tokens.get() == 0 {
        shared.changed.wait_with(&mut guard, Timeout::Infinite);
    }
    shared.tokens.set(shared.tokens.get() - 1);
}

fn see<C: RawCondvar, L: RawLock>(shared: &CondvarState<C, L>) {
    let mut guard = shared.lock.lock();
    while shared.tokens.get() == 0 {
        shared.changed.wait_with(&mut guard, Timeout::Infinite);
    }
}

fn put<C: RawCondvar, L: RawLock>(shared: &CondvarState<C, L>) {
    let guard = shared.lock.lock();
    shared.tokens.increment();
    drop(guard);
    shared.changed.notify_one();
}

fn put_for_all<C: RawCondvar, L: RawLock>(shared: &CondvarState<C, L>) {
    let guard = shared.lock.lock();
    shared.tokens.increment();
    drop(guard);
    shared.changed.notify_all();
}

/// A notification wakes a waiter at any moment after the waiter checked its condition.
///
/// One process waits for a token. Another process adds the token, and notifies after unlocking. If
/// the notification falls between the check and the sleep and is lost, the waiter hangs.
pub fn does_not_lose_wakeup<C: RawCondvar, L: RawLock>() -> Scenario<CondvarState<C, L>> {
    Scenario::new("does_not_lose_wakeup", vec![take, put])
        .verify(|shared| assert_eq!(shared.tokens.get(), 0))
}

/// A waiter gets a notification as in [`does_not_lose_wakeup`], even if the notifier still holds
/// the lock.
pub fn does_not_lose_wakeup_sent_under_the_lock<C: RawCondvar, L: RawLock>()
-> Scenario<CondvarState<C, L>> {
    let put = |shared: &CondvarState<C, L>| {
        let _held = shared.lock.lock();
        shared.tokens.increment();
        shared.changed.notify_one();
    };
    Scenario::new("does_not_lose_wakeup_sent_under_the_lock", vec![take, put])
}

/// Two notifications wake two waiters.
///
/// If one waiter consumes both notifications, or the first notification leaves a wrong state, a
/// waiter hangs.
pub fn two_notifications_wake_two_waiters<C: RawCondvar, L: RawLock>()
-> Scenario<CondvarState<C, L>> {
    let put_twice = |shared: &CondvarState<C, L>| {
        put(shared);
        put(shared);
    };
    Scenario::new(
        "two_notifications_wake_two_waiters",
        vec![take, take, put_twice],
    )
    .verify(|shared| assert_eq!(shared.tokens.get(), 0))
    .choices(8)
}

/// Three notifications wake three waiters.
///
/// Earlier waiters and notifiers change the state of the condition variable before the last waiter
/// arrives. If this state makes a notifier overlook the last waiter, the waiter hangs.
pub fn three_notifications_wake_three_waiters<C: RawCondvar, L: RawLock>()
-> Scenario<CondvarState<C, L>> {
    let put_thrice = |shared: &CondvarState<C, L>| {
        put(shared);
        put(shared);
        put(shared);
    };
    Scenario::new(
        "three_notifications_wake_three_waiters",
        vec![take, take, take, put_thrice],
    )
    .verify(|shared| assert_eq!(shared.tokens.get(), 0))
    .choices(16)
}

/// `notify_all` wakes every waiter.
///
/// Two processes wait for the same token, and a third process calls `notify_all`. If the call wakes
/// only one of them, the other waiter hangs.
pub fn notify_all_wakes_every_waiter<C: RawCondvar, L: RawLock>() -> Scenario<CondvarState<C, L>> {
    Scenario::new("notify_all_wakes_every_waiter", vec![see, see, put_for_all]).choices(8)
}

/// `notify_all` wakes waiters that wait for different conditions.
///
/// Two processes wait for different values. Each notification is meant for one of the waiters. If
/// the other waiter consumes the notification, both hang.
pub fn notify_all_wakes_waiters_of_different_conditions<C: RawCondvar, L: RawLock>()
-> Scenario<CondvarState<C, L>> {
    fn raise_from<C: RawCondvar, L: RawLock, const FROM: u64>(shared: &CondvarState<C, L>) {
        let mut guard = shared.lock.lock();
        while shared.tokens.get() < FROM {
            shared.changed.wait_with(&mut guard, Timeout::Infinite);
        }
        shared.tokens.increment();
        drop(guard);
        shared.changed.notify_all();
    }
    let participants: Vec<fn(&CondvarState<C, L>)> = vec![
        raise_from::<C, L, 1>,
        raise_from::<C, L, 2>,
        raise_from::<C, L, 0>,
    ];
    Scenario::new(
        "notify_all_wakes_waiters_of_different_conditions",
        participants,
    )
    .verify(|shared| assert_eq!(shared.tokens.get(), 3))
    .choices(8)
}

/// Two processes can wait for each other alternately.
///
/// A shared number is the index of the process that may continue, and each process waits for its
/// own index. A lost notification makes both hang.
pub fn two_waiters_alternate<C: RawCondvar, L: RawLock>() -> Scenario<CondvarState<C, L>> {
    fn take_turn<C: RawCondvar, L: RawLock>(shared: &CondvarState<C, L>, turn: u64) {
        let mut guard = shared.lock.lock();
        while shared.tokens.get() != turn {
            shared.changed.wait_with(&mut guard, Timeout::Infinite);
        }
        shared.tokens.increment();
        drop(guard);
        shared.changed.notify_one();
    }
    let first = |shared: &CondvarState<C, L>| {
        take_turn(shared, 0);
        take_turn(shared, 2);
    };
    let second = |shared: &CondvarState<C, L>| take_turn(shared, 1);
    Scenario::new("two_waiters_alternate", vec![first, second])
        .verify(|shared| assert_eq!(shared.tokens.get(), 3))
}

/// A waiter that times out consumes no notification that another waiter needs.
///
/// One of two waiters has a timeout. If this waiter consumes the only notification and reports a
/// timeout, the other waiter hangs.
pub fn timed_out_waiter_takes_no_notification<C: RawCondvar, L: RawLock>()
-> Scenario<CondvarState<C, L>> {
    let with_timeout = |shared: &CondvarState<C, L>| {
        let mut guard = shared.lock.lock();
        if shared.tokens.get() != 0 {
            return;
        }
        let timeout = Timeout::after(Duration::from_micros(50));
        let notified = shared.changed.wait_with(&mut guard, timeout);
        drop(guard);
        if notified {
            // The notification may have been meant for the other waiter.
            shared.changed.notify_one();
        }
    };
    Scenario::new(
        "timed_out_waiter_takes_no_notification",
        vec![with_timeout, see, put],
    )
    .choices(8)
}

/// A wait does not return before a notification.
///
/// Processes wait without a loop, and another process notifies all of them once. Neither a signal,
/// a recheck nor the registration of another waiter may look like that notification.
pub fn waiter_returns_only_after_a_notification<C: RawCondvar, L: RawLock>(
    processes: usize,
) -> Scenario<CondvarState<C, L>> {
    let wait_once = |shared: &CondvarState<C, L>| {
        let mut guard = shared.lock.lock();
        if shared.tokens.get() == 0 {
            let notified = shared.changed.wait_with(&mut guard, Timeout::Infinite);
            assert!(notified, "an infinite timeout does not expire");
            assert_eq!(shared.tokens.get(), 1, "the wait returned too early");
        }
    };
    let mut participants = vec![put_for_all as fn(&CondvarState<C, L>)];
    participants.resize(processes.clamp(2, 3), wait_once);
    let name = "waiter_returns_only_after_a_notification";
    Scenario::new(name, participants).choices(4)
}

/// A waiter that does not lock again gets a notification at any moment after it checked its
/// condition, and no earlier.
///
/// One process waits with `unlock_and_wait`, and then locks again. Another process adds a token and
/// notifies. If the waiter unlocks too late, the other process hangs. If the waiter registers after
/// it has unlocked, it misses the notification and hangs.
pub fn unlocking_waiter_does_not_lose_wakeup<C: RawCondvar, L: RawLock>()
-> Scenario<CondvarState<C, L>> {
    let wait_once = |shared: &CondvarState<C, L>| {
        let guard = shared.lock.lock();
        if shared.tokens.get() == 0 {
            let notified = shared.changed.unlock_and_wait(guard, Timeout::Infinite);
            assert!(notified, "an infinite timeout does not expire");
            let _guard = shared.lock.lock();
            assert_eq!(shared.tokens.get(), 1, "the wait returned too early");
        }
    };
    Scenario::new(
        "unlocking_waiter_does_not_lose_wakeup",
        vec![wait_once, put],
    )
}

/// A notification ends no wait that begins after it.
///
/// One process waits twice with a timeout, and another process notifies once under the lock. If the
/// first timeout expires together with the notification, or no process waits at that moment, the
/// notification is over before the second wait.
pub fn notification_ends_no_later_wait<C: RawCondvar, L: RawLock>() -> Scenario<CondvarState<C, L>>
{
    let wait_twice = |shared: &CondvarState<C, L>| {
        for _ in 0..2 {
            let mut guard = shared.lock.lock();
            let is_over = shared.tokens.get() == 1;
            let notified = shared.changed.wait_with(&mut guard, short_timeout());
            assert!(
                !notified || !is_over,
                "an earlier notification ended a wait"
            );
        }
    };
    let notify = |shared: &CondvarState<C, L>| {
        let _guard = shared.lock.lock();
        shared.tokens.increment();
        shared.changed.notify_one();
    };
    Scenario::new("notification_ends_no_later_wait", vec![wait_twice, notify])
}

/// A loop that ends at the first timeout ends, although no process notifies.
///
/// Each wait has a timeout of its own. If a signal or a recheck looked like a notification, the
/// loop would start the timeout again.
pub fn loop_of_timed_waits_ends<C: RawCondvar, L: RawLock>() -> Scenario<CondvarState<C, L>> {
    let alone = |shared: &CondvarState<C, L>| {
        let mut guard = shared.lock.lock();
        let timeout = Timeout::after(Duration::from_micros(50));
        let notified = shared.changed.wait_with(&mut guard, timeout);
        assert!(!notified, "no process notifies");
    };
    Scenario::new("loop_of_timed_waits_ends", vec![alone])
}

/// A waiter with an expired timeout returns with the lock held, unless it waits with
/// `unlock_and_wait`.
pub fn handles_extreme_timeouts<C: RawCondvar, L: RawLock>() -> Scenario<CondvarState<C, L>> {
    let alone = |shared: &CondvarState<C, L>| {
        let [zero, past] = expired_timeouts();
        for timeout in [Timeout::NonBlocking, zero, past] {
            let mut guard = shared.lock.lock();
            let notified = shared.changed.wait_with(&mut guard, timeout);
            assert!(!notified, "no process notifies");
            let again = shared.lock.lock_with(Timeout::NonBlocking);
            assert!(again.is_none(), "the waiter returned without the lock");
            let notified = shared.changed.unlock_and_wait(guard, timeout);
            assert!(!notified, "no process notifies");
            let again = shared.lock.lock_with(Timeout::NonBlocking);
            assert!(again.is_some(), "the waiter returned with the lock");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![alone])
}

/// A condition variable and a lock with the data that waiters wait for.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct MutexAndCondvar {
    changed: Condvar,
    lock: Mutex<u64>,
}

/// Each wait with a timeout says that the timeout expired if there was no notification, and a wait
/// whose condition is false does not wait.
pub fn every_wait_method_waits() -> Scenario<MutexAndCondvar> {
    let alone = |shared: &MutexAndCondvar| {
        let (changed, short) = (&shared.changed, Duration::from_micros(50));
        let mut guard = shared.lock.lock();
        assert!(changed.wait_timeout(&mut guard, short).timed_out());
        assert!(
            changed
                .wait_until(&mut guard, Instant::now() + short)
                .timed_out()
        );
        let waited = changed.wait_timeout_while(&mut guard, short, |number| *number == 0);
        assert!(waited.timed_out());
        changed.wait_while(&mut guard, |number| {
            *number += 1;
            *number < 1
        });
        assert_eq!(*guard, 1);
        assert!(shared.lock.is_locked());
    };
    Scenario::new("every_wait_method_waits", vec![alone]).choices(8)
}

/// Waiters that wait in a loop, with a condition and with a timeout all see a notification of all.
pub fn waits_of_every_kind_see_one_notification() -> Scenario<MutexAndCondvar> {
    let loops = |shared: &MutexAndCondvar| {
        let mut guard = shared.lock.lock();
        while *guard == 0 {
            shared.changed.wait(&mut guard);
        }
        *guard += 1;
    };
    let with_condition = |shared: &MutexAndCondvar| {
        let mut guard = shared.lock.lock();
        let is_zero = |number: &mut u64| *number == 0;
        let waited = shared
            .changed
            .wait_timeout_while(&mut guard, Duration::MAX, is_zero);
        assert_eq!(waited.timed_out(), *guard == 0);
        shared.changed.wait_while(&mut guard, is_zero);
        *guard += 1;
    };
    let notify = |shared: &MutexAndCondvar| {
        *shared.lock.lock() += 1;
        shared.changed.notify_all();
    };
    Scenario::new(
        "waits_of_every_kind_see_one_notification",
        vec![loops as fn(&MutexAndCondvar), with_condition, notify],
    )
    .verify(|shared| assert_eq!(*shared.lock.lock(), 3))
    .choices(6)
}
