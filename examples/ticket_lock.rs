//! A new primitive and its models: a ticket lock, first with a bug. The guide is
//! `docs/writing-a-model.md`.
//!
//! `RUSTFLAGS="--cfg loom" cargo run --release --example ticket_lock` explores every execution and
//! finds the bug. `-- --explain` prints the failing execution. `-- --weaken` prints which memory
//! ordering and which wake-up the models need. Without the cfg, the program is a short stress test
//! on threads.

use interlatch::ShmSafe;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, futex, new_tracked};
use interlatch_check::runner::Runner;
use interlatch_check::{FailureKind, Model, RaceCell, Scenario};
use std::process::ExitCode;

/// A fair lock: each locker draws a ticket and waits until its ticket is served.
#[repr(C)]
#[derive(ShmSafe)]
struct TicketLock<const WOKEN: u32> {
    next: AtomicU32,
    /// A waiter loads this word and writes it later. loom misses executions of this pattern, so the
    /// word is tracked.
    #[shm(initial = new_tracked(0))]
    serving: AtomicU32,
}

/// The bug: unlock wakes one waiter, and the kernel chooses which. If the ticket of that waiter is
/// not served yet, it sleeps again, and the waiter whose ticket is served never wakes up.
const ONE: u32 = 1;

/// The fix: unlock wakes all waiters.
const ALL: u32 = u32::MAX;

impl<const WOKEN: u32> TicketLock<WOKEN> {
    fn lock(&self) {
        // Relaxed: the ticket orders nothing. `serving` orders the protected data.
        let ticket = self.next.fetch_add(1, Relaxed);
        loop {
            // Acquire pairs with the Release in `unlock`.
            let serving = self.serving.load(Acquire);
            if serving == ticket {
                return;
            }
            futex::wait(&self.serving, serving, None);
        }
    }

    fn unlock(&self) {
        // Release pairs with the Acquire in `lock`.
        self.serving.fetch_add(1, Release);
        futex::wake(&self.serving, WOKEN);
    }
}

/// The lock and a number that it protects. A data race on the number is a failure.
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
        // Each wake-up of one waiter may choose between two waiters, which is one binary choice.
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
