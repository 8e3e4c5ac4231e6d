//! Dijkstra's dining philosophers (EWD 310, 1971), each a process, each fork a lock.
//!
//! Who takes the fork with the lower number first never waits in a circle. With `--careless` everybody takes
//! the left one first, and all of them at once: then each holds a fork and waits for the next.
//!
//! Exit status: 0 if all have eaten, 1 if not, 2 for a wrong command line.

mod support;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use interlatch::sync::{Patience, Permits};
use interlatch::{Region, RobustLockError, RobustMutex, RobustMutexGuard, Semaphore};
use std::process::ExitCode;
use std::time::Duration;

/// Lets philosophers eat with two forks each.
#[derive(Debug, Parser)]
struct Options {
    /// How many sit at the table.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=24))]
    philosophers: u32,
    /// How often each of them eats.
    #[arg(long, default_value_t = 10_000)]
    meals: u64,
    /// Everybody takes the left fork first.
    #[arg(long)]
    careless: bool,
}

/// What they share: the forks, which count the meals that were eaten with them.
struct Table<'a> {
    forks: &'a [RobustMutex<u64>],
    /// One permit for each that may begin.
    gate: &'a Semaphore,
    /// One permit for each that has its first fork.
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

    /// A number is never half-changed, whoever died with the fork in hand.
    fn take(&self, fork: usize, patience: Patience) -> Result<RobustMutexGuard<'a, u64>> {
        let taken = self.forks[fork].lock_within(patience);
        taken
            .or_else(RobustLockError::mark_consistent)
            .map_err(|error| anyhow::anyhow!("fork {fork}: {error}"))
    }

    fn dine(&self, me: usize, meals: u64) -> Result<()> {
        let (left, right) = (me, (me + 1) % self.forks.len());
        for _ in 0..meals {
            let mut first = self.take(left.min(right), Patience::Forever)?;
            let mut second = self.take(left.max(right), Patience::Forever)?;
            *first += 1;
            *second += 1;
        }
        Ok(())
    }

    /// All have the left fork before one of them asks for the right one.
    fn starve(&self, me: usize) -> Result<()> {
        let count = self.forks.len();
        let _left = self.take(me, Patience::Forever)?;
        self.seated.release(1)?;
        while !self.gate.acquire_within(Patience::Forever) {}
        let right = self.take((me + 1) % count, Patience::of(Duration::from_millis(200)));
        ensure!(
            right.is_ok(),
            "philosopher {me} waits for a fork that nobody will put down"
        );
        Ok(())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("philosophers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    if let Some((region, arguments)) = support::child_role()? {
        let [me, meals] = arguments.as_slice() else {
            anyhow::bail!("two arguments")
        };
        let table = Table::attach(&region)?;
        return match meals.as_str() {
            "careless" => table.starve(me.parse()?),
            meals => table.dine(me.parse()?, meals.parse()?),
        };
    }
    let options = Options::parse();
    let region = Region::memfd("philosophers", 8192)?;
    let table = Table::create(&region, options.philosophers)?;
    let meals = match options.careless {
        true => "careless".to_owned(),
        false => options.meals.to_string(),
    };
    let children: Result<Vec<_>> = (0..options.philosophers)
        .map(|me| support::start(&region, &[me.to_string(), meals.clone()]))
        .collect();
    if options.careless {
        for _ in 0..options.philosophers {
            while !table.seated.acquire_within(Patience::Forever) {}
        }
        table.gate.release(options.philosophers)?;
    }
    let mut hungry = 0;
    for mut child in children? {
        hungry += u32::from(!child.wait().context("waiting for a philosopher")?.success());
    }
    ensure!(
        hungry == 0,
        "{hungry} of {} did not eat: each held one fork",
        options.philosophers
    );
    let used: Result<u64> = (0..table.forks.len())
        .map(|fork| Ok(*table.take(fork, Patience::Never)?))
        .sum();
    let expected = 2 * options.meals * u64::from(options.philosophers);
    println!(
        "{} philosophers ate {} times each",
        options.philosophers, options.meals
    );
    ensure!(used? == expected, "two forks a meal");
    Ok(())
}
