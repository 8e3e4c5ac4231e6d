//! Test harnesses in which tests can fork.
//!
//! A program with one thread can fork safely. libtest starts a thread for each test; libtest-mimic
//! runs the tests in the main thread if it is told to use one thread. Only a test of [`Test::alone`]
//! may run in another thread.

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{PoisonError, RwLock};

/// A test, which fails by panicking.
pub struct Test {
    trial: Trial,
    is_alone: bool,
}

/// Locked exclusively while a test runs that no other test may disturb.
static RUNNING: RwLock<()> = RwLock::new(());

impl Test {
    /// Creates a test with this name. Filters on the command line select tests by their names.
    pub fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        let trial = Trial::test(name, move || {
            run();
            Ok(())
        });
        Self {
            trial,
            is_alone: false,
        }
    }

    /// Creates a test that [`run_in_processes`] runs without a child process, while no other test
    /// runs. It suits a test that uses all cores, or one that is shorter than the start of a
    /// process. The test may run in another thread than the main one, so it must not fork.
    pub fn alone(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        let test = Self::new(name, move || {
            let _running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
            run();
        });
        Self {
            is_alone: true,
            ..test
        }
    }
}

/// Runs the tests that the command line selects, with the options and the output of libtest. All
/// tests run in this process, one after the other.
pub fn run(tests: Vec<Test>) -> ExitCode {
    run_here(Arguments::from_args(), tests)
}

/// Runs the tests like [`run`], but each test in a child process and several at the same time,
/// except those of [`Test::alone`].
///
/// Tests that wait for timers, other processes or the disk take less time together. The number of
/// tests that run at the same time is the number of cores, unless `--test-threads` sets it. The
/// output of a child process is printed when its test ends. With one test thread, all tests run in
/// the main thread of this process, so that a debugger can stop in a test.
pub fn run_in_processes(tests: Vec<Test>) -> ExitCode {
    let arguments = Arguments::from_args();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.test_threads.unwrap_or(threads);
    let selected = tests
        .iter()
        .filter(|test| !arguments.is_filtered_out(&test.trial));
    if arguments.list || threads == 1 || selected.count() < 2 {
        return run_here(arguments, tests);
    }
    let with_child = |test: Test| {
        if test.is_alone {
            return test.trial;
        }
        let name = test.trial.name().to_owned();
        Trial::test(name.clone(), move || run_in_child(&name))
    };
    let tests = tests.into_iter().map(with_child).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn run_here(mut arguments: Arguments, tests: Vec<Test>) -> ExitCode {
    arguments.test_threads = Some(1);
    let tests = tests.into_iter().map(|test| test.trial).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// Runs the test with this name in a new process of this program, and prints the output of the
/// process.
fn run_in_child(name: &str) -> Result<(), Failed> {
    let _running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    // A process that outlives the test may keep a pipe open, so the output goes to a file.
    let mut file = tempfile::tempfile()?;
    let output = |file: &File| file.try_clone().map(Stdio::from);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "--test-threads=1", name]);
    command.stdin(Stdio::null());
    command.stdout(output(&file)?).stderr(output(&file)?);
    // SAFETY: between fork and exec, the closure makes only one system call.
    unsafe {
        // The thread that starts the child outlives the child, so this signal means that this
        // process was killed.
        command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
    let status = command.status()?;
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    match status.success() {
        true => {
            print!("{}", report(&text));
            Ok(())
        }
        false => Err(format!("{status}\n{text}").into()),
    }
}

/// Returns what the test has printed, without the lines of the harness in its process.
fn report(text: &str) -> &str {
    let begin = text.find(" ... ").map_or(0, |at| at + " ... ".len());
    let text = &text[begin..];
    text.rfind("ok\n\ntest result: ok.")
        .map_or(text, |end| &text[..end])
}
