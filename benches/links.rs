//! What it costs to pass messages from one process to another: ours beside the kernel's own, in one run.
//!
//! For each link and each size this process forks a sender, which sends as many messages as it is told to, and
//! receives them. Both sides of a comparison have room for as many bytes, and whoever receives looks at every
//! line of the cache that a message is in.
//!
//! 1. Criterion measures each link, one after the other. A machine that changes its speed in between makes these
//!    hard to compare.
//! 2. So a table follows for which ours and theirs took turns, in rounds of a few milliseconds, with the goal
//!    that was set, if one was, and whether it is reached.
//!
//! ```text
//! cargo bench --bench links
//! cargo bench --bench links -- StreamLink            both, of what has this in its name
//! cargo bench --bench links -- '^8 B/'               both, of one size
//! cargo bench --bench links -- table-only            the table alone
//! cargo bench --bench links -- table-only/StreamLink
//! ```
//!
//! **The same job.** A stream has no messages, so its peer sends the length and the message by one `writev(2)`, and
//! reads the length and then the message. A seqpacket socket returns 0 for an empty message and for the end of the
//! stream; so the peer asks for credentials, and receives by `recvmsg(2)`, which says whether there are any. A pipe
//! takes more than a page in pieces, so who sends, and who receives, has a lock in a pipe of one byte meanwhile.
//! A write to a pipe that nobody reads ends a process by SIGPIPE, unless it says that it wants no signal; so does the
//! peer, by `pwritev2(2)`. `bare` peers do without, and stand beside without a goal. Where ours gives a new `Vec`, or an
//! item by value, the peer makes one too.
//!
//! **One core.** With a core for each side it depends on which of them is a little faster whether one sleeps after
//! each message or after a thousand, and on a virtual machine a sleep takes as long as a hundred messages: the same
//! raw pipe, measured against itself, was between 0.2 and 5 times as fast. So in the table the links over kernel objects
//! and their peers have one core, where nobody interrupts the other one (`SCHED_BATCH`), and what is compared is all the
//! work for a message on both sides. Against itself, a pipe is then mostly within 3 %. Criterion, and the links in shared
//! memory, have the machine as it is.
//!
//! **What is copied.** By value, an item of 64 KiB is moved from hand to hand, as Rust does it. By reference, it is
//! copied into the link once and out once. A loan is filled and read where it is.

use anyhow::{Context, Result, ensure};
use comfy_table::Table;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use interlatch::ipc::{Link, PacketLink, StreamLink};
use interlatch::platform::pipe::{ATOMIC, Reader, Writer};
use interlatch::queue::{MessageType, Messages, QueueLimits, Select};
use interlatch::sync::Patience;
use interlatch::{
    BoundedBuffer, Buffer, BytePipe, ByteReader, ByteWriter, Fit, GrowError, Growth, MessageQueue,
    MonitorBuffer, PipeBuffer, Place, Plain, Receiver, Region, RegionName, Rendezvous,
    RobustBoundedBuffer, RobustMonitorBuffer, Sender, Slot, TurnSlot, UnboundedBuffer,
    UnboundedReceiver, UnboundedSender,
};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, recvmsg, send, setsockopt, socketpair,
    sockopt,
};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe};
use std::fs::File;
use std::hint::black_box;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Rounds of a comparison.
const ROUNDS: usize = 31;
/// How long each side of a round takes, about.
const ROUND: f64 = 0.003;
/// Bytes that a link has room for, but at least so many messages.
const ROOM: usize = 1 << 16;
const FEWEST: usize = 4;
/// Bytes of the items of a segment of a queue that grows: to make, map and remove one takes many system calls, and
/// every page of it is new to the kernel.
const SEGMENT: usize = 1 << 20;
/// How much slower than the same system calls a link over a kernel object may be.
const KERNEL: Option<f64> = Some(1.1);
/// Memory that is shared has to be as fast as a pipe at least.
const SHARED: Option<f64> = Some(1.0);

const fn places(bytes: usize) -> usize {
    let places = ROOM / bytes;
    if places < FEWEST { FEWEST } else { places }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let filter = filter.map_or("", |filter| filter.as_str());
    let sizes = [
        of_size::<8>()?,
        of_size::<64>()?,
        of_size::<1024>()?,
        of_size::<65536>()?,
    ];
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(200))
        .configure_from_args();
    sizes.iter().for_each(|size| size.measure(&mut criterion));
    criterion.final_summary();
    // As criterion does it: without this argument, it is a test whether benchmarks run at all.
    if arguments.iter().any(|argument| argument == "--bench") {
        let filter = filter.strip_prefix("table-only").unwrap_or(filter);
        let filter = filter.trim_start_matches(['/', '^']);
        compare_all(&sizes, filter)?;
    }
    Ok(())
}

