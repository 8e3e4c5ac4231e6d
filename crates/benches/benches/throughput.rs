//! Measures how many items per second one sender passes to one receiver. All channels pass items
//! one by one. The channels of interlatch also pass items in batches.
//!
//! ```text
//! cargo bench --bench throughput -- "64 B, capacity 1024"
//! ```

use anyhow::Result;
use interlatch::channel::{Slot, TurnSlot};
use interlatch::{BoundedBuffer, MonitorBuffer, Pod, RobustBoundedBuffer, RobustMonitorBuffer};
use interlatch_benches::WorkerKind::{Processes, Threads};
use interlatch_benches::channel::{
    BufferChannel, ByteStream, MessageQueueChannel, PosixQueue, PthreadRing, SeqpacketSocket,
    SysVQueue, stream, stream_in_batches,
};
use interlatch_benches::{Comparison, Length, Measure, Session, at_least};
use std::time::Duration;

const ROUNDS: usize = 15;
const ROUND: Length = Length::Counted(Duration::from_millis(20));

type Item<const N: usize> = [u8; N];
type Bounded<const N: usize> = BoundedBuffer<Item<N>, [Slot<Item<N>>]>;
type Monitor<const N: usize> = MonitorBuffer<Item<N>, [Slot<Item<N>>]>;
type Robust<const N: usize> = RobustBoundedBuffer<Item<N>, [TurnSlot<Item<N>>]>;
type RobustMonitor<const N: usize> = RobustMonitorBuffer<Item<N>, [Slot<Item<N>>]>;

/// The maximum number of items in a batch.
const BATCH: usize = 64;

const BOUNDED: &str = "BoundedBuffer, processes";

fn main() -> Result<()> {
    let mut session = Session::new("throughput")?;
    of_size::<8>(&mut session)?;
    of_size::<64>(&mut session)?;
    of_size::<1024>(&mut session)?;
    of_size::<4096>(&mut session)?;
    session.finish()
}

fn of_size<const N: usize>(session: &mut Session) -> Result<()>
where
    [u8; N]: Pod,
{
    for capacity in [64, 1024] {
        let title = format!("{N} B, capacity {capacity}");
        session.compare(title, Measure::PerSecond, ROUND, |comparison| {
            comparison.rounds(ROUNDS);
            if (N, capacity) == (64, 1024) {
                comparison.versus(BOUNDED, "pipe, processes", at_least(3.0));
                comparison.versus(BOUNDED, "pthread ring, processes", at_least(2.0));
            }
            our_subjects::<N>(comparison, capacity)?;
            peers::<N>(comparison, capacity)
        })?;
    }
    Ok(())
}

fn our_subjects<const N: usize>(comparison: &mut Comparison, capacity: usize) -> Result<()>
where
    [u8; N]: Pod,
{
    let room = (N + 256) * capacity + (1 << 16);
    let bounded = BufferChannel::<Bounded<N>>::new(room, capacity)?;
    comparison.ours(stream("BoundedBuffer", Processes, bounded));
    let bounded = BufferChannel::<Bounded<N>>::new(room, capacity)?;
    comparison.ours(stream("BoundedBuffer", Threads, bounded));
    let monitor = BufferChannel::<Monitor<N>>::new(room, capacity)?;
    comparison.ours(stream("MonitorBuffer", Processes, monitor));
    let bounded = BufferChannel::<Bounded<N>>::new(room, capacity)?;
    comparison.ours(stream_in_batches(
        "BoundedBuffer",
        Processes,
        bounded,
        BATCH,
    ));
    let monitor = BufferChannel::<Monitor<N>>::new(room, capacity)?;
    comparison.ours(stream_in_batches(
        "MonitorBuffer",
        Processes,
        monitor,
        BATCH,
    ));
    let robust = BufferChannel::<Robust<N>>::new(room, capacity)?;
    comparison.ours(stream("RobustBoundedBuffer", Processes, robust));
    let robust = BufferChannel::<RobustMonitor<N>>::new(room, capacity)?;
    comparison.ours(stream("RobustMonitorBuffer", Processes, robust));
    let queue = MessageQueueChannel::new(capacity, N)?;
    comparison.ours(stream::<N, _>("MessageQueue", Processes, queue));
    Ok(())
}

fn peers<const N: usize>(comparison: &mut Comparison, capacity: usize) -> Result<()> {
    let ring = PthreadRing::<N>::new(capacity)?;
    comparison.peer(stream("pthread ring", Processes, ring));
    let pipe = ByteStream::pipe(N * capacity)?;
    comparison.peer(stream::<N, _>("pipe", Processes, pipe));
    let socket = ByteStream::socket()?;
    comparison.peer(stream::<N, _>("Unix stream", Processes, socket));
    let packets = SeqpacketSocket::new()?;
    comparison.peer(stream::<N, _>("Unix seqpacket", Processes, packets));
    let (queue, removed) = SysVQueue::new(N * capacity)?;
    comparison.keep(removed);
    comparison.peer(stream::<N, _>("System V queue", Processes, queue));
    let queue = PosixQueue::new(capacity, N)?;
    let name = if queue.capacity == capacity {
        "POSIX queue".into()
    } else {
        format!("POSIX queue of {}", queue.capacity)
    };
    comparison.peer(stream::<N, _>(&name, Processes, queue));
    Ok(())
}
