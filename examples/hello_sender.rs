//! Sends five numbers to `hello_receiver`. Either program may start first.

use interlatch::channel::Slot;
use interlatch::{Channel, RegionName, RegionOptions, RobustMonitorBuffer};

fn main() -> anyhow::Result<()> {
    let name = RegionName::posix("hello")?;
    let region = RegionOptions::new(1 << 16).create_or_attach(&name)?;
    let queue: &RobustMonitorBuffer<u64, [Slot<u64>]> = region.create_or_attach("queue", 64)?;
    let sender = queue.sender()?;
    for number in 1..=5 {
        sender.send(number)?;
    }
    Ok(())
}
