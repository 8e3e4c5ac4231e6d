//! `interlatch`: the regions of a machine, and what is in them.
//!
//! | command | what it does |
//! | --- | --- |
//! | `ls` | every region: name, kind, objects, size, who has it attached, age, state |
//! | `inspect NAME` | one region: its header, and what each object is now |
//! | `watch NAME` | the same again and again, until the region is gone |
//! | `rm NAME` | removes a region |
//! | `gc` | removes the regions that no living process has attached |
//!
//! It only looks, but for `rm` and `gc`: it takes no lock, and reads through
//! [`RegionView`](interlatch::inspect::RegionView), which needs no permission to write. What it prints of a
//! region is escaped: a hostile peer may have written it.
//!
//! # Names
//! `posix:NAME` or a bare word; `file:PATH` or what has a slash; `sysv:0xKEY`; of memory without a name,
//! `fd:PID/NUMBER` or `/proc/PID/fd/NUMBER`, and `shmid:ID` for System V memory that was removed.
//!
//! # Exit status
//! | status | meaning |
//! | --- | --- |
//! | 0 | done, also if there was nothing to list or to remove |
//! | 1 | it failed: not permitted, not a region, not to be removed |
//! | 2 | wrong usage |
//! | 3 | there is no such region, or, for `watch`, not any more |
//!
//! # JSON
//! With `--json`, one document goes to standard output; of `watch`, one on each line. The fields are those
//! of the structures in `report` and, of `gc`, in `gc`; `null` is what is not known. New ones may come,
//! and those that are there stay.

mod arguments;
mod failure;
mod find;
mod gc;
mod inspect;
mod ls;
mod maps;
mod output;
mod places;
mod processes;
mod queues;
mod remove;
mod report;
mod segments;
mod state;
mod target;
mod text;
mod watch;

use arguments::{Arguments, Command};
use clap::Parser;
use failure::Failure;
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
        Ok(()) | Err(Failure::NobodyReads) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("interlatch: {failure}");
            failure.exit_code()
        }
    }
}
