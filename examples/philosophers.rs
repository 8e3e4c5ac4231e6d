//! Dijkstra's dining philosophers (EWD 310, 1971): each philosopher is a process, each fork a lock.
//!
//! Each philosopher locks the fork with the lower number first, so no cycle of waiters forms. With
//! `--careless`, all philosophers lock their left fork first, at the same time. Each philosopher
//! then holds one fork and waits for the next fork, which is a deadlock.
//!
//! Exit status: 0 if all have eaten, 1 if not, 2 for an invalid command line.

#[path = "support/children.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod children;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
mod support;

use anyhow::{Result, anyhow, ensure};
use children::Children;
use clap::Parser;
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Region, RobustMutex, Semaphore};
use nix::poll::PollTimeout;
use output::{end, print_error, say};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

/// Lets philosophers eat with two forks each.
#[derive(Debug, Parser)]
struct Options {
    /// Number of philosophers.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=24))]
    philosophers: u32,
    /// Meals of each philosopher.
    #[arg(long, default_value_t = 10_000)]
    meals: u64,
    /// Let all philosophers take the left fork first.
    #[arg(long)]
    careless: bool,
}

/// The objects that the philosophers share. Each fork counts the meals eaten with it.
struct Table<'a> {
    forks: &'a [RobustMutex<u64>],
    /// Holds a permit for each philosopher that may take the second fork.
    gate: &'a Semaphore,
    /// Holds a permit for each philosopher that holds its first fork.
    seated: &'a Semaphore,
}

impl<'a> Table<'a> {
    fn create(region: &'a Region, philosophers: u32) -> Result<Self> {
        Ok(Self {
            forks: region.create("forks", philosophers as usize)?,
            gate: region.create("gate", ())?,
            seated: region.create("seated", ())?,
        })
    }

    fn attach(region: &'a Region) -> Result<Self> {
        Ok(Self {
            forks: region.attach("forks")?,
            gate: region.attach("gate")?,
            seated: region.attach("seated")?,
        })
    }

    /// Locks a fork. After owner death the count is still consistent, because a single store
    /// changes it.
    fn lock_fork(&self, fork: usize, timeout: Timeout) -> Result<RobustMutexGuard<'a, u64>> {
        let locked = self.forks[fork].lock_with(timeout);
        locked
            .or_else(RobustLockError::mark_consistent)
            .map_err(|error| anyhow::anyhow!("fork {fork}: {error}"))
    }

    fn dine(&self, seat: usize, meals: u64) -> Result<()> {
        let (left, right) = (seat, (seat + 1) % self.forks.len());
        for _ in 0..meals {
            let mut first = self.lock_fork(left.min(right), Timeout::Infinite)?;
            let mut second = self.lock_fork(left.max(right), Timeout::Infinite)?;
            *first += 1;
            *second += 1;
        }
        Ok(())
    }

    /// Takes the left fork, waits until all philosophers hold their left fork, and returns whether
    /// the right fork is free.
    fn starve(&self, seat: usize) -> Result<bool> {
        let count = self.forks.len();
        let _left = self.lock_fork(seat, Timeout::Infinite)?;
        self.seated.release(1)?;
        while !self.gate.acquire_with(Timeout::Infinite) {}
        let right = self.lock_fork(
            (seat + 1) % count,
            Timeout::after(Duration::from_millis(200)),
        );
        Ok(right.is_ok())
    }
}

/// The exit status of a philosopher that could not eat.
const HUNGRY: u8 = 3;

fn main() -> ExitCode {
    match support::child_role() {
        Ok(None) => end("philosophers", run()),
        Ok(Some((region, arguments))) => philosopher(&region, &arguments).unwrap_or_else(|error| {
            print_error("philosophers", &error);
            ExitCode::FAILURE
        }),
        Err(error) => end("philosophers", Err(error)),
    }
}

/// Runs a philosopher in a child.
fn philosopher(region: &Region, arguments: &[String]) -> Result<ExitCode> {
    let [seat, meals] = arguments else {
        anyhow::bail!("expected SEAT MEALS")
    };
    let table = Table::attach(region)?;
    let seat = seat.parse()?;
    let has_eaten = match meals.as_str() {
        "careless" => table.starve(seat)?,
        meals => {
            table.dine(seat, meals.parse()?)?;
            true
        }
    };
    if has_eaten {
        return Ok(ExitCode::SUCCESS);
    }
    let error = anyhow!("philosopher {seat} waits for a fork in a deadlock");
    print_error("philosophers", &error);
    Ok(ExitCode::from(HUNGRY))
}

fn is_expected(status: ExitStatus) -> bool {
    [Some(0), Some(i32::from(HUNGRY))].contains(&status.code())
}

/// Waits until each philosopher holds its first fork, then lets all of them take the second fork.
fn open_gate(table: &Table, philosophers: u32, children: &mut Children) -> Result<()> {
    const INTERVAL: Duration = Duration::from_millis(100);
    for _ in 0..philosophers {
        while !table.seated.acquire_with(Timeout::after(INTERVAL)) {
            // A killed philosopher never takes a fork: check for it, or this loop would not end.
            children.wait_any(PollTimeout::ZERO, is_expected)?;
        }
    }
    Ok(table.gate.release(philosophers)?)
}

fn run() -> Result<()> {
    let options = Options::parse();
    let region = Region::memfd("philosophers", 8192)?;
    let table = Table::create(&region, options.philosophers)?;
    let meals = match options.careless {
        true => "careless".to_owned(),
        false => options.meals.to_string(),
    };
    let mut children = Children::default();
    for seat in 0..options.philosophers {
        let child = support::start(&region, &[seat.to_string(), meals.clone()])?;
        children.add(format!("philosopher {seat}"), child)?;
    }
    if options.careless {
        open_gate(&table, options.philosophers, &mut children)?;
    }
    let ended = children.wait_until_left(0, is_expected)?;
    let hungry = ended.iter().filter(|status| !status.success()).count();
    ensure!(
        hungry == 0,
        "{hungry} of {} did not eat: each held one fork",
        options.philosophers
    );
    let used: Result<u64> = (0..table.forks.len())
        .map(|fork| Ok(*table.lock_fork(fork, Timeout::NonBlocking)?))
        .sum();
    let expected = 2 * options.meals * u64::from(options.philosophers);
    say(format_args!(
        "{} philosophers ate {} times each",
        options.philosophers, options.meals
    ))?;
    ensure!(used? == expected, "each meal counts for two forks");
    Ok(())
}
