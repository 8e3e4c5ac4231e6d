//! Models of the robust lock. One process, the victim, may be killed before any of its steps.
//!
//! Models of two processes explore every execution. Larger models explore executions up to a
//! preemption bound.

use crate::collector::Collector;
use interlatch::sync::RawRobustMutex;
use interlatch_check::Model;
use interlatch_contract::raw_robust_mutex::{
    self, excludes, survives_owner_death, timed_out_locker_takes_no_wakeup,
};

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("raw_robust_mutex")
        .bounded(
            3,
            &[
                "excludes/3",
                "timed_out_locker_takes_no_wakeup",
                "marked_owner_death_is_reported_once",
            ],
        )
        .bounded(
            2,
            &[
                "excludes/4",
                "survives_owner_death/3",
                "survives_two_owner_deaths",
                "survives_owner_death_with_barging",
                "timed_out_locker_survives_owner_death",
                "unrepaired_lock_is_unrecoverable_for_all",
            ],
        )
        .bounded(1, &["survives_owner_death/4"]);
    raw_robust_mutex::all::<RawRobustMutex>(&mut models);
    raw_robust_mutex::all_of_raw_robust_mutex(&mut models);
    let model = |build: fn() -> _| Model::new("raw_robust_mutex", build);
    let variants = [
        model(|| excludes::<RawRobustMutex>(2).interruptions(2)),
        model(|| survives_owner_death::<RawRobustMutex>(2).without_rechecks()),
        model(|| timed_out_locker_takes_no_wakeup::<RawRobustMutex>().victims(&[0])).bounded(2),
    ];
    models.finish().into_iter().chain(variants).collect()
}
