//! Roles of this binary when it runs again, and the state that each test must restore.

use super::harness::Test;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// The timeout of every wait in a test. The timeout is much longer than the expected duration.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The first argument of a process with a role; the role's name follows.
const ROLE: &str = "--part";

/// Returns the role of this process and its arguments, or `None` in a test.
pub fn role() -> Option<(String, Vec<String>)> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == ROLE).then(|| {
        let role = arguments.next().expect("the name of a part");
        (role, arguments.collect())
    })
}

/// Returns the command that runs this binary in a role.
pub fn command_for_role(role: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(ROLE).arg(role).args(arguments);
    command
}

/// Returns the command for a tool with arguments.
pub fn tool(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

/// Creates a test that must leave no child and no descriptor behind.
pub fn test(name: &str, run: impl Fn() + Send + 'static) -> Test {
    let name = name.to_owned();
    Test::new(name.clone(), move || {
        let before = descriptors();
        let leftovers = Leftovers;
        let watched = watch(name.clone());
        run();
        drop(watched);
        assert_eq!(children(), "", "children are left");
        assert_eq!(descriptors(), before, "descriptors are left");
        drop(leftovers);
    })
}

/// Kills and reaps the children that a failed test has left.
struct Leftovers;

impl Drop for Leftovers {
    fn drop(&mut self) {
        for child in children().split_whitespace() {
            let child = Pid::from_raw(child.parse().expect("a number"));
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
        }
    }
}

/// Starts a watchdog that ends this process with a message if the test exceeds its time.
///
/// Most waits of a test are in this process, so no other process could report an endless wait.
/// Dropping the returned sender stops the watchdog.
fn watch(name: String) -> Sender<()> {
    let (well, watcher) = mpsc::channel();
    let own = std::process::id();
    // The watchdog must not receive the signals of a test.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    std::thread::spawn(move || {
        if watcher.recv_timeout(2 * TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            let call = fs::read_to_string(format!("/proc/{own}/task/{own}/syscall"));
            println!("test {name} ... FAILED: timed out in system call {call:?}");
            std::process::exit(1);
        }
    });
    before
        .and_then(|mask| mask.thread_set_mask())
        .expect("a mask can be set");
    well
}

/// Returns the open descriptors of this process.
pub fn descriptors() -> BTreeSet<i32> {
    let folder = "/proc/self/fd";
    let entries = fs::read_dir(folder).expect("/proc");
    let mut numbers: BTreeSet<i32> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().parse().expect("a number"))
        .collect();
    // The descriptor of the listing itself is closed by now.
    numbers.retain(|number| fs::read_link(format!("{folder}/{number}")).is_ok());
    numbers
}

/// A guard that limits the number of this process's descriptors until the guard is dropped.
pub struct Limited {
    before: (rlim_t, rlim_t),
}

impl Limited {
    pub fn to(descriptors: rlim_t) -> Self {
        let before = getrlimit(Resource::RLIMIT_NOFILE).expect("it exists");
        setrlimit(Resource::RLIMIT_NOFILE, descriptors, before.1).expect("less is allowed");
        Self { before }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let (soft, hard) = self.before;
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the limit was valid before");
    }
}

/// Returns the children of this process, including zombies.
pub fn children() -> String {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    fs::read_to_string(path).expect("/proc").trim().to_owned()
}

/// Polls until the condition holds; panics with its description after the timeout.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "after {TIMEOUT:?} still not: {what}"
        );
        std::thread::yield_now();
    }
}

/// Returns whether a process runs. Zombies do not.
pub fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default();
    !state.is_empty() && !state.starts_with(" Z")
}

/// Returns whether a process has a pending signal.
pub fn has_pending(process: u32) -> bool {
    let status =
        fs::read_to_string(format!("/proc/{process}/status")).expect("the process is not reaped");
    let mut pending = status.lines().filter(|line| line.contains("Pnd:"));
    !pending.all(|line| line.trim_end().ends_with("0000000000000000"))
}

/// Marks inherited descriptors close-on-exec, so the children of the tests do not inherit them.
pub fn keep_descriptors_to_this_process() {
    // SAFETY: with CLOEXEC, the call changes a flag of descriptors and closes no descriptor.
    let done = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    assert_eq!(done, 0, "close_range: {}", std::io::Error::last_os_error());
}
