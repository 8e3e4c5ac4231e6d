//! Readers and writers (Courtois, Heymans, Parnas, 1971), each a process: several may read at once, a
//! writer is alone. Writers go first: while one waits, no new reader comes in.
//!
//! Exit status: 0 if nobody read what was half-written, 1 if somebody did, 2 for a wrong command line.

#[path = "support/children.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod children;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
mod support;

use anyhow::{Result, ensure};
use children::Children;
use clap::Parser;
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Condvar, Region, RobustMutex, ShmType};
use interlatch_check::RaceCell;
use output::{end, say};
use std::process::{ExitCode, ExitStatus};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Lets readers and writers share a page.
#[derive(Debug, Parser)]
struct Options {
    /// How many read.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    readers: u32,
    /// How many write.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32))]
    writers: u32,
    /// How often each of them does.
    #[arg(long, default_value_t = 20_000)]
    times: u64,
}

/// Who is inside.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, ShmType)]
struct Room {
    readers: u32,
    writers: u32,
    waiting_writers: u32,
    /// The most readers that there were at once.
    most_readers: u32,
}

/// What they share.
struct Page<'a> {
    room: &'a RobustMutex<Room>,
    changed: &'a Condvar,
    /// Two numbers that are the same, but in the middle of writing.
    text: &'a [RaceCell],
}

impl<'a> Page<'a> {
    fn create(region: &'a Region) -> Result<Self> {
        Ok(Self {
            room: region.create("room", ())?,
            changed: region.create("changed", ())?,
            text: region.create("text", 2)?,
        })
    }

    fn attach(region: &'a Region) -> Result<Self> {
        Ok(Self {
            room: region.attach("room")?,
            changed: region.attach("changed")?,
            text: region.attach("text")?,
        })
    }

    /// Waits until the room is as wanted. Whoever died inside is still counted: then nobody goes on.
    fn until(&self, is_so: impl Fn(&Room) -> bool) -> Result<RobustMutexGuard<'a, Room>> {
        let told = |error: RobustLockError<'a, Room>| anyhow::anyhow!("{error}");
        let mut room = self.room.lock().map_err(told)?;
        while !is_so(&room) {
            let (locked, _) = self.changed.wait_robust(room, Timeout::Infinite);
            room = locked.map_err(told)?;
        }
        Ok(room)
    }

    fn read(&self) -> Result<()> {
        let mut room = self.until(|room| room.writers == 0 && room.waiting_writers == 0)?;
        room.readers += 1;
        room.most_readers = room.most_readers.max(room.readers);
        drop(room);
        let text = [self.text[0].get(), self.text[1].get()];
        let mut room = self.until(|_| true)?;
        room.readers -= 1;
        drop(room);
        self.changed.notify_all();
        ensure!(text[0] == text[1], "read {text:?}: half-written");
        Ok(())
    }

    fn write(&self) -> Result<()> {
        self.until(|_| true)?.waiting_writers += 1;
        let mut room = self.until(|room| room.readers == 0 && room.writers == 0)?;
        room.waiting_writers -= 1;
        room.writers += 1;
        drop(room);
        self.text.iter().for_each(RaceCell::increment);
        self.until(|_| true)?.writers -= 1;
        self.changed.notify_all();
        Ok(())
    }
}

fn main() -> ExitCode {
    end("readers_writers", run())
}

fn run() -> Result<()> {
    if let Some((region, arguments)) = support::child_role()? {
        let [part, times] = arguments.as_slice() else {
            anyhow::bail!("two arguments")
        };
        let page = Page::attach(&region)?;
        let mut times = 0..times.parse::<u64>()?;
        return match part.as_str() {
            "read" => times.try_for_each(|_| page.read()),
            _ => times.try_for_each(|_| page.write()),
        };
    }
    let options = Options::parse();
    let region = Region::memfd("readers-writers", 4096)?;
    let page = Page::create(&region)?;
    let start = |part: &str| support::start(&region, &[part.into(), options.times.to_string()]);
    let mut all = Children::default();
    for number in 1..=options.readers {
        all.add(format!("reader {number}"), start("read")?)?;
    }
    for number in 1..=options.writers {
        all.add(format!("writer {number}"), start("write")?)?;
    }
    all.wait_until_left(0, |status| ExitStatus::success(&status))?;
    let written = u64::from(options.writers) * options.times;
    ensure!(
        page.text[0].get() == written,
        "{} of {written} written",
        page.text[0].get()
    );
    let most = page.until(|_| true)?.most_readers;
    say(format_args!(
        "written {written} times, read {} times",
        u64::from(options.readers) * options.times
    ))?;
    say(format_args!(
        "at most {most} of {} readers at once, and never beside a writer",
        options.readers
    ))
}
