//! `named_receive NAME` receives the readings that `named_send NAME` sends, and then removes the
//! region.
//!
//! If both programs were killed, `named_receive NAME --remove` removes the region.

use anyhow::{bail, ensure};
use interlatch::channel::Slot;
use interlatch::{Channel, RegionName, RegionOptions, RobustMonitorBuffer, ShmType};
use std::io::{Write, stdout};
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
struct Reading {
    number: u64,
    value: f64,
}

type Readings = RobustMonitorBuffer<Reading, [Slot<Reading>]>;
const CAPACITY: usize = 256;
const COUNT: u64 = 1_000_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [name] => receive(&RegionName::posix(name)?),
        [name, option] if option == "--remove" => Ok(RegionName::posix(name)?.remove()?),
        _ => bail!("expected NAME, or NAME --remove"),
    }
}

fn receive(name: &RegionName) -> anyhow::Result<()> {
    let region = RegionOptions::new(1 << 16).create_or_attach(name)?;
    let readings: &Readings = region.create_or_attach("readings", CAPACITY)?;
    let (mut count, mut sum) = (0, 0.0);
    for reading in readings.receiver()? {
        let Reading { number, value } = reading?;
        count += 1;
        ensure!(number == count, "reading {number}: expected {count}");
        sum += value;
    }
    name.remove()?;
    writeln!(stdout(), "received {count} readings, sum {sum}")?;
    ensure!(count == COUNT, "the sender ended before its last reading");
    Ok(())
}
