//! Compares the pipe in shared memory with the kernel's pipe: the same calls have the same results.
//!
//! The kernel counts pages, and this crate counts bytes. The test therefore uses two kinds of
//! sequences. With whole pages, both pipes are full and empty at the same time, and partial
//! transfers agree. With arbitrary sizes, at most a few pages are in the pipe, so the kernel pipe
//! is never full even if almost half of the bytes of its pages are unused.

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
        Test::new("whole_pages_agree_with_kernel_pipe", || {
            let pages = (0..=20_usize).prop_map(|pages| pages * PAGE);
            property::check("whole pages", &calls(pages.boxed(), CAPACITY), compare);
        }),
        Test::new("small_sizes_agree_with_kernel_pipe", || {
            let sizes = prop_oneof![0..=40_usize, 4_090..=4_100_usize, 0..=9_000_usize];
            property::check("any sizes", &calls(sizes.boxed(), CAPACITY / 2), compare);
        }),
        Test::new(
            "atomic_write_size_agrees_with_kernel_pipe",
            atomic_write_size_agrees_with_kernel_pipe,
        ),
    ]
}

/// If one byte less than a page is free, a write of one page blocks, and a larger write is partial.
fn atomic_write_size_agrees_with_kernel_pipe() {
    let region = Region::memfd("pieces", 1 << 16).expect("memory is available");
    let pipe: &BytePipe<[Slot<u8>]> = region
        .create("bytes", 2 * PAGE)
        .expect("the region has room");
    let writer = pipe.sender().expect("the endpoint is free");
    assert_eq!(writer.try_write(&[0; PAGE]), Ok(PAGE));
    assert_eq!(writer.try_write(&[0]), Ok(1));
    assert_eq!(writer.try_write(&[0; PAGE]), Err(TrySendError::Full(())));
    assert_eq!(writer.try_write(&[0; PAGE + 1]), Ok(PAGE - 1));
}

const PAGE: usize = pipe::PIPE_BUF;
const CAPACITY: usize = 16 * PAGE;

/// A non-blocking call.
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
    /// The maximum number of bytes in the pipe. The test skips a write that would exceed this
    /// number.
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

/// The result of a call.
#[derive(Debug, PartialEq)]
enum Outcome {
    Written(usize),
    Read(Vec<u8>),
    WouldBlock,
    Broken,
}

type Endpoints<'a> = (
    Option<Sender<'a, BytePipe<[Slot<u8>]>>>,
    Option<Receiver<'a, BytePipe<[Slot<u8>]>>>,
);

/// Both pipes, with their open endpoints.
struct BothPipes<'a> {
    interlatch: Endpoints<'a>,
    kernel: (Option<Writer>, Option<Reader>),
    /// The next byte to write. Adjacent bytes differ.
    next: u8,
}

fn compare(Calls { calls, limit }: Calls) -> Result<(), String> {
    let region = Region::memfd("agreement", 1 << 18).expect("memory is available");
    let pipe: &BytePipe<[Slot<u8>]> = region
        .create("bytes", CAPACITY)
        .expect("the region has room");
    let (reader, writer) = pipe::pipe(CAPACITY).expect("descriptors");
    if writer.capacity() != CAPACITY {
        return Err(format!(
            "the kernel pipe holds {} bytes, expected {CAPACITY}",
            writer.capacity()
        ));
    }
    let mut pipes = BothPipes {
        interlatch: (pipe.sender().ok(), pipe.receiver().ok()),
        kernel: (Some(writer), Some(reader)),
        next: 0,
    };
    for (index, call) in calls.into_iter().enumerate() {
        if matches!(call, Call::Write(size) if limit < CAPACITY && pipe.len() + size > limit) {
            continue;
        }
        let [interlatch, kernel] = pipes.perform(call);
        if interlatch != kernel {
            return Err(format!(
                "call {index}, {call:?}: {interlatch:?}, but the kernel: {kernel:?}"
            ));
        }
        if let Some(reader) = &pipes.kernel.1
            && reader.available() != pipe.len()
        {
            return Err(format!(
                "interlatch has {} bytes, the kernel {}",
                pipe.len(),
                reader.available()
            ));
        }
    }
    Ok(())
}

impl BothPipes<'_> {
    fn perform(&mut self, call: Call) -> [Option<Outcome>; 2] {
        match call {
            Call::Write(size) => self.write(size),
            Call::Read(size) => self.read(size),
            Call::CloseWriter => {
                (self.interlatch.0, self.kernel.0) = (None, None);
                [None, None]
            }
            Call::CloseReader => {
                (self.interlatch.1, self.kernel.1) = (None, None);
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
        let interlatch = |writer: &Sender<'_, BytePipe<[Slot<u8>]>>| match writer.try_write(&bytes)
        {
            Ok(count) => Outcome::Written(count),
            Err(TrySendError::Full(())) => Outcome::WouldBlock,
            Err(TrySendError::Disconnected(())) => Outcome::Broken,
            Err(error) => panic!("{error}"),
        };
        let kernel = |writer: &Writer| match writer.write(&bytes) {
            Ok(count) => Outcome::Written(count),
            Err(stop) => from_stop(stop),
        };
        [
            self.interlatch.0.as_ref().map(interlatch),
            self.kernel.0.as_ref().map(kernel),
        ]
    }

    /// Reads without blocking: with `try_read` for an even size, with a zero timeout for an odd
    /// size.
    fn read(&mut self, size: usize) -> [Option<Outcome>; 2] {
        let interlatch = |reader: &Receiver<'_, BytePipe<[Slot<u8>]>>| {
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
        let kernel = |reader: &Reader| {
            let mut bytes = vec![0; size];
            let read = reader.read(&mut bytes);
            read.map_or_else(from_stop, |count| Outcome::Read(bytes[..count].to_vec()))
        };
        [
            self.interlatch.1.as_ref().map(interlatch),
            self.kernel.1.as_ref().map(kernel),
        ]
    }
}

fn from_stop(stop: PipeStop) -> Outcome {
    match stop {
        PipeStop::WouldBlock => Outcome::WouldBlock,
        PipeStop::Broken => Outcome::Broken,
        PipeStop::Failed(number) => panic!("error {number}"),
    }
}
