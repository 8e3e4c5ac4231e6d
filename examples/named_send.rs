//! `named_send NAME` sends a million readings to `named_receive NAME`.
//!
//! Start `named_receive NAME` before or after this program, from any directory.

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
    let name = std::env::args().nth(1);
    let name = RegionName::posix(&name.unwrap_or_default())?;
    let region = RegionOptions::new(1 << 16).create_or_attach(&name)?;
    let readings: &Readings = region.create_or_attach("readings", CAPACITY)?;
    let sender = readings.sender()?;
    for number in 1..=COUNT {
        let value = number as f64 / 2.0;
        sender.send(Reading { number, value })?;
    }
    Ok(writeln!(stdout(), "sent 1 to {COUNT}")?)
}
