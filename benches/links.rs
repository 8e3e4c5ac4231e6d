//! What it costs to pass messages from one process to another: ours beside the kernel's own, in one run.
//!
//! For each link and each size this process forks a sender, which sends as many messages as it is told to, and
//! receives them. Two links that are compared take turns, in rounds, so that a machine that changes its
//! speed changes that of both.
//!
//! ```text
//! cargo bench --bench links
//! ```

use anyhow::{Context, Result};
use comfy_table::Table;
use interlatch::ipc::{Link, PacketLink, StreamLink};
use interlatch::queue::{MessageType, Messages, QueueLimits, Select};
use interlatch::{
    BoundedBuffer, Buffer, MessageQueue, MonitorBuffer, PipeBuffer, Place, Plain, Receiver, Region,
    RobustBoundedBuffer, RobustMonitorBuffer, Sender, Slot, TurnSlot,
};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe};
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Rounds of a comparison.
const ROUNDS: usize = 15;
/// Bytes that are moved in a round, but at least and at most so many messages.
const BYTES: usize = 4 << 20;
const MESSAGES: std::ops::RangeInclusive<usize> = 400..=40_000;
/// Places of the buffers.
const CAPACITY: usize = 64;

/// A link of one size of message: what the sender does in its process, and the receiver in this one.
trait Lane {
    fn send(&mut self, count: usize) -> Result<()>;
    fn receive(&mut self, count: usize) -> Result<()>;
}

/// A lane with its sender, a child that is told how many to send.
struct Running {
    lane: Box<dyn Lane>,
    sender: Pid,
    orders: File,
}

