//! The actors: child processes that use the pipes.

use super::item::{Item, Large, numbered_item};
use super::{bytes, calls, fifos, limits, shared, signals};
use interlatch::Channel;
use interlatch::channel::{PipeBuffer, RecvTimeoutError};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::time::Duration;

/// Runs the role of this process. The arguments are the descriptor of a region, the role with its
/// parameters, and the descriptors of the pipe.
pub fn main(arguments: &[String]) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [descriptor, "bytes", role] => bytes::run(descriptor, role),
        [_, "send", "small", producer, count, ends] => send::<u64>(producer, count, ends),
        [_, "send", "large", producer, count, ends] => send::<Large>(producer, count, ends),
        [_, "receive", "small", ends] => receive::<u64>(ends),
        [_, "receive", "large", ends] => receive::<Large>(ends),
        [_, "fill", action, ends] => fill(action, ends),
        [_, "hold", ends] => keep_open(ends),
        [_, "forget", ends] => receive_without_closing(ends),
        [_, "interrupted", "small", call, ends] => signals::run::<u64>(call, ends),
        [_, "interrupted", "large", call, ends] => signals::run::<Large>(call, ends),
        [_, "enlarge", _ends] => calls::enlarge(),
        [_, "fifo", path, role @ .., _ends] => fifos::run(path, role),
        [_, "limit", name, _ends] => limits::run(name),
        [_, "zero", _ends] => calls::wait_with_zero_timeout(),
        other => panic!("unknown role {other:?}"),
    }
}

/// Waits for a line from the driver.
pub fn wait_for_driver() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
}

/// Sends this number of items, reports the result, and waits.
fn send<T: Item>(producer: &str, count: &str, ends: &str) {
    let buffer: PipeBuffer<T> = shared::adopt_ends(ends);
    let sender = buffer.sender().expect("the driver passed this end");
    let [producer, count] = [producer, count].map(|word| word.parse().expect("a number"));
    for sequence in 0..count {
        let sent = sender.send(T::from_number(numbered_item(producer, sequence)));
        sent.expect("a receiver is attached");
    }
    println!("sent");
    wait_for_driver();
}

/// Receives until the end of the stream, and reports the items.
fn receive<T: Item>(ends: &str) {
    let buffer: PipeBuffer<T> = shared::adopt_ends(ends);
    let receiver = buffer.receiver().expect("the driver passed this end");
    let items: Vec<String> = receiver
        .iter()
        .map(|item| item.expect("an intact item").number().to_string())
        .collect();
    println!("{}", items.join(","));
}

/// Sends until the channel is disconnected. SIGPIPE either has its default disposition, as after
/// `exec`, or is ignored, as when a Rust program starts.
fn fill(action: &str, ends: &str) {
    let handler = match action {
        "default" => SigHandler::SigDfl,
        _ => SigHandler::SigIgn,
    };
    // SAFETY: neither disposition runs code of this program.
    unsafe { signal(Signal::SIGPIPE, handler) }.expect("the disposition can be set");
    let buffer: PipeBuffer<u64> = shared::adopt_ends(ends);
    let sender = buffer.sender().expect("the driver passed this end");
    let failed = (0..).find_map(|item| sender.send(item).err());
    println!("{failed:?}");
}

/// Keeps its ends of the pipe open and does nothing.
fn keep_open(ends: &str) {
    let _buffer: PipeBuffer<u64> = shared::adopt_ends(ends);
    println!("open");
    wait_for_driver();
}

/// Receives, and keeps its own sending end open until the driver sends a line.
fn receive_without_closing(ends: &str) {
    let buffer: PipeBuffer<u64> = shared::adopt_ends(ends);
    let receiver = buffer.receiver().expect("the driver passed this end");
    println!("{:?}", receiver.recv());
    let timed_out = receiver.recv_timeout(Duration::from_millis(100));
    assert_eq!(timed_out, Err(RecvTimeoutError::Timeout));
    println!("hangs");
    wait_for_driver();
    drop(buffer.sender().expect("the inherited end"));
    println!("{:?}", receiver.recv());
}
