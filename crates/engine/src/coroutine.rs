//! The processes as coroutines of one thread.
//!
//! An execution may end before its processes have. Then each process that has started is *unwound*:
//! its next operation panics, which drops the values on its stack. While it unwinds, operations do
//! nothing and return 0.

use crate::current;
use crate::execution::Actor;
use core::any::Any;
use core::cell::Cell;
use core::ptr;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

const STACK_SIZE: usize = 256 * 1024;

/// The number of operations after which a process that unwinds is leaked, because its destructors
/// may never end.
const MAX_UNWINDING_STEPS: usize = 10_000;

type Process = Coroutine<(), (), Result<(), Box<dyn Any + Send>>, DefaultStack>;

thread_local! {
    /// The yielder of the running coroutine.
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(ptr::null()) };
    static IS_UNWINDING: Cell<bool> = const { Cell::new(false) };
    static UNWINDING_STEPS: Cell<usize> = const { Cell::new(0) };
}

/// The payload of the panic that unwinds a process.
struct Unwind;

/// Why a process returned to the explorer.
pub enum Outcome {
    Suspended,
    Finished,
    /// With the message of the panic.
    Panicked(String),
}

/// The coroutines of one execution, and stacks for the next ones.
#[derive(Default)]
pub struct Coroutines {
    running: Vec<Option<Process>>,
    /// The processes that have died.
    dead: Vec<Process>,
    stacks: Vec<DefaultStack>,
}

impl Coroutines {
    /// Adds a process, which first runs when it is resumed.
    pub fn start(&mut self, body: Box<dyn FnOnce()>) {
        let coroutine = self.coroutine(body);
        self.running.push(Some(coroutine));
    }

    /// Suspends a process for the rest of the execution, and starts another one in its place.
    pub fn replace(&mut self, process: usize, body: Box<dyn FnOnce()>) {
        let coroutine = self.coroutine(body);
        let dead = self.running[process].replace(coroutine);
        self.dead.extend(dead);
    }

    fn coroutine(&mut self, body: Box<dyn FnOnce()>) -> Process {
        let stack = self.stacks.pop().unwrap_or_else(|| {
            DefaultStack::new(STACK_SIZE).expect("there is memory for the stack of a process")
        });
        Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            YIELDER.set(yielder);
            catch_unwind(AssertUnwindSafe(body))
        })
    }

    /// Runs a process until it suspends or ends.
    pub fn resume(&mut self, process: usize) -> Outcome {
        let coroutine = self.running[process].as_mut();
        let coroutine = coroutine.expect("a process that can run has not ended");
        current::set_actor(Actor::Process(process));
        let result = coroutine.resume(());
        current::set_actor(Actor::Setup);
        match result {
            CoroutineResult::Yield(()) => Outcome::Suspended,
            CoroutineResult::Return(result) => {
                let ended = self.running[process].take();
                self.stacks.extend(ended.map(Coroutine::into_stack));
                match result {
                    Ok(()) => Outcome::Finished,
                    Err(payload) => Outcome::Panicked(message(&*payload)),
                }
            }
        }
    }

    /// Unwinds the processes that have not ended.
    pub fn unwind_all(&mut self) {
        IS_UNWINDING.set(true);
        let dead = self.dead.drain(..);
        for mut coroutine in dead.chain(self.running.drain(..).flatten()) {
            if !coroutine.started() {
                // There is no stack to unwind. The values that the body has captured are dropped.
                current::set_actor(Actor::Setup);
                drop(coroutine);
                continue;
            }
            // The number does not matter, because operations do nothing.
            current::set_actor(Actor::Process(0));
            UNWINDING_STEPS.set(0);
            coroutine.resume(());
            if coroutine.done() {
                self.stacks.push(coroutine.into_stack());
            } else {
                // Another thread may borrow from the stack, so the stack is leaked too.
                core::mem::forget(coroutine);
            }
        }
        IS_UNWINDING.set(false);
        current::set_actor(Actor::Setup);
    }
}

/// Returns from the running process to the explorer, until the explorer resumes the process.
pub fn suspend() {
    let (yielder, actor) = (YIELDER.get(), current::actor());
    // SAFETY: only a process calls this function, so `YIELDER` holds the yielder of its coroutine:
    // the coroutine sets it when it starts, and this function after each suspension. The yielder
    // lives as long as the coroutine.
    unsafe { (*yielder).suspend(()) };
    YIELDER.set(yielder);
    current::set_actor(actor);
}

/// Whether the running process is unwound.
pub fn is_unwinding() -> bool {
    IS_UNWINDING.get()
}

/// Unwinds the running process. Returns 0 if a destructor that runs meanwhile performs an
/// operation.
pub fn unwind() -> u64 {
    if !thread::panicking() {
        resume_unwind(Box::new(Unwind));
    }
    let steps = UNWINDING_STEPS.get();
    UNWINDING_STEPS.set(steps + 1);
    if steps >= MAX_UNWINDING_STEPS {
        suspend();
    }
    0
}

/// Returns the message of a panic.
pub fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}