impl Running {
    fn start(mut lane: Box<dyn Lane>) -> Result<Self> {
        let (listen, orders) = pipe()?;
        // SAFETY: this program has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self {
                lane,
                sender: child,
                orders: orders.into(),
            }),
            ForkResult::Child => {
                drop(orders);
                let mut listen = File::from(listen);
                let mut order = [0; 8];
                while listen.read_exact(&mut order).is_ok() {
                    lane.send(usize::from_ne_bytes(order))
                        .expect("the receiver is there");
                }
                // SAFETY: it ends this process, and runs nothing of the parent's.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Seconds for so many messages.
    fn measure(&mut self, count: usize) -> Result<f64> {
        let begin = Instant::now();
        self.orders.write_all(&count.to_ne_bytes())?;
        self.lane.receive(count)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

/// The second sender has a copy of the first one's orders, so that one ends when both have no more.
fn end(both: [Running; 2]) -> Result<()> {
    let senders = both.map(|running| running.sender);
    for sender in senders {
        waitpid(sender, None).context("waiting for a sender")?;
    }
    Ok(())
}

/// The kernel's pipe, as it is.
struct RawPipe<const N: usize>(File, File);

impl<const N: usize> Lane for RawPipe<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        Ok((0..count).try_for_each(|_| self.1.write_all(&[1; N]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = [0; N];
        Ok((0..count).try_for_each(|_| self.0.read_exact(black_box(&mut item)))?)
    }
}

/// A buffer of either kind of memory, and the handle that this process has of it.
struct Over<B: Buffer + 'static + ?Sized> {
    buffer: &'static B,
    sender: Option<Sender<'static, B>>,
    receiver: Option<Receiver<'static, B>>,
}

impl<B: Buffer + ?Sized> Over<B> {
    fn new(buffer: &'static B) -> Box<Self> {
        let (sender, receiver) = (None, None);
        Box::new(Self {
            buffer,
            sender,
            receiver,
        })
    }
}

impl<const N: usize, B> Lane for Over<B>
where
    B: Buffer<Item = [u8; N]> + ?Sized,
    [u8; N]: Plain,
{
    fn send(&mut self, count: usize) -> Result<()> {
        if self.sender.is_none() {
            self.sender = Some(self.buffer.sender()?);
        }
        let sender = self.sender.as_ref().context("just made")?;
        (0..count).try_for_each(|_| sender.send([1; N]).context("sending"))
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        if self.receiver.is_none() {
            self.receiver = Some(self.buffer.receiver()?);
        }
        let receiver = self.receiver.as_ref().context("just made")?;
        for _ in 0..count {
            black_box(receiver.recv()?);
        }
        Ok(())
    }
}

/// A Unix stream, as it is.
struct RawStream<const N: usize>(UnixStream, UnixStream);

impl<const N: usize> Lane for RawStream<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        Ok((0..count).try_for_each(|_| self.1.write_all(&[1; N]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = [0; N];
        Ok((0..count).try_for_each(|_| self.0.read_exact(black_box(&mut item)))?)
    }
}

/// A seqpacket socket, as it is.
struct RawPacket<const N: usize>(std::os::fd::OwnedFd, std::os::fd::OwnedFd);

impl<const N: usize> Lane for RawPacket<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let send = |_| send(self.1.as_raw_fd(), &[1; N], MsgFlags::MSG_NOSIGNAL).map(drop);
        Ok((0..count).try_for_each(send)?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = vec![0; N];
        let mut receive = |_| recv(self.0.as_raw_fd(), &mut item, MsgFlags::empty()).map(drop);
        Ok((0..count).try_for_each(&mut receive)?)
    }
}

/// A link of ours, both sides.
struct OurLink<L, const N: usize>(L, L);

impl<L: Link, const N: usize> Lane for OurLink<L, N> {
    fn send(&mut self, count: usize) -> Result<()> {
        Ok((0..count).try_for_each(|_| self.1.send(&[1; N]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        Ok((0..count).try_for_each(|_| self.0.recv().map(|item| drop(black_box(item))))?)
    }
}

/// A System V queue.
struct SysV<const N: usize>(i32);

impl<const N: usize> SysV<N> {
    fn new() -> Result<Self> {
        // SAFETY: it takes numbers only.
        let id = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        Ok(Self(Errno::result(id)?))
    }
}

impl<const N: usize> Drop for SysV<N> {
    fn drop(&mut self) {
        // SAFETY: this command ignores the pointer.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

#[repr(C)]
struct SysVMessage<const N: usize> {
    kind: libc::c_long,
    bytes: [u8; N],
}

impl<const N: usize> Lane for SysV<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let message = SysVMessage {
            kind: 1,
            bytes: [1; N],
        };
        for _ in 0..count {
            // SAFETY: a message of that many bytes behind its type.
            Errno::result(unsafe { libc::msgsnd(self.0, (&raw const message).cast(), N, 0) })?;
        }
        Ok(())
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut message = SysVMessage {
            kind: 0,
            bytes: [0; N],
        };
        for _ in 0..count {
            // SAFETY: room for that many bytes behind the type.
            Errno::result(unsafe { libc::msgrcv(self.0, (&raw mut message).cast(), N, 0, 0) })?;
        }
        Ok(())
    }
}

/// Our queue.
struct Ours<const N: usize>(&'static MessageQueue);

impl<const N: usize> Lane for Ours<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let kind = MessageType::new(1)?;
        Ok((0..count).try_for_each(|_| self.0.send(kind, &[1; N]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        Ok((0..count).try_for_each(|_| self.0.receive(Select::First).map(drop))?)
    }
}

fn place<T: Place + ?Sized>(bytes: usize, plan: T::Plan) -> Result<&'static T> {
    // Until the end of the program.
    let region = Box::leak(Box::new(Region::memfd("links", bytes)?));
    Ok(region.create::<T>("object", plan)?)
}

fn raw_pipe<const N: usize>() -> Result<Box<dyn Lane>> {
    let (reader, writer) = pipe()?;
    Ok(Box::new(RawPipe::<N>(reader.into(), writer.into())))
}

fn compare(
    table: &mut Table,
    bytes: usize,
    names: [&str; 2],
    lanes: [Box<dyn Lane>; 2],
) -> Result<()> {
    let count = (BYTES / bytes).clamp(*MESSAGES.start(), *MESSAGES.end());
    let [ours, theirs] = lanes;
    let mut both = [Running::start(ours)?, Running::start(theirs)?];
    let mut seconds = [const { Vec::new() }; 2];
    for round in 0..=ROUNDS {
        for (running, seconds) in both.iter_mut().zip(&mut seconds) {
            let measured = running.measure(count)?;
            // The first one warms up.
            if round > 0 {
                seconds.push(measured);
            }
        }
    }
    end(both)?;
    let mut ratios: Vec<f64> = seconds[0]
        .iter()
        .zip(&seconds[1])
        .map(|(a, b)| a / b)
        .collect();
    ratios.sort_by(f64::total_cmp);
    let [ours, theirs] = seconds.map(|mut all| {
        all.sort_by(f64::total_cmp);
        count as f64 / all[ROUNDS / 2]
    });
    let cells = [
        bytes.to_string(),
        names[0].into(),
        names[1].into(),
        format!("{:.0}", ours / 1000.0),
        format!("{:.0}", theirs / 1000.0),
        format!("{:.2}", ratios[ROUNDS / 2]),
        format!(
            "{:.2} to {:.2}",
            ratios[ROUNDS / 10],
            ratios[ROUNDS - 1 - ROUNDS / 10]
        ),
    ];
    println!("{}", cells.join(", "));
    table.add_row(cells);
    Ok(())
}

fn of_size<const N: usize>(table: &mut Table) -> Result<()>
where
    [u8; N]: Plain,
{
    type Item<const N: usize> = [u8; N];
    let room = (N + 256) * CAPACITY + (1 << 16);
    let leaked = Box::leak(Box::new(PipeBuffer::<Item<N>>::with_capacity(
        65_536_usize.div_ceil(N),
    )?));
    let pipe_buffer: Box<dyn Lane> = Over::new(&*leaked);
    compare(
        table,
        N,
        ["PipeBuffer", "pipe"],
        [pipe_buffer, raw_pipe::<N>()?],
    )?;
    let (here, there) = StreamLink::pair()?;
    let (a, b) = UnixStream::pair()?;
    let lanes: [Box<dyn Lane>; 2] = [
        Box::new(OurLink::<_, N>(here, there)),
        Box::new(RawStream::<N>(a, b)),
    ];
    compare(table, N, ["StreamLink", "Unix stream"], lanes)?;
    let (here, there) = PacketLink::seqpacket_pair()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    let lanes: [Box<dyn Lane>; 2] = [
        Box::new(OurLink::<_, N>(here, there)),
        Box::new(RawPacket::<N>(a, b)),
    ];
    compare(table, N, ["PacketLink", "Unix seqpacket"], lanes)?;
    // A message of System V has 8 KiB at most.
    if N <= 8192 {
        let limits = QueueLimits {
            messages: CAPACITY as u32,
            bytes: (CAPACITY * N) as u32,
        };
        let queue = Ours::<N>(place(room, limits)?);
        let lanes: [Box<dyn Lane>; 2] = [Box::new(queue), Box::new(SysV::<N>::new()?)];
        compare(table, N, ["MessageQueue", "System V queue"], lanes)?;
    }
    let bounded: &BoundedBuffer<Item<N>, [Slot<Item<N>>]> = place(room, CAPACITY)?;
    compare(
        table,
        N,
        ["BoundedBuffer", "pipe"],
        [Over::new(bounded), raw_pipe::<N>()?],
    )?;
    let monitor: &MonitorBuffer<Item<N>, [Slot<Item<N>>]> = place(room, CAPACITY)?;
    compare(
        table,
        N,
        ["MonitorBuffer", "pipe"],
        [Over::new(monitor), raw_pipe::<N>()?],
    )?;
    let robust: &RobustBoundedBuffer<Item<N>, [TurnSlot<Item<N>>]> = place(room, CAPACITY)?;
    compare(
        table,
        N,
        ["RobustBoundedBuffer", "pipe"],
        [Over::new(robust), raw_pipe::<N>()?],
    )?;
    let robust: &RobustMonitorBuffer<Item<N>, [Slot<Item<N>>]> = place(room, CAPACITY)?;
    compare(
        table,
        N,
        ["RobustMonitorBuffer", "pipe"],
        [Over::new(robust), raw_pipe::<N>()?],
    )
}

fn main() -> Result<()> {
    // As criterion does it: without this argument, it is a test whether benchmarks run at all.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header([
        "bytes",
        "ours",
        "theirs",
        "ours, 1000/s",
        "theirs, 1000/s",
        "time, ours/theirs",
        "80 % of the rounds",
    ]);
    of_size::<8>(&mut table)?;
    of_size::<64>(&mut table)?;
    of_size::<1024>(&mut table)?;
    of_size::<65536>(&mut table)?;
    println!("{table}");
    Ok(())
}
