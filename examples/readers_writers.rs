//! Readers and writers (Courtois, Heymans, Parnas, 1971), each a process.
//!
//! Several readers may read at the same time. A writer excludes all other processes. Writers have
//! priority: while a writer waits, no new reader enters.
//!
//! Exit status: 0 if no reader saw an incomplete write, 1 if one did, 2 for an invalid command
//! line.

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
    /// Number of readers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    readers: u32,
    /// Number of writers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32))]
    writers: u32,
    /// Reads or writes of each process.
    #[arg(long, default_value_t = 20_000)]
    times: u64,
}

/// The numbers of readers and writers that are active or waiting.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, ShmType)]
struct Room {
    readers: u32,
    writers: u32,
    waiting_writers: u32,
    /// The maximum number of concurrent readers.
    max_readers: u32,
}

/// The objects that readers and writers share.
struct Page<'a> {
    room: &'a RobustMutex<Room>,
    changed: &'a Condvar,
    /// Two numbers, equal except during a write.
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

    /// Locks `room` when the condition holds. After owner death, the function returns an error,
    /// because the counts still include the dead process.
    fn lock_when(&self, condition: impl Fn(&Room) -> bool) -> Result<RobustMutexGuard<'a, Room>> {
        let to_error = |error: RobustLockError<'a, Room>| anyhow::anyhow!("{error}");
        let mut room = self.room.lock().map_err(to_error)?;
        while !condition(&room) {
            let (locked, _) = self.changed.wait_robust(room, Timeout::Infinite);
            room = locked.map_err(to_error)?;
        }
        Ok(room)
    }

    fn read(&self) -> Result<()> {
        let mut room = self.lock_when(|room| room.writers == 0 && room.waiting_writers == 0)?;
        room.readers += 1;
        room.max_readers = room.max_readers.max(room.readers);
        drop(room);
        let text = [self.text[0].get(), self.text[1].get()];
        let mut room = self.lock_when(|_| true)?;
        room.readers -= 1;
        drop(room);
        self.changed.notify_all();
        ensure!(text[0] == text[1], "read {text:?}: an incomplete write");
        Ok(())
    }

    fn write(&self) -> Result<()> {
        self.lock_when(|_| true)?.waiting_writers += 1;
        let mut room = self.lock_when(|room| room.readers == 0 && room.writers == 0)?;
        room.waiting_writers -= 1;
        room.writers += 1;
        drop(room);
        self.text.iter().for_each(RaceCell::increment);
        self.lock_when(|_| true)?.writers -= 1;
        self.changed.notify_all();
        Ok(())
    }
}

fn main() -> ExitCode {
    end("readers_writers", run())
}

fn run() -> Result<()> {
    if let Some((region, arguments)) = support::child_role()? {
        let [role, times] = arguments.as_slice() else {
            anyhow::bail!("expected ROLE TIMES")
        };
        let page = Page::attach(&region)?;
        let mut times = 0..times.parse::<u64>()?;
        return match role.as_str() {
            "read" => times.try_for_each(|_| page.read()),
            _ => times.try_for_each(|_| page.write()),
        };
    }
    let options = Options::parse();
    let region = Region::memfd("readers-writers", 4096)?;
    let page = Page::create(&region)?;
    let start = |role: &str| support::start(&region, &[role.into(), options.times.to_string()]);
    let mut children = Children::default();
    for number in 1..=options.readers {
        children.add(format!("reader {number}"), start("read")?)?;
    }
    for number in 1..=options.writers {
        children.add(format!("writer {number}"), start("write")?)?;
    }
    children.wait_until_left(0, |status| ExitStatus::success(&status))?;
    let written = u64::from(options.writers) * options.times;
    ensure!(
        page.text[0].get() == written,
        "found {} writes, expected {written}",
        page.text[0].get()
    );
    let max_readers = page.lock_when(|_| true)?.max_readers;
    say(format_args!(
        "written {written} times, read {} times",
        u64::from(options.readers) * options.times
    ))?;
    say(format_args!(
        "at most {max_readers} of {} readers at once, never together with a writer",
        options.readers
    ))
}
