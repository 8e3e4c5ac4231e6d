//! `interlatch`: lists, inspects and removes regions of shared memory.
//!
//! | command | effect |
//! | --- | --- |
//! | `ls` | lists all regions: name, kind, objects, size, attached processes, age, state |
//! | `inspect NAME` | shows a region: its header, and the state of each object |
//! | `watch NAME` | shows a region repeatedly until it no longer exists |
//! | `rm NAME` | removes a region |
//! | `gc` | removes the regions that no living process has attached |
//!
//! Only `rm` and `gc` change anything. The other commands take no lock and read through
//! [`RegionView`](interlatch::inspect::RegionView), which needs only the permission to read. The
//! output escapes the contents of regions, which a hostile process may have written.
//!
//! # Names
//! | name | memory |
//! | --- | --- |
//! | `posix:NAME` or `NAME` | POSIX shared memory |
//! | `file:PATH` or a path | a mapped file |
//! | `sysv:0xKEY` | System V shared memory |
//! | `fd:PID/NUMBER` or `/proc/PID/fd/NUMBER` | memory without a name, by a descriptor |
//! | `shmid:ID` | removed System V shared memory |
//!
//! # Exit status
//! | status | meaning |
//! | --- | --- |
//! | 0 | success, also if there was nothing to list or to remove |
//! | 1 | failure: permission denied, not a region, or not removable |
//! | 2 | invalid usage |
//! | 3 | no such region; for `watch`: the region no longer exists |
//!
//! # JSON
//! With `--json`, a command prints one document; `watch` prints one document per line. The
//! structures in `report`, `state`, `channels`, `ls`, `remove` and `gc` define the fields. `null`
//! means that the value is unknown. Later versions may add fields but keep the existing fields.

mod arguments;
mod channels;
mod discovery;
mod error;
mod format;
mod gc;
mod inspect;
mod locator;
mod ls;
mod maps;
mod output;
mod processes;
mod remove;
mod report;
mod segments;
mod state;
mod target;
mod watch;

use arguments::{Arguments, Command};
use clap::Parser;
use error::CliError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    let done = match command {
        Command::Ls { directories } => ls::run(&directories, json),
        Command::Inspect { target } => inspect::run(&target, json),
        Command::Watch(arguments) => watch::run(&arguments, json),
        Command::Rm { target } => remove::run(&target, json),
        Command::Gc(arguments) => gc::run(&arguments, json),
    };
    match done {
        Ok(()) | Err(CliError::OutputClosed) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("interlatch: {error}");
            error.exit_code()
        }
    }
}
