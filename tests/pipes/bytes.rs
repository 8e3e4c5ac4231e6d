//! The pipe in shared memory when a process that uses it is killed at any moment.

use super::ends::reply;
use super::harness::Test;
use super::process::{Actor, TIMEOUT, inherited};
use super::random;
use interlatch::channel::{SendTimeoutError, Slot};
use interlatch::sync::Timeout;
use interlatch::{BytePipe, Channel, Region};
use nix::sys::signal::Signal;
use std::time::Instant;

type Bytes = BytePipe<[Slot<u8>]>;

/// The number of bytes of a write. The capacity is not a multiple of this number, so some writes
/// wrap around the end of the pipe's memory.
const WRITE: usize = 100;
const CAPACITY: usize = 1009;
const ROUNDS: usize = 30;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "writes_of_killed_writer_are_intact_and_the_stream_ends",
            writes_of_killed_writer_are_intact_and_the_stream_ends,
        ),
        Test::new(
            "writer_observes_death_of_last_byte_reader",
            writer_observes_death_of_last_byte_reader,
        ),
        Test::new(
            "killed_reader_leaves_the_rest_to_others",
            killed_reader_leaves_the_rest_to_others,
        ),
    ]
}

fn region() -> Region {
    Region::memfd("bytes", 1 << 14).expect("memory is available")
}

fn start_actor(region: &Region, role: &str) -> Actor {
    let mut actor = Actor::start(region, &["bytes".into(), role.into()]);
    assert_eq!(reply(&mut actor), "ready");
    actor
}

/// Writes or reads in an actor until it is killed.
pub fn run(descriptor: &str, role: &str) {
    let region = inherited(descriptor);
    let bytes: &Bytes = region.attach("bytes").expect("the driver creates the pipe");
    match role {
        "write" => {
            let writer = bytes.sender().expect("an endpoint is free");
            println!("ready");
            for number in 0.. {
                let piece = [number as u8; WRITE];
                let written = writer.write_with(&piece, Timeout::Infinite);
                assert_eq!(written, Ok(WRITE), "a small write is complete");
            }
        }
        _ => {
            let reader = bytes.receiver().expect("an endpoint is free");
            println!("ready");
            while reader.read_with(&mut [0; 70], Timeout::Infinite) != Ok(0) {}
        }
    }
}

/// Reads until the end of the stream, and kills the writer after `enough` bytes.
fn read_until_killed(bytes: &Bytes, writer: &Actor, enough: usize) -> Vec<u8> {
    let reader = bytes.receiver().expect("an endpoint is free");
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

fn writes_of_killed_writer_are_intact_and_the_stream_ends() {
    let seed = random::seed();
    fastrand::seed(seed);
    for round in 0..ROUNDS {
        let region = region();
        let bytes: &Bytes = region
            .create("bytes", CAPACITY)
            .expect("the region has room");
        let writer = start_actor(&region, "write");
        let all = read_until_killed(bytes, &writer, fastrand::usize(..20_000));
        let (pieces, rest) = all.as_chunks::<WRITE>();
        assert!(
            rest.is_empty(),
            "seed {seed}, round {round}: a partial write {rest:?}"
        );
        for (number, piece) in pieces.iter().enumerate() {
            assert_eq!(*piece, [number as u8; WRITE], "seed {seed}, round {round}");
        }
        assert!(
            bytes.sender().is_err(),
            "the end of the stream is permanent"
        );
    }
}

/// Writes at most `max` bytes, and kills the reader half-way.
fn write_until_killed(
    bytes: &Bytes,
    reader: &Actor,
    max: usize,
) -> Result<usize, SendTimeoutError<()>> {
    let writer = bytes.sender().expect("an endpoint is free");
    let mut total = 0;
    while total < max {
        if total == max / 2 {
            reader.signal(Signal::SIGKILL);
        }
        total += writer.write_timeout(&[7; 10], TIMEOUT)?;
    }
    Ok(total)
}

fn writer_observes_death_of_last_byte_reader() {
    for _ in 0..ROUNDS {
        let region = region();
        let bytes: &Bytes = region
            .create("bytes", CAPACITY)
            .expect("the region has room");
        let reader = start_actor(&region, "read");
        let result = write_until_killed(bytes, &reader, 20_000);
        assert_eq!(result, Err(SendTimeoutError::Disconnected(())));
        assert!(bytes.receiver().is_err(), "the pipe stays broken");
    }
}

/// Bytes written after the reader's death follow the bytes that the dead reader did not read.
fn killed_reader_leaves_the_rest_to_others() {
    for _ in 0..ROUNDS {
        let region = region();
        let bytes: &Bytes = region
            .create("bytes", CAPACITY)
            .expect("the region has room");
        let dying = start_actor(&region, "read");
        let other = bytes.receiver().expect("an endpoint is free");
        let writer = bytes.sender().expect("an endpoint is free");
        assert_eq!(writer.try_write(&[7; 500]), Ok(500));
        dying.signal(Signal::SIGKILL);
        let ended = dying.end(Instant::now() + TIMEOUT);
        assert!(ended.is_err(), "the reader was killed");
        assert_eq!(
            writer.try_write(&[8; 500]),
            Ok(500),
            "the pipe has room for all bytes"
        );
        drop(writer);
        let (mut rest, mut buffer) = (Vec::new(), [0; 64]);
        while let Ok(count @ 1..) = other.read_timeout(&mut buffer, TIMEOUT) {
            rest.extend_from_slice(&buffer[..count]);
            assert!(rest.len() <= 1_000, "more bytes than were written");
        }
        let before = rest.iter().take_while(|byte| **byte == 7).count();
        assert!(before <= 500, "{before} bytes of the first 500");
        assert_eq!(rest[before..], [8; 500]);
    }
}
