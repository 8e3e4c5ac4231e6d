//! Receives the numbers of `hello_sender` until that program has ended or has been killed.

use interlatch::channel::Slot;
use interlatch::{Channel, RegionName, RegionOptions, RobustMonitorBuffer};

fn main() -> anyhow::Result<()> {
    let name = RegionName::posix("hello")?;
    let region = RegionOptions::new(1 << 16).create_or_attach(&name)?;
    let queue: &RobustMonitorBuffer<u64, [Slot<u64>]> = region.create_or_attach("queue", 64)?;
    for number in queue.receiver()? {
        println!("received {}", number?);
    }
    Ok(name.remove()?)
}
