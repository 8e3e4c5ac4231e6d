//! A process that has a region attached, and holds what is in it, until it is killed.

use super::command::Running;
use interlatch::sync::RawMutex;
use interlatch::{RegionName, RegionOptions, RobustMutex};
use std::process::Command;

/// Says which region; this program is an actor then.
pub const VARIABLE: &str = "INTERLATCH_ACTOR_HOLDS";

/// Starts one, which holds both locks.
pub fn start(name: &RegionName) -> Running {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(VARIABLE, name.to_string());
    let running = Running::of(&mut command);
    assert_eq!(running.line(), "holds\n");
    running
}

pub fn play(name: &str) {
    let name: RegionName = name.parse().expect("a name");
    let region = RegionOptions::attach(&name).expect("the test has made it");
    let robust: &RobustMutex<u64> = region.attach("robust").expect("it is there");
    let raw: &RawMutex = region.attach("raw").expect("it is there");
    let _guard = robust.lock().expect("nobody holds it");
    raw.raw_lock();
    println!("holds");
    loop {
        std::thread::park();
    }
}
