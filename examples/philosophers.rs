//! Dijkstra's dining philosophers (EWD 310, 1971), each a process, each fork a lock.
//!
//! Who takes the fork with the lower number first never waits in a circle. With `--careless` everybody takes
//! the left one first, and all of them at once: then each holds a fork and waits for the next.
//!
//! Exit status: 0 if all have eaten, 1 if not, 2 for a wrong command line.

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
    fn take(&self, fork: usize, timeout: Timeout) -> Result<RobustMutexGuard<'a, u64>> {
        let taken = self.forks[fork].lock_with(timeout);
        taken
            .or_else(RobustLockError::mark_consistent)
            .map_err(|error| anyhow::anyhow!("fork {fork}: {error}"))
    }

    fn dine(&self, me: usize, meals: u64) -> Result<()> {
        let (left, right) = (me, (me + 1) % self.forks.len());
        for _ in 0..meals {
            let mut first = self.take(left.min(right), Timeout::Infinite)?;
            let mut second = self.take(left.max(right), Timeout::Infinite)?;
            *first += 1;
            *second += 1;
        }
        Ok(())
    }

    /// All have the left fork before one of them asks for the right one. Whether this one gets it.
    fn starve(&self, me: usize) -> Result<bool> {
        let count = self.forks.len();
        let _left = self.take(me, Timeout::Infinite)?;
        self.seated.release(1)?;
        while !self.gate.acquire_with(Timeout::Infinite) {}
        let right = self.take((me + 1) % count, Timeout::after(Duration::from_millis(200)));
        Ok(right.is_ok())
    }
}

/// The status of a philosopher who has not eaten: one that was killed has another.
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

/// A child.
fn philosopher(region: &Region, arguments: &[String]) -> Result<ExitCode> {
    let [me, meals] = arguments else {
        anyhow::bail!("two arguments")
    };
    let table = Table::attach(region)?;
    let me = me.parse()?;
    let has_eaten = match meals.as_str() {
        "careless" => table.starve(me)?,
        meals => {
            table.dine(me, meals.parse()?)?;
            true
        }
    };
    if has_eaten {
        return Ok(ExitCode::SUCCESS);
    }
    let why = anyhow!("philosopher {me} waits for a fork that nobody will put down");
    print_error("philosophers", &why);
    Ok(ExitCode::from(HUNGRY))
}

fn is_well(status: ExitStatus) -> bool {
    [Some(0), Some(i32::from(HUNGRY))].contains(&status.code())
}

/// Lets all of them ask for the second fork when each has its first.
fn open_gate(table: &Table, philosophers: u32, children: &mut Children) -> Result<()> {
    const A_WHILE: Duration = Duration::from_millis(100);
    for _ in 0..philosophers {
        while !table.seated.acquire_with(Timeout::after(A_WHILE)) {
            // Who is killed has no fork, and the others would wait.
            children.wait_any(PollTimeout::ZERO, is_well)?;
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
    for me in 0..options.philosophers {
        let child = support::start(&region, &[me.to_string(), meals.clone()])?;
        children.add(format!("philosopher {me}"), child)?;
    }
    if options.careless {
        open_gate(&table, options.philosophers, &mut children)?;
    }
    let ended = children.wait_until_left(0, is_well)?;
    let hungry = ended.iter().filter(|status| !status.success()).count();
    ensure!(
        hungry == 0,
        "{hungry} of {} did not eat: each held one fork",
        options.philosophers
    );
    let used: Result<u64> = (0..table.forks.len())
        .map(|fork| Ok(*table.take(fork, Timeout::NonBlocking)?))
        .sum();
    let expected = 2 * options.meals * u64::from(options.philosophers);
    say(format_args!(
        "{} philosophers ate {} times each",
        options.philosophers, options.meals
    ))?;
    ensure!(used? == expected, "two forks a meal");
    Ok(())
}
