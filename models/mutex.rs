//! The lock: two processes in every execution, three as well, four by bounds.

use interlatch::sync::RawMutex;
use interlatch_check::Model;
use interlatch_contract::lock;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("mutex", build);
    vec![
        model(|| lock::excludes::<RawMutex>(2)),
        model(|| lock::excludes::<RawMutex>(3)),
        model(|| lock::excludes::<RawMutex>(4)).bounded(3),
        model(lock::locks_again_after_contention::<RawMutex>),
        model(lock::publishes_writes::<RawMutex>),
        model(lock::timed_out_locker_takes_no_wakeup::<RawMutex>),
        model(lock::handles_extreme_timeouts::<RawMutex>),
        model(|| lock::excludes::<RawMutex>(2).interruptions(2)),
        model(|| lock::excludes::<RawMutex>(3).interruptions(1)).bounded(3),
        Model::new("mutex", lock::every_lock_method_locks),
    ]
}
