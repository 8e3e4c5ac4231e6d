//! Parts that this program plays when it is run again, and what a test must leave as it was.

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

/// How long anything may take before the test fails. Nothing here comes near it.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The first argument of who plays a part; its name follows.
const ROLE: &str = "--part";

/// The part that this process is to play, and its arguments.
pub fn role() -> Option<(String, Vec<String>)> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == ROLE).then(|| {
        let role = arguments.next().expect("the name of a part");
        (role, arguments.collect())
    })
}

/// This program, as that part.
pub fn command_for_role(role: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(ROLE).arg(role).args(arguments);
    command
}

/// A tool and its arguments.
pub fn tool(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

/// A test that must leave no child and no descriptor behind.
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

/// Children that a test has left because it has failed. They are killed and reaped when this is dropped.
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

/// Ends this program with a message if the test takes too long: most of what is waited for here is in this
/// process, and a wait without end would have nobody to tell of it. All is well once what this returns is
/// dropped.
fn watch(name: String) -> Sender<()> {
    let (well, watcher) = mpsc::channel();
    let own = std::process::id();
    // The signals of a test are not for the watcher.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    std::thread::spawn(move || {
        if watcher.recv_timeout(2 * TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            let call = fs::read_to_string(format!("/proc/{own}/task/{own}/syscall"));
            println!("test {name} ... FAILED: it hangs, in the system call {call:?}");
            std::process::exit(1);
        }
    });
    before
        .and_then(|mask| mask.thread_set_mask())
        .expect("a mask can be set");
    well
}

/// The numbers of the descriptors of this process.
pub fn descriptors() -> BTreeSet<i32> {
    let folder = "/proc/self/fd";
    let entries = fs::read_dir(folder).expect("/proc");
    let mut numbers: BTreeSet<i32> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().parse().expect("a number"))
        .collect();
    // The one that has listed them is closed by now.
    numbers.retain(|number| fs::read_link(format!("{folder}/{number}")).is_ok());
    numbers
}

/// While it lives this process may have so many descriptors.
pub struct Limited {
    before: (rlim_t, rlim_t),
}

impl Limited {
    pub fn to(descriptors: rlim_t) -> Self {
        let before = getrlimit(Resource::RLIMIT_NOFILE).expect("there is one");
        setrlimit(Resource::RLIMIT_NOFILE, descriptors, before.1).expect("less is allowed");
        Self { before }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let (soft, hard) = self.before;
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("it was so before");
    }
}

/// The children of this process, zombies too.
pub fn children() -> String {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    fs::read_to_string(path).expect("/proc").trim().to_owned()
}

/// Looks until it holds; fails with what was waited for.
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

/// Whether that process runs: a zombie does not.
pub fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default();
    !state.is_empty() && !state.starts_with(" Z")
}

/// Whether a signal waits to be delivered to that process.
pub fn has_pending(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it is not reaped");
    let mut pending = status.lines().filter(|line| line.contains("Pnd:"));
    !pending.all(|line| line.trim_end().ends_with("0000000000000000"))
}

/// Whoever has started the tests may have left descriptors open for its children: they are not for ours.
pub fn keep_descriptors_to_this_process() {
    // SAFETY: it changes a flag of descriptors, and closes none.
    let done = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    assert_eq!(done, 0, "close_range: {}", std::io::Error::last_os_error());
}
