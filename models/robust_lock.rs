//! The robust lock, among the living and with deaths: a victim is killed before each of its steps.
//! Two processes in every execution, three by bounds.

use interlatch::sync::RawRobustMutex;
use interlatch_check::Model;
use interlatch_contract::robust_lock::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_lock", build);
    vec![
        model(|| excludes::<RawRobustMutex>(2)),
        model(|| excludes::<RawRobustMutex>(3)).bounded(3),
        model(|| excludes::<RawRobustMutex>(4)).bounded(2),
        model(can_be_taken_again::<RawRobustMutex>),
        model(a_timed_out_locker_takes_nothing_along::<RawRobustMutex>).bounded(3),
        model(|| excludes::<RawRobustMutex>(2).interruptions(2)),
        model(|| survives_a_death::<RawRobustMutex>(2)),
        model(|| survives_a_death::<RawRobustMutex>(2).without_rechecks()),
        model(|| survives_a_death::<RawRobustMutex>(3)).bounded(2),
        model(|| survives_a_death::<RawRobustMutex>(4)).bounded(1),
        model(survives_two_deaths::<RawRobustMutex>).bounded(2),
        model(survives_a_death_among_overtakers::<RawRobustMutex>).bounded(2),
        model(|| a_timed_out_locker_takes_nothing_along::<RawRobustMutex>().victims(&[0]))
            .bounded(2),
        model(a_timed_out_locker_survives_a_death::<RawRobustMutex>).bounded(2),
        model(who_does_not_repair_ends_it_for_all::<RawRobustMutex>).bounded(2),
        Model::new("robust_lock", leaves_its_memory_alone_when_it_is_free),
        Model::new("robust_lock", leaves_its_memory_alone_after_a_vain_try),
    ]
}
