//! A producer starts a consumer, which inherits the descriptor of the region.

use interlatch::channel::Slot;
use interlatch::{BoundedBuffer, Channel, Region};
use std::io::{Write, stdout};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

type Queue = BoundedBuffer<u64, [Slot<u64>]>;
const CAPACITY: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1) {
        None => produce(),
        Some(descriptor) => consume(descriptor.parse()?),
    }
}

fn produce() -> Result<(), Box<dyn std::error::Error>> {
    let region = Region::memfd("example", 4096)?;
    let queue: &Queue = region.create("queue", CAPACITY)?;
    let sender = queue.sender()?;
    let descriptor = region.descriptor().ok_or("a memfd has one")?;
    let inherited = nix::unistd::dup(descriptor)?; // unlike the original, it stays open after exec
    let number = inherited.as_raw_fd().to_string();
    let mut child = Command::new(std::env::current_exe()?).arg(number).spawn()?;
    (1..=1000).try_for_each(|item| sender.send(item))?;
    sender.close(); // the consumer observes the end of the stream
    child
        .wait()?
        .success()
        .then_some(())
        .ok_or("the consumer failed".into())
}

fn consume(descriptor: i32) -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the parent passes an open descriptor, which only this process owns.
    let region = Region::from_descriptor(unsafe { OwnedFd::from_raw_fd(descriptor) })?;
    let queue: &Queue = region.attach("queue")?;
    let sum: u64 = queue.receiver()?.into_iter().sum::<Result<_, _>>()?;
    writeln!(stdout(), "received 1 to 1000, sum {sum}")?;
    (sum == 500_500)
        .then_some(())
        .ok_or("the sum is wrong".into())
}
