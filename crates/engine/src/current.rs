//! The execution that runs on this thread, and who performs its operations.

use crate::coroutine;
use crate::event::Site;
use crate::execution::{Actor, Execution};
use crate::failure::FailureKind;
use crate::operation::{Operation, Step};
use core::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static EXECUTION: RefCell<Option<Execution>> = const { RefCell::new(None) };
    static ACTOR: Cell<Actor> = const { Cell::new(Actor::Setup) };
}

/// Removes the execution of this thread when it is dropped.
pub struct Installed(());

/// Makes this the execution of the thread.
///
/// # Panics
/// Panics if the thread has one already.
pub fn install(execution: Execution) -> Installed {
    EXECUTION.with_borrow_mut(|current| {
        assert!(current.is_none(), "a model cannot explore another model");
        *current = Some(execution);
    });
    ACTOR.set(Actor::Setup);
    Installed(())
}

impl Drop for Installed {
    fn drop(&mut self) {
        EXECUTION.set(None);
    }
}

/// Calls the function with the execution of this thread. The function must not perform operations.
pub fn with<R>(function: impl FnOnce(&mut Execution) -> R) -> R {
    EXECUTION.with_borrow_mut(|execution| {
        let execution = execution.as_mut();
        function(execution.expect("atomics and cells of the engine are used inside a model only"))
    })
}

pub fn actor() -> Actor {
    ACTOR.get()
}

pub fn set_actor(actor: Actor) {
    ACTOR.set(actor);
}

/// Runs a function outside of the processes. Returns the message if it panics.
pub fn run_as(actor: Actor, function: impl FnOnce()) -> Result<(), String> {
    ACTOR.set(actor);
    catch_unwind(AssertUnwindSafe(function)).map_err(|payload| coroutine::message(&*payload))
}

/// Performs an operation of the running process. Returns the value that it reads.
pub fn perform(operation: Operation<'_>, site: Site) -> u64 {
    let actor = ACTOR.get();
    let Actor::Process(process) = actor else {
        return with(|execution| execution.step_outside(actor, operation));
    };
    loop {
        if coroutine::is_unwinding() {
            return coroutine::unwind();
        }
        match with(|execution| execution.step(process, operation, site)) {
            Step::Done(value) => return value,
            Step::Suspend => coroutine::suspend(),
        }
    }
}

/// Records an access of the running process to a cell. Does not return if it races with another.
pub fn access(cell: usize, is_write: bool, site: Site) {
    let Actor::Process(process) = ACTOR.get() else {
        return;
    };
    if coroutine::is_unwinding() {
        coroutine::unwind();
    } else if let Some(other) = with(|execution| execution.access(process, cell, is_write, site)) {
        fail_with_race([other, site]);
    }
}

/// Fails because another access to the cell has not ended.
pub fn fail_as_race(cell: usize, site: Site) -> ! {
    match ACTOR.get() {
        Actor::Process(_) => {
            let other = with(|execution| execution.races.latest(cell, site));
            fail_with_race([other, site])
        }
        Actor::Setup | Actor::Verify => panic!("the cell is accessed inside of another access"),
    }
}

fn fail_with_race(sites: [Site; 2]) -> ! {
    let sites = sites.map(|site| site.to_string());
    with(|execution| execution.fail(FailureKind::DataRace { sites }));
    loop {
        coroutine::suspend();
        coroutine::unwind();
    }
}
