//! Known bugs that the checker must find. They show that each scenario can fail.
//!
//! Most files contain one primitive, which is written like the correct primitive in `src`. A
//! constant of its type selects a flaw, and each flaw breaks a scenario of the contract. A model
//! passes only if the checker finds a failure of the stated kind. `futex` and `model` show misuse
//! of the futex and of the checker, and `deaths` removes the rechecks of sleepers.
//!
//! A bug without a cited source is a step of the correct algorithm that is left out or moved.

mod addressed;
mod buffer;
mod byte_pipe;
mod condvar;
mod deaths;
mod directory;
mod futex;
mod loan;
mod message_queue;
mod model;
mod mutex;
mod process_local;
mod rendezvous;
mod ring;
mod robust_buffer;
mod segment_list;
mod semaphore;

use interlatch_check::Model;

pub fn models() -> Vec<Model> {
    [
        mutex::models(),
        condvar::models(),
        deaths::models(),
        directory::models(),
        futex::models(),
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
