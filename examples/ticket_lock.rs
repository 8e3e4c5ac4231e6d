//! A primitive of your own, checked from outside: a ticket lock, first with a bug.
//!
//! `RUSTFLAGS="--cfg loom" cargo run --release --example ticket_lock` explores every execution, and
//! catches the bug; `-- --explain` shows how it comes about, and `-- --weaken` which line is needed
//! for what. Without the cfg it is a short stress test with threads.

use interlatch::ShmSafe;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, futex, new_tracked};
use interlatch_check::runner::Runner;
use interlatch_check::{FailureKind, Model};
use interlatch_check::{RaceCell, Scenario};
use std::process::ExitCode;

/// Who comes draws a ticket, and has the lock when it is served.
#[repr(C)]
#[derive(ShmSafe)]
struct TicketLock<const WOKEN: u32> {
    next: AtomicU32,
    /// A waiter loads this word and writes it later, which loom would miss executions of; so it is
    /// made by a function that tells the models.
    #[shm(initial = new_tracked(0))]
    serving: AtomicU32,
}

/// The bug: one waiter is woken, and which one is not for us to say. It may be one whose ticket is
/// not served yet; it sleeps again, and the other one was never woken.
const ONE: u32 = 1;

/// All are woken, and those whose turn it is not sleep again.
const ALL: u32 = u32::MAX;

impl<const WOKEN: u32> TicketLock<WOKEN> {
    fn lock(&self) {
        // Relaxed: a ticket says nothing of what is protected.
        let ticket = self.next.fetch_add(1, Relaxed);
        loop {
            // Acquire pairs with the Release of `unlock`.
            let serving = self.serving.load(Acquire);
            if serving == ticket {
                return;
            }
            futex::wait(&self.serving, serving, None);
        }
    }

    fn unlock(&self) {
        // Release pairs with the Acquire of `lock`.
        self.serving.fetch_add(1, Release);
        futex::wake(&self.serving, WOKEN);
    }
}

/// The lock, and a number that it protects: a race on it is a failure.
#[repr(C)]
#[derive(ShmSafe)]
struct Protected<const WOKEN: u32> {
    lock: TicketLock<WOKEN>,
    number: RaceCell,
}

fn excludes<const WOKEN: u32>(processes: usize) -> Scenario<Protected<WOKEN>> {
    let increment = |shared: &Protected<WOKEN>| {
        shared.lock.lock();
        shared.number.increment();
        shared.lock.unlock();
    };
    Scenario::new("excludes", vec![increment; processes])
        // Which waiter is woken is a choice.
        .choices(4)
}

fn main() -> ExitCode {
    let models = vec![
        Model::broken("ticket_lock_that_wakes_one", FailureKind::Deadlock, || {
            excludes::<ONE>(3)
        }),
        Model::new("ticket_lock", || excludes::<ALL>(2)),
        Model::new("ticket_lock", || excludes::<ALL>(3)).bounded(3),
    ];
    Runner::new(models)
        .command(r#"RUSTFLAGS="--cfg loom" cargo run --release --example ticket_lock --"#)
        .folder("target/interlatch/ticket_lock")
        .run()
}
