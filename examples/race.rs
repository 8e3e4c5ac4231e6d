//! A race condition: several workers increment one counter, as processes and as threads.
//!
//! Without the lock the final count is usually wrong. With the lock it is always correct.
//!
//! Exit status: 0 if the locked counts are correct, 1 if not, 2 for an invalid command line.

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
    /// Number of workers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Increments of each worker.
    #[arg(long, default_value_t = 2_000_000)]
    increments: u64,
}

/// The objects that the workers share.
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

    /// Waits for the start signal, then increments the counter.
    fn work(&self, increments: u64, locked: bool) {
        while !self.gate.acquire_with(Timeout::Infinite) {}
        for _ in 0..increments {
            let _guard = locked.then(|| self.lock.lock());
            // The increment is a read and a write. Without the lock, another worker may run between
            // them.
            self.counter.increment();
        }
    }
}

const CHECKER: &str = r#"
The checker does not depend on chance: it reports "data race" for the counter without
a lock, and "exhaustive" for the lock: no interleaving of two processes breaks it.
  RUSTFLAGS="--cfg loom" cargo test --release --test models -- \
    broken/counter_without_a_lock mutex/excludes/2"#;

fn main() -> ExitCode {
    end("race", run())
}

fn run() -> Result<()> {
    if let Some((region, arguments)) = support::child_role()? {
        let [increments, locked] = arguments.as_slice() else {
            anyhow::bail!("expected INCREMENTS LOCKED")
        };
        Shared::attach(&region)?.work(increments.parse()?, locked.parse()?);
        return Ok(());
    }
    let options = Options::parse();
    let expected = u64::from(options.workers)
        .checked_mul(options.increments)
        .context("the total number of increments overflows")?;
    say(format_args!(
        "{:<10} {:<8} {:>12} {:>12}",
        "workers", "lock", "expected", "counted"
    ))?;
    let mut is_correct = true;
    for locked in [false, true] {
        for (stage, count) in [
            ("processes", in_processes(&options, locked)?),
            ("threads", in_threads(&options, locked)?),
        ] {
            say(format_args!(
                "{stage:<10} {:<8} {expected:>12} {count:>12}  {}",
                if locked { "with" } else { "without" },
                comment(locked, count == expected)
            ))?;
            is_correct &= !locked || count == expected;
        }
    }
    say(CHECKER)?;
    ensure!(is_correct, "the lock did not exclude the workers");
    Ok(())
}

fn comment(locked: bool, is_correct: bool) -> &'static str {
    match (locked, is_correct) {
        (true, true) => "correct",
        (true, false) => "WRONG despite the lock",
        (false, true) => "correct by chance: try more increments",
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
