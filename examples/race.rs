//! The race of every course on concurrency: a counter that several increment.
//!
//! Without the lock it usually ends wrong, with it always right, in processes as in threads.
//!
//! Exit status: 0 if the locked counts are right, 1 if not, 2 for a wrong command line.

#[path = "support/children.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod children;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
mod support;

use anyhow::{Context, Result, ensure};
use children::Children;
use clap::Parser;
use interlatch::sync::RawMutex;
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::{Region, Semaphore};
use interlatch_check::RaceCell;
use output::{end, say};
use std::process::{ExitCode, ExitStatus};

/// Lets several workers increment one counter, without and with a lock.
#[derive(Debug, Parser)]
struct Options {
    /// How many workers increment the counter.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// How often each of them does.
    #[arg(long, default_value_t = 2_000_000)]
    increments: u64,
}

/// What the workers share.
struct Shared<'a> {
    gate: &'a Semaphore,
    lock: &'a RawMutex,
    counter: &'a RaceCell,
}

impl<'a> Shared<'a> {
    fn create(region: &'a Region) -> Result<Self> {
        Ok(Self {
            gate: region.create("gate", ())?,
            lock: region.create("lock", ())?,
            counter: region.create("counter", ())?,
        })
    }

    fn attach(region: &'a Region) -> Result<Self> {
        Ok(Self {
            gate: region.attach("gate")?,
            lock: region.attach("lock")?,
            counter: region.attach("counter")?,
        })
    }

    /// Waits until all are there, then increments.
    fn work(&self, increments: u64, locked: bool) {
        while !self.gate.acquire_with(Timeout::Infinite) {}
        for _ in 0..increments {
            let _held = locked.then(|| self.lock.lock());
            // Reads and writes in two steps, and without the lock somebody comes between.
            self.counter.increment();
        }
    }
}

const CHECKER: &str = r#"
The checker needs no luck: of the counter without a lock it says "data race" at the
first execution, of the lock "exhaustive": no order of two processes breaks it.
  RUSTFLAGS="--cfg loom" cargo test --release --test models -- \
    broken/counter_without_a_lock mutex/excludes/2"#;

fn main() -> ExitCode {
    end("race", run())
}

fn run() -> Result<()> {
    if let Some((region, arguments)) = support::child_role()? {
        let [increments, locked] = arguments.as_slice() else {
            anyhow::bail!("two arguments")
        };
        Shared::attach(&region)?.work(increments.parse()?, locked.parse()?);
        return Ok(());
    }
    let options = Options::parse();
    let expected = u64::from(options.workers)
        .checked_mul(options.increments)
        .context("more increments than can be counted")?;
    say(format_args!(
        "{:<10} {:<8} {:>12} {:>12}",
        "workers", "lock", "expected", "counted"
    ))?;
    let mut right = true;
    for locked in [false, true] {
        for (world, count) in [
            ("processes", in_processes(&options, locked)?),
            ("threads", in_threads(&options, locked)?),
        ] {
            say(format_args!(
                "{world:<10} {:<8} {expected:>12} {count:>12}  {}",
                if locked { "with" } else { "without" },
                comment(locked, count == expected)
            ))?;
            right &= !locked || count == expected;
        }
    }
    say(CHECKER)?;
    ensure!(right, "the lock did not keep the workers apart");
    Ok(())
}

fn comment(locked: bool, right: bool) -> &'static str {
    match (locked, right) {
        (true, true) => "right",
        (true, false) => "WRONG, and must not be",
        (false, true) => "right, by luck: try more increments",
        (false, false) => "wrong",
    }
}

fn in_threads(options: &Options, locked: bool) -> Result<u64> {
    let region = Region::anonymous(4096)?;
    let shared = Shared::create(&region)?;
    std::thread::scope(|scope| {
        for _ in 0..options.workers {
            scope.spawn(|| shared.work(options.increments, locked));
        }
        shared.gate.release(options.workers)
    })?;
    Ok(shared.counter.get())
}

fn in_processes(options: &Options, locked: bool) -> Result<u64> {
    let region = Region::memfd("race", 4096)?;
    let shared = Shared::create(&region)?;
    let role = [options.increments.to_string(), locked.to_string()];
    let mut workers = Children::default();
    for number in 1..=options.workers {
        let worker = support::start(&region, &role)?;
        workers.add(format!("worker {number}"), worker)?;
    }
    shared.gate.release(options.workers)?;
    workers.wait_until_left(0, |status| ExitStatus::success(&status))?;
    Ok(shared.counter.get())
}
