//! Measures round trips between two workers that wait for each other: the median and the 99th
//! percentile.
//!
//! With both workers on one core, the lower bound is a bare futex of the kernel. With two cores,
//! the lower bound is a cache line that both workers poll.
//!
//! ```text
//! cargo bench --bench round_trip -- "one core"
//! ```

use anyhow::Result;
use interlatch::BoundedBuffer;
use interlatch::channel::Slot;
use interlatch::sync::SemaphorePair;
use interlatch_benches::WorkerKind::{Processes, Threads};
use interlatch_benches::channel::{
    BufferChannel, ByteStream, MessageQueueChannel, PosixQueue, SysVQueue,
};
use interlatch_benches::round_trips::{
    Monitor, ParkingLotMonitor, PosixSemaphores, PthreadMonitor, RawFutex, Semaphores,
    SpinningWord, StdMonitor, TwoCacheLines, channel_round_trips, pair_of_objects,
    signal_round_trips,
};
use interlatch_benches::{
    Comparison, Length, Measure, PosixSemaphore, Round, Session, Subject, SysVSemaphores, Tally,
    Worker, at_most, cores, create_in_region, shared, time_trips,
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
            // The two semaphores use one cache line per direction. This peer also uses one cache
            // line per direction, but only plain stores.
            comparison.versus(SEMAPHORES, LINES, None);
            comparison.versus(LINES, LINE, None);
            comparison.peer(signal_round_trips(
                "cache line",
                Processes,
                shared(SpinningWord::default())?,
            ));
            comparison.peer(signal_round_trips(
                "two cache lines",
                Processes,
                shared(TwoCacheLines::default())?,
            ));
            subjects(comparison)
        })?;
    }
    session.finish()
}

fn subjects(comparison: &mut Comparison) -> Result<()> {
    our_subjects(comparison)?;
    comparison.peer(signal_round_trips(
        "raw futex",
        Processes,
        shared(RawFutex::default())?,
    ));
    let posix = PosixSemaphores([PosixSemaphore::create(0)?, PosixSemaphore::create(0)?]);
    comparison.peer(signal_round_trips("sem_t", Processes, shared(posix)?));
    let kernel = SysVSemaphores::create([0, 0])?;
    let handle = shared(kernel.handle())?;
    comparison.keep(kernel);
    comparison.peer(signal_round_trips("System V semaphore", Processes, handle));
    let pthread = shared(PthreadMonitor::create()?)?;
    comparison.peer(signal_round_trips("pthread_cond_t", Processes, pthread));
    comparison.peer(signal_round_trips(
        "std Condvar",
        Threads,
        shared(StdMonitor::default())?,
    ));
    let parking_lot = shared(ParkingLotMonitor::default())?;
    comparison.peer(signal_round_trips(
        "parking_lot Condvar",
        Threads,
        parking_lot,
    ));
    let pipes = [ByteStream::pipe(0)?, ByteStream::pipe(0)?];
    comparison.peer(channel_round_trips("pipe", Processes, pipes));
    let sockets = [ByteStream::socket()?, ByteStream::socket()?];
    comparison.peer(channel_round_trips("Unix stream", Processes, sockets));
    let [(there, removed), (back, removed_too)] = [SysVQueue::new(0)?, SysVQueue::new(0)?];
    comparison.keep([removed, removed_too]);
    comparison.peer(channel_round_trips(
        "System V queue",
        Processes,
        [there, back],
    ));
    let queues = [PosixQueue::new(8, 8)?, PosixQueue::new(8, 8)?];
    comparison.peer(channel_round_trips("POSIX queue", Processes, queues));
    Ok(())
}

fn our_subjects(comparison: &mut Comparison) -> Result<()> {
    comparison.ours(signal_round_trips(
        "Semaphore",
        Processes,
        shared(Semaphores(pair_of_objects()?))?,
    ));
    comparison.ours(signal_round_trips(
        "Semaphore",
        Threads,
        shared(Semaphores(pair_of_objects()?))?,
    ));
    comparison.ours(signal_round_trips(
        "Condvar",
        Processes,
        shared(Monitor::create()?)?,
    ));
    comparison.ours(signal_round_trips(
        "Condvar",
        Threads,
        shared(Monitor::create()?)?,
    ));
    comparison.ours(pair("SemaphorePair, processes")?);
    type Buffer = BoundedBuffer<[u8; 8], [Slot<[u8; 8]>]>;
    let buffers = [
        BufferChannel::<Buffer>::new(1 << 14, 64)?,
        BufferChannel::new(1 << 14, 64)?,
    ];
    comparison.ours(channel_round_trips("BoundedBuffer", Processes, buffers));
    let queues = [
        MessageQueueChannel::new(64, 8)?,
        MessageQueueChannel::new(64, 8)?,
    ];
    comparison.ours(channel_round_trips("MessageQueue", Processes, queues));
    Ok(())
}

/// Creates a subject whose writer times the round trips. The writer's slot comes after the
/// reader's. The writer is therefore admitted only after the reader has finished, which ends the
/// round trip.
fn pair(name: &str) -> Result<Subject> {
    let pair: &SemaphorePair = create_in_region(4096, ())?;
    let writer: Worker = Box::new(move || {
        Box::new(move |round: &Round<'_>| time_trips(round, || drop(pair.write())))
    });
    let reader: Worker = Box::new(move || {
        Box::new(move |round: &Round<'_>| {
            (0..round.count).for_each(|_| drop(pair.read()));
            Tally::default()
        })
    });
    Ok(Subject::new(name, Processes, vec![writer, reader]))
}
