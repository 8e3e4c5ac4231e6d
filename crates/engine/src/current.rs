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
    /// Whether the running process accesses a cell.
    static IS_INSIDE_ACCESS: Cell<bool> = const { Cell::new(false) };
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
    EXECUTION.with(|execution| {
        let mut execution = execution
            .try_borrow_mut()
            .expect("the function that an operation calls performs no operation itself");
        let execution = execution.as_mut();
        function(execution.expect("atomics and cells of the engine are used inside a model only"))
    })
}

pub fn actor() -> Actor {
    ACTOR.get()
}

/// Returns the running process, which waits.
///
/// # Panics
/// Panics outside of the processes of a model.
pub fn process() -> usize {
    match ACTOR.get() {
        Actor::Process(process) => process,
        Actor::Setup | Actor::Verify => panic!("only the processes of a model wait"),
    }
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
///
/// # Panics
/// Panics inside of an access to a cell.
pub fn perform(operation: Operation<'_>, site: Site) -> u64 {
    let actor = ACTOR.get();
    let Actor::Process(process) = actor else {
        if coroutine::is_unwinding() {
            return 0;
        }
        return with(|execution| execution.step_outside(actor, operation));
    };
    if coroutine::is_unwinding() {
        return coroutine::unwind();
    }
    assert!(
        !IS_INSIDE_ACCESS.get(),
        "the operation at {site} is inside of an access to a cell, which is one step"
    );
    loop {
        match with(|execution| execution.step(process, operation, site)) {
            Step::Done(value) => return value,
            Step::Suspend => coroutine::suspend(),
        }
        if coroutine::is_unwinding() {
            return coroutine::unwind();
        }
    }
}

/// Begins a step of the running process, which may die before the step.
///
/// A death is tried at the start of the process, after each event that others can see, and after
/// the last of several reads of cells, which may race with what others do after the death. A death
/// between two others leaves the same memory and has fewer races.
pub fn begin_step(site: Site) {
    begin(site, false);
}

fn begin(site: Site, is_cell_read: bool) {
    let Actor::Process(process) = ACTOR.get() else {
        return;
    };
    if coroutine::is_unwinding() || !with(|execution| execution.may_die(process, is_cell_read)) {
        return;
    }
    if perform(Operation::Die, site) == 1 {
        with(|execution| execution.die(process));
        coroutine::suspend();
        coroutine::unwind();
    }
}

/// Notes that the running process has changed what happens after its death.
pub fn note_change() {
    if let Actor::Process(process) = ACTOR.get() {
        with(|execution| execution.note_change(process));
    }
}

/// An access to a cell, until it is dropped.
pub struct Inside(());

impl Drop for Inside {
    fn drop(&mut self) {
        IS_INSIDE_ACCESS.set(false);
    }
}

/// Records an access of the running process to a cell. Does not return if it races with another.
///
/// The process may die before the access. After a write, it may die again: the cell keeps the
/// value.
pub fn access(cell: usize, is_write: bool, site: Site) -> Inside {
    begin(site, !is_write);
    match ACTOR.get() {
        Actor::Process(_) if coroutine::is_unwinding() => {
            coroutine::unwind();
        }
        Actor::Process(process) => {
            if let Some(other) = with(|execution| execution.access(process, cell, is_write, site)) {
                let sites = [other, site].map(|site| site.to_string());
                with(|execution| execution.fail(FailureKind::DataRace { sites }));
                coroutine::suspend();
                coroutine::unwind();
            }
            match is_write {
                true => note_change(),
                false => with(|execution| execution.note_cell_read(process)),
            }
        }
        Actor::Setup | Actor::Verify => {}
    }
    IS_INSIDE_ACCESS.set(true);
    Inside(())
}
