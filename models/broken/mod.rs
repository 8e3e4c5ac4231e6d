//! Known bugs that the checker must catch: every check is shown able to fail.
//!
//! Each file but `futex` has one primitive, written as its sound sibling in `src` but with a flaw to choose,
//! and the scenario of `contract` that the flaw breaks. A model here passes only if the checker
//! finds a failure of the kind that is named.

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