/// The comparisons of messages of one size.
struct Size {
    bytes: usize,
    comparisons: Vec<Comparison>,
}

/// A link of ours, what it is compared with, and how much slower it may be.
struct Comparison {
    ours: Subject,
    theirs: Subject,
    goal: Option<f64>,
    cores: Cores,
}

/// Where the two sides of a link run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cores {
    One,
    Any,
}

/// This process, and those that it forks, on one core, where none takes it from the other: until this is dropped.
struct OneCore(CpuSet);

impl OneCore {
    fn enter() -> Result<Self> {
        let (this, before) = (Pid::from_raw(0), sched_getaffinity(Pid::from_raw(0))?);
        let is_ours = |core: &usize| before.is_set(*core).unwrap_or(false);
        let core = (0..CpuSet::count()).find(is_ours).context("a core")?;
        let mut one = CpuSet::new();
        one.set(core)?;
        sched_setaffinity(this, &one)?;
        set_policy(libc::SCHED_BATCH)?;
        Ok(Self(before))
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        set_policy(libc::SCHED_OTHER).expect("as before");
        sched_setaffinity(Pid::from_raw(0), &self.0).expect("as before");
    }
}

fn set_policy(policy: libc::c_int) -> Result<()> {
    let no_priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter is read only.
    Errno::result(unsafe { libc::sched_setscheduler(0, policy, &raw const no_priority) })?;
    Ok(())
}

/// A kind of link, of which each measurement makes one.
#[derive(Clone, Copy)]
struct Subject {
    name: &'static str,
    make: fn() -> Result<Box<dyn Lane>>,
}

impl Size {
    fn measure(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group(format!("{} B", self.bytes));
        group.throughput(Throughput::Bytes(self.bytes as u64));
        let mut done = Vec::new();
        let subjects = self
            .comparisons
            .iter()
            .flat_map(|one| [one.ours, one.theirs]);
        for subject in subjects {
            if !done.contains(&subject.name) {
                done.push(subject.name);
                bench(&mut group, subject);
            }
        }
        group.finish();
    }
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, subject: Subject) {
    let mut running = None;
    group.bench_function(subject.name, |bencher| {
        let running = running.get_or_insert_with(|| Running::start(subject).expect("it starts"));
        bencher.iter_custom(|count| {
            let seconds = running.measure(count as usize);
            Duration::from_secs_f64(seconds.expect("the sender is there"))
        });
    });
}

fn compare_all(sizes: &[Size], filter: &str) -> Result<()> {
    let mut table = Table::new();
    table.set_header([
        "bytes",
        "ours",
        "theirs",
        "ours, 1000/s",
        "theirs, 1000/s",
        "time, ours/theirs",
        "80 % of the rounds",
        "GOAL",
    ]);
    for size in sizes {
        for comparison in &size.comparisons {
            let name = |subject: Subject| format!("{} B/{}", size.bytes, subject.name);
            let is_asked = name(comparison.ours).starts_with(filter)
                || comparison.ours.name.contains(filter)
                || comparison.theirs.name.contains(filter);
            if is_asked {
                table.add_row(comparison.run(size.bytes)?);
            }
        }
    }
    println!("\n{ROUNDS} rounds, in turns\n{table}");
    Ok(())
}

