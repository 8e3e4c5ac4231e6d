//! Dijkstra's sleeping barber (1965). The barber and each customer are separate processes.
//!
//! The shop has a limited number of chairs. The barber sleeps while no customer waits. A customer
//! leaves immediately if all chairs are taken. The solution uses two semaphores and a lock.
//!
//! Exit status: 0 if each customer was shaved or turned away, 1 if not, 2 for an invalid command
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
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Region, RobustMutex, Semaphore, ShmType};
use output::{end, say};
use std::process::{ExitCode, ExitStatus};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Opens a barber's shop.
#[derive(Debug, Parser)]
struct Options {
    /// Number of chairs for waiting customers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    chairs: u32,
    /// Number of customers.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=64))]
    customers: u32,
    /// Visits of each customer.
    #[arg(long, default_value_t = 5_000)]
    visits: u64,
}

/// The numbers of customers that wait, were shaved or were turned away.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, ShmType)]
struct Board {
    waiting: u64,
    shaved: u64,
    turned_away: u64,
}

/// The objects that the barber and the customers share.
struct Shop<'a> {
    board: &'a RobustMutex<Board>,
    /// Holds a permit for each waiting customer. The barber waits for a permit.
    customers: &'a Semaphore,
    /// Holds a permit for each customer that the barber has called.
    called: &'a Semaphore,
}

impl<'a> Shop<'a> {
    fn create(region: &'a Region) -> Result<Self> {
        Ok(Self {
            board: region.create("board", ())?,
            customers: region.create("customers", ())?,
            called: region.create("called", ())?,
        })
    }

    fn attach(region: &'a Region) -> Result<Self> {
        Ok(Self {
            board: region.attach("board")?,
            customers: region.attach("customers")?,
            called: region.attach("called")?,
        })
    }

    fn board(&self) -> Result<RobustMutexGuard<'a, Board>> {
        let to_error = |error: RobustLockError<'a, Board>| anyhow::anyhow!("{error}");
        self.board.lock().map_err(to_error)
    }

    /// Visits the shop: waits for a shave, or leaves if no chair is free.
    fn visit(&self, chairs: u64) -> Result<()> {
        let mut board = self.board()?;
        if board.waiting == chairs {
            board.turned_away += 1;
            return Ok(());
        }
        board.waiting += 1;
        drop(board);
        self.customers.release(1)?;
        while !self.called.acquire_with(Timeout::Infinite) {}
        Ok(())
    }

    /// Shaves customers until a permit arrives without a waiting customer, which closes the shop.
    fn work(&self) -> Result<()> {
        loop {
            while !self.customers.acquire_with(Timeout::Infinite) {}
            let mut board = self.board()?;
            if board.waiting == 0 {
                return Ok(());
            }
            board.waiting -= 1;
            board.shaved += 1;
            drop(board);
            self.called.release(1)?;
        }
    }
}

fn main() -> ExitCode {
    end("barber", run())
}

fn run() -> Result<()> {
    if let Some((region, arguments)) = support::child_role()? {
        let shop = Shop::attach(&region)?;
        return match arguments.as_slice() {
            [] => shop.work(),
            [chairs, visits] => {
                let (chairs, visits) = (chairs.parse()?, visits.parse::<u64>()?);
                (0..visits).try_for_each(|_| shop.visit(chairs))
            }
            _ => anyhow::bail!("expected no argument, or CHAIRS VISITS"),
        };
    }
    let options = Options::parse();
    let region = Region::memfd("barber", 4096)?;
    let shop = Shop::create(&region)?;
    let mut children = Children::default();
    children.add("the barber", support::start(&region, &[])?)?;
    let words = [options.chairs.to_string(), options.visits.to_string()];
    for number in 1..=options.customers {
        let customer = support::start(&region, &words)?;
        children.add(format!("customer {number}"), customer)?;
    }
    children.wait_until_left(1, |status| ExitStatus::success(&status))?;
    // Only the barber is left: this permit closes the shop.
    shop.customers.release(1)?;
    children.wait_until_left(0, |status| ExitStatus::success(&status))?;
    let Board {
        shaved,
        turned_away,
        ..
    } = *shop.board()?;
    let visits = u64::from(options.customers) * options.visits;
    say(format_args!(
        "{visits} visits: {shaved} shaved, {turned_away} turned away"
    ))?;
    ensure!(
        shaved + turned_away == visits,
        "a customer was neither shaved nor turned away"
    );
    Ok(())
}
