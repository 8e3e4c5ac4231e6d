//! Models of the condition variable on the mutex.

use crate::collector::Collector;
use interlatch::Condvar;
use interlatch::sync::RawMutex;
use interlatch_check::Model;
use interlatch_contract::condvar::{
    self, does_not_lose_wakeup, loop_of_timed_waits_ends, notify_all_wakes_every_waiter,
    two_notifications_wake_two_waiters, two_waiters_alternate,
    waiter_returns_only_after_a_notification,
};

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("condvar")
        .bounded(4, &["notification_ends_no_later_wait"])
        .bounded(
            3,
            &[
                "two_notifications_wake_two_waiters",
                "notify_all_wakes_every_waiter",
                "notify_all_wakes_waiters_of_different_conditions",
                "timed_out_waiter_takes_no_notification",
            ],
        )
        .bounded(
            2,
            &[
                "three_notifications_wake_three_waiters",
                "waits_of_every_kind_see_one_notification",
            ],
        );
    condvar::all::<Condvar, RawMutex>(&mut models);
    condvar::all_of_mutex_guards(&mut models);
    let model = |build: fn() -> _| Model::new("condvar", build);
    let interrupted = [
        model(|| does_not_lose_wakeup::<Condvar, RawMutex>().interruptions(2)).bounded(4),
        model(|| two_waiters_alternate::<Condvar, RawMutex>().interruptions(1)).bounded(3),
        model(|| two_notifications_wake_two_waiters::<Condvar, RawMutex>().interruptions(1))
            .bounded(3),
        model(|| waiter_returns_only_after_a_notification::<Condvar, RawMutex>(2).interruptions(2))
            .bounded(4),
        model(|| loop_of_timed_waits_ends::<Condvar, RawMutex>().interruptions(2)),
    ];
    let spinning = [
        model(|| does_not_lose_wakeup::<Condvar, RawMutex>().spins(2)),
        model(|| two_waiters_alternate::<Condvar, RawMutex>().spins(2)).bounded(3),
        model(|| two_notifications_wake_two_waiters::<Condvar, RawMutex>().spins(1)).bounded(3),
        model(|| notify_all_wakes_every_waiter::<Condvar, RawMutex>().spins(1)).bounded(2),
        model(|| waiter_returns_only_after_a_notification::<Condvar, RawMutex>(3).spins(1))
            .bounded(2),
    ];
    let mut defaults = Collector::new("condvar_with_defaults");
    condvar::all_of_default_methods(&mut defaults);
    [models.finish(), defaults.finish()]
        .concat()
        .into_iter()
        .chain(interrupted)
        .chain(spinning)
        .collect()
}
