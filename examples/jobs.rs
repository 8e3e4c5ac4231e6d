//! A jobserver, as make has it: runs a command for each line of the input, and at most so many at a time, those
//! of the commands' own jobs included. The permits are bytes in a pipe that everybody inherits, named in
//! `MAKEFLAGS`, so a `make` or another `jobs` among the commands takes its permits from there; and this program
//! those of a `make` that it is started by, from a pipe or, as of make 4.4, from a named one. Make passes a pipe on
//! only to rules that begin with `+`.
//!
//! Exit status: 0 if all commands ended well, 1 if not, 2 for a wrong command line.

#[path = "support/children.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod children;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;

use anyhow::{Context, Result, bail, ensure};
use children::Children;
use clap::Parser;
use interlatch::platform::pipe::{Reader, Writer};
use interlatch::sync::{PipeSemaphore, RawSemaphore, Timeout};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::PollTimeout;
use output::{complain, end};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::BufRead;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, ExitCode, Stdio};

/// Runs a command for each line of the input, several at a time.
#[derive(Debug, Parser)]
struct Options {
    /// How many at a time, if no jobserver is inherited. Without this 2, or 1 if `MAKEFLAGS` names one that is not
    /// there.
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: Option<u32>,
    /// The command, and what comes before the line.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// The permits beyond the one that every program has from the start.
struct Jobserver {
    permits: PipeSemaphore,
    /// For the children.
    flags: OsString,
}

impl Jobserver {
    /// One for the children, which the flags of this process name then as well.
    fn new(jobs: u32, flags: &OsStr) -> Result<Self> {
        let permits = PipeSemaphore::new(jobs - 1)?;
        let (reader, writer) = permits.ends();
        let (reader, writer) = (inheritable(reader.as_fd())?, inheritable(writer.as_fd())?);
        let added = format!(" -j{jobs} --jobserver-auth={reader},{writer}");
        let flags = with(flags.as_bytes(), added.as_bytes());
        Ok(Self { permits, flags })
    }

    /// The one that these flags name, if they name one.
    fn named(flags: &OsStr) -> Option<Result<Self>> {
        let (options, _) = options_and_definitions(flags.as_bytes());
        let mut words = options.rsplit(|&byte| byte == b' ');
        // The last one counts. Older ones of make call it otherwise.
        let name = words.find_map(|word| {
            let name = word.strip_prefix(b"--jobserver-auth=");
            name.or_else(|| word.strip_prefix(b"--jobserver-fds="))
        })?;
        Some(open(name).map(|permits| Self {
            permits,
            flags: flags.to_owned(),
        }))
    }
}

/// What make was told, and what comes behind ` -- `: definitions of variables, which may hold anything.
fn options_and_definitions(flags: &[u8]) -> (&[u8], &[u8]) {
    let border = flags.windows(4).position(|bytes| bytes == b" -- ");
    flags.split_at(border.unwrap_or(flags.len()))
}

/// Adds to what make was told.
fn with(flags: &[u8], added: &[u8]) -> OsString {
    let (options, definitions) = options_and_definitions(flags);
    OsString::from_vec([options, added, definitions].concat())
}

/// `READER,WRITER` or `fifo:PATH`.
fn open(name: &[u8]) -> Result<PipeSemaphore> {
    if let Some(path) = name.strip_prefix(b"fifo:") {
        let path = OsStr::from_bytes(path);
        let is_fifo = std::fs::metadata(path)?.file_type().is_fifo();
        ensure!(is_fifo, "{path:?} is no named pipe");
        // For both at once it opens without waiting for anybody.
        let both = File::options().read(true).write(true).open(path)?;
        return ends(both.as_fd(), both.as_fd());
    }
    let numbers = str::from_utf8(name)?.split_once(',');
    let (reader, writer) = numbers.context("expected two numbers")?;
    let end = |number: &str| match number.parse::<RawFd>()? {
        // SAFETY: whoever has started this program says that it is open. One that is not is found out when it is opened
        // once more, and nothing else is done with it.
        number if number >= 0 => Ok(unsafe { BorrowedFd::borrow_raw(number) }),
        number => bail!("the descriptor {number}"),
    };
    ends(end(reader)?, end(writer)?)
}

fn ends(reader: BorrowedFd<'_>, writer: BorrowedFd<'_>) -> Result<PipeSemaphore> {
    let (reader, writer) = (Reader::reopen(reader)?, Writer::reopen(writer)?);
    Ok(PipeSemaphore::from_ends(reader, writer))
}

fn inheritable(descriptor: BorrowedFd<'_>) -> Result<RawFd> {
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty())).context("letting children inherit")?;
    Ok(descriptor.as_raw_fd())
}

