//! The pipe in shared memory against the kernel's: the same calls, and every result compared.
//!
//! The kernel counts pages, this crate bytes. So there are two kinds of sequences. With sizes that are whole
//! pages, both are full and empty at the same time, and transfers are partial at the same places. With any sizes, no
//! more than a few pages are in the pipe at one time: the kernel may leave almost half of its pages unused then, and
//! still never be full.

use super::harness::Test;
use super::property;
use interlatch::channel::{RecvTimeoutError, Slot, TryRecvError, TrySendError};
use interlatch::platform::PipeStop;
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::{BytePipe, Channel, Receiver, Region, Sender};
use proptest::prelude::{Just, Strategy, prop_oneof};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("whole_pages_pass_as_in_the_kernels_pipe", || {
            let pages = (0..=20_usize).prop_map(|pages| pages * PAGE);
            property::check("whole pages", &calls(pages.boxed(), CAPACITY), agree);
        }),
        Test::new("a_few_bytes_pass_as_in_the_kernels_pipe", || {
            let sizes = prop_oneof![0..=40_usize, 4_090..=4_100_usize, 0..=9_000_usize];
            property::check("any sizes", &calls(sizes.boxed(), CAPACITY / 2), agree);
        }),
        Test::new(
            "the_largest_piece_is_that_of_the_kernels_pipe",
            largest_piece,
        ),
    ]
}

/// Where there is a byte less than that free, one piece waits, and a larger one goes in as far as it fits.
fn largest_piece() {
    let region = Region::memfd("pieces", 1 << 16).expect("memory");
    let pipe: &BytePipe<[Slot<u8>]> = region.create("bytes", 2 * PAGE).expect("room");
    let writer = pipe.sender().expect("the first");
    assert_eq!(writer.try_write(&[0; PAGE]), Ok(PAGE));
    assert_eq!(writer.try_write(&[0]), Ok(1));
    assert_eq!(writer.try_write(&[0; PAGE]), Err(TrySendError::Full(())));
    assert_eq!(writer.try_write(&[0; PAGE + 1]), Ok(PAGE - 1));
}

const PAGE: usize = pipe::PIPE_BUF;
const CAPACITY: usize = 16 * PAGE;

/// A call without timeout; nothing is written beyond a limit.
#[derive(Clone, Copy, Debug)]
enum Call {
    Write(usize),
    Read(usize),
    CloseWriter,
    CloseReader,
}

#[derive(Debug)]
struct Calls {
    calls: Vec<Call>,
    /// So much may be in the pipe before a write is left out.
    limit: usize,
}

fn calls(
    sizes: proptest::strategy::BoxedStrategy<usize>,
    limit: usize,
) -> impl Strategy<Value = Calls> {
    let call = prop_oneof![
        10 => sizes.clone().prop_map(Call::Write),
        10 => sizes.prop_map(Call::Read),
        1 => Just(Call::CloseWriter),
        1 => Just(Call::CloseReader),
    ];
    let calls = proptest::collection::vec(call, 1..40);
    calls.prop_map(move |calls| Calls { calls, limit })
}

/// What a call says.
#[derive(Debug, PartialEq)]
enum Outcome {
    Written(usize),
    Read(Vec<u8>),
    WouldBlock,
    Broken,
}

type Ours<'a> = (
    Option<Sender<'a, BytePipe<[Slot<u8>]>>>,
    Option<Receiver<'a, BytePipe<[Slot<u8>]>>>,
);

/// Both pipes, with their ends as far as they are open.
struct Both<'a> {
    ours: Ours<'a>,
    kernels: (Option<Writer>, Option<Reader>),
    /// The next byte that is written: each differs from its neighbours.
    next: u8,
}

