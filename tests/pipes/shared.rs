//! A pipe that the driver of a test shares with its actors: whoever is started inherits the ends that it is
//! given, and no other.

use super::item::Item;
use super::process::Actor;
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::{PipeSemaphore, SemaphoreLock};
use interlatch::{PipeBuffer, Region};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The pipe, and the turns of those who send, and receive, in pieces.
pub struct Shared {
    ends: Option<(Reader, Writer)>,
    turns: [PipeSemaphore; 2],
    /// Actors have one, whether they need it or not.
    region: Region,
}

/// Which ends an actor gets.
#[derive(Clone, Copy)]
pub enum Gets {
    Reader,
    Writer,
    Both,
}

impl Shared {
    /// A pipe for so many bytes at least.
    pub fn new(bytes: usize) -> Self {
        let turn = || PipeSemaphore::new(1).expect("there are descriptors");
        Self {
            ends: Some(pipe::pipe(bytes).expect("there are descriptors")),
            turns: [turn(), turn()],
            region: Region::memfd("pipes", 4096).expect("memory"),
        }
    }

    /// Starts an actor with these ends, to play this part.
    pub fn start(&self, gets: Gets, part: &[&str]) -> Actor {
        let (reader, writer) = self.ends.as_ref().expect("not closed yet");
        let mut ends = match gets {
            Gets::Reader => vec![Some(reader.as_fd()), None],
            Gets::Writer => vec![None, Some(writer.as_fd())],
            Gets::Both => vec![Some(reader.as_fd()), Some(writer.as_fd())],
        };
        for turn in &self.turns {
            let (reader, writer) = turn.ends();
            ends.extend([Some(reader), Some(writer)]);
        }
        inherit(&ends, FdFlag::empty());
        let number = |end: &Option<BorrowedFd<'_>>| match end {
            Some(end) => end.as_raw_fd().to_string(),
            None => "-".to_owned(),
        };
        let numbers: Vec<String> = ends.iter().map(number).collect();
        let part = part.iter().map(|word| (*word).to_owned());
        let words: Vec<String> = part.chain([numbers.join(",")]).collect();
        let actor = Actor::start(&self.region, &words);
        inherit(&ends, FdFlag::FD_CLOEXEC);
        actor
    }

    /// The driver has neither end any more.
    pub fn close(&mut self) {
        self.ends = None;
    }

    /// The end that is written.
    pub fn writer(&self) -> &Writer {
        &self.ends.as_ref().expect("not closed yet").1
    }

    /// The turn of those who send.
    pub fn turn(&self) -> &PipeSemaphore {
        &self.turns[0]
    }

    /// The buffer of both ends, for the use of the driver.
    pub fn keep<T: Item>(&mut self) -> PipeBuffer<T> {
        let (reader, writer) = self.ends.take().expect("not closed yet");
        let turns = [0, 1].map(|index| {
            let (reader, writer) = self.turns[index].ends();
            lock(semaphore(reader, writer))
        });
        PipeBuffer::from_ends(Some(reader), Some(writer), Some(turns))
    }
}

fn inherit(ends: &[Option<BorrowedFd<'_>>], flag: FdFlag) {
    for end in ends.iter().flatten() {
        fcntl(end, FcntlArg::F_SETFD(flag)).expect("it is open");
    }
}

fn semaphore(reader: BorrowedFd<'_>, writer: BorrowedFd<'_>) -> PipeSemaphore {
    let reader = Reader::reopen(reader).expect("a pipe");
    PipeSemaphore::from_ends(reader, Writer::reopen(writer).expect("a pipe"))
}

fn lock(semaphore: PipeSemaphore) -> SemaphoreLock<PipeSemaphore> {
    // SAFETY: the driver has put one permit into it, and nobody uses it as something else.
    unsafe { SemaphoreLock::from_semaphore(semaphore) }
}

/// In an actor: the descriptors that it has inherited. They are closed with the result.
fn inherited(numbers: &str) -> Vec<Option<OwnedFd>> {
    let inherited = |number: &str| {
        let number = number.parse().ok()?;
        // SAFETY: the driver has left it open for this process, where nothing else knows of it.
        Some(unsafe { OwnedFd::from_raw_fd(number) })
    };
    numbers.split(',').map(inherited).collect()
}

/// In an actor: the ends that it has inherited, as a buffer.
pub fn take_over<T: Item>(numbers: &str) -> PipeBuffer<T> {
    let ends = inherited(numbers);
    let end = |index: usize| ends[index].as_ref().map(AsFd::as_fd);
    let turn = |index| {
        let (reader, writer) = (end(index), end(index + 1));
        lock(semaphore(reader.expect("given"), writer.expect("given")))
    };
    PipeBuffer::from_ends(
        end(0).map(|end| Reader::reopen(end).expect("a pipe")),
        end(1).map(|end| Writer::reopen(end).expect("a pipe")),
        Some([turn(2), turn(4)]),
    )
}

/// In an actor: the turn of those who send.
pub fn take_over_turn(numbers: &str) -> PipeSemaphore {
    let ends = inherited(numbers);
    let end = |index: usize| ends[index].as_ref().expect("given").as_fd();
    semaphore(end(2), end(3))
}

/// In an actor: the end that is read, and for writing that of the turn of those who send.
pub fn take_over_duplex(numbers: &str) -> (Reader, Writer) {
    let ends = inherited(numbers);
    let end = |index: usize| ends[index].as_ref().expect("given").as_fd();
    let reader = Reader::reopen(end(0)).expect("a pipe");
    (reader, Writer::reopen(end(3)).expect("a pipe"))
}
