//! Measures locks under contention.

use super::{PosixSemaphore, PthreadMutex, Round, Section, Subject, Tally, WorkerKind, shared};
use anyhow::Result;
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::Relaxed;
use interlatch::sync::RawMutex;
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::{RobustMutex, Semaphore};

/// A lock that the benchmark uses in the same way as ordinary programs do.
pub trait Exclusive: Sync + 'static {
    fn with(&self, section: impl FnOnce());
}

impl Exclusive for RawMutex {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        self.raw_lock();
        section();
        // SAFETY: this thread locked the lock above.
        unsafe { self.unlock() };
    }
}

impl Exclusive for RobustMutex<u64> {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        let guard = self.lock().expect("no owner died");
        section();
        drop(guard);
    }
}

/// A semaphore with one permit acts as a lock.
impl Exclusive for Semaphore {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        while !self.acquire_with(Timeout::Infinite) {}
        section();
        self.release(1).expect("the permit was acquired above");
    }
}

impl Exclusive for std::sync::Mutex<u64> {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        let guard = self.lock().expect("no owner panicked");
        section();
        drop(guard);
    }
}

impl Exclusive for parking_lot::Mutex<u64> {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        let guard = self.lock();
        section();
        drop(guard);
    }
}

impl Exclusive for PthreadMutex {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        self.lock();
        section();
        self.unlock();
    }
}

/// A libc semaphore with one permit acts as a lock.
impl Exclusive for PosixSemaphore {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        self.acquire();
        section();
        self.release();
    }
}

impl Exclusive for super::pthread::SysVHandle {
    #[inline(always)]
    fn with(&self, section: impl FnOnce()) {
        self.change(0, -1);
        section();
        self.change(0, 1);
    }
}

/// The number of workers, and the duration of their work inside and outside the critical section.
#[derive(Clone, Copy)]
pub struct Load {
    pub workers: usize,
    pub inside: Section,
    pub outside: Section,
}

/// Creates a subject whose workers repeatedly lock `lock`.
pub fn contenders<L: Exclusive>(
    name: &str,
    kind: WorkerKind,
    lock: &'static L,
    load: Load,
) -> Result<Subject> {
    let last_holder: &AtomicU64 = shared(AtomicU64::new(u64::MAX))?;
    let body =
        move |own: usize, round: &Round<'_>| contend(lock, last_holder, own as u64, load, round);
    let name = format!("{name}, {}", kind.name());
    Ok(Subject::uniform(name, kind, load.workers, body))
}

/// Runs one worker, which repeatedly acquires the lock. The accesses to `last_holder` are Relaxed,
/// because the lock already orders the accesses of its holders.
fn contend<L: Exclusive>(
    lock: &L,
    last_holder: &AtomicU64,
    own: u64,
    load: Load,
    round: &Round<'_>,
) -> Tally {
    let mut tally = Tally::default();
    while round.is_running() {
        lock.with(|| {
            if last_holder.load(Relaxed) != own {
                last_holder.store(own, Relaxed);
                tally.handoffs += 1;
            }
            load.inside.work();
        });
        tally.operations += 1;
        load.outside.work();
    }
    tally
}
