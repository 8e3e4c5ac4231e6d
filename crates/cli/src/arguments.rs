//! The command line.

use crate::target::Target;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "\
Names:
  posix:NAME or NAME           POSIX shared memory
  file:PATH or a path          a mapped file
  sysv:0xKEY                   System V shared memory
  fd:PID/NUMBER                memory without a name, by a descriptor of a process;
                               /proc/PID/fd/NUMBER is the same
  shmid:ID                     removed System V shared memory

Exit status:
  0  success, also if there was nothing to list or to remove
  1  failure: permission denied, not a region, or not removable
  2  invalid usage
  3  no such region; for watch: the region no longer exists";

/// Lists, inspects and removes regions of shared memory with their locks, semaphores and channels.
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
    /// List all regions.
    ///
    /// Searches /dev/shm, the System V segments, and the memory that processes have mapped.
    #[command(after_help = AFTER_HELP)]
    Ls {
        /// Also search the files of this directory. This option may be repeated.
        #[arg(long = "directory", value_name = "PATH")]
        directories: Vec<PathBuf>,
    },
    /// Show a region: its header and the state of each object.
    #[command(after_help = AFTER_HELP)]
    Inspect {
        /// The region.
        #[arg(value_name = "NAME")]
        target: Target,
    },
    /// Show a region repeatedly until it no longer exists.
    #[command(after_help = AFTER_HELP)]
    Watch(Watch),
    /// Remove a region. Processes that are attached to the region keep the memory.
    #[command(after_help = AFTER_HELP)]
    Rm {
        /// The region.
        #[arg(value_name = "NAME")]
        target: Target,
    },
    /// Remove the regions that no living process has attached.
    ///
    /// The command checks each region again directly before it removes the region. A process that
    /// attaches to the region between the check and the removal keeps the memory without a name.
    /// Later processes create another region.
    #[command(after_help = AFTER_HELP)]
    Gc(Collect),
}

#[derive(Debug, Args)]
pub struct Watch {
    /// The region.
    #[arg(value_name = "NAME")]
    pub target: Target,
    /// Time between two updates, such as 500ms or 2s.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// Stop after this many updates.
    #[arg(long)]
    pub count: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Collect {
    /// Consider only these regions.
    #[arg(value_name = "NAME")]
    pub targets: Vec<Target>,
    /// Consider only regions whose name, without the kind and directory, starts with this prefix.
    #[arg(long)]
    pub prefix: Option<String>,
    /// Also consider the files of this directory. This option may be repeated.
    #[arg(long = "directory", value_name = "PATH")]
    pub directories: Vec<PathBuf>,
    /// Print what would be removed, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Also remove regions that may be in use: regions of other PID namespaces if the kernel does
    /// not report their use, and regions that an inaccessible process may have attached or open.
    #[arg(long)]
    pub force: bool,
}
