//! The lock: two processes in every execution, three as well, four by bounds.

use interlatch::sync::RawMutex;
use interlatch_check::Model;
use interlatch_contract::mutex;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("mutex", build);
    vec![
        model(|| mutex::excludes::<RawMutex>(2)),
        model(|| mutex::excludes::<RawMutex>(3)),
        model(|| mutex::excludes::<RawMutex>(4)).bounded(3),
        model(mutex::locks_again_after_contention::<RawMutex>),
        model(mutex::publishes_writes::<RawMutex>),
        model(mutex::timed_out_locker_takes_no_wakeup::<RawMutex>),
        model(mutex::handles_extreme_timeouts::<RawMutex>),
        model(|| mutex::excludes::<RawMutex>(2).interruptions(2)),
        model(|| mutex::excludes::<RawMutex>(3).interruptions(1)).bounded(3),
        Model::new("mutex", mutex::every_lock_method_locks),
    ]
}
