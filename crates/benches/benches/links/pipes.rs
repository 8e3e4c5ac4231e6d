//! `PipeBuffer`, and pipes as one uses them by system calls.

use crate::{KERNEL, places};
use anyhow::Result;
use interlatch::platform::pipe::{PIPE_BUF, Reader, Writer};
use interlatch::{PipeBuffer, Pod};
use interlatch_benches::Home::Processes;
use interlatch_benches::channel::{ByReference, Bytes, Channel, Over, look_at, stream};
use interlatch_benches::{Comparison, at_most, leak};
use nix::errno::Errno;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd};

const BARE: &str = "pipe, bare, processes";
const PIPE: &str = "pipe, processes";
const IN_TURNS: &str = "pipe, in turns, processes";
const IN_TURNS_BY_VALUE: &str = "pipe, in turns, by value, processes";

pub fn compare<const N: usize>(comparison: &mut Comparison) -> Result<()>
where
    [u8; N]: Pod,
{
    comparison.undisturbed_on_one_core();
    let room = places(N) * N;
    let ours = "PipeBuffer, processes";
    comparison.versus(ours, BARE, None);
    comparison.peer(stream::<N, _>("pipe, bare", Processes, Bytes::pipe(room)?));
    comparison.peer(stream::<N, _>("pipe", Processes, NoSignal::new(room)?));
    if N <= PIPE_BUF {
        comparison.versus(ours, PIPE, at_most(KERNEL));
        comparison.ours(stream("PipeBuffer", Processes, leak(Over(of_many::<N>()?))));
        return Ok(());
    }
    comparison.versus(ours, IN_TURNS, at_most(KERNEL));
    let buffer = leak(ByReference(of_many::<N>()?));
    comparison.ours(stream("PipeBuffer", Processes, buffer));
    comparison.peer(stream(
        "pipe, in turns",
        Processes,
        InTurns::<N>::new(room)?,
    ));
    comparison.versus(
        "PipeBuffer, by value, processes",
        IN_TURNS_BY_VALUE,
        at_most(KERNEL),
    );
    let buffer = leak(Over(of_many::<N>()?));
    comparison.ours(stream("PipeBuffer, by value", Processes, buffer));
    let by_value = leak(InTurnsByValue(InTurns::<N>::new(room)?));
    comparison.peer(stream("pipe, in turns, by value", Processes, by_value));
    comparison.versus("PipeBuffer of two, processes", PIPE, at_most(KERNEL));
    let buffer = leak(ByReference(of_two::<N>()?));
    comparison.ours(stream("PipeBuffer of two", Processes, buffer));
    Ok(())
}

fn of_many<const N: usize>() -> Result<&'static PipeBuffer<[u8; N]>>
where
    [u8; N]: Pod,
{
    let buffer = PipeBuffer::with_capacity(places(N))?;
    Ok(leak(buffer))
}

/// For one sender and one receiver, which need no turns.
fn of_two<const N: usize>() -> Result<&'static PipeBuffer<[u8; N]>>
where
    [u8; N]: Pod,
{
    let pipe = Bytes::pipe(places(N) * N)?;
    let reader = Reader::reopen(pipe.receive.as_fd())?;
    let writer = Writer::reopen(pipe.send.as_fd())?;
    let buffer = PipeBuffer::from_ends(Some(reader), Some(writer), None);
    Ok(leak(buffer))
}

/// A pipe that raises no signal if nobody reads; where the kernel is too old for that, it is bare.
struct NoSignal {
    pipe: &'static Bytes,
    flags: libc::c_int,
}

impl NoSignal {
    fn new(room: usize) -> Result<&'static Self> {
        /// `RWF_NOSIGNAL`, since Linux 6.18.
        const NO_SIGNAL: libc::c_int = 0x100;
        let (pipe, flags) = (Bytes::pipe(room)?, NO_SIGNAL);
        let mut made = Self { pipe, flags };
        // The kernel says that it does not know it only when there is something to write.
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
        // SAFETY: an `IoSlice` is an `iovec`, and it is read only.
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
                let written = self.write(left).expect("the receiver stays");
                left = &left[written..];
            }
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        Channel::<N>::receiver(self.pipe)
    }
}

/// A pipe whose users take turns, by a byte in a pipe that is a lock.
struct InTurns<const N: usize> {
    pipe: &'static Bytes,
    turns: [&'static Bytes; 2],
}

impl<const N: usize> InTurns<N> {
    fn new(room: usize) -> Result<&'static Self> {
        let turns = [Bytes::pipe(0)?, Bytes::pipe(0)?];
        for turn in turns {
            (&turn.send).write_all(b"x")?;
        }
        let pipe = Bytes::pipe(room)?;
        Ok(leak(Self { pipe, turns }))
    }

    /// Has the turn of that side for a moment.
    fn in_turn(&self, side: usize, moment: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let turn = self.turns[side];
        (&turn.receive).read_exact(&mut [0])?;
        moment()?;
        (&turn.send).write_all(b"x")
    }

    fn send(&self, item: &[u8; N]) -> io::Result<()> {
        self.in_turn(0, || (&self.pipe.send).write_all(item))
    }

    fn receive(&self, item: &mut [u8; N]) -> io::Result<()> {
        self.in_turn(1, || (&self.pipe.receive).read_exact(item))
    }
}

impl<const N: usize> Channel<N> for InTurns<N> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| self.send(item).expect("the receiver stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| self.receive(item).expect("the sender stays")
    }
}

/// The same by functions that are given an item, and give one away, or say why not.
struct InTurnsByValue<const N: usize>(&'static InTurns<N>);

impl<const N: usize> InTurnsByValue<N> {
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

impl<const N: usize> Channel<N> for InTurnsByValue<N> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| self.send(*item).expect("the receiver stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| *item = self.receive().expect("the sender stays")
    }

    fn looker(&'static self) -> impl FnMut() + 'static {
        || look_at(&self.receive().expect("the sender stays"))
    }
}
