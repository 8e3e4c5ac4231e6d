//! There and back between two who wait for each other: the middle trip and the slowest of a hundred.
//!
//! On one core nothing is faster than the kernel's futex with nothing around it; where each has a core
//! of its own, nothing is faster than a cache line that both look at.
//!
//! ```text
//! cargo bench --bench round_trip -- "one core"
//! ```

use anyhow::Result;
use interlatch::BoundedBuffer;
use interlatch::channel::Slot;
use interlatch::sync::SemaphorePair;
use interlatch_benches::Home::{Processes, Threads};
use interlatch_benches::channel::{Bytes, OurQueue, Over, PosixQueue, SysVQueue};
use interlatch_benches::turns::{
    Monitor, ParkingLotMonitor, PosixSemaphores, PthreadMonitor, RawFutex, Semaphores, Spinning,
    StdMonitor, TwoLines, letters, two, volley,
};
use interlatch_benches::{
    Comparison, Length, Measure, PosixSemaphore, Round, Session, Subject, SysVSemaphores, Tally,
    Worker, at_most, cores, ours, shared, trips,
};
use std::time::Duration;

const ROUNDS: usize = 25;
const ROUND: Length = Length::Counted(Duration::from_millis(20));

const SEMAPHORES: &str = "Semaphore, processes";
const CONDVAR: &str = "Condvar, processes";
const FUTEX: &str = "raw futex, processes";
const LINE: &str = "cache line, processes";
const LINES: &str = "two cache lines, processes";

fn main() -> Result<()> {
    let mut session = Session::new("round_trip")?;
    session.compare("one core", Measure::Median, ROUND, |comparison| {
        comparison.rounds(ROUNDS);
        comparison.on_one_core();
        comparison.versus(SEMAPHORES, FUTEX, at_most(1.05));
        comparison.versus(CONDVAR, FUTEX, at_most(1.3));
        subjects(comparison)
    })?;
    if cores() > 1 {
        session.compare("two cores", Measure::Median, ROUND, |comparison| {
            comparison.rounds(ROUNDS);
            comparison.versus(SEMAPHORES, LINE, at_most(1.3));
            comparison.versus(CONDVAR, LINE, at_most(1.3));
            // A line for each direction, as two semaphores have it, and plain stores.
            comparison.versus(SEMAPHORES, LINES, None);
            comparison.versus(LINES, LINE, None);
            comparison.peer(volley(
                "cache line",
                Processes,
                shared(Spinning::default())?,
            ));
            comparison.peer(volley(
                "two cache lines",
                Processes,
                shared(TwoLines::default())?,
            ));
            subjects(comparison)
        })?;
    }
    session.finish()
}

fn subjects(comparison: &mut Comparison) -> Result<()> {
    our_subjects(comparison)?;
    comparison.peer(volley("raw futex", Processes, shared(RawFutex::default())?));
    let posix = PosixSemaphores([PosixSemaphore::create(0)?, PosixSemaphore::create(0)?]);
    comparison.peer(volley("sem_t", Processes, shared(posix)?));
    let kernel = SysVSemaphores::create([0, 0])?;
    let handle = shared(kernel.handle())?;
    comparison.keep(kernel);
    comparison.peer(volley("System V semaphore", Processes, handle));
    let pthread = shared(PthreadMonitor::create()?)?;
    comparison.peer(volley("pthread condition", Processes, pthread));
    comparison.peer(volley(
        "std Condvar",
        Threads,
        shared(StdMonitor::default())?,
    ));
    let parking_lot = shared(ParkingLotMonitor::default())?;
    comparison.peer(volley("parking_lot Condvar", Threads, parking_lot));
    let pipes = [Bytes::pipe(0)?, Bytes::pipe(0)?];
    comparison.peer(letters("pipe", Processes, pipes));
    let sockets = [Bytes::socket()?, Bytes::socket()?];
    comparison.peer(letters("Unix stream", Processes, sockets));
    let [(there, removed), (back, removed_too)] = [SysVQueue::new(0)?, SysVQueue::new(0)?];
    comparison.keep([removed, removed_too]);
    comparison.peer(letters("System V queue", Processes, [there, back]));
    let queues = [PosixQueue::new(8, 8)?, PosixQueue::new(8, 8)?];
    comparison.peer(letters("POSIX queue", Processes, queues));
    Ok(())
}

fn our_subjects(comparison: &mut Comparison) -> Result<()> {
    comparison.ours(volley("Semaphore", Processes, shared(Semaphores(two()?))?));
    comparison.ours(volley("Semaphore", Threads, shared(Semaphores(two()?))?));
    comparison.ours(volley("Condvar", Processes, shared(Monitor::create()?)?));
    comparison.ours(volley("Condvar", Threads, shared(Monitor::create()?)?));
    comparison.ours(pair("SemaphorePair, processes")?);
    type Buffer = BoundedBuffer<[u8; 8], [Slot<[u8; 8]>]>;
    let buffers = [Over::<Buffer>::new(1 << 14, 64)?, Over::new(1 << 14, 64)?];
    comparison.ours(letters("BoundedBuffer", Processes, buffers));
    let queues = [OurQueue::new(64, 8)?, OurQueue::new(64, 8)?];
    comparison.ours(letters("MessageQueue", Processes, queues));
    Ok(())
}

/// The writer's turn ends a trip: it comes only after the reader's.
fn pair(name: &str) -> Result<Subject> {
    let pair: &SemaphorePair = ours(4096, ())?;
    let writer: Worker =
        Box::new(move || Box::new(move |round: &Round<'_>| trips(round, || drop(pair.write()))));
    let reader: Worker = Box::new(move || {
        Box::new(move |round: &Round<'_>| {
            (0..round.count).for_each(|_| drop(pair.read()));
            Tally::default()
        })
    });
    Ok(Subject::new(name, Processes, vec![writer, reader]))
}
