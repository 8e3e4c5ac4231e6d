//! The command line.

use crate::target::Target;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "\
Names: posix:NAME or a bare word; file:PATH or what has a slash; sysv:0xKEY; of memory without a name,
fd:PID/NUMBER or /proc/PID/fd/NUMBER, and shmid:ID for System V memory that was removed.

Exit status:
  0  done, also if there was nothing to list or to remove
  1  it failed: not permitted, not a region, not to be removed
  2  wrong usage
  3  there is no such region, or, for watch, not any more";

/// Looks at regions of shared memory, and at the locks, semaphores and buffers in them.
#[derive(Debug, Parser)]
#[command(name = "interlatch", version, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Print JSON; watch prints one document per line.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every region.
    ///
    /// Looked for in /dev/shm, among the System V segments, and in what processes have mapped.
    #[command(after_help = AFTER_HELP)]
    Ls {
        /// Look for files there, too; may be given several times.
        #[arg(long = "directory", value_name = "PATH")]
        directories: Vec<PathBuf>,
    },
    /// Show one region: its header, and what each object is now.
    #[command(after_help = AFTER_HELP)]
    Inspect {
        /// Which region.
        #[arg(value_name = "NAME")]
        target: Target,
    },
    /// Show one region again and again, until it is gone.
    #[command(after_help = AFTER_HELP)]
    Watch(Watch),
    /// Remove a region. Who has it attached keeps it.
    #[command(after_help = AFTER_HELP)]
    Rm {
        /// Which region.
        #[arg(value_name = "NAME")]
        target: Target,
    },
    /// Remove the regions that no living process has attached.
    ///
    /// It looks again right before it removes one. Still, a process that attaches the region in the last
    /// moment keeps its memory without the name, and who comes later will make another region.
    #[command(after_help = AFTER_HELP)]
    Gc(Collect),
}

#[derive(Debug, Args)]
pub struct Watch {
    /// Which region.
    #[arg(value_name = "NAME")]
    pub target: Target,
    /// How long to wait in between, as 500ms or 2s.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// Stop after so many times.
    #[arg(long)]
    pub count: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Collect {
    /// Only these regions.
    #[arg(value_name = "NAME")]
    pub targets: Vec<Target>,
    /// Only regions whose name begins so: that after posix: or sysv:, or the last part of a path.
    #[arg(long)]
    pub prefix: Option<String>,
    /// Remove files there, too; may be given several times.
    #[arg(long = "directory", value_name = "PATH")]
    pub directories: Vec<PathBuf>,
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Also remove what may be attached: regions of others, where the kernel does not say whether they are,
    /// and what a process has open that could not be looked at.
    #[arg(long)]
    pub force: bool,
}
