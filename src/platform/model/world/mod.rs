//! The state of one execution: its processes, words, wait queues and record, and the executions
//! that loom may miss.
//!
//! All simulated processes are coroutines of one thread, so the state is a thread-local that is
//! never borrowed across a scheduling point. This folder only holds state. The futex, the pipe, the
//! robust list and deaths are built on this state.

mod budget;
mod choices;
mod findings;
mod lifecycle;
mod older_values;
mod record;
mod state;
mod wait_queue;

pub use findings::{collect_sites, findings};
pub use lifecycle::current;
pub use older_values::heavy_barriers;
pub use record::{creations, events, executions};
pub use state::{Findings, KERNEL, begin, begin_exploration};
pub use wait_queue::process_states;

pub(super) use budget::{
    is_interrupted, may_fail_spuriously, may_lack_barrier, may_spin, next_choice, spins_by_choice,
};
pub(super) use choices::Choices;
pub(super) use findings::{note_change, note_fence, note_load, note_site, note_write};
pub(super) use lifecycle::{
    all_finished, begin_step, die, enter, finish, is_alive, is_successor, population,
    replace_dead_process, robust_lists, scratch, set_joined, step, take_joined, threads,
};
pub(super) use older_values::{
    heavy_barrier, lacks_barrier, note_initial_value, note_read, note_value, readable_values,
    refuse_barrier, step_of_light_barrier,
};
pub(super) use record::{new_number, record};
pub(super) use state::{Process, RobustList, RobustLists, populate};
pub(super) use wait_queue::{
    block, dequeue, enqueue, is_awake, queue_length, set_asleep, take_reason, take_to_unpark, wake,
    watch,
};
