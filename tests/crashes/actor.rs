//! The actors: child processes that each play one role on the objects of a region.

use super::process::inherited;
use super::{
    flow, forks, growth, leaks, libraries, lock, mailbox, mixed, names, peers, rechecks,
    rendezvous, ring, soak, stopped, sweep, waits, wakeups,
};
use interlatch::{Region, ShmSafe};
use std::process::ExitCode;

/// Runs the role of this process. The arguments are the region's descriptor and the role.
pub fn main(arguments: &[String]) -> ExitCode {
    let [descriptor, role] = arguments else {
        panic!("expected a descriptor and a role, got {arguments:?}");
    };
    let region = inherited(descriptor);
    match role.split_once(' ') {
        Some(("lock", role)) => lock::run(&region, role),
        Some(("forks", role)) => forks::run(&region, role),
        Some(("libraries", role)) => libraries::run(&region, role),
        Some(("leaks", role)) => leaks::run(&region, role),
        Some(("sweep", role)) => sweep::run(&region, role),
        Some(("peers", role)) => peers::run(&region, role),
        Some(("flow", role)) => flow::run(&region, role),
        Some(("mailbox", role)) => mailbox::run(&region, role),
        Some(("growth", role)) => growth::run(&region, role),
        Some(("names", role)) => names::run(&region, role),
        Some(("rechecks", role)) => rechecks::run(&region, role),
        Some(("ring", role)) => ring::run(&region, role),
        Some(("rendezvous", role)) => rendezvous::run(&region, role),
        Some(("soak", role)) => soak::run(&region, role),
        Some(("mixed", role)) => mixed::run(&region, role),
        Some(("stopped", role)) => stopped::run(&region, role),
        Some(("waits", role)) => waits::run(&region, role),
        Some(("wakeups", role)) => wakeups::run(&region, role),
        _ => panic!("unknown role {role:?}"),
    }
    ExitCode::SUCCESS
}

/// Attaches to the object of this name. The first process creates the object.
pub fn find<'a, T: ShmSafe>(region: &'a Region, name: &str) -> &'a T {
    region
        .create_or_attach(name, ())
        .expect("the region has room")
}

/// Sends a line of text from this actor to the parent.
pub fn report(word: &str) {
    println!("{word}");
}

/// Waits for a command from the parent. Exits if the parent has ended.
pub fn await_command() -> String {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(0) | Err(_) => std::process::exit(0),
        Ok(_) => line.trim_end().to_owned(),
    }
}
