//! A jobserver, as make has it: runs a command for each line of the input, and at most so many at a time, those
//! of the commands' own jobs included. The permits are bytes in a pipe that everybody inherits, named in
//! `MAKEFLAGS`, so a `make` or another `jobs` among the commands takes its permits from there.
//!
//! Exit status: 0 if all commands ended well, 1 if not, 2 for a wrong command line.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use interlatch::platform::pipe::{Reader, Writer};
use interlatch::sync::{Patience, Permits, PipeSemaphore};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::io::BufRead;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::{Child, Command, ExitCode, Stdio};

/// Runs a command for each line of the input, several at a time.
#[derive(Debug, Parser)]
struct Options {
    /// How many at a time, if no jobserver is inherited.
    #[arg(short, long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: u32,
    /// The command, and what comes before the line.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// The permits beyond the one that every program has from the start.
struct Jobserver {
    permits: PipeSemaphore,
    /// For the children.
    flags: String,
}

impl Jobserver {
    fn new(jobs: u32) -> Result<Self> {
        let permits = PipeSemaphore::new(jobs - 1)?;
        let (reader, writer) = permits.ends();
        let (reader, writer) = (inheritable(reader.as_fd())?, inheritable(writer.as_fd())?);
        let flags = format!("--jobserver-auth={reader},{writer}");
        Ok(Self { permits, flags })
    }

    /// The one that this program was started under.
    fn inherited() -> Option<Self> {
        let flags = std::env::var("MAKEFLAGS").ok()?;
        let named = flags
            .split_whitespace()
            .find_map(|word| word.strip_prefix("--jobserver-auth="))?;
        let (reader, writer) = named.split_once(',')?;
        // SAFETY: whoever started this program says that they are open. A wrong one is found out by `reopen`.
        let end = |number: RawFd| (number >= 0).then(|| unsafe { BorrowedFd::borrow_raw(number) });
        let reader = Reader::reopen(end(reader.parse().ok()?)?).ok()?;
        let writer = Writer::reopen(end(writer.parse().ok()?)?).ok()?;
        Some(Self {
            permits: PipeSemaphore::from_ends(reader, writer),
            flags,
        })
    }
}

fn inheritable(descriptor: BorrowedFd<'_>) -> Result<RawFd> {
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty())).context("letting children inherit")?;
    Ok(descriptor.as_raw_fd())
}

/// The commands that run. The first of them needs no permit.
#[derive(Default)]
struct Running(Vec<Child>);

impl Running {
    /// Waits until one more may run, and starts it.
    fn start(&mut self, jobserver: &Jobserver, mut command: Command) -> Result<bool> {
        let mut all_well = true;
        while !self.0.is_empty() && !jobserver.permits.acquire_within(Patience::Never) {
            // A permit comes back when a command of this program ends, or one of somebody else's: that is
            // asked for again then.
            all_well &= self.end_one(jobserver)?;
        }
        command
            .env("MAKEFLAGS", &jobserver.flags)
            .stdin(Stdio::null());
        let program = command.get_program().to_owned();
        let child = command.spawn();
        if child.is_err() && !self.0.is_empty() {
            jobserver.permits.release(1)?;
        }
        self.0
            .push(child.with_context(|| format!("starting {program:?}"))?);
        Ok(all_well)
    }

    /// Waits for the oldest; whether it ended well.
    fn end_one(&mut self, jobserver: &Jobserver) -> Result<bool> {
        let status = self.0.remove(0).wait().context("waiting for a command")?;
        if !self.0.is_empty() {
            jobserver.permits.release(1)?;
        }
        Ok(status.success())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jobs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::parse();
    let jobserver = match Jobserver::inherited() {
        Some(jobserver) => jobserver,
        None => Jobserver::new(options.jobs)?,
    };
    let mut running = Running::default();
    let done = run_all(&options, &jobserver, &mut running);
    let mut all_well = true;
    while !running.0.is_empty() {
        all_well &= running.end_one(&jobserver)?;
    }
    ensure!(done? && all_well, "not every command ended well");
    Ok(())
}

fn run_all(options: &Options, jobserver: &Jobserver, running: &mut Running) -> Result<bool> {
    let mut all_well = true;
    for line in std::io::stdin().lock().lines() {
        let mut command = Command::new(&options.command[0]);
        command.args(&options.command[1..]).arg(line?);
        all_well &= running.start(jobserver, command)?;
    }
    Ok(all_well)
}
