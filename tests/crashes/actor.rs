//! The other processes: each plays one part on the objects of its region.

use super::process::inherited;
use super::{
    flow, growth, lock, mailbox, mixed, names, peers, rendezvous, ring, soak, sweep, wakeups,
};
use interlatch::{Region, ShmSafe};
use std::process::ExitCode;

/// The arguments are the descriptor of the region, and the part.
pub fn main(arguments: &[String]) -> ExitCode {
    let [descriptor, part] = arguments else {
        panic!("a descriptor and a part, not {arguments:?}");
    };
    let region = inherited(descriptor);
    match part.split_once(' ') {
        Some(("lock", part)) => lock::play(&region, part),
        Some(("sweep", part)) => sweep::play(&region, part),
        Some(("peers", part)) => peers::play(&region, part),
        Some(("flow", part)) => flow::play(&region, part),
        Some(("mailbox", part)) => mailbox::play(&region, part),
        Some(("growth", part)) => growth::play(&region, part),
        Some(("names", part)) => names::play(&region, part),
        Some(("ring", part)) => ring::play(&region, part),
        Some(("rendezvous", part)) => rendezvous::play(&region, part),
        Some(("soak", part)) => soak::play(&region, part),
        Some(("mixed", part)) => mixed::play(&region, part),
        Some(("wakeups", part)) => wakeups::play(&region, part),
        _ => panic!("no actor plays {part:?}"),
    }
    ExitCode::SUCCESS
}

/// The object of this name: whoever comes first creates it.
pub fn find<'a, T: ShmSafe>(region: &'a Region, name: &str) -> &'a T {
    region.create_or_attach(name, ()).expect("room")
}

/// Says a word to the parent.
pub fn say(word: &str) {
    println!("{word}");
}

/// Waits for a word of the parent; the end, if it has gone.
pub fn hear() -> String {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(0) | Err(_) => std::process::exit(0),
        Ok(_) => line.trim_end().to_owned(),
    }
}
