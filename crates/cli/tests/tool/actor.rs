//! A process that attaches a region and holds its locks until it is killed.

use super::command::RunningTool;
use interlatch::sync::RawMutex;
use interlatch::{RegionName, RegionOptions, RobustMutex};
use std::process::Command;

/// Names the region for an actor; tests do not set it.
pub const VARIABLE: &str = "INTERLATCH_ACTOR_HOLDS";

/// Starts an actor, which holds both locks.
pub fn start(name: &RegionName) -> RunningTool {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(VARIABLE, name.to_string());
    let running = RunningTool::spawn(&mut command);
    assert_eq!(running.line(), "holds\n");
    running
}

pub fn run(name: &str) {
    let name: RegionName = name.parse().expect("the name is valid");
    let region = RegionOptions::attach(&name).expect("the test has created it");
    let robust: &RobustMutex<u64> = region.attach("robust").expect("it exists");
    let raw: &RawMutex = region.attach("raw").expect("it exists");
    let _guard = robust.lock().expect("the lock is free");
    raw.raw_lock();
    println!("holds");
    loop {
        std::thread::park();
    }
}
