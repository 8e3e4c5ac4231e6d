//! The condition variable, with the mutex under it.

use interlatch::Condvar;
use interlatch::sync::RawMutex;
use interlatch_check::Model;
use interlatch_contract::condvar;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("condvar", build);
    vec![
        model(condvar::does_not_lose_wakeup::<Condvar, RawMutex>),
        model(condvar::does_not_lose_wakeup_sent_under_the_lock::<Condvar, RawMutex>),
        model(condvar::two_waiters_alternate::<Condvar, RawMutex>),
        model(condvar::two_notifications_wake_two_waiters::<Condvar, RawMutex>).bounded(3),
        model(condvar::three_notifications_wake_three_waiters::<Condvar, RawMutex>).bounded(2),
        model(condvar::notify_all_wakes_every_waiter::<Condvar, RawMutex>).bounded(3),
        model(condvar::notify_all_wakes_waiters_of_different_conditions::<Condvar, RawMutex>)
            .bounded(3),
        model(condvar::timed_out_waiter_takes_no_notification::<Condvar, RawMutex>).bounded(3),
        model(condvar::handles_extreme_timeouts::<Condvar, RawMutex>),
        model(|| condvar::does_not_lose_wakeup::<Condvar, RawMutex>().interruptions(2)).bounded(4),
        model(|| condvar::two_waiters_alternate::<Condvar, RawMutex>().interruptions(1)).bounded(3),
        model(|| {
            condvar::two_notifications_wake_two_waiters::<Condvar, RawMutex>().interruptions(1)
        })
        .bounded(3),
    ]
}