fn agree(Calls { calls, limit }: Calls) -> Result<(), String> {
    let region = Region::memfd("agreement", 1 << 18).expect("memory");
    let pipe: &BytePipe<[Slot<u8>]> = region.create("bytes", CAPACITY).expect("room");
    let (reader, writer) = pipe::pipe(CAPACITY).expect("descriptors");
    if writer.capacity() != CAPACITY {
        return Err(format!(
            "a pipe of {}: expected {CAPACITY}",
            writer.capacity()
        ));
    }
    let mut both = Both {
        ours: (pipe.sender().ok(), pipe.receiver().ok()),
        kernels: (Some(writer), Some(reader)),
        next: 0,
    };
    for (index, call) in calls.into_iter().enumerate() {
        if matches!(call, Call::Write(size) if limit < CAPACITY && pipe.len() + size > limit) {
            continue;
        }
        let [ours, kernels] = both.perform(call);
        if ours != kernels {
            return Err(format!(
                "call {index}, {call:?}: {ours:?}, but the kernel: {kernels:?}"
            ));
        }
        if let Some(reader) = &both.kernels.1
            && reader.available() != pipe.len()
        {
            return Err(format!(
                "{} bytes, the kernel: {}",
                pipe.len(),
                reader.available()
            ));
        }
    }
    Ok(())
}

impl Both<'_> {
    fn perform(&mut self, call: Call) -> [Option<Outcome>; 2] {
        match call {
            Call::Write(size) => self.write(size),
            Call::Read(size) => self.read(size),
            Call::CloseWriter => {
                (self.ours.0, self.kernels.0) = (None, None);
                [None, None]
            }
            Call::CloseReader => {
                (self.ours.1, self.kernels.1) = (None, None);
                [None, None]
            }
        }
    }

    fn write(&mut self, size: usize) -> [Option<Outcome>; 2] {
        let next = self.next;
        let bytes: Vec<u8> = (0..size)
            .map(|index| next.wrapping_add(index as u8))
            .collect();
        self.next = next.wrapping_add(size as u8).wrapping_add(1);
        let ours = |writer: &Sender<'_, BytePipe<[Slot<u8>]>>| match writer.try_write(&bytes) {
            Ok(count) => Outcome::Written(count),
            Err(TrySendError::Full(())) => Outcome::WouldBlock,
            Err(TrySendError::Disconnected(())) => Outcome::Broken,
            Err(error) => panic!("{error}"),
        };
        let kernels = |writer: &Writer| match writer.write(&bytes) {
            Ok(count) => Outcome::Written(count),
            Err(stop) => of_stop(stop),
        };
        [
            self.ours.0.as_ref().map(ours),
            self.kernels.0.as_ref().map(kernels),
        ]
    }

    /// Without timeout, or with none that lasts.
    fn read(&mut self, size: usize) -> [Option<Outcome>; 2] {
        let ours = |reader: &Receiver<'_, BytePipe<[Slot<u8>]>>| {
            let mut bytes = vec![0; size];
            let read = match size % 2 {
                0 => reader.try_read(&mut bytes),
                _ => reader
                    .read_timeout(&mut bytes, Duration::ZERO)
                    .map_err(|error| match error {
                        RecvTimeoutError::Timeout => TryRecvError::Empty,
                        error => panic!("{error}"),
                    }),
            };
            match read {
                Ok(count) => Outcome::Read(bytes[..count].to_vec()),
                Err(TryRecvError::Empty) => Outcome::WouldBlock,
                Err(error) => panic!("{error}"),
            }
        };
        let kernels = |reader: &Reader| {
            let mut bytes = vec![0; size];
            let read = reader.read(&mut bytes);
            read.map_or_else(of_stop, |count| Outcome::Read(bytes[..count].to_vec()))
        };
        [
            self.ours.1.as_ref().map(ours),
            self.kernels.1.as_ref().map(kernels),
        ]
    }
}

fn of_stop(stop: PipeStop) -> Outcome {
    match stop {
        PipeStop::WouldBlock => Outcome::WouldBlock,
        PipeStop::Broken => Outcome::Broken,
        PipeStop::Failed(number) => panic!("error {number}"),
    }
}
