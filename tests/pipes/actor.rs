//! What the other processes do.

use super::item::{Item, Large, numbered};
use super::{bytes, calls, fifos, limits, shared, signals};
use interlatch::channel::RecvTimeoutError;
use interlatch::{Channel, PipeBuffer};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::time::Duration;

/// The arguments are the descriptor of a region, the part to play, and what that needs; and the descriptors
/// of the ends.
pub fn main(arguments: &[String]) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [descriptor, "bytes", part] => bytes::play(descriptor, part),
        [_, "send", "small", producer, count, ends] => send::<u64>(producer, count, ends),
        [_, "send", "large", producer, count, ends] => send::<Large>(producer, count, ends),
        [_, "receive", "small", ends] => receive::<u64>(ends),
        [_, "receive", "large", ends] => receive::<Large>(ends),
        [_, "fill", action, ends] => fill(action, ends),
        [_, "hold", ends] => lock(ends),
        [_, "forget", ends] => forget(ends),
        [_, "interrupted", "small", call, ends] => signals::play::<u64>(call, ends),
        [_, "interrupted", "large", call, ends] => signals::play::<Large>(call, ends),
        [_, "enlarge", _ends] => calls::enlarge(),
        [_, "fifo", path, part @ .., _ends] => fifos::play(path, part),
        [_, "limit", name, _ends] => limits::play(name),
        [_, "zero", _ends] => calls::wait_for_no_time(),
        other => panic!("no actor plays {other:?}"),
    }
}

/// Waits until the driver says so.
pub fn wait_for_the_driver() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
}

/// Sends so many, says so, and stays.
fn send<T: Item>(producer: &str, count: &str, ends: &str) {
    let buffer: PipeBuffer<T> = shared::take_over(ends);
    let sender = buffer.sender().expect("it was given");
    let [producer, count] = [producer, count].map(|word| word.parse().expect("a number"));
    for sequence in 0..count {
        let sent = sender.send(T::of(numbered(producer, sequence)));
        sent.expect("somebody receives");
    }
    println!("sent");
    wait_for_the_driver();
}

/// Receives to the end of the stream, and says what.
fn receive<T: Item>(ends: &str) {
    let buffer: PipeBuffer<T> = shared::take_over(ends);
    let receiver = buffer.receiver().expect("it was given");
    let items: Vec<String> = receiver
        .iter()
        .map(|item| item.expect("a whole item").number().to_string())
        .collect();
    println!("{}", items.join(","));
}

/// Sends until nobody receives any more, with SIGPIPE as it is after `exec` or as a Rust program has it.
fn fill(action: &str, ends: &str) {
    let handler = match action {
        "default" => SigHandler::SigDfl,
        _ => SigHandler::SigIgn,
    };
    // SAFETY: neither runs any code of ours.
    unsafe { signal(Signal::SIGPIPE, handler) }.expect("it can be chosen");
    let buffer: PipeBuffer<u64> = shared::take_over(ends);
    let sender = buffer.sender().expect("it was given");
    let refused = (0..).find_map(|item| sender.send(item).err());
    println!("{refused:?}");
}

/// Has both ends or one, and does nothing.
fn lock(ends: &str) {
    let _buffer: PipeBuffer<u64> = shared::take_over(ends);
    println!("holds");
    wait_for_the_driver();
}

/// Receives, and keeps its own sending end until it is told.
fn forget(ends: &str) {
    let buffer: PipeBuffer<u64> = shared::take_over(ends);
    let receiver = buffer.receiver().expect("it was given");
    println!("{:?}", receiver.recv());
    let in_vain = receiver.recv_timeout(Duration::from_millis(100));
    assert_eq!(in_vain, Err(RecvTimeoutError::Timeout));
    println!("hangs");
    wait_for_the_driver();
    drop(buffer.sender().expect("its own"));
    println!("{:?}", receiver.recv());
}
