//! A pipe that a test's driver shares with its actors. Each actor inherits only the ends that the
//! driver passes to it.

use super::item::Item;
use super::process::Actor;
use interlatch::Region;
use interlatch::channel::PipeBuffer;
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::{PipeSemaphore, SemaphoreLock};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The pipe, and the semaphores with which senders and receivers take turns when an item takes
/// several writes.
pub struct Shared {
    ends: Option<(Reader, Writer)>,
    turns: [PipeSemaphore; 2],
    /// The region of the actors. Every actor is started with a region, even if it does not use the
    /// region.
    region: Region,
}

/// The ends that an actor inherits.
#[derive(Clone, Copy)]
pub enum PassedEnds {
    Reader,
    Writer,
    Both,
}

impl Shared {
    /// Creates the shared state, with a pipe of at least this many bytes.
    pub fn new(bytes: usize) -> Self {
        let turn = || PipeSemaphore::new(1).expect("descriptors are available");
        Self {
            ends: Some(pipe::pipe(bytes).expect("descriptors are available")),
            turns: [turn(), turn()],
            region: Region::memfd("pipes", 4096).expect("memory is available"),
        }
    }

    /// Starts an actor with these ends of the pipe and this role.
    pub fn start(&self, passed: PassedEnds, role: &[&str]) -> Actor {
        let (reader, writer) = self
            .ends
            .as_ref()
            .expect("the driver has not closed its ends");
        let mut ends = match passed {
            PassedEnds::Reader => vec![Some(reader.as_fd()), None],
            PassedEnds::Writer => vec![None, Some(writer.as_fd())],
            PassedEnds::Both => vec![Some(reader.as_fd()), Some(writer.as_fd())],
        };
        for turn in &self.turns {
            let (reader, writer) = turn.ends();
            ends.extend([Some(reader), Some(writer)]);
        }
        set_flag(&ends, FdFlag::empty());
        let number = |end: &Option<BorrowedFd<'_>>| match end {
            Some(end) => end.as_raw_fd().to_string(),
            None => "-".to_owned(),
        };
        let numbers: Vec<String> = ends.iter().map(number).collect();
        let role = role.iter().map(|word| (*word).to_owned());
        let words: Vec<String> = role.chain([numbers.join(",")]).collect();
        let actor = Actor::start(&self.region, &words);
        set_flag(&ends, FdFlag::FD_CLOEXEC);
        actor
    }

    /// Closes both ends in the driver.
    pub fn close(&mut self) {
        self.ends = None;
    }

    /// Returns the writing end.
    pub fn writer(&self) -> &Writer {
        &self
            .ends
            .as_ref()
            .expect("the driver has not closed its ends")
            .1
    }

    /// Returns the semaphore of the senders.
    pub fn turn(&self) -> &PipeSemaphore {
        &self.turns[0]
    }

    /// Converts both ends into a buffer for the driver.
    pub fn take_buffer<T: Item>(&mut self) -> PipeBuffer<T> {
        let (reader, writer) = self
            .ends
            .take()
            .expect("the driver has not closed its ends");
        let turns = [0, 1].map(|index| {
            let (reader, writer) = self.turns[index].ends();
            semaphore_lock(semaphore(reader, writer))
        });
        PipeBuffer::from_ends(Some(reader), Some(writer), Some(turns))
    }
}

fn set_flag(ends: &[Option<BorrowedFd<'_>>], flag: FdFlag) {
    for end in ends.iter().flatten() {
        fcntl(end, FcntlArg::F_SETFD(flag)).expect("the descriptor is open");
    }
}

fn semaphore(reader: BorrowedFd<'_>, writer: BorrowedFd<'_>) -> PipeSemaphore {
    let reader = Reader::reopen(reader).expect("a pipe");
    PipeSemaphore::from_ends(reader, Writer::reopen(writer).expect("a pipe"))
}

fn semaphore_lock(semaphore: PipeSemaphore) -> SemaphoreLock<PipeSemaphore> {
    // SAFETY: the driver has put one permit into the semaphore, and every process uses the
    // semaphore as a lock.
    unsafe { SemaphoreLock::from_semaphore(semaphore) }
}

/// Takes ownership of the descriptors that an actor has inherited. Dropping the result closes them.
fn adopt_descriptors(numbers: &str) -> Vec<Option<OwnedFd>> {
    let adopt_descriptors = |number: &str| {
        let number = number.parse().ok()?;
        // SAFETY: the driver has left the descriptor open for this process, and only this call
        // takes ownership of the descriptor.
        Some(unsafe { OwnedFd::from_raw_fd(number) })
    };
    numbers.split(',').map(adopt_descriptors).collect()
}

/// Returns a buffer made from the ends that an actor has inherited.
pub fn adopt_ends<T: Item>(numbers: &str) -> PipeBuffer<T> {
    let ends = adopt_descriptors(numbers);
    let end = |index: usize| ends[index].as_ref().map(AsFd::as_fd);
    let turn = |index| {
        let (reader, writer) = (end(index), end(index + 1));
        semaphore_lock(semaphore(
            reader.expect("the driver passed this end"),
            writer.expect("the driver passed this end"),
        ))
    };
    PipeBuffer::from_ends(
        end(0).map(|end| Reader::reopen(end).expect("a pipe")),
        end(1).map(|end| Writer::reopen(end).expect("a pipe")),
        Some([turn(2), turn(4)]),
    )
}

/// Returns the semaphore of the senders that an actor has inherited.
pub fn adopt_send_turn(numbers: &str) -> PipeSemaphore {
    let ends = adopt_descriptors(numbers);
    let end = |index: usize| {
        ends[index]
            .as_ref()
            .expect("the driver passed this end")
            .as_fd()
    };
    semaphore(end(2), end(3))
}

/// Returns two ends that an actor has inherited: the reading end, and the writing end of the
/// senders' semaphore.
pub fn adopt_duplex(numbers: &str) -> (Reader, Writer) {
    let ends = adopt_descriptors(numbers);
    let end = |index: usize| {
        ends[index]
            .as_ref()
            .expect("the driver passed this end")
            .as_fd()
    };
    let reader = Reader::reopen(end(0)).expect("a pipe");
    (reader, Writer::reopen(end(3)).expect("a pipe"))
}
