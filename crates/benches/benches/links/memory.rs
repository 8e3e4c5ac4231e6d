//! What passes messages through shared memory, beside a pipe.

use crate::{ROOM, SHARED, places};
use anyhow::Result;
use interlatch::channel::{ChannelError, GrowthLimit, SendTimeoutError, Slot, TurnSlot};
use interlatch::platform::pipe::PIPE_BUF;
use interlatch::region::ShmObject;
use interlatch::sync::Timeout;
use interlatch::{
    BoundedBuffer, Buffer, BytePipe, Channel as _, MonitorBuffer, Pod, Receiver, RegionName,
    Rendezvous, RobustBoundedBuffer, RobustMonitorBuffer, Sender, UnboundedBuffer,
};
use interlatch_benches::Home::Processes;
use interlatch_benches::channel::{
    ByReference, Bytes, Channel, OurQueue, Over, SysVQueue, look_at, stream,
};
use interlatch_benches::{Afterwards, Comparison, at_most, leak, ours};
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

/// Bytes of the items of a segment of a queue that grows: to make, map and remove one takes many system calls, and
/// every page of it is new to the kernel.
const SEGMENT: usize = 1 << 20;

const PIPE: &str = "pipe, processes";
const SPOOL: &str = "file that grows, processes";

pub fn compare<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    comparison.peer(stream::<N, _>(
        "pipe",
        Processes,
        Bytes::pipe(places(N) * N)?,
    ));
    buffer::<N, Bounded<N>>(comparison, "BoundedBuffer", places(N))?;
    buffer::<N, Monitor<N>>(comparison, "MonitorBuffer", places(N))?;
    buffer::<N, Robust<N>>(comparison, "RobustBoundedBuffer", places(N))?;
    buffer::<N, RobustMonitor<N>>(comparison, "RobustMonitorBuffer", places(N))?;
    let loans = leak(Loans(ours(room::<N>(), places(N))?));
    add::<N, _>(comparison, "RobustBoundedBuffer, loans", loans);
    add::<N, _>(
        comparison,
        "BytePipe",
        leak(OurBytes(ours(room::<N>(), places(N) * N)?)),
    );
    add::<N, _>(comparison, "MessageQueue", OurQueue::new(places(N), N)?);
    growing::<N>(comparison)?;
    acknowledged::<N>(comparison)?;
    // A message of System V has 8 KiB at most.
    if N <= 8192 {
        comparison.versus("MessageQueue, processes", "System V queue, processes", None);
        let (queue, removed) = SysVQueue::new(places(N) * N)?;
        comparison.keep(removed);
        comparison.peer(stream::<N, _>("System V queue", Processes, queue));
    }
    Ok(())
}

/// Enough for each of these objects.
const fn room<const N: usize>() -> usize {
    (2 * N + 512) * places(N) + ROOM
}

/// Adds one that has to be faster than the pipe.
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
    add(comparison, name, leak(Over::<B>(ours(room::<N>(), plan)?)));
    if N > PIPE_BUF {
        let buffer = leak(ByReference::<B>(ours(room::<N>(), plan)?));
        add(comparison, &format!("{name}, by ref"), buffer);
    }
    Ok(())
}

fn growing<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    // With as much room as the others.
    let one_segment = GrowthLimit {
        items: places(N) as u32,
        segments: 1,
    };
    // Its sender is the faster one, so that nearly every item goes through memory that was just made.
    let many = GrowthLimit {
        items: (SEGMENT / N) as u32,
        segments: 8,
    };
    let name = queue::<N>(comparison, &format!("{N}-value"), one_segment)?;
    add::<N, _>(comparison, "UnboundedBuffer", leak(Growing(name)));
    if N > PIPE_BUF {
        let name = queue::<N>(comparison, &format!("{N}-ref"), one_segment)?;
        add::<N, _>(
            comparison,
            "UnboundedBuffer, by ref",
            leak(GrowingByReference(name)),
        );
    }
    let name = queue::<N>(comparison, &format!("{N}-grows"), many)?;
    let grows = leak(GrowingByReference(name));
    comparison.ours(stream::<N, _>("UnboundedBuffer, growing", Processes, grows));
    comparison.versus(
        "UnboundedBuffer, growing, processes",
        SPOOL,
        at_most(SHARED),
    );
    // A pipe is full soon, and has its sender wait; its pages are always the same.
    comparison.versus("UnboundedBuffer, growing, processes", PIPE, None);
    comparison.peer(stream::<N, _>("file that grows", Processes, Spool::new()?));
    Ok(())
}

/// The name of a queue that is removed at the end.
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
    comparison.keep(Afterwards::run(move || {
        if let Err(error) = UnboundedBuffer::<[u8; N]>::remove(&named) {
            eprintln!("removing {named}: {error}");
        }
    })?);
    Ok(name)
}

/// The end that sends, in the worker that does.
fn sender_of<T: Pod>(name: &RegionName) -> Sender<'static, UnboundedBuffer<T>> {
    let sender = attach(name).sender();
    sender.expect("there is a receiver, or none yet")
}

