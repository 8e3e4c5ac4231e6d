//! Known bugs that the checker must find. The bugs show that each scenario of the contract can
//! fail.
//!
//! Most files contain one primitive, which is a copy of the algorithm in `src` with a bug. Each
//! primitive's type has a constant parameter that selects one bug. Each bug breaks a scenario of
//! the contract. A model passes only if the checker finds a failure of the stated kind. `futex`
//! shows wrong uses of the futex, and `model` shows wrong uses of the checker. In `deaths`,
//! sleepers do not recheck at intervals.
//!
//! If a bug cites no source, it leaves out or moves a step of the correct algorithm.

pub mod addressed;
mod buffer;
pub mod byte_pipe;
mod condvar;
pub mod deaths;
pub mod directory;
mod futex;
#[cfg(loom)]
mod leaked_locks;
pub mod loan;
pub mod message_queue;
mod model;
mod mutex;
mod process_local;
pub mod rendezvous;
mod ring;
pub mod robust_buffer;
pub mod segment_list;
mod semaphore;

use interlatch_check::Model;

pub fn models() -> Vec<Model> {
    [
        mutex::models(),
        condvar::models(),
        deaths::models(),
        directory::models(),
        futex::models(),
        #[cfg(loom)]
        leaked_locks::models(),
        message_queue::models(),
        model::models(),
        process_local::models(),
        rendezvous::models(),
        ring::models(),
        loan::models(),
        segment_list::models(),
        addressed::models(),
        robust_buffer::models(),
        semaphore::models(),
        buffer::models(),
        byte_pipe::models(),
    ]
    .concat()
}
