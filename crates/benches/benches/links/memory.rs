//! Channels in shared memory, compared with a pipe.

use crate::{ROOM, SHARED, slots};
use anyhow::Result;
use interlatch::channel::{ChannelError, GrowthLimit, SendTimeoutError, Slot, TurnSlot};
use interlatch::platform::pipe::PIPE_BUF;
use interlatch::region::ShmObject;
use interlatch::sync::Timeout;
use interlatch::{
    BoundedBuffer, Buffer, BytePipe, Channel as _, MonitorBuffer, Pod, Receiver, RegionName,
    Rendezvous, RobustBoundedBuffer, RobustMonitorBuffer, Sender, UnboundedBuffer,
};
use interlatch_benches::WorkerKind::Processes;
use interlatch_benches::channel::{
    BufferChannel, BufferChannelByRef, ByteStream, Channel, MessageQueueChannel, SysVQueue, stream,
    touch_cache_lines,
};
use interlatch_benches::{CleanupProcess, Comparison, at_most, create_in_region, leak};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

type Bounded<const N: usize> = BoundedBuffer<[u8; N], [Slot<[u8; N]>]>;
type Monitor<const N: usize> = MonitorBuffer<[u8; N], [Slot<[u8; N]>]>;
type Robust<const N: usize> = RobustBoundedBuffer<[u8; N], [TurnSlot<[u8; N]>]>;
type RobustMonitor<const N: usize> = RobustMonitorBuffer<[u8; N], [Slot<[u8; N]>]>;

/// The size of a segment's items in bytes.
///
/// Creating, mapping and removing a segment takes many system calls, and the kernel allocates all
/// pages of the segment.
const SEGMENT: usize = 1 << 20;

const PIPE: &str = "pipe, processes";
const GROWING_FILE: &str = "growing file, processes";

pub fn compare<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    comparison.peer(stream::<N, _>(
        "pipe",
        Processes,
        ByteStream::pipe(slots(N) * N)?,
    ));
    buffer::<N, Bounded<N>>(comparison, "BoundedBuffer", slots(N))?;
    buffer::<N, Monitor<N>>(comparison, "MonitorBuffer", slots(N))?;
    buffer::<N, Robust<N>>(comparison, "RobustBoundedBuffer", slots(N))?;
    buffer::<N, RobustMonitor<N>>(comparison, "RobustMonitorBuffer", slots(N))?;
    let loans = leak(Loans(create_in_region(room::<N>(), slots(N))?));
    add::<N, _>(comparison, "RobustBoundedBuffer, loans", loans);
    add::<N, _>(
        comparison,
        "BytePipe",
        leak(BytePipeChannel(create_in_region(
            room::<N>(),
            slots(N) * N,
        )?)),
    );
    add::<N, _>(
        comparison,
        "MessageQueue",
        MessageQueueChannel::new(slots(N), N)?,
    );
    growing::<N>(comparison)?;
    acknowledged::<N>(comparison)?;
    // A System V message has at most 8 KiB.
    if N <= 8192 {
        comparison.versus("MessageQueue, processes", "System V queue, processes", None);
        let (queue, removed) = SysVQueue::new(slots(N) * N)?;
        comparison.keep(removed);
        comparison.peer(stream::<N, _>("System V queue", Processes, queue));
    }
    Ok(())
}

/// Returns a region size that is large enough for any object of this benchmark.
const fn room<const N: usize>() -> usize {
    (2 * N + 512) * slots(N) + ROOM
}

/// Adds a channel to the comparison. The channel's goal is to be as fast as a pipe.
fn add<const N: usize, C: Channel<N>>(
    comparison: &mut Comparison,
    name: &str,
    channel: &'static C,
) {
    let subject = stream(name, Processes, channel);
    comparison.versus(&subject.name, PIPE, at_most(SHARED));
    comparison.ours(subject);
}

fn buffer<const N: usize, B>(comparison: &mut Comparison, name: &str, plan: B::Config) -> Result<()>
where
    B: Buffer<Item = [u8; N]> + ShmObject<Config: Copy> + ?Sized + 'static,
    [u8; N]: Pod,
{
    add(
        comparison,
        name,
        leak(BufferChannel::<B>(create_in_region(room::<N>(), plan)?)),
    );
    if N > PIPE_BUF {
        let buffer = leak(BufferChannelByRef::<B>(create_in_region(
            room::<N>(),
            plan,
        )?));
        add(comparison, &format!("{name}, by ref"), buffer);
    }
    Ok(())
}

