//! A process that attaches to a region and holds the region's locks until the process is killed.

use super::command::RunningTool;
use interlatch::sync::RawMutex;
use interlatch::{RegionName, RegionOptions, RobustMutex};
use std::process::Command;

/// The environment variable that tells an actor its region. The variable is not set in a test
/// process.
pub const VARIABLE: &str = "INTERLATCH_ACTOR_HOLDS";

/// Starts an actor that holds both locks of the region.
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
