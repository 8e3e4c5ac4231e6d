//! The cost of uncontended locks and permits, compared with their peers.
//!
//! Each object is at the start of its own shared mapping. The interlatch objects are in memfd
//! regions, and their peers are in anonymous shared memory. The kernel handles memfds and anonymous
//! shared memory in the same way.
//!
//! The subjects run alternately, in rounds of less than half a millisecond. After the rounds,
//! criterion measures each subject, unless `--table` is given.
//!
//! ```text
//! cargo bench --bench uncontended -- --table
//! ```
//!
//! A pair is a lock and an unlock, or an acquire and a release. Most of the cost of a pair comes
//! from its read-modify-write operations, which take about 5 ns each on a CPU of 2021. A pair has
//! two such operations, plus one for each operation that mispredicts the semaphore's state. For a
//! semaphore with 1 permit, the prediction is right. For a semaphore with 5 permits, an acquire and
//! a bare release both mispredict. The release of a guard predicts correctly, because the guard
//! knows the value that its acquire stored.

use anyhow::Result;
use core::sync::atomic::compiler_fence;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release, SeqCst};
use interlatch::platform::{AtomicU32, AtomicUsize};
use interlatch::sync::RawMutex;
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::{Mutex, RobustMutex, Semaphore};
use interlatch_benches::{
    Comparison, Length, Measure, PosixSemaphore, PthreadMutex, Round, Session, Subject, SysVHandle,
    SysVSemaphores, Tally, WorkerKind, at_most, create_in_region, shared,
};
use lock_api::RawMutex as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: usize = 120;
const ROUND: Length = Length::Counted(Duration::from_micros(400));
/// The maximum ratio between the time of an interlatch lock and the time of a lock of parking_lot
/// or std.
const GOAL: f64 = 1.03;
/// The maximum ratio between the time of interlatch's robust lock and the time of libc's robust
/// lock.
const ROBUST_TO_PTHREAD: f64 = 0.85;
/// The maximum ratio between the time of interlatch's semaphore and the time of libc's semaphore.
const SEMAPHORE_TO_POSIX: f64 = 0.95;
/// The initial numbers of permits of the semaphores. Each pair acquires and releases one permit. A
/// semaphore used as a lock has 1 permit. The second number is an arbitrary larger value.
const PERMITS: [u32; 2] = [1, 5];

fn main() -> Result<()> {
    let mut session = Session::new("uncontended")?;
    let title = "lock + unlock";
    session.compare(title, Measure::Nanoseconds, ROUND, |comparison| {
        add(comparison, &locks()?);
        lock_goals(comparison);
        Ok(())
    })?;
    for permits in PERMITS {
        let title = format!("acquire + release at {permits}");
        session.compare(title, Measure::Nanoseconds, ROUND, |comparison| {
            let kernel = SysVSemaphores::create([permits as u16, 0])?;
            let handle = kernel.handle();
            comparison.keep(kernel);
            add(comparison, &semaphores(permits)?);
            add(
                comparison,
                &[Pair::new("System V semaphore", shared(handle)?, system_v)],
            );
            semaphore_goals(comparison);
            Ok(())
        })?;
    }
    session.finish()
}

/// An object, and two operations that together leave the object unchanged.
struct Pair {
    is_ours: bool,
    name: String,
    repeat: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Pair {
    fn new<T: Sync>(
        name: &str,
        object: &'static T,
        pair: impl Fn(&T) + Send + Sync + 'static,
    ) -> Self {
        let repeat = move |count| {
            // `black_box` hides the object from the compiler. The code calls `black_box` once
            // instead of once per pair, because each call would add an indirection to the measured
            // time.
            let object = black_box(object);
            for _ in 0..count {
                pair(object);
            }
        };
        Self {
            is_ours: false,
            name: name.into(),
            repeat: Arc::new(repeat),
        }
    }

    fn ours(self) -> Self {
        let is_ours = true;
        Self { is_ours, ..self }
    }
}

fn add(comparison: &mut Comparison, pairs: &[Pair]) {
    comparison.rounds(ROUNDS);
    comparison.ignore_cache_line();
    comparison.run_criterion();
    for pair in pairs {
        let repeat = pair.repeat.clone();
        let body = move |_, round: &Round<'_>| {
            repeat(round.count);
            Tally::new(round.count)
        };
        let subject = Subject::uniform(pair.name.clone(), WorkerKind::Processes, 1, body);
        if pair.is_ours {
            comparison.ours(subject);
        } else {
            comparison.peer(subject);
        }
    }
}

