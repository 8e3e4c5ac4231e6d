//! Compares `PipeBuffer` with pipes that are used directly through system calls.

use crate::{KERNEL, slots};
use anyhow::Result;
use interlatch::Pod;
use interlatch::channel::PipeBuffer;
use interlatch::platform::pipe::{PIPE_BUF, Reader, Writer};
use interlatch_benches::WorkerKind::Processes;
use interlatch_benches::channel::{
    BufferChannel, BufferChannelByRef, ByteStream, Channel, stream, touch_cache_lines,
};
use interlatch_benches::{Comparison, at_most, leak};
use nix::errno::Errno;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd};

const BARE: &str = "pipe, bare, processes";
const PIPE: &str = "pipe, processes";
const LOCKED: &str = "pipe with locks, processes";
const LOCKED_BY_VALUE: &str = "pipe with locks, by value, processes";

pub fn compare<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    comparison.on_one_core_without_preemption();
    let room = slots(N) * N;
    let ours = "PipeBuffer, processes";
    comparison.versus(ours, BARE, None);
    comparison.peer(stream::<N, _>(
        "pipe, bare",
        Processes,
        ByteStream::pipe(room)?,
    ));
    comparison.peer(stream::<N, _>("pipe", Processes, NoSignal::new(room)?));
    if N <= PIPE_BUF {
        comparison.versus(ours, PIPE, at_most(KERNEL));
        comparison.ours(stream(
            "PipeBuffer",
            Processes,
            leak(BufferChannel(of_many::<N>()?)),
        ));
        return Ok(());
    }
    comparison.versus(ours, LOCKED, at_most(KERNEL));
    let buffer = leak(BufferChannelByRef(of_many::<N>()?));
    comparison.ours(stream("PipeBuffer", Processes, buffer));
    comparison.peer(stream(
        "pipe with locks",
        Processes,
        LockedPipe::<N>::new(room)?,
    ));
    comparison.versus(
        "PipeBuffer, by value, processes",
        LOCKED_BY_VALUE,
        at_most(KERNEL),
    );
    let buffer = leak(BufferChannel(of_many::<N>()?));
    comparison.ours(stream("PipeBuffer, by value", Processes, buffer));
    let by_value = leak(LockedPipeByValue(LockedPipe::<N>::new(room)?));
    comparison.peer(stream("pipe with locks, by value", Processes, by_value));
    comparison.versus(
        "PipeBuffer, one sender and receiver, processes",
        PIPE,
        at_most(KERNEL),
    );
    let buffer = leak(BufferChannelByRef(of_two::<N>()?));
    comparison.ours(stream(
        "PipeBuffer, one sender and receiver",
        Processes,
        buffer,
    ));
    Ok(())
}

fn of_many<const N: usize>() -> Result<&'static PipeBuffer<[u8; N]>>
where
    [u8; N]: Pod,
{
    let buffer = PipeBuffer::with_capacity(slots(N))?;
    Ok(leak(buffer))
}

/// Creates a buffer for one sender and one receiver, so that neither of them needs a lock.
fn of_two<const N: usize>() -> Result<&'static PipeBuffer<[u8; N]>>
where
    [u8; N]: Pod,
{
    let pipe = ByteStream::pipe(slots(N) * N)?;
    let reader = Reader::reopen(pipe.receive.as_fd())?;
    let writer = Writer::reopen(pipe.send.as_fd())?;
    let buffer = PipeBuffer::from_ends(Some(reader), Some(writer), None);
    Ok(leak(buffer))
}

/// A pipe whose writes raise no SIGPIPE. If the kernel does not support `RWF_NOSIGNAL`, this is an
/// ordinary pipe.
struct NoSignal {
    pipe: &'static ByteStream,
    flags: libc::c_int,
}

impl NoSignal {
    fn new(room: usize) -> Result<&'static Self> {
        /// The value of the flag `RWF_NOSIGNAL`, which exists since Linux 6.18.
        const NO_SIGNAL: libc::c_int = 0x100;
        let (pipe, flags) = (ByteStream::pipe(room)?, NO_SIGNAL);
        let mut made = Self { pipe, flags };
        // The test write has one byte, because an older kernel does not check the flag of an empty
        // write.
        if made.write(b"x").is_err() {
            made.flags = 0;
            made.write(b"x")?;
        }
        (&pipe.receive).read_exact(&mut [0])?;
        Ok(leak(made))
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        const NO_OFFSET: libc::off_t = -1;
        let (to, piece) = (self.pipe.send.as_raw_fd(), IoSlice::new(bytes));
        // SAFETY: an `IoSlice` has the layout of an `iovec`, and the call only reads it.
        let written =
            unsafe { libc::pwritev2(to, (&raw const piece).cast(), 1, NO_OFFSET, self.flags) };
        Ok(Errno::result(written)? as usize)
    }
}

impl<const N: usize> Channel<N> for NoSignal {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| {
            let mut left = &item[..];
            while !left.is_empty() {
                let written = self.write(left).expect("the receiver is alive");
                left = &left[written..];
            }
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        Channel::<N>::receiver(self.pipe)
    }
}

/// A pipe whose senders and receivers hold a lock during each transfer. The lock is a byte in
/// another pipe.
struct LockedPipe<const N: usize> {
    pipe: &'static ByteStream,
    turns: [&'static ByteStream; 2],
}

impl<const N: usize> LockedPipe<N> {
    fn new(room: usize) -> Result<&'static Self> {
        let turns = [ByteStream::pipe(0)?, ByteStream::pipe(0)?];
        for turn in turns {
            (&turn.send).write_all(b"x")?;
        }
        let pipe = ByteStream::pipe(room)?;
        Ok(leak(Self { pipe, turns }))
    }

    /// Calls a function while holding the lock of one side.
    fn with_lock(&self, side: usize, moment: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let turn = self.turns[side];
        (&turn.receive).read_exact(&mut [0])?;
        moment()?;
        (&turn.send).write_all(b"x")
    }

    fn send(&self, item: &[u8; N]) -> io::Result<()> {
        self.with_lock(0, || (&self.pipe.send).write_all(item))
    }

    fn receive(&self, item: &mut [u8; N]) -> io::Result<()> {
        self.with_lock(1, || (&self.pipe.receive).read_exact(item))
    }
}

impl<const N: usize> Channel<N> for LockedPipe<N> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| self.send(item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| self.receive(item).expect("the sender is alive")
    }
}

/// A [`LockedPipe`] whose functions take and return an item by value.
struct LockedPipeByValue<const N: usize>(&'static LockedPipe<N>);

impl<const N: usize> LockedPipeByValue<N> {
    #[inline(never)]
    fn send(&self, item: [u8; N]) -> io::Result<()> {
        self.0.send(&item)
    }

    #[inline(never)]
    fn receive(&self) -> io::Result<[u8; N]> {
        let mut item = [0; N];
        self.0.receive(&mut item)?;
        Ok(item)
    }
}

impl<const N: usize> Channel<N> for LockedPipeByValue<N> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| self.send(*item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| *item = self.receive().expect("the sender is alive")
    }

    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        || touch_cache_lines(&self.receive().expect("the sender is alive"))
    }
}