impl Comparison {
    /// Lets both take turns, and returns the cells of a row.
    fn run(&self, bytes: usize) -> Result<Vec<String>> {
        let one_core = (self.cores == Cores::One).then(OneCore::enter);
        let _one_core = one_core.transpose()?;
        let mut both = [Running::start(self.ours)?, Running::start(self.theirs)?];
        let mut counts = [0; 2];
        for (running, count) in both.iter_mut().zip(&mut counts) {
            *count = running.count_for(ROUND)?;
        }
        let mut times = [const { Vec::new() }; 2];
        for round in 0..ROUNDS {
            // Whoever is first may find the caches cold, so the first changes.
            for side in [round % 2, 1 - round % 2] {
                let seconds = both[side].measure(counts[side])?;
                times[side].push(seconds / counts[side] as f64);
            }
        }
        let ratios = times[0].iter().zip(&times[1]).map(|(a, b)| a / b);
        let ratios = sorted(ratios.collect());
        let [ours, theirs] = times.map(|all| 0.001 / percentile(&sorted(all), 50));
        let ratio = percentile(&ratios, 50);
        let goal = self.goal.map_or(String::new(), |goal| {
            let word = if ratio <= goal {
                "reached"
            } else {
                "not reached"
            };
            format!("{goal:.1}: {word}")
        });
        Ok(vec![
            bytes.to_string(),
            self.ours.name.into(),
            self.theirs.name.into(),
            format!("{ours:.0}"),
            format!("{theirs:.0}"),
            format!("{ratio:.2}"),
            format!(
                "{:.2} to {:.2}",
                percentile(&ratios, 10),
                percentile(&ratios, 90)
            ),
            goal,
        ])
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// A link of one size of message: what the sender does in its process, and the receiver in this one.
trait Lane {
    fn send(&mut self, count: usize) -> Result<()>;
    fn receive(&mut self, count: usize) -> Result<()>;
}

/// A lane with its sender, a child that is told how many to send; none ends it.
struct Running {
    lane: Box<dyn Lane>,
    sender: Pid,
    orders: File,
}

impl Running {
    fn start(subject: Subject) -> Result<Self> {
        let mut lane = (subject.make)().context(subject.name)?;
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
                while listen.read_exact(&mut order).is_ok() && order != [0; 8] {
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

    /// How many messages take about that long.
    fn count_for(&mut self, seconds: f64) -> Result<usize> {
        let mut count = 16;
        loop {
            // The first time memory is made and mapped, which is done once.
            let found = self.measure(count)?.min(self.measure(count)?);
            if found >= seconds / 2.0 {
                return Ok((count as f64 * seconds / found).ceil() as usize);
            }
            count *= 2;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has gone already needs no order.
        let _ = self.orders.write_all(&[0; 8]);
        waitpid(self.sender, None).expect("it is a child");
    }
}

/// Looks at every line of the cache.
fn look_at(bytes: &[u8]) {
    let sum = bytes.iter().step_by(64).fold(0_u8, |sum, byte| sum ^ byte);
    black_box(sum);
}

/// A message, or room for one.
fn item<const N: usize>() -> Box<[u8; N]> {
    Box::new([1; N])
}

/// Streams of bytes that need no more than to be written and read.
struct Bytes<R, W, const N: usize>(R, W);

impl<R: Read, W: Write, const N: usize> Lane for Bytes<R, W, N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let item = item::<N>();
        Ok((0..count).try_for_each(|_| self.1.write_all(&item[..]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = item::<N>();
        for _ in 0..count {
            self.0.read_exact(&mut item[..])?;
            look_at(&item[..]);
        }
        Ok(())
    }
}

fn kernel_pipe(capacity: usize) -> Result<(File, File)> {
    let (reader, writer) = pipe()?;
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(capacity as i32))?;
    Ok((reader.into(), writer.into()))
}

fn raw_pipe<const N: usize>() -> Result<Box<dyn Lane>> {
    let (reader, writer) = kernel_pipe(places(N) * N)?;
    Ok(Box::new(Bytes::<_, _, N>(reader, writer)))
}

/// The end of a pipe that raises no signal if nobody reads.
struct NoSignal(File);

impl Write for NoSignal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        /// `RWF_NOSIGNAL`, since Linux 6.18.
        const NO_SIGNAL: libc::c_int = 0x100;
        const NO_OFFSET: libc::off_t = -1;
        let piece = IoSlice::new(bytes);
        // SAFETY: an `IoSlice` is an `iovec`, and it is read only.
        let written = unsafe {
            let pieces = (&raw const piece).cast();
            libc::pwritev2(self.0.as_raw_fd(), pieces, 1, NO_OFFSET, NO_SIGNAL)
        };
        Ok(Errno::result(written)? as usize)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn pipe_without_signal<const N: usize>() -> Result<Box<dyn Lane>> {
    let (mut reader, writer) = kernel_pipe(places(N) * N)?;
    let mut writer = NoSignal(writer);
    // An older kernel has to do with less. It says so only when there is something to write.
    if writer.write(b"x").is_err() {
        return Ok(Box::new(Bytes::<_, _, N>(reader, writer.0)));
    }
    reader.read_exact(&mut [0])?;
    Ok(Box::new(Bytes::<_, _, N>(reader, writer)))
}

/// A pipe whose users take turns, by a byte in a pipe that is a lock.
struct PipeInTurns<const N: usize> {
    lane: Bytes<File, File, N>,
    turns: [(File, File); 2],
    way: Way,
}

impl<const N: usize> PipeInTurns<N> {
    fn boxed(way: Way) -> Result<Box<dyn Lane>> {
        let (reader, writer) = kernel_pipe(places(N) * N)?;
        let turn = || {
            let (reader, mut writer) = kernel_pipe(ATOMIC)?;
            writer.write_all(b"x")?;
            anyhow::Ok((reader, writer))
        };
        let lane = Bytes(reader, writer);
        let turns = [turn()?, turn()?];
        Ok(Box::new(Self { lane, turns, way }))
    }

    fn send_one(&mut self, item: &[u8; N]) -> Result<()> {
        let (take, give) = &mut self.turns[0];
        take.read_exact(&mut [0])?;
        self.lane.1.write_all(item)?;
        Ok(give.write_all(b"x")?)
    }

    /// Of an item that it is given.
    #[inline(never)]
    fn send_value(&mut self, item: [u8; N]) -> Result<()> {
        self.send_one(&item)
    }

    fn receive_one(&mut self, item: &mut [u8; N]) -> Result<()> {
        let (take, give) = &mut self.turns[1];
        take.read_exact(&mut [0])?;
        self.lane.0.read_exact(item)?;
        Ok(give.write_all(b"x")?)
    }

    /// An item that it gives away.
    #[inline(never)]
    fn receive_value(&mut self) -> Result<[u8; N]> {
        let mut item = [0; N];
        self.receive_one(&mut item)?;
        Ok(item)
    }
}

impl<const N: usize> Lane for PipeInTurns<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let item = item::<N>();
        (0..count).try_for_each(|_| match self.way {
            Way::ByValue => self.send_value(*item),
            Way::ByReference => self.send_one(&item),
        })
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = item::<N>();
        for _ in 0..count {
            match self.way {
                Way::ByValue => look_at(&self.receive_value()?),
                Way::ByReference => {
                    self.receive_one(&mut item)?;
                    look_at(&item[..]);
                }
            }
        }
        Ok(())
    }
}

/// A pipe, and one back, through which each message is acknowledged.
struct Acknowledged<const N: usize>(Bytes<File, File, N>, (File, File));

impl<const N: usize> Acknowledged<N> {
    fn boxed() -> Result<Box<dyn Lane>> {
        let (reader, writer) = kernel_pipe(places(N) * N)?;
        let back = kernel_pipe(ATOMIC)?;
        Ok(Box::new(Self(Bytes(reader, writer), back)))
    }
}

impl<const N: usize> Lane for Acknowledged<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let item = item::<N>();
        for _ in 0..count {
            self.0.1.write_all(&item[..])?;
            self.1.0.read_exact(&mut [0])?;
        }
        Ok(())
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = item::<N>();
        for _ in 0..count {
            self.0.0.read_exact(&mut item[..])?;
            self.1.1.write_all(b"x")?;
            look_at(&item[..]);
        }
        Ok(())
    }
}

/// How items go in and come out.
#[derive(Clone, Copy)]
enum Way {
    ByValue,
    ByReference,
}

/// A buffer of either kind of memory, and the handle that this process has of it.
struct Over<B: Buffer + 'static + ?Sized> {
    buffer: &'static B,
    way: Way,
    sender: Option<Sender<'static, B>>,
    receiver: Option<Receiver<'static, B>>,
}

