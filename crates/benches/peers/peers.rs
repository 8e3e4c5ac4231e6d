//! Compares the interlatch buffers with iceoryx2 and ipc-channel between processes, and with
//! crossbeam-channel and rtrb between threads.
//!
//! The subscriber of iceoryx2 and the crate rtrb have no blocking calls. Their workers therefore
//! poll, each on a core that nothing else uses.
//!
//! ```text
//! cargo bench --manifest-path crates/benches/peers/Cargo.toml -- "64 B, capacity 1024"
//! ```

mod channels;

use anyhow::Result;
use channels::{Crossbeam, Iceoryx, IpcChannel, Rtrb};
use interlatch::channel::Slot;
use interlatch::{BoundedBuffer, Pod};
use interlatch_benches::WorkerKind::{Processes, Threads};
use interlatch_benches::channel::{BufferChannel, stream, stream_in_batches};
use interlatch_benches::round_trips::channel_round_trips;
use interlatch_benches::{Comparison, Length, Measure, Session, at_least, cores};
use std::time::Duration;

const ROUNDS: usize = 15;
const ROUND: Length = Length::Counted(Duration::from_millis(20));

type Item<const N: usize> = [u8; N];
type Bounded<const N: usize> = BoundedBuffer<Item<N>, [Slot<Item<N>>]>;

const BOUNDED: &str = "BoundedBuffer, processes";
const IN_BATCHES: &str = "BoundedBuffer in batches of 64, processes";
const BATCH: usize = 64;

fn main() -> Result<()> {
    let mut session = Session::new("peers")?;
    of_size::<8>(&mut session)?;
    of_size::<64>(&mut session)?;
    of_size::<1024>(&mut session)?;
    of_size::<4096>(&mut session)?;
    if cores() > 1 {
        session.compare("round trip, two cores", Measure::Median, ROUND, round_trips)?;
    }
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
                comparison.versus(BOUNDED, "iceoryx2, processes", at_least(3.0));
                comparison.versus(IN_BATCHES, "crossbeam-channel, threads", at_least(1.0));
            }
            subjects::<N>(comparison, capacity)
        })?;
    }
    Ok(())
}

fn subjects<const N: usize>(comparison: &mut Comparison, capacity: usize) -> Result<()>
where
    [u8; N]: Pod,
{
    let room = (N + 256) * capacity + (1 << 16);
    let bounded = BufferChannel::<Bounded<N>>::new(room, capacity)?;
    comparison.ours(stream("BoundedBuffer", Processes, bounded));
    let bounded = BufferChannel::<Bounded<N>>::new(room, capacity)?;
    comparison.ours(stream("BoundedBuffer", Threads, bounded));
    for kind in [Processes, Threads] {
        let bounded = BufferChannel::<Bounded<N>>::new(room, capacity)?;
        comparison.ours(stream_in_batches("BoundedBuffer", kind, bounded, BATCH));
    }
    // iceoryx2 and rtrb copy items into and out of shared memory. They do not check whether the
    // other side is alive.
    if cores() > 1 {
        let (iceoryx, removed) = Iceoryx::new(capacity)?;
        comparison.keep(removed);
        comparison.peer(stream::<N, _>("iceoryx2", Processes, iceoryx));
        let ring = Rtrb::<N>::new(capacity);
        comparison.peer(stream("rtrb", Threads, ring));
    }
    comparison.peer(stream::<N, _>("ipc-channel", Processes, IpcChannel::new()?));
    comparison.peer(stream(
        "crossbeam-channel",
        Threads,
        Crossbeam::<N>::new(capacity),
    ));
    Ok(())
}

fn round_trips(comparison: &mut Comparison) -> Result<()> {
    let new = || BufferChannel::<Bounded<8>>::new(1 << 16, 64);
    comparison.ours(channel_round_trips(
        "BoundedBuffer",
        Processes,
        [new()?, new()?],
    ));
    comparison.ours(channel_round_trips(
        "BoundedBuffer",
        Threads,
        [new()?, new()?],
    ));
    let [(there, removed), (back, removed_too)] = [Iceoryx::new(64)?, Iceoryx::new(64)?];
    comparison.keep([removed, removed_too]);
    comparison.peer(channel_round_trips("iceoryx2", Processes, [there, back]));
    comparison.peer(channel_round_trips(
        "ipc-channel",
        Processes,
        [IpcChannel::new()?, IpcChannel::new()?],
    ));
    comparison.peer(channel_round_trips(
        "rtrb",
        Threads,
        [Rtrb::new(64), Rtrb::new(64)],
    ));
    let channels = [Crossbeam::new(64), Crossbeam::new(64)];
    comparison.peer(channel_round_trips("crossbeam-channel", Threads, channels));
    Ok(())
}
