//! Waiting threads, and missing permissions.

use super::command::{RunningTool, ToolOutput, interlatch, wait_until};
use super::harness::Test;
use super::inspecting::{object_state, region};
use super::scratch::Scratch;
use interlatch::sync::{RawLock, RawMutex, RawSemaphore, Timeout};
use interlatch::{Condvar, RegionName, RegionOptions, RobustMutex, Semaphore};
use nix::unistd::geteuid;
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("inspect_shows_waiters", waiters),
        Test::new("unreadable_regions_are_listed", denied),
    ]
}

fn a_minute() -> Timeout {
    Timeout::after(Duration::from_secs(60))
}

fn waiters() {
    let scratch = Scratch::new();
    let region = region(&scratch.names[0]);
    let name = scratch.names[0].to_string();
    let raw: &RawMutex = region.attach("raw").expect("it exists");
    let robust: &RobustMutex<u64> = region.attach("robust").expect("it exists");
    let permits: &Semaphore = region.attach("permits").expect("it exists");
    let changed: &Condvar = region.create("changed", ()).expect("room");
    let waits = |object: &str| {
        wait_until("a thread waits", || {
            object_state(&name, object)["waiters"] == json!(true)
        });
    };
    for object in ["raw", "robust", "permits", "changed"] {
        assert_eq!(
            object_state(&name, object)["waiters"],
            json!(false),
            "{object}"
        );
    }
    raw.raw_lock();
    let guard = robust.lock().expect("the name is free");
    std::thread::scope(|scope| {
        // Each wait has a timeout, so a failed test ends.
        scope.spawn(|| raw.raw_lock_with(a_minute()));
        waits("raw");
        // SAFETY: this thread acquired the lock above.
        unsafe { raw.unlock() };
        scope.spawn(|| drop(robust.lock_with(a_minute())));
        waits("robust");
        drop(guard);
        scope.spawn(|| permits.acquire_with(a_minute()));
        waits("permits");
        permits.release(1).expect("room");
        scope.spawn(|| {
            let guard = robust.lock().expect("the name is free");
            drop(changed.wait_robust(guard, a_minute()));
        });
        waits("changed");
        changed.notify_all();
    });
}

/// Runs the tool without root's privileges.
fn unprivileged(arguments: &[&str]) -> ToolOutput {
    if !geteuid().is_root() {
        return interlatch(arguments);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let open = Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).expect("it is ours");
    let copy = directory.path().join("interlatch");
    std::fs::copy(env!("CARGO_BIN_EXE_interlatch"), &copy).expect("room");
    let mut command = Command::new(copy);
    RunningTool::spawn(command.args(arguments).uid(65534).gid(65534)).finish()
}

fn denied() {
    let scratch = Scratch::new();
    let secret = RegionName::posix(&format!("interlatch-unread-{}", std::process::id()));
    let secret = secret.expect("the name is valid");
    let options = RegionOptions::new(4096).mode(0).remove_on_drop(true);
    let _region = options.create(&secret).expect("a region arrives");
    let options = RegionOptions::new(4096).mode(0o444).remove_on_drop(true);
    let _readable = options.create(&scratch.names[0]).expect("a region arrives");
    let listing = unprivileged(&["--json", "ls"]).document();
    let named = |list: &Value, name: &RegionName| {
        let mut entries = list.as_array().expect("a list").iter();
        entries.any(|entry| entry["name"] == name.to_string())
    };
    assert!(named(&listing["unreadable"], &secret), "{listing}");
    assert!(!named(&listing["regions"], &secret), "{listing}");
    assert!(named(&listing["regions"], &scratch.names[0]), "{listing}");
    let text = unprivileged(&["ls"]).success();
    assert!(
        text.contains(&format!("{secret}: permission denied\n")),
        "{text}"
    );
    let output = unprivileged(&["inspect", &secret.to_string()]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("no permission"), "{}", output.err);
    let output = unprivileged(&["rm", &scratch.names[0].to_string()]);
    // The region belongs to root, or the user has no write permission.
    assert_eq!(output.code, Some(1), "{output:?}");
}