impl<const N: usize, B> Over<B>
where
    B: Buffer<Item = [u8; N]> + ?Sized,
    [u8; N]: Plain,
{
    fn boxed(buffer: &'static B, way: Way) -> Box<dyn Lane> {
        Box::new(Self {
            buffer,
            way,
            sender: None,
            receiver: None,
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
        let (sender, item) = (self.sender.as_ref().context("just made")?, item::<N>());
        match self.way {
            Way::ByValue => (0..count).try_for_each(|_| sender.send(*item).context("sending")),
            Way::ByReference => Ok((0..count).try_for_each(|_| sender.send_ref(&item))?),
        }
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        if self.receiver.is_none() {
            self.receiver = Some(self.buffer.receiver()?);
        }
        let receiver = self.receiver.as_ref().context("just made")?;
        match self.way {
            Way::ByValue => {
                for _ in 0..count {
                    look_at(&receiver.recv()?);
                }
                Ok(())
            }
            Way::ByReference => {
                let mut item = item::<N>();
                for _ in 0..count {
                    receiver.recv_into(&mut item)?;
                    look_at(&item[..]);
                }
                Ok(())
            }
        }
    }
}

/// A robust buffer whose items are filled and read where they are.
struct Loans<const N: usize>
where
    [u8; N]: Plain,
{
    buffer: &'static RobustBoundedBuffer<[u8; N], [TurnSlot<[u8; N]>]>,
    ends: Ends<N>,
}

type RobustBounded<const N: usize> = RobustBoundedBuffer<[u8; N], [TurnSlot<[u8; N]>]>;
type Ends<const N: usize> = (
    Option<Sender<'static, RobustBounded<N>>>,
    Option<Receiver<'static, RobustBounded<N>>>,
);

impl<const N: usize> Lane for Loans<N>
where
    [u8; N]: Plain,
{
    fn send(&mut self, count: usize) -> Result<()> {
        if self.ends.0.is_none() {
            self.ends.0 = Some(self.buffer.sender()?);
        }
        let sender = self.ends.0.as_ref().context("just made")?;
        for _ in 0..count {
            let mut loan = sender.loan()?;
            loan.fill(1);
            loan.send()?;
        }
        Ok(())
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        if self.ends.1.is_none() {
            self.ends.1 = Some(self.buffer.receiver()?);
        }
        let receiver = self.ends.1.as_ref().context("just made")?;
        for _ in 0..count {
            look_at(&receiver.borrow()?[..]);
        }
        Ok(())
    }
}

/// A Unix stream, of which messages are made as ours are.
struct Framed<const N: usize>(UnixStream, UnixStream);

impl<const N: usize> Lane for Framed<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let item = item::<N>();
        let length = (N as u32).to_le_bytes();
        for _ in 0..count {
            let frame = [IoSlice::new(&length), IoSlice::new(&item[..])];
            let written = self.1.write_vectored(&frame)?;
            ensure!(written >= length.len());
            self.1.write_all(&item[written - length.len()..])?;
        }
        Ok(())
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = item::<N>();
        let mut length = [0; 4];
        for _ in 0..count {
            self.0.read_exact(&mut length)?;
            let length = u32::from_le_bytes(length) as usize;
            self.0.read_exact(&mut item[..length])?;
            look_at(&item[..]);
        }
        Ok(())
    }
}