/// The commands that run. The first of them needs no permit.
struct Running {
    commands: Children,
    jobserver: Jobserver,
    all_well: bool,
}

impl Running {
    /// Waits until one more may run, and starts it.
    fn start(&mut self, mut command: Command) -> Result<()> {
        while !self.commands.is_empty()
            && !self.jobserver.permits.acquire_with(Timeout::NonBlocking)
        {
            // Or one of somebody else's has ended, who gives its permit back.
            let (permits, _) = self.jobserver.permits.ends();
            let permits = Some(permits.as_fd());
            let ended = self
                .commands
                .look_beside(permits, PollTimeout::NONE, |_| true)?;
            self.count(&ended)?;
        }
        command
            .env("MAKEFLAGS", &self.jobserver.flags)
            .stdin(Stdio::null());
        let child = command.spawn();
        if child.is_err() && !self.commands.is_empty() {
            self.jobserver.permits.release(1)?;
        }
        let program = command.get_program();
        let child = child.with_context(|| format!("starting {program:?}"))?;
        self.commands.add(program.to_string_lossy(), child)
    }

    /// Waits for all, whoever ends first; each permit comes back at once.
    fn end(&mut self) -> Result<()> {
        while !self.commands.is_empty() {
            let ended = self.commands.look(PollTimeout::NONE, |_| true)?;
            self.count(&ended)?;
        }
        Ok(())
    }

    /// Takes note of how some have ended. The last one of all had no permit.
    fn count(&mut self, ended: &[std::process::ExitStatus]) -> Result<()> {
        self.all_well &= ended.iter().all(|status| status.success());
        let without = usize::from(self.commands.is_empty());
        let permits = ended.len().saturating_sub(without);
        Ok(self.jobserver.permits.release(permits as u32)?)
    }
}

fn main() -> ExitCode {
    end("jobs", run())
}

fn run() -> Result<()> {
    let options = Options::parse();
    let mut running = Running {
        commands: Children::default(),
        jobserver: jobserver(options.jobs)?,
        all_well: true,
    };
    let done = run_all(&options, &mut running);
    running.end()?;
    done?;
    ensure!(running.all_well, "not every command ended well");
    Ok(())
}

fn jobserver(jobs: Option<u32>) -> Result<Jobserver> {
    let flags = std::env::var_os("MAKEFLAGS").unwrap_or_default();
    match Jobserver::named(&flags) {
        Some(Ok(jobserver)) => Ok(jobserver),
        Some(Err(error)) => {
            let told =
                "the jobserver of MAKEFLAGS is not there: a rule that shares it begins with +";
            complain("jobs", &error.context(told));
            Jobserver::new(jobs.unwrap_or(1), &flags)
        }
        None => Jobserver::new(jobs.unwrap_or(2), &flags),
    }
}

fn run_all(options: &Options, running: &mut Running) -> Result<()> {
    // A line may be any bytes but a zero, as an argument may.
    for line in std::io::stdin().lock().split(b'\n') {
        let mut command = Command::new(&options.command[0]);
        let line = OsString::from_vec(line.context("reading the input")?);
        command.args(&options.command[1..]).arg(line);
        running.start(command)?;
    }
    Ok(())
}
