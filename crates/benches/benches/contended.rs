//! The throughput of a contended lock, and how evenly the workers share the lock.
//!
//! The locks of interlatch run between processes and between threads. Between threads, they are
//! compared with the locks of std and parking_lot, which are made for threads only. Between
//! processes, they are compared with the locks of libc and the kernel.
//!
//! A comparison has two, four or eight workers, which are distributed over the cores. There are
//! three loads: an empty critical section, a critical section of 100 ns, and a critical section of
//! 100 ns followed by 300 ns of other work. The last load is the most realistic one.
//!
//! With an empty critical section, a lock reaches a high throughput if one worker locks it again
//! immediately after each unlock. The table therefore also shows the handoffs: how often per second
//! the lock passes from one worker to another.
//!
//! ```text
//! cargo bench --bench contended -- "2 workers"
//! ```

use anyhow::Result;
use interlatch::sync::RawMutex;
use interlatch::{RobustMutex, Semaphore};
use interlatch_benches::lock::{Load, contenders};
use interlatch_benches::{
    Comparison, Length, Measure, PosixSemaphore, PthreadMutex, Section, Session, SysVSemaphores,
    WorkerKind, at_least, create_in_region, shared,
};
use std::time::Duration;

/// The number of rounds in a comparison.
const ROUNDS: usize = 20;
/// The length of a subject's round.
const ROUND: Length = Length::Timed(Duration::from_millis(25));

const RAW: &str = "RawMutex, processes";
const RAW_THREADS: &str = "RawMutex, threads";
const ROBUST: &str = "RobustMutex, processes";
const SEMAPHORE: &str = "Semaphore, processes";
const PTHREAD_ROBUST: &str = "pthread robust, processes";
/// The locks for threads. Some comparisons take their goal from these locks.
const THREADS: [&str; 2] = ["std, threads", "parking_lot, threads"];

fn main() -> Result<()> {
    let mut session = Session::new("contended")?;
    let [none, section, outside] = [0.0, 100.0, 300.0].map(Section::calibrated);
    let loads = [
        ("empty critical section", none, none),
        ("100 ns critical section", section, none),
        ("100 ns critical section, 300 ns outside", section, outside),
    ];
    for (name, inside, outside) in loads {
        for workers in [2, 4, 8] {
            let load = Load {
                workers,
                inside,
                outside,
            };
            let is_outside = name.ends_with("outside");
            let title = format!("{workers} workers, {name}");
            session.compare(title, Measure::PerSecond, ROUND, |comparison| {
                comparison.rounds(ROUNDS);
                comparison.measure_fairness();
                goals(comparison, is_outside);
                subjects(comparison, load)
            })?;
        }
    }
    session.finish()
}

fn subjects(comparison: &mut Comparison, load: Load) -> Result<()> {
    let raw: &RawMutex = create_in_region(4096, ())?;
    comparison.ours(contenders("RawMutex", WorkerKind::Processes, raw, load)?);
    let raw: &RawMutex = create_in_region(4096, ())?;
    comparison.ours(contenders("RawMutex", WorkerKind::Threads, raw, load)?);
    let robust: &RobustMutex<u64> = create_in_region(4096, ())?;
    comparison.ours(contenders(
        "RobustMutex",
        WorkerKind::Processes,
        robust,
        load,
    )?);
    let semaphore: &Semaphore = create_in_region(4096, ())?;
    semaphore.release(1)?;
    comparison.ours(contenders(
        "Semaphore",
        WorkerKind::Processes,
        semaphore,
        load,
    )?);
    let std = shared(std::sync::Mutex::new(0))?;
    comparison.peer(contenders("std", WorkerKind::Threads, std, load)?);
    let parking_lot = shared(parking_lot::Mutex::new(0))?;
    comparison.peer(contenders(
        "parking_lot",
        WorkerKind::Threads,
        parking_lot,
        load,
    )?);
    let pthread = PthreadMutex::plain()?;
    comparison.peer(contenders("pthread", WorkerKind::Processes, pthread, load)?);
    let pthread = PthreadMutex::robust()?;
    comparison.peer(contenders(
        "pthread robust",
        WorkerKind::Processes,
        pthread,
        load,
    )?);
    let posix = PosixSemaphore::create(1)?;
    comparison.peer(contenders("sem_t", WorkerKind::Processes, posix, load)?);
    let kernel = SysVSemaphores::create([1, 0])?;
    let handle = shared(kernel.handle())?;
    comparison.keep(kernel);
    comparison.peer(contenders(
        "System V semaphore",
        WorkerKind::Processes,
        handle,
        load,
    )?);
    Ok(())
}

/// Adds the goals to a comparison. If the workers do other work outside the critical section, the
/// goals compare interlatch with libc's robust lock. Otherwise the goals compare interlatch with
/// the locks for threads.
fn goals(comparison: &mut Comparison, is_outside: bool) {
    if is_outside {
        comparison.versus(ROBUST, PTHREAD_ROBUST, at_least(1.5));
        comparison.versus(RAW, PTHREAD_ROBUST, at_least(1.5));
    } else {
        comparison.versus(ROBUST, PTHREAD_ROBUST, None);
    }
    for peer in THREADS {
        let goal = if is_outside { None } else { at_least(1.0) };
        comparison.versus(RAW, peer, goal);
        comparison.versus(RAW_THREADS, peer, goal);
    }
    comparison.versus(SEMAPHORE, "sem_t, processes", None);
    comparison.versus(SEMAPHORE, "System V semaphore, processes", None);
    comparison.must_be_fair(RAW);
    comparison.must_be_fair(RAW_THREADS);
}