/// A seqpacket socket, as it is, or asking whether a message has a sender.
struct RawPacket<const N: usize> {
    sockets: (OwnedFd, OwnedFd),
    knows_the_end: bool,
    way: Way,
}

impl<const N: usize> RawPacket<N> {
    fn boxed(knows_the_end: bool, way: Way) -> Result<Box<dyn Lane>> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let sockets = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        if knows_the_end {
            setsockopt(&sockets.0, sockopt::PassCred, &true)?;
        }
        Ok(Box::new(Self {
            sockets,
            knows_the_end,
            way,
        }))
    }

    fn receive_one(&self, item: &mut [u8]) -> Result<()> {
        let socket = self.sockets.0.as_raw_fd();
        if self.knows_the_end {
            let mut place = [IoSliceMut::new(item)];
            let received = recvmsg::<()>(socket, &mut place, None, MsgFlags::MSG_TRUNC)?;
            ensure!(received.bytes == N && received.flags.contains(MsgFlags::MSG_CTRUNC));
        } else {
            ensure!(recv(socket, item, MsgFlags::empty())? == N);
        }
        Ok(())
    }
}

impl<const N: usize> Lane for RawPacket<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let item = item::<N>();
        let socket = self.sockets.1.as_raw_fd();
        let send = |_| send(socket, &item[..], MsgFlags::MSG_NOSIGNAL).map(drop);
        Ok((0..count).try_for_each(send)?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = vec![0; N];
        for _ in 0..count {
            if matches!(self.way, Way::ByValue) {
                item = vec![0; N];
            }
            self.receive_one(&mut item)?;
            look_at(&item);
        }
        Ok(())
    }
}

/// A link of ours, both sides.
struct OurLink<L, const N: usize> {
    sides: (L, L),
    way: Way,
}

impl<L: Link, const N: usize> Lane for OurLink<L, N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let item = item::<N>();
        Ok((0..count).try_for_each(|_| self.sides.1.send(&item[..]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut message = Vec::new();
        for _ in 0..count {
            match self.way {
                Way::ByValue => message = self.sides.0.recv()?.context("no end")?,
                Way::ByReference => drop(self.sides.0.recv_into(&mut message)?),
            }
            ensure!(message.len() == N);
            look_at(&message);
        }
        Ok(())
    }
}

/// A System V queue.
struct SysV<const N: usize>(i32);

impl<const N: usize> SysV<N> {
    fn boxed() -> Result<Box<dyn Lane>> {
        // SAFETY: it takes numbers only.
        let id = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        Ok(Box::new(Self(Errno::result(id)?)))
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
            look_at(&message.bytes);
        }
        Ok(())
    }
}