fn locks() -> Result<Vec<Pair>> {
    let raw: &RawMutex = create_in_region(4096, ())?;
    let mutex: &Mutex<u64> = create_in_region(4096, ())?;
    let robust: &RobustMutex<u64> = create_in_region(4096, ())?;
    let parking_lot_raw = shared(parking_lot::RawMutex::INIT)?;
    let parking_lot = shared(parking_lot::Mutex::new(0))?;
    let again = shared(parking_lot::Mutex::new(0))?;
    let std = shared(std::sync::Mutex::new(0))?;
    let pthread = PthreadMutex::plain()?;
    let robust_pthread = PthreadMutex::robust()?;
    Ok(vec![
        Pair::new("RawMutex", raw, raw_mutex).ours(),
        Pair::new("RawMutex, held", raw, lock).ours(),
        Pair::new("Mutex", mutex, mutex_lock).ours(),
        Pair::new("RobustMutex", robust, robust_lock).ours(),
        Pair::new("parking_lot::RawMutex", parking_lot_raw, raw_lock),
        Pair::new("parking_lot::Mutex", parking_lot, lock_api_lock),
        Pair::new("parking_lot::Mutex again (noise)", again, lock_api_lock),
        Pair::new("std::sync::Mutex", std, std_lock),
        Pair::new("pthread_mutex_t", pthread, PthreadMutex::pair),
        Pair::new(
            "pthread_mutex_t, robust",
            robust_pthread,
            PthreadMutex::pair,
        ),
        Pair::new(
            "minimal robust protocol",
            shared(MinimalRobustLock::default())?,
            MinimalRobustLock::pair,
        ),
    ])
}

fn lock_goals(comparison: &mut Comparison) {
    let goal = at_most(GOAL);
    comparison.versus("Mutex", "parking_lot::Mutex", goal);
    comparison.versus("Mutex", "std::sync::Mutex", goal);
    comparison.versus("RawMutex", "parking_lot::RawMutex", goal);
    comparison.versus("RawMutex, held", "parking_lot::RawMutex", goal);
    let robust = "RobustMutex";
    // This comparison has no goal, because even a minimal robust-lock protocol is slower than the
    // goal.
    comparison.versus(robust, "RawMutex", None);
    comparison.versus(
        robust,
        "pthread_mutex_t, robust",
        at_most(ROBUST_TO_PTHREAD),
    );
    comparison.versus(robust, "minimal robust protocol", None);
    comparison.versus(
        "parking_lot::Mutex",
        "parking_lot::Mutex again (noise)",
        None,
    );
}

fn semaphores(permits: u32) -> Result<Vec<Pair>> {
    let semaphore: &Semaphore = create_in_region(4096, ())?;
    semaphore.release(permits)?;
    let posix = PosixSemaphore::create(permits)?;
    Ok(vec![
        Pair::new("Semaphore, guard", semaphore, guard).ours(),
        Pair::new("Semaphore, calls", semaphore, calls).ours(),
        Pair::new("sem_t", posix, PosixSemaphore::pair),
    ])
}

fn semaphore_goals(comparison: &mut Comparison) {
    for ours in ["Semaphore, guard", "Semaphore, calls"] {
        comparison.versus(ours, "sem_t", at_most(SEMAPHORE_TO_POSIX));
    }
}

// Every pair is always inlined. Otherwise the compiler would inline only some pairs, and the
// measured time of the other pairs would include a function call.

#[inline(always)]
fn raw_mutex(lock: &RawMutex) {
    lock.raw_lock();
    // SAFETY: this thread locked the lock above.
    unsafe { lock.unlock() };
}

#[inline(always)]
fn mutex_lock(mutex: &Mutex<u64>) {
    drop(mutex.lock());
}

#[inline(always)]
fn raw_lock<L: lock_api::RawMutex>(lock: &L) {
    lock.lock();
    // SAFETY: this thread locked the lock above.
    unsafe { lock.unlock() };
}

/// Locks through the trait `RawLock`, as interlatch's channels do.
#[inline(always)]
fn lock(lock: &RawMutex) {
    drop(lock.lock());
}

#[inline(always)]
fn lock_api_lock<L: lock_api::RawMutex>(mutex: &lock_api::Mutex<L, u64>) {
    drop(mutex.lock());
}

#[inline(always)]
fn std_lock(mutex: &std::sync::Mutex<u64>) {
    // The lock is never poisoned, because no owner panics. The code still checks for poisoning,
    // because users write this check.
    drop(mutex.lock().unwrap());
}

#[inline(always)]
fn robust_lock(mutex: &RobustMutex<u64>) {
    // No lock owner dies. The code still checks for owner death, because users write this check.
    drop(mutex.lock().unwrap());
}

#[inline(always)]
fn guard(semaphore: &Semaphore) {
    drop(semaphore.acquire());
}

#[inline(always)]
fn calls(semaphore: &Semaphore) {
    while !semaphore.acquire_with(Timeout::Infinite) {}
    // The release cannot fail, because the permit was acquired above. The code still checks the
    // result, because users write this check.
    semaphore.release(1).unwrap();
}

#[inline(always)]
fn system_v(semaphore: &SysVHandle) {
    semaphore.change(0, -1);
    semaphore.change(0, 1);
}

/// A minimal robust-lock protocol, which shows the protocol's lowest possible cost. The protocol
/// has two exchanges, each with a store before it and a store after it.
///
/// An exchange must wait until all earlier stores are complete.
#[derive(Default)]
struct MinimalRobustLock {
    word: AtomicU32,
    pending: AtomicUsize,
}

impl MinimalRobustLock {
    #[inline(always)]
    fn pair(&self) {
        self.pending.store(1, Relaxed);
        assert_eq!(self.word.compare_exchange(0, 1, Acquire, Relaxed), Ok(0));
        self.pending.store(0, Relaxed);
        compiler_fence(SeqCst);
        self.pending.store(1, Relaxed);
        assert_eq!(self.word.swap(0, Release), 1);
        self.pending.store(0, Relaxed);
    }
}
