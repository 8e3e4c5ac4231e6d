//! Locks that a process has leaked, with wrong treatments at the end of a thread and at the drop of
//! a region.

use interlatch::platform::robust::{
    RobustWord, forget_range, hand_over_without_pending, report_at_thread_end, run_thread_with,
};
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_contract::raw_robust_mutex::{
    LeakedLocks, dropped_region_releases_leaked_lock, lock_of_ended_thread_stays_locked,
};
use std::ops::Range;

pub fn models() -> Vec<Model> {
    vec![
        // The kernel's walk at the end of a thread gives the lock to another process, while a
        // leaked reference is in use.
        Model::broken("lock_reported_at_thread_end", DataRace, || {
            lock_of_ended_thread_stays_locked::<ReportedAtThreadEnd>()
        }),
        // If the process is killed during the hand-over, no list contains the lock.
        Model::broken("lock_handed_over_without_pending", WrongResult, || {
            lock_of_ended_thread_stays_locked::<HandedOverWithoutPending>()
        }),
        // The lock leaves the list of the thread, but stays locked.
        Model::broken("lock_forgotten_by_dropped_region", Deadlock, || {
            dropped_region_releases_leaked_lock::<Forgotten>()
        }),
    ]
}

struct ReportedAtThreadEnd;

impl LeakedLocks for ReportedAtThreadEnd {
    fn run_thread(body: impl FnOnce() + Send) {
        run_thread_with(body, report_at_thread_end as fn(&RobustWord, u32));
    }
}

struct HandedOverWithoutPending;

impl LeakedLocks for HandedOverWithoutPending {
    fn run_thread(body: impl FnOnce() + Send) {
        run_thread_with(body, hand_over_without_pending as fn(&RobustWord, u32));
    }
}

struct Forgotten;

impl LeakedLocks for Forgotten {
    fn release(addresses: &Range<usize>) {
        forget_range(addresses);
    }
}
