//! What each primitive promises: scenarios with sentences for names, written once.
//!
//! A scenario is a shared state and a few *participants*, which are plain functions of it. A
//! [`Stage`] runs them: as simulated processes under loom, as threads, or as real processes over
//! shared memory. Each scenario is generic over the implementation, so a broken one can be put in
//! its place, and must then fail.

pub mod address;
pub mod buffer;
pub mod byte_pipe;
pub mod condvar;
pub mod directory;
pub mod loan;
pub mod lock;
pub mod message_queue;
pub mod process_local;
pub mod rendezvous;
pub mod ring;
pub mod robust_buffer;
pub mod robust_condvar;
pub mod robust_lock;
pub mod robust_mutex;
pub mod robust_semaphore;
pub mod robust_semaphore_pair;
pub mod segment_list;
pub mod semaphore;
pub mod semaphore_pair;
pub mod specification;

use interlatch::sync::{Deadline, Timeout};
pub(crate) use interlatch_check::{RaceCell, Scenario, Stage};
use std::time::{Duration, Instant};

/// Every scenario of every primitive of this crate, as the real machine runs them.
pub fn all(stage: &mut impl Stage) {
    lock::all::<interlatch::sync::RawMutex>(stage);
    condvar::all::<interlatch::Condvar, interlatch::sync::RawMutex>(stage);
    robust_lock::all::<interlatch::sync::RawRobustMutex>(stage);
    robust_mutex::all(stage);
    robust_condvar::all(stage);
    robust_semaphore::all(stage);
    robust_semaphore_pair::all(stage);
    robust_buffer::all(stage);
    rendezvous::all(stage);
    ring::all(stage);
    loan::all(stage);
    segment_list::all(stage);
    address::all(stage);
    byte_pipe::all(stage);
    semaphore::all::<interlatch::Semaphore>(stage);
    stage.run(semaphore::guards_exclude_with_one_permit(2));
    stage.run(semaphore::guards_exclude_with_one_permit(3));
    stage.run(lock::every_lock_method_locks());
    stage.run(semaphore::every_acquire_method_acquires());
    semaphore_pair::all(stage);
    buffer::all(stage);
    message_queue::all(stage);
    directory::all(stage);
}

/// Patience that has run out before it begins.
pub(crate) fn spent() -> [Timeout; 2] {
    let past = Instant::now().checked_sub(Duration::from_secs(1));
    let past = past.unwrap_or_else(Instant::now);
    [
        Timeout::after(Duration::ZERO),
        Timeout::At(Deadline::at(past)),
    ]
}

/// Patience for centuries.
pub(crate) fn centuries() -> Timeout {
    Timeout::after(Duration::MAX)
}