fn growing<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    // The buffer has the same capacity as the other channels.
    let one_segment = GrowthLimit {
        items: slots(N) as u32,
        segments: 1,
    };
    // The sender is faster than the receiver, so nearly every item goes through a new segment.
    let many = GrowthLimit {
        items: (SEGMENT / N) as u32,
        segments: 8,
    };
    let name = queue::<N>(comparison, &format!("{N}-value"), one_segment)?;
    add::<N, _>(comparison, "UnboundedBuffer", leak(Unbounded(name)));
    if N > PIPE_BUF {
        let name = queue::<N>(comparison, &format!("{N}-ref"), one_segment)?;
        add::<N, _>(
            comparison,
            "UnboundedBuffer, by ref",
            leak(UnboundedByRef(name)),
        );
    }
    let name = queue::<N>(comparison, &format!("{N}-grows"), many)?;
    let grows = leak(UnboundedByRef(name));
    comparison.ours(stream::<N, _>("UnboundedBuffer, growing", Processes, grows));
    comparison.versus(
        "UnboundedBuffer, growing, processes",
        GROWING_FILE,
        at_most(SHARED),
    );
    // This comparison has no goal, because the two subjects differ: a full pipe blocks its sender
    // and reuses the pipe's pages.
    comparison.versus("UnboundedBuffer, growing, processes", PIPE, None);
    comparison.peer(stream::<N, _>(
        "growing file",
        Processes,
        GrowingFile::new()?,
    ));
    Ok(())
}

/// Creates a queue and returns the queue's name. The queue is removed at the end of the comparison.
fn queue<const N: usize>(
    comparison: &mut Comparison,
    name: &str,
    growth: GrowthLimit,
) -> Result<RegionName>
where
    [u8; N]: Pod,
{
    let name = RegionName::posix(&format!("links-{}-{name}", std::process::id()))?;
    UnboundedBuffer::<[u8; N]>::create(&name, growth)?;
    let named = name.clone();
    comparison.keep(CleanupProcess::start(move || {
        if let Err(error) = UnboundedBuffer::<[u8; N]>::remove(&named) {
            eprintln!("removing {named}: {error}");
        }
    })?);
    Ok(name)
}

/// Attaches a sender to the named buffer. The sending worker calls this function.
fn sender_of<T: Pod>(name: &RegionName) -> Sender<'static, UnboundedBuffer<T>> {
    let sender = attach(name).sender();
    sender.expect("the other side is open")
}

/// Attaches a receiver to the named buffer. The receiving worker calls this function.
fn receiver_of<T: Pod>(name: &RegionName) -> Receiver<'static, UnboundedBuffer<T>> {
    let receiver = attach(name).receiver();
    receiver.expect("the other side is open")
}

fn attach<T: Pod>(name: &RegionName) -> &'static UnboundedBuffer<T> {
    leak(UnboundedBuffer::attach(name).expect("the queue exists until the end"))
}

/// A robust buffer whose items are written and read directly in the buffer.
struct Loans<const N: usize>(&'static Robust<N>)
where
    [u8; N]: Pod;

impl<const N: usize> Channel<N> for Loans<N>
where
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = self.0.sender().expect("the other side is open");
        move |item| {
            let mut loan = sender.loan().expect("the receiver is alive");
            loan.fill(item[0]);
            loan.send().expect("the receiver is alive");
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = self.0.receiver().expect("the other side is open");
        move |item| *item = *receiver.borrow().expect("the sender is alive")
    }

    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        let receiver = self.0.receiver().expect("the other side is open");
        move || touch_cache_lines(&receiver.borrow().expect("the sender is alive")[..])
    }
}

