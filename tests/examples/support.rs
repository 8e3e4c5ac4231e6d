//! Starts examples, and observes their processes.

use interlatch::{RegionName, UnboundedBuffer};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Builds the examples. `cargo test` builds them itself, but `cargo test --test examples` does not.
fn build() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the examples build"
        );
    });
}

pub fn example(name: &str) -> Command {
    build();
    let test = std::env::current_exe().expect("this program");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/TEST");
    let path = folder.join("examples").join(name);
    let mut command = Command::new(path);
    // Errors are printed without a backtrace, independently of the environment.
    command.env("RUST_BACKTRACE", "0");
    command
}

pub fn run(name: &str, arguments: &[&str]) -> Output {
    example(name)
        .args(arguments)
        .output()
        .expect("the example starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn temporary_file(bytes: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let content: Vec<u8> = (0..bytes).map(|index| (index * 31 % 251) as u8).collect();
    file.write_all(&content).expect("the file system has space");
    file
}

pub fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("a readable path")
}

/// A name whose region is removed when the test ends.
pub struct Named(pub String);

impl Named {
    pub fn new(test: &str) -> Self {
        Self(format!("interlatch-{test}-{}", std::process::id()))
    }

    /// Starts `named_send` or `named_receive`.
    pub fn start(&self, role: &str) -> Program {
        self.start_example(&format!("named_{role}"), &[])
    }

    /// Starts an example with the name as its first argument.
    pub fn start_example(&self, program: &str, arguments: &[&str]) -> Program {
        Program::start(example(program).arg(&self.0).args(arguments))
    }

    /// Waits until the mailbox server answers. Without a server, a client fails.
    pub fn wait_until_server_answers(&self) {
        wait_until("the server answers", || {
            let output = run("mailbox", &[&self.0, "ask", "abc"]);
            text(&output.stdout) == "cba\n"
        });
    }

    /// Removes the region that the programs left.
    pub fn remove(&self) -> Output {
        run("named_receive", &[&self.0, "--remove"])
    }
}

/// A running example. Dropping this value kills and reaps the process.
pub struct Program(pub Child);

impl Program {
    pub fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the example starts"))
    }

    /// Waits until the example ends. Returns whether it succeeded, and its standard output.
    pub fn end(&mut self) -> (bool, String) {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.0.try_wait().expect("this process has the child");
            status.is_some()
        });
        let output = self.0.stdout.as_mut().expect("piped");
        let stdout = io::read_to_string(output).expect("text");
        (status.is_some_and(|status| status.success()), stdout)
    }

    /// Reads standard error until its end.
    pub fn stderr(&mut self) -> String {
        io::read_to_string(self.0.stderr.as_mut().expect("piped")).expect("text")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // In most cases the region is already removed.
        self.remove();
    }
}

pub fn maps_region(process: i32, name: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    maps.contains(&format!("memfd:{name}"))
}

/// Waits until the condition holds. Panics after a minute with the condition's description.
pub fn wait_until(description: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "not within a minute: {description}"
        );
        std::thread::yield_now();
    }
}

pub fn is_alive(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A zombie counts as dead, because its new parent may not have reaped the zombie yet.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

pub fn shared_memory() -> BTreeSet<PathBuf> {
    let entries = fs::read_dir("/dev/shm").expect("/dev/shm");
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Waits until /dev/shm contains no new files. Other tests remove their files when they end.
pub fn wait_for_cleanup(before: &BTreeSet<PathBuf>) {
    wait_until("/dev/shm has no new files", || {
        shared_memory().is_subset(before)
    });
}

/// The name of an unbounded buffer that is removed when the test ends.
pub struct NamedBuffer(pub String);

impl Drop for NamedBuffer {
    fn drop(&mut self) {
        // In most cases the buffer is already removed.
        let name = RegionName::posix(&self.0);
        let _ = name.and_then(|name| UnboundedBuffer::<u64>::remove(&name));
    }
}
