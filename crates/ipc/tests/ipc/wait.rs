//! How long a wait for a descriptor is.

use super::harness::Test;
use super::process::{TIMEOUT, command_for_role, test};
use interlatch::platform::{AtomicU32, Ordering};
use interlatch::sync::Deadline;
use interlatch::sync::Timeout;
use interlatch_ipc::Pipeline;
use interlatch_ipc::wait::{until_readable, until_writable};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{Read, Write};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        test("wait::non_blocking_wait_polls", non_blocking_wait_polls),
        test("wait::wait_ends_at_the_deadline", wait_ends_at_the_deadline),
        test(
            "wait::wait_accepts_huge_timeouts",
            wait_accepts_huge_timeouts,
        ),
        test("wait::end_of_stream_is_readable", end_of_stream_is_readable),
        test("wait::full_pipe_is_not_writable", full_pipe_is_not_writable),
        test(
            "wait::signals_neither_end_nor_extend_a_wait",
            signals_neither_end_nor_extend_a_wait,
        ),
    ]
}

fn non_blocking_wait_polls() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    for timeout in [Timeout::NonBlocking, Timeout::after(Duration::ZERO)] {
        assert!(!until_readable(&reader, timeout).expect("it can be polled"));
    }
    writer.write_all(b"x").expect("there is room");
    for timeout in [Timeout::NonBlocking, Timeout::after(Duration::ZERO)] {
        assert!(until_readable(&reader, timeout).expect("it can be polled"));
    }
}

fn wait_ends_at_the_deadline() {
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let (begin, timeout) = (Instant::now(), Duration::from_millis(20));
    let deadline = Deadline::after(timeout);
    assert!(!until_readable(&reader, Timeout::At(deadline)).expect("it can be polled"));
    assert!(begin.elapsed() >= timeout, "not before");
    assert!(!until_readable(&reader, Timeout::At(deadline)).expect("it can be polled"));
}

fn wait_accepts_huge_timeouts() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    for timeout in [Duration::MAX, Duration::from_secs(i64::MAX as u64)] {
        writer.write_all(b"x").expect("there is room");
        assert!(until_readable(&reader, Timeout::after(timeout)).expect("the kernel takes it"));
    }
}

fn end_of_stream_is_readable() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(writer);
    assert!(until_readable(&reader, Timeout::after(TIMEOUT)).expect("it can be polled"));
}

fn full_pipe_is_not_writable() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    assert!(until_writable(&writer, Timeout::NonBlocking).expect("it can be polled"));
    fill(&writer);
    assert!(!until_writable(&writer, Timeout::NonBlocking).expect("it can be polled"));
    drop(reader);
    assert!(until_writable(&writer, Timeout::after(TIMEOUT)).expect("a broken pipe is ready"));
}

fn fill(mut writer: &std::io::PipeWriter) {
    use nix::fcntl::{FcntlArg, fcntl};
    let size = fcntl(writer, FcntlArg::F_GETPIPE_SZ).expect("a pipe has a size");
    writer
        .write_all(&vec![0; size as usize])
        .expect("so much fits");
}

static SEEN: AtomicU32 = AtomicU32::new(0);

extern "C" fn see(_: i32) {
    SEEN.fetch_add(1, Ordering::Relaxed);
}

fn handle(signal: Signal) {
    let action = SigAction::new(SigHandler::Handler(see), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler counts.
    unsafe { sigaction(signal, &action) }.expect("it can be handled");
}

/// Waits for input that never comes, while a clock sends signals faster than timeout runs out. Says whether one
/// came in time, and whether the wait was too short.
pub fn run_role() -> ExitCode {
    handle(Signal::SIGALRM);
    let (often, timeout) = (Duration::from_millis(5), Duration::from_millis(100));
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: often.as_micros() as i64,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: it is read only, and nobody asks for the one before.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, core::ptr::null_mut()) };
    assert_eq!(set, 0, "a valid time");
    let begin = Instant::now();
    let came = until_readable(std::io::stdin(), Timeout::after(timeout)).expect("it can be polled");
    let short = begin.elapsed() < timeout;
    let interrupted = SEEN.load(Ordering::Relaxed) > 0;
    println!("interrupted: {interrupted}, came: {came}, too short: {short}");
    ExitCode::SUCCESS
}

/// Would each signal begin the wait anew, it never ended. That there is one in so long a wait is for the kernel to
/// see to, however slow the machine is: what is due is delivered before the process goes on.
fn signals_neither_end_nor_extend_a_wait() {
    let mut running = Pipeline::new()
        .command(command_for_role("nap", &[]))
        .input(Stdio::piped())
        .output(Stdio::piped())
        .spawn()
        .expect("it starts");
    let _input = running.take_input().expect("piped");
    let mut output = running.take_output().expect("piped");
    assert!(until_readable(&output, Timeout::after(TIMEOUT)).expect("a pipe"));
    let mut said = String::new();
    output.read_to_string(&mut said).expect("text");
    let expected = "interrupted: true, came: false, too short: false\n";
    assert_eq!(said, expected);
    let statuses = running
        .wait_timeout(TIMEOUT)
        .expect("ours")
        .expect("it ends");
    assert!(statuses[0].success());
}