/// A channel over interlatch's `BytePipe`.
struct BytePipeChannel(&'static BytePipe<[Slot<u8>]>);

impl<const N: usize> Channel<N> for BytePipeChannel {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let mut writer = self.0.sender().expect("the other side is open");
        move |item| writer.write_all(item).expect("the reader is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let mut reader = self.0.receiver().expect("the other side is open");
        move |item| reader.read_exact(item).expect("the writer is alive")
    }
}

/// An unbounded buffer whose items are sent and received by value. The sender never blocks. If the
/// buffer has reached its limit of segments, the sender retries.
struct Unbounded(RegionName);

impl<const N: usize> Channel<N> for Unbounded
where
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = sender_of::<[u8; N]>(&self.0);
        move |item| retry_while_full(|| sender.send_with(*item, Timeout::Infinite))
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = receiver_of::<[u8; N]>(&self.0);
        move |item| *item = receiver.recv().expect("the sender is alive")
    }

    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        let receiver = receiver_of::<[u8; N]>(&self.0);
        move || touch_cache_lines(&receiver.recv().expect("the sender is alive"))
    }
}

/// An unbounded buffer that sends items from the caller's memory and receives items into the
/// caller's memory.
struct UnboundedByRef(RegionName);

impl<const N: usize> Channel<N> for UnboundedByRef
where
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = sender_of::<[u8; N]>(&self.0);
        move |item| retry_while_full(|| sender.send_ref_with(item, Timeout::Infinite))
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = receiver_of::<[u8; N]>(&self.0);
        move |item| {
            let received = receiver.recv_into_with(item, Timeout::Infinite);
            received.expect("the sender is alive");
        }
    }
}

/// A peer whose sender never blocks. A file in memory holds the items, and an eventfd counts the
/// unread items.
///
/// The receiver returns the memory of read items to the kernel, one segment at a time.
struct GrowingFile {
    file: File,
    count: EventFd,
}

impl GrowingFile {
    fn new() -> Result<&'static Self> {
        let file = memfd_create(c"links-spool", MFdFlags::MFD_CLOEXEC)?.into();
        let count = EventFd::from_value_and_flags(0, EfdFlags::EFD_SEMAPHORE)?;
        Ok(leak(Self { file, count }))
    }

    fn read(&self, item: &mut [u8], at: &mut u64) -> Result<()> {
        self.count.read()?;
        self.file.read_exact_at(item, *at)?;
        *at += item.len() as u64;
        if at.is_multiple_of(SEGMENT as u64) {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let (segment, from) = (SEGMENT as i64, *at as i64 - SEGMENT as i64);
            fallocate(&self.file, flags, from, segment)?;
        }
        Ok(())
    }
}

impl<const N: usize> Channel<N> for GrowingFile {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let mut at = 0;
        move |item| {
            let written = self.file.write_all_at(item, at);
            written.expect("the memory suffices");
            at += N as u64;
            self.count.write(1).expect("the receiver is alive");
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let mut at = 0;
        move |item| self.read(item, &mut at).expect("the sender is alive")
    }
}

fn retry_while_full<T>(mut send: impl FnMut() -> Result<(), SendTimeoutError<T>>) {
    while let Err(error) = send() {
        let is_full = matches!(
            error,
            SendTimeoutError::Failed(_, ChannelError::LimitReached { .. })
        );
        assert!(is_full, "the receiver is alive");
        std::thread::yield_now();
    }
}

/// A channel of two pipes: one for the messages and one for their acknowledgements.
struct AcknowledgedPipe([&'static ByteStream; 2]);

fn acknowledged<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    let (ours_is, peer_is) = (
        "Rendezvous, processes",
        "pipe with acknowledgements, processes",
    );
    comparison.versus(ours_is, peer_is, at_most(SHARED));
    let rendezvous = leak(BufferChannel::<Rendezvous<[u8; N]>>(create_in_region(
        room::<N>(),
        (),
    )?));
    comparison.ours(stream("Rendezvous", Processes, rendezvous));
    let pipes = leak(AcknowledgedPipe([
        ByteStream::pipe(slots(N) * N)?,
        ByteStream::pipe(0)?,
    ]));
    comparison.peer(stream::<N, _>(
        "pipe with acknowledgements",
        Processes,
        pipes,
    ));
    Ok(())
}

impl<const N: usize> Channel<N> for AcknowledgedPipe {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let [there, back] = self.0;
        |item| {
            let sent = (&there.send).write_all(item);
            let known = sent.and_then(|()| (&back.receive).read_exact(&mut [0]));
            known.expect("the receiver is alive");
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let [there, back] = self.0;
        |item| {
            let received = (&there.receive).read_exact(item);
            let told = received.and_then(|()| (&back.send).write_all(b"x"));
            told.expect("the sender is alive");
        }
    }
}
