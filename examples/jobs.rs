//! A jobserver like that of make: runs a command for each line of the input, several at a time.
//!
//! The limit includes the jobs that the commands start. The permits are bytes in a pipe that all
//! processes inherit and that `MAKEFLAGS` names. A `make` or another `jobs` among the commands
//! therefore takes its permits from this pipe. If a `make` starts this program, the program takes
//! its permits from that `make`, through a pipe or, since make 4.4, through a named pipe. Make
//! passes a pipe only to rules that begin with `+`.
//!
//! Exit status: 0 if all commands succeeded, 1 if not, 2 for an invalid command line.

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
use output::{end, print_error};
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
    /// Number of parallel jobs if no jobserver is inherited. The default is 2, or 1 if `MAKEFLAGS`
    /// names an inaccessible jobserver.
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: Option<u32>,
    /// The command and its arguments before the line.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// The pipe's permits. In addition, every program has one implicit permit.
struct Jobserver {
    permits: PipeSemaphore,
    /// The `MAKEFLAGS` of the children.
    flags: OsString,
}

impl Jobserver {
    /// Creates a jobserver and adds it to the flags of the children.
    fn new(jobs: u32, flags: &OsStr) -> Result<Self> {
        let permits = PipeSemaphore::new(jobs - 1)?;
        let (reader, writer) = permits.ends();
        let (reader, writer) = (inheritable(reader.as_fd())?, inheritable(writer.as_fd())?);
        let added = format!(" -j{jobs} --jobserver-auth={reader},{writer}");
        let flags = append_option(flags.as_bytes(), added.as_bytes());
        Ok(Self { permits, flags })
    }

    /// Opens the jobserver that the flags name, if any.
    fn from_flags(flags: &OsStr) -> Option<Result<Self>> {
        let (options, _) = split_flags(flags.as_bytes());
        let mut words = options.rsplit(|&byte| byte == b' ');
        // If `MAKEFLAGS` names several jobservers, the last option applies. Older versions of make
        // use the second option name.
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

/// Splits the options of make from the variable definitions after ` -- `. The definitions may
/// contain any text.
fn split_flags(flags: &[u8]) -> (&[u8], &[u8]) {
    let border = flags.windows(4).position(|bytes| bytes == b" -- ");
    flags.split_at(border.unwrap_or(flags.len()))
}

/// Adds an option before the variable definitions of `MAKEFLAGS`.
fn append_option(flags: &[u8], added: &[u8]) -> OsString {
    let (options, definitions) = split_flags(flags);
    OsString::from_vec([options, added, definitions].concat())
}

/// Opens the jobserver that is named by `READER,WRITER` or by `fifo:PATH`.
fn open(name: &[u8]) -> Result<PipeSemaphore> {
    if let Some(path) = name.strip_prefix(b"fifo:") {
        let path = OsStr::from_bytes(path);
        let is_fifo = std::fs::metadata(path)?.file_type().is_fifo();
        ensure!(is_fifo, "{path:?} is not a named pipe");
        // Opening a named pipe for both directions does not block.
        let both = File::options().read(true).write(true).open(path)?;
        return reopen(both.as_fd(), both.as_fd());
    }
    let numbers = str::from_utf8(name)?.split_once(',');
    let (reader, writer) = numbers.context("expected two numbers")?;
    let end = |number: &str| match number.parse::<RawFd>()? {
        // SAFETY: the parent says that the descriptor is open. The program only reopens the
        // descriptor, which fails if the descriptor is closed.
        number if number >= 0 => Ok(unsafe { BorrowedFd::borrow_raw(number) }),
        number => bail!("invalid descriptor {number}"),
    };
    reopen(end(reader)?, end(writer)?)
}

fn reopen(reader: BorrowedFd<'_>, writer: BorrowedFd<'_>) -> Result<PipeSemaphore> {
    let (reader, writer) = (Reader::reopen(reader)?, Writer::reopen(writer)?);
    Ok(PipeSemaphore::from_ends(reader, writer))
}

fn inheritable(descriptor: BorrowedFd<'_>) -> Result<RawFd> {
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty())).context("letting children inherit")?;
    Ok(descriptor.as_raw_fd())
}

/// The running commands. The first of them needs no permit.
struct RunningJobs {
    commands: Children,
    jobserver: Jobserver,
    all_succeeded: bool,
}

impl RunningJobs {
    /// Waits until another command may run, and starts it.
    fn start(&mut self, mut command: Command) -> Result<()> {
        while !self.commands.is_empty()
            && !self.jobserver.permits.acquire_with(Timeout::NonBlocking)
        {
            // A process outside of this program may also release a permit.
            let (permits, _) = self.jobserver.permits.ends();
            let permits = Some(permits.as_fd());
            let ended = self
                .commands
                .wait_any_or_readable(permits, PollTimeout::NONE, |_| true)?;
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

    /// Waits for all commands, and releases each permit when its command ends.
    fn end(&mut self) -> Result<()> {
        while !self.commands.is_empty() {
            let ended = self.commands.wait_any(PollTimeout::NONE, |_| true)?;
            self.count(&ended)?;
        }
        Ok(())
    }

    /// Records ended commands and releases their permits. The last running command used the
    /// implicit permit, so no permit is released for it.
    fn count(&mut self, ended: &[std::process::ExitStatus]) -> Result<()> {
        self.all_succeeded &= ended.iter().all(|status| status.success());
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
    let mut running = RunningJobs {
        commands: Children::default(),
        jobserver: jobserver(options.jobs)?,
        all_succeeded: true,
    };
    let done = run_all(&options, &mut running);
    running.end()?;
    done?;
    ensure!(running.all_succeeded, "not every command succeeded");
    Ok(())
}

fn jobserver(jobs: Option<u32>) -> Result<Jobserver> {
    let flags = std::env::var_os("MAKEFLAGS").unwrap_or_default();
    match Jobserver::from_flags(&flags) {
        Some(Ok(jobserver)) => Ok(jobserver),
        Some(Err(error)) => {
            let context =
                "the jobserver in MAKEFLAGS is not accessible; a rule that shares it begins with +";
            print_error("jobs", &error.context(context));
            Jobserver::new(jobs.unwrap_or(1), &flags)
        }
        None => Jobserver::new(jobs.unwrap_or(2), &flags),
    }
}

fn run_all(options: &Options, running: &mut RunningJobs) -> Result<()> {
    // A line may contain any bytes, because an argument may contain any bytes.
    for line in std::io::stdin().lock().split(b'\n') {
        let mut command = Command::new(&options.command[0]);
        let line = OsString::from_vec(line.context("reading the input")?);
        command.args(&options.command[1..]).arg(line);
        running.start(command)?;
    }
    Ok(())
}
