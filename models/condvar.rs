//! The condition variable, with the mutex under it.

use interlatch::Condvar;
use interlatch::sync::RawMutex;
use interlatch_check::Model;
use interlatch_contract::condvar;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("condvar", build);
    vec![
        model(condvar::does_not_lose_wakeup::<Condvar, RawMutex>),
        model(condvar::does_not_lose_wakeup_under_the_lock::<Condvar, RawMutex>),
        model(condvar::hands_back_and_forth::<Condvar, RawMutex>),
        model(condvar::one_notification_wakes_one::<Condvar, RawMutex>).bounded(3),
        model(condvar::one_notification_for_each_of_three::<Condvar, RawMutex>).bounded(2),
        model(condvar::notify_all_wakes_everyone::<Condvar, RawMutex>).bounded(3),
        model(condvar::notify_all_reaches_different_conditions::<Condvar, RawMutex>).bounded(3),
        model(condvar::a_timed_out_waiter_eats_no_notification::<Condvar, RawMutex>).bounded(3),
        model(condvar::answers_odd_timeouts::<Condvar, RawMutex>),
        model(|| condvar::does_not_lose_wakeup::<Condvar, RawMutex>().interruptions(2)).bounded(4),
        model(|| condvar::hands_back_and_forth::<Condvar, RawMutex>().interruptions(1)).bounded(3),
        model(|| condvar::one_notification_wakes_one::<Condvar, RawMutex>().interruptions(1))
            .bounded(3),
    ]
}
