//! The pipe in shared memory, with users that are killed at any moment.

use super::ends::said;
use super::harness::Test;
use super::process::{Actor, TIMEOUT, inherited};
use super::random;
use interlatch::channel::{SendTimeoutError, Slot};
use interlatch::sync::Timeout;
use interlatch::{BytePipe, Channel, Region};
use nix::sys::signal::Signal;
use std::time::Instant;

type Bytes = BytePipe<[Slot<u8>]>;

/// No divisor of the capacity, so that pieces go round the corner.
const PIECE: usize = 100;
const CAPACITY: usize = 1009;
const ROUNDS: usize = 30;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "pieces_of_a_killed_writer_are_whole_and_then_the_stream_ends",
            killed_writer,
        ),
        Test::new(
            "a_writer_hears_that_the_last_reader_of_bytes_was_killed",
            killed_reader,
        ),
        Test::new(
            "a_killed_reader_leaves_the_rest_to_another",
            rest_for_another,
        ),
    ]
}

fn region() -> Region {
    Region::memfd("bytes", 1 << 14).expect("memory")
}

fn start(region: &Region, part: &str) -> Actor {
    let mut actor = Actor::start(region, &["bytes".into(), part.into()]);
    assert_eq!(said(&mut actor), "ready");
    actor
}

/// In an actor: writes, or reads, for ever.
pub fn play(descriptor: &str, part: &str) {
    let region = inherited(descriptor);
    let bytes: &Bytes = region.attach("bytes").expect("the driver creates it");
    match part {
        "write" => {
            let writer = bytes.sender().expect("there are few");
            println!("ready");
            for number in 0.. {
                let piece = [number as u8; PIECE];
                let written = writer.write_with(&piece, Timeout::Infinite);
                assert_eq!(written, Ok(PIECE), "a small piece");
            }
        }
        _ => {
            let reader = bytes.receiver().expect("there are few");
            println!("ready");
            while reader.read_with(&mut [0; 70], Timeout::Infinite) != Ok(0) {}
        }
    }
}

/// What comes until the end of the stream; the writer is killed when there is so much.
fn read_until_killed(bytes: &Bytes, writer: &Actor, enough: usize) -> Vec<u8> {
    let reader = bytes.receiver().expect("there are few");
    let (mut all, mut buffer, mut lives) = (Vec::new(), [0; 333], true);
    loop {
        if lives && all.len() >= enough {
            writer.signal(Signal::SIGKILL);
            lives = false;
        }
        match reader.read_timeout(&mut buffer, TIMEOUT) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => panic!("{error}: {}", writer.kernel_state()),
        }
    }
}

fn killed_writer() {
    let seed = random::seed();
    fastrand::seed(seed);
    for round in 0..ROUNDS {
        let region = region();
        let bytes: &Bytes = region.create("bytes", CAPACITY).expect("room");
        let writer = start(&region, "write");
        let all = read_until_killed(bytes, &writer, fastrand::usize(..20_000));
        let (pieces, rest) = all.as_chunks::<PIECE>();
        assert!(
            rest.is_empty(),
            "seed {seed}, round {round}: {rest:?} of a piece"
        );
        for (number, piece) in pieces.iter().enumerate() {
            assert_eq!(*piece, [number as u8; PIECE], "seed {seed}, round {round}");
        }
        assert!(bytes.sender().is_err(), "the end is for good");
    }
}

/// Writes until nobody reads, or that much; the reader is killed half-way.
fn write_until_killed(
    bytes: &Bytes,
    reader: &Actor,
    most: usize,
) -> Result<usize, SendTimeoutError<()>> {
    let writer = bytes.sender().expect("there are few");
    let mut total = 0;
    while total < most {
        if total == most / 2 {
            reader.signal(Signal::SIGKILL);
        }
        total += writer.write_timeout(&[7; 10], TIMEOUT)?;
    }
    Ok(total)
}

fn killed_reader() {
    for _ in 0..ROUNDS {
        let region = region();
        let bytes: &Bytes = region.create("bytes", CAPACITY).expect("room");
        let reader = start(&region, "read");
        let stopped = write_until_killed(bytes, &reader, 20_000);
        assert_eq!(stopped, Err(SendTimeoutError::Disconnected(())));
        assert!(bytes.receiver().is_err(), "broken for good");
    }
}

/// What is written after its death is there, behind what it has not read.
fn rest_for_another() {
    for _ in 0..ROUNDS {
        let region = region();
        let bytes: &Bytes = region.create("bytes", CAPACITY).expect("room");
        let dying = start(&region, "read");
        let other = bytes.receiver().expect("there are few");
        let writer = bytes.sender().expect("there are few");
        assert_eq!(writer.try_write(&[7; 500]), Ok(500));
        dying.signal(Signal::SIGKILL);
        let ended = dying.end(Instant::now() + TIMEOUT);
        assert!(ended.is_err(), "it was killed");
        assert_eq!(
            writer.try_write(&[8; 500]),
            Ok(500),
            "there is room for all"
        );
        drop(writer);
        let (mut rest, mut buffer) = (Vec::new(), [0; 64]);
        while let Ok(count @ 1..) = other.read_timeout(&mut buffer, TIMEOUT) {
            rest.extend_from_slice(&buffer[..count]);
            assert!(rest.len() <= 1_000, "more than was written");
        }
        let before = rest.iter().take_while(|byte| **byte == 7).count();
        assert!(before <= 500, "{before} of 500");
        assert_eq!(rest[before..], [8; 500]);
    }
}