/// Our queue.
struct Queue<const N: usize>(&'static MessageQueue);

impl<const N: usize> Lane for Queue<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        let (kind, item) = (MessageType::new(1)?, item::<N>());
        Ok((0..count).try_for_each(|_| self.0.send(kind, &item[..]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        let mut item = item::<N>();
        for _ in 0..count {
            let (queue, patience) = (self.0, Patience::Forever);
            queue.receive_into(Select::First, &mut item[..], Fit::Exact, patience)?;
            look_at(&item[..]);
        }
        Ok(())
    }
}

/// Our pipe of bytes.
struct OurBytes<const N: usize> {
    pipe: &'static BytePipe<[Slot<u8>]>,
    reader: Option<ByteReader<'static, [Slot<u8>]>>,
    writer: Option<ByteWriter<'static, [Slot<u8>]>>,
}

impl<const N: usize> Lane for OurBytes<N> {
    fn send(&mut self, count: usize) -> Result<()> {
        if self.writer.is_none() {
            self.writer = Some(self.pipe.writer()?);
        }
        let (writer, item) = (self.writer.as_mut().context("just made")?, item::<N>());
        Ok((0..count).try_for_each(|_| writer.write_all(&item[..]))?)
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        if self.reader.is_none() {
            self.reader = Some(self.pipe.reader()?);
        }
        let (reader, mut item) = (self.reader.as_mut().context("just made")?, item::<N>());
        for _ in 0..count {
            reader.read_exact(&mut item[..])?;
            look_at(&item[..]);
        }
        Ok(())
    }
}

/// Our queue that grows. Its sender never waits, but comes back when there is no memory.
struct Growing<const N: usize>
where
    [u8; N]: Plain,
{
    queue: &'static UnboundedBuffer<[u8; N]>,
    name: RegionName,
    way: Way,
    sender: Option<UnboundedSender<'static, [u8; N]>>,
    receiver: Option<UnboundedReceiver<'static, [u8; N]>>,
}

impl<const N: usize> Growing<N>
where
    [u8; N]: Plain,
{
    /// With as much room as the others.
    fn of_one_segment(way: Way) -> Result<Box<dyn Lane>> {
        let growth = Growth {
            items: places(N) as u32,
            segments: 1,
        };
        Self::boxed(growth, way)
    }

    /// Its sender is the faster one, so that nearly every item goes through memory that was just made.
    fn of_many() -> Result<Box<dyn Lane>> {
        let growth = Growth {
            items: (SEGMENT / N) as u32,
            segments: 8,
        };
        Self::boxed(growth, Way::ByReference)
    }

    fn boxed(growth: Growth, way: Way) -> Result<Box<dyn Lane>> {
        let (id, segments) = (std::process::id(), growth.segments);
        let name = RegionName::posix(&format!("links-{id}-{N}-{segments}"))?;
        let queue = Box::leak(Box::new(UnboundedBuffer::create(&name, growth)?));
        Ok(Box::new(Self {
            queue,
            name,
            way,
            sender: None,
            receiver: None,
        }))
    }
}

impl<const N: usize> Lane for Growing<N>
where
    [u8; N]: Plain,
{
    fn send(&mut self, count: usize) -> Result<()> {
        if self.sender.is_none() {
            self.sender = Some(self.queue.sender()?);
        }
        let (sender, item) = (self.sender.as_ref().context("just made")?, item::<N>());
        for _ in 0..count {
            let send = || match self.way {
                Way::ByValue => sender.send(*item),
                Way::ByReference => sender.send_ref_within(&item, Patience::Forever),
            };
            while let Err(error) = send() {
                ensure!(matches!(error, GrowError::AtLimit(_)), "{error}");
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    fn receive(&mut self, count: usize) -> Result<()> {
        if self.receiver.is_none() {
            self.receiver = Some(self.queue.receiver()?);
        }
        let receiver = self.receiver.as_ref().context("just made")?;
        let mut item = item::<N>();
        for _ in 0..count {
            match self.way {
                Way::ByValue => look_at(&receiver.recv()?),
                Way::ByReference => {
                    receiver.recv_into_within(&mut item, Patience::Forever)?;
                    look_at(&item[..]);
                }
            }
        }
        Ok(())
    }
}

impl<const N: usize> Drop for Growing<N>
where
    [u8; N]: Plain,
{
    fn drop(&mut self) {
        UnboundedBuffer::<[u8; N]>::remove(&self.name).expect("it was made here");
    }
}

/// An object in shared memory, for so many messages of that many bytes each.
fn place<T: Place + ?Sized>(bytes: usize, plan: T::Plan) -> Result<&'static T> {
    let room = (2 * bytes + 512) * places(bytes) + (1 << 16);
    // Until the end of the program.
    let region = Box::leak(Box::new(Region::memfd("links", room)?));
    Ok(region.create::<T>("object", plan)?)
}

fn pipe_buffer<const N: usize>(way: Way) -> Result<Box<dyn Lane>>
where
    [u8; N]: Plain,
{
    let buffer = PipeBuffer::<[u8; N]>::with_capacity(places(N))?;
    Ok(Over::boxed(&*Box::leak(Box::new(buffer)), way))
}

/// For one sender and one receiver, which need no turns.
fn pipe_buffer_of_two<const N: usize>(way: Way) -> Result<Box<dyn Lane>>
where
    [u8; N]: Plain,
{
    let (reader, writer) = kernel_pipe(places(N) * N)?;
    let reader = Reader::reopen(reader.as_fd())?;
    let writer = Writer::reopen(writer.as_fd())?;
    let buffer = PipeBuffer::<[u8; N]>::from_ends(Some(reader), Some(writer), None);
    Ok(Over::boxed(&*Box::leak(Box::new(buffer)), way))
}

fn over_pipes<const N: usize>(comparisons: &mut Vec<Comparison>)
where
    [u8; N]: Plain,
{
    let bare = subject("pipe, bare", raw_pipe::<N>);
    let pipe = subject("pipe", pipe_without_signal::<N>);
    if N <= ATOMIC {
        let ours = subject("PipeBuffer", || pipe_buffer::<N>(Way::ByValue));
        comparisons.push(on_one_core(ours, pipe, KERNEL));
        comparisons.push(on_one_core(ours, bare, None));
        return;
    }
    let in_turns = subject("pipe, in turns", || {
        PipeInTurns::<N>::boxed(Way::ByReference)
    });
    let ours = subject("PipeBuffer", || pipe_buffer::<N>(Way::ByReference));
    comparisons.push(on_one_core(ours, in_turns, KERNEL));
    comparisons.push(on_one_core(ours, bare, None));
    let in_turns = subject("pipe, in turns, by value", || {
        PipeInTurns::<N>::boxed(Way::ByValue)
    });
    let by_value = subject("PipeBuffer, by value", || pipe_buffer::<N>(Way::ByValue));
    comparisons.push(on_one_core(by_value, in_turns, KERNEL));
    let of_two = subject("PipeBuffer of two", || {
        pipe_buffer_of_two::<N>(Way::ByReference)
    });
    comparisons.push(on_one_core(of_two, pipe, KERNEL));
}

fn over_sockets<const N: usize>(comparisons: &mut Vec<Comparison>) {
    let framed = subject("Unix stream", || {
        let (here, there) = UnixStream::pair()?;
        Ok(Box::new(Framed::<N>(here, there)))
    });
    let bare = subject("Unix stream, bare", || {
        let (here, there) = UnixStream::pair()?;
        Ok(Box::new(Bytes::<_, _, N>(here, there)))
    });
    let stream = subject("StreamLink", || our_stream::<N>(Way::ByReference));
    let stream_vec = subject("StreamLink, new Vec", || our_stream::<N>(Way::ByValue));
    comparisons.push(on_one_core(stream, framed, KERNEL));
    comparisons.push(on_one_core(stream, bare, None));
    comparisons.push(on_one_core(stream_vec, framed, KERNEL));
    let same = subject("Unix seqpacket", || {
        RawPacket::<N>::boxed(true, Way::ByReference)
    });
    let same_vec = subject("Unix seqpacket, new Vec", || {
        RawPacket::<N>::boxed(true, Way::ByValue)
    });
    let bare = subject("Unix seqpacket, bare", || {
        RawPacket::<N>::boxed(false, Way::ByReference)
    });
    let packet = subject("PacketLink", || our_packet::<N>(Way::ByReference));
    let packet_vec = subject("PacketLink, new Vec", || our_packet::<N>(Way::ByValue));
    comparisons.push(on_one_core(packet, same, KERNEL));
    comparisons.push(on_one_core(packet, bare, None));
    comparisons.push(on_one_core(packet_vec, same_vec, KERNEL));
}

fn our_stream<const N: usize>(way: Way) -> Result<Box<dyn Lane>> {
    let sides = StreamLink::pair()?;
    Ok(Box::new(OurLink::<_, N> { sides, way }))
}

fn our_packet<const N: usize>(way: Way) -> Result<Box<dyn Lane>> {
    let sides = PacketLink::seqpacket_pair()?;
    Ok(Box::new(OurLink::<_, N> { sides, way }))
}

fn subject(name: &'static str, make: fn() -> Result<Box<dyn Lane>>) -> Subject {
    Subject { name, make }
}

fn against(ours: Subject, theirs: Subject, goal: Option<f64>) -> Comparison {
    let cores = Cores::Any;
    Comparison {
        ours,
        theirs,
        goal,
        cores,
    }
}

/// Of a link over a kernel object, and the system calls.
fn on_one_core(ours: Subject, theirs: Subject, goal: Option<f64>) -> Comparison {
    let cores = Cores::One;
    Comparison {
        cores,
        ..against(ours, theirs, goal)
    }
}

fn bounded<const N: usize>(way: Way) -> Result<Box<dyn Lane>>
where
    [u8; N]: Plain,
{
    let buffer: &BoundedBuffer<[u8; N], [Slot<[u8; N]>]> = place(N, places(N))?;
    Ok(Over::boxed(buffer, way))
}

fn monitor<const N: usize>(way: Way) -> Result<Box<dyn Lane>>
where
    [u8; N]: Plain,
{
    let buffer: &MonitorBuffer<[u8; N], [Slot<[u8; N]>]> = place(N, places(N))?;
    Ok(Over::boxed(buffer, way))
}

fn robust_bounded<const N: usize>(way: Way) -> Result<Box<dyn Lane>>
where
    [u8; N]: Plain,
{
    let buffer: &RobustBounded<N> = place(N, places(N))?;
    Ok(Over::boxed(buffer, way))
}

fn robust_monitor<const N: usize>(way: Way) -> Result<Box<dyn Lane>>
where
    [u8; N]: Plain,
{
    let buffer: &RobustMonitorBuffer<[u8; N], [Slot<[u8; N]>]> = place(N, places(N))?;
    Ok(Over::boxed(buffer, way))
}

fn queue<const N: usize>() -> Result<Box<dyn Lane>> {
    let limits = QueueLimits {
        messages: places(N) as u32,
        bytes: (places(N) * N) as u32,
    };
    Ok(Box::new(Queue::<N>(place(N, limits)?)))
}

fn byte_pipe<const N: usize>() -> Result<Box<dyn Lane>> {
    let pipe = place(N, places(N) * N)?;
    let (reader, writer) = (None, None);
    Ok(Box::new(OurBytes::<N> {
        pipe,
        reader,
        writer,
    }))
}

fn in_shared_memory<const N: usize>(comparisons: &mut Vec<Comparison>)
where
    [u8; N]: Plain,
{
    let pipe = subject("pipe, bare", raw_pipe::<N>);
    let mut by_value = vec![
        subject("BoundedBuffer", || bounded::<N>(Way::ByValue)),
        subject("MonitorBuffer", || monitor::<N>(Way::ByValue)),
        subject("RobustBoundedBuffer", || robust_bounded::<N>(Way::ByValue)),
        subject("RobustMonitorBuffer", || robust_monitor::<N>(Way::ByValue)),
    ];
    if N > ATOMIC {
        by_value.extend([
            subject("BoundedBuffer, by ref", || bounded::<N>(Way::ByReference)),
            subject("MonitorBuffer, by ref", || monitor::<N>(Way::ByReference)),
            subject("RobustBoundedBuffer, by ref", || {
                robust_bounded::<N>(Way::ByReference)
            }),
            subject("RobustMonitorBuffer, by ref", || {
                robust_monitor::<N>(Way::ByReference)
            }),
            subject("UnboundedBuffer, by ref", || {
                Growing::<N>::of_one_segment(Way::ByReference)
            }),
        ]);
    }
    let loans = subject("RobustBoundedBuffer, loans", || {
        let buffer = place(N, places(N))?;
        let ends = (None, None);
        Ok(Box::new(Loans::<N> { buffer, ends }))
    });
    by_value.extend([
        loans,
        subject("MessageQueue", queue::<N>),
        subject("BytePipe", byte_pipe::<N>),
        subject("UnboundedBuffer", || {
            Growing::<N>::of_one_segment(Way::ByValue)
        }),
        subject("UnboundedBuffer, growing", Growing::<N>::of_many),
    ]);
    comparisons.extend(by_value.into_iter().map(|ours| against(ours, pipe, SHARED)));
    let rendezvous = subject("Rendezvous", || {
        let buffer: &Rendezvous<[u8; N]> = place(N, ())?;
        Ok(Over::boxed(buffer, Way::ByValue))
    });
    let acknowledged = subject("pipe and one back", Acknowledged::<N>::boxed);
    comparisons.push(against(rendezvous, acknowledged, SHARED));
    // A message of System V has 8 KiB at most.
    if N <= 8192 {
        let (ours, theirs) = (subject("MessageQueue", queue::<N>), SysV::<N>::boxed);
        comparisons.push(against(ours, subject("System V queue", theirs), None));
    }
}

fn of_size<const N: usize>() -> Result<Size>
where
    [u8; N]: Plain,
{
    let mut comparisons = Vec::new();
    over_pipes::<N>(&mut comparisons);
    over_sockets::<N>(&mut comparisons);
    in_shared_memory::<N>(&mut comparisons);
    Ok(Size {
        bytes: N,
        comparisons,
    })
}