/// The end that receives, in the worker that does.
fn receiver_of<T: Pod>(name: &RegionName) -> Receiver<'static, UnboundedBuffer<T>> {
    let receiver = attach(name).receiver();
    receiver.expect("there is a sender, or none yet")
}

fn attach<T: Pod>(name: &RegionName) -> &'static UnboundedBuffer<T> {
    leak(UnboundedBuffer::attach(name).expect("it is there until the end"))
}

/// A robust buffer whose items are filled and read where they are.
struct Loans<const N: usize>(&'static Robust<N>)
where
    [u8; N]: Pod;

impl<const N: usize> Channel<N> for Loans<N>
where
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = self.0.sender().expect("there is a receiver, or none yet");
        move |item| {
            let mut loan = sender.loan().expect("the receiver stays");
            loan.fill(item[0]);
            loan.send().expect("the receiver stays");
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = self.0.receiver().expect("there is a sender, or none yet");
        move |item| *item = *receiver.borrow().expect("the sender stays")
    }

    fn looker(&'static self) -> impl FnMut() + 'static {
        let receiver = self.0.receiver().expect("there is a sender, or none yet");
        move || look_at(&receiver.borrow().expect("the sender stays")[..])
    }
}

/// Our pipe of bytes.
struct OurBytes(&'static BytePipe<[Slot<u8>]>);

impl<const N: usize> Channel<N> for OurBytes {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let mut writer = self.0.sender().expect("there is a reader, or none yet");
        move |item| writer.write_all(item).expect("the reader stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let mut reader = self.0.receiver().expect("there is a writer, or none yet");
        move |item| reader.read_exact(item).expect("the writer stays")
    }
}

/// Our queue that grows, by value. Its sender never waits, but comes back when there is no memory.
struct Growing(RegionName);

impl<const N: usize> Channel<N> for Growing
where
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = sender_of::<[u8; N]>(&self.0);
        move |item| until_there_is_room(|| sender.send_with(*item, Timeout::Infinite))
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = receiver_of::<[u8; N]>(&self.0);
        move |item| *item = receiver.recv().expect("the sender stays")
    }

    fn looker(&'static self) -> impl FnMut() + 'static {
        let receiver = receiver_of::<[u8; N]>(&self.0);
        move || look_at(&receiver.recv().expect("the sender stays"))
    }
}

/// The same, whose items are copied in and out where they are.
struct GrowingByReference(RegionName);

impl<const N: usize> Channel<N> for GrowingByReference
where
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = sender_of::<[u8; N]>(&self.0);
        move |item| until_there_is_room(|| sender.send_ref_with(item, Timeout::Infinite))
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = receiver_of::<[u8; N]>(&self.0);
        move |item| {
            let received = receiver.recv_into_with(item, Timeout::Infinite);
            received.expect("the sender stays");
        }
    }
}

/// What else never has its sender wait: a file in memory, and an eventfd that counts what is in it. What was read is
/// given back to the kernel, a segment at a time.
struct Spool {
    file: File,
    count: EventFd,
}

impl Spool {
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

impl<const N: usize> Channel<N> for Spool {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let mut at = 0;
        move |item| {
            let written = self.file.write_all_at(item, at);
            written.expect("there is memory");
            at += N as u64;
            self.count.write(1).expect("the receiver stays");
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let mut at = 0;
        move |item| self.read(item, &mut at).expect("the sender stays")
    }
}

fn until_there_is_room<T>(mut send: impl FnMut() -> Result<(), SendTimeoutError<T>>) {
    while let Err(error) = send() {
        let is_full = matches!(
            error,
            SendTimeoutError::Failed(_, ChannelError::LimitReached { .. })
        );
        assert!(is_full, "the receiver stays");
        std::thread::yield_now();
    }
}

/// A pipe, and one back, through which each message is acknowledged.
struct Acknowledged([&'static Bytes; 2]);

fn acknowledged<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    let (ours_is, peer_is) = ("Rendezvous, processes", "pipe and one back, processes");
    comparison.versus(ours_is, peer_is, at_most(SHARED));
    let rendezvous = leak(Over::<Rendezvous<[u8; N]>>(ours(room::<N>(), ())?));
    comparison.ours(stream("Rendezvous", Processes, rendezvous));
    let pipes = leak(Acknowledged([Bytes::pipe(places(N) * N)?, Bytes::pipe(0)?]));
    comparison.peer(stream::<N, _>("pipe and one back", Processes, pipes));
    Ok(())
}

impl<const N: usize> Channel<N> for Acknowledged {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let [there, back] = self.0;
        |item| {
            let sent = (&there.send).write_all(item);
            let known = sent.and_then(|()| (&back.receive).read_exact(&mut [0]));
            known.expect("the receiver stays");
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let [there, back] = self.0;
        |item| {
            let received = (&there.receive).read_exact(item);
            let told = received.and_then(|()| (&back.send).write_all(b"x"));
            told.expect("the sender stays");
        }
    }
}
