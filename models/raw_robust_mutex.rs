//! The robust lock, among the living and with deaths: a victim is killed before each of its steps.
//! Two processes in every execution, three by bounds.

use interlatch::sync::RawRobustMutex;
use interlatch_check::Model;
use interlatch_contract::raw_robust_mutex::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("raw_robust_mutex", build);
    vec![
        model(|| excludes::<RawRobustMutex>(2)),
        model(|| excludes::<RawRobustMutex>(3)).bounded(3),
        model(|| excludes::<RawRobustMutex>(4)).bounded(2),
        model(locks_again_after_contention::<RawRobustMutex>),
        model(timed_out_locker_takes_no_wakeup::<RawRobustMutex>).bounded(3),
        model(|| excludes::<RawRobustMutex>(2).interruptions(2)),
        model(|| survives_owner_death::<RawRobustMutex>(2)),
        model(|| survives_owner_death::<RawRobustMutex>(2).without_rechecks()),
        model(|| survives_owner_death::<RawRobustMutex>(3)).bounded(2),
        model(|| survives_owner_death::<RawRobustMutex>(4)).bounded(1),
        model(survives_two_owner_deaths::<RawRobustMutex>).bounded(2),
        model(survives_owner_death_with_barging::<RawRobustMutex>).bounded(2),
        model(|| timed_out_locker_takes_no_wakeup::<RawRobustMutex>().victims(&[0])).bounded(2),
        model(timed_out_locker_survives_owner_death::<RawRobustMutex>).bounded(2),
        model(unrepaired_lock_is_unrecoverable_for_all::<RawRobustMutex>).bounded(2),
        Model::new("raw_robust_mutex", memory_reused_after_unlock_is_not_marked),
        Model::new(
            "raw_robust_mutex",
            memory_reused_after_failed_try_is_not_marked,
        ),
    ]
}
