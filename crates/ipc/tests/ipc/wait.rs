//! The duration of waits for a descriptor.

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
        assert!(!until_readable(&reader, timeout).expect("the descriptor can be polled"));
    }
    writer.write_all(b"x").expect("the buffer has room");
    for timeout in [Timeout::NonBlocking, Timeout::after(Duration::ZERO)] {
        assert!(until_readable(&reader, timeout).expect("the descriptor can be polled"));
    }
}

fn wait_ends_at_the_deadline() {
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let (begin, timeout) = (Instant::now(), Duration::from_millis(20));
    let deadline = Deadline::after(timeout);
    assert!(!until_readable(&reader, Timeout::At(deadline)).expect("the descriptor can be polled"));
    assert!(begin.elapsed() >= timeout, "the wait was too short");
    assert!(!until_readable(&reader, Timeout::At(deadline)).expect("the descriptor can be polled"));
}

fn wait_accepts_huge_timeouts() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    for timeout in [Duration::MAX, Duration::from_secs(i64::MAX as u64)] {
        writer.write_all(b"x").expect("the buffer has room");
        assert!(
            until_readable(&reader, Timeout::after(timeout))
                .expect("the kernel accepts the timeout")
        );
    }
}

fn end_of_stream_is_readable() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(writer);
    assert!(
        until_readable(&reader, Timeout::after(TIMEOUT)).expect("the descriptor can be polled")
    );
}

fn full_pipe_is_not_writable() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    assert!(until_writable(&writer, Timeout::NonBlocking).expect("the descriptor can be polled"));
    fill(&writer);
    assert!(!until_writable(&writer, Timeout::NonBlocking).expect("the descriptor can be polled"));
    drop(reader);
    assert!(until_writable(&writer, Timeout::after(TIMEOUT)).expect("a broken pipe is ready"));
}

fn fill(mut writer: &std::io::PipeWriter) {
    use nix::fcntl::{FcntlArg, fcntl};
    let size = fcntl(writer, FcntlArg::F_GETPIPE_SZ).expect("a pipe has a capacity");
    writer
        .write_all(&vec![0; size as usize])
        .expect("the pipe has room");
}

static SEEN: AtomicU32 = AtomicU32::new(0);

extern "C" fn see(_: i32) {
    SEEN.fetch_add(1, Ordering::Relaxed);
}

fn handle(signal: Signal) {
    let action = SigAction::new(SigHandler::Handler(see), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only increments an atomic counter.
    unsafe { sigaction(signal, &action) }.expect("the handler is installed");
}

/// Waits for input that never arrives, while a timer sends signals at intervals shorter than the
/// timeout. Prints whether the wait returned early.
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
    // SAFETY: the new value is only read, and the null pointer requests no old value.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, core::ptr::null_mut()) };
    assert_eq!(set, 0, "a valid time");
    let begin = Instant::now();
    let came = until_readable(std::io::stdin(), Timeout::after(timeout))
        .expect("the descriptor can be polled");
    let short = begin.elapsed() < timeout;
    let interrupted = SEEN.load(Ordering::Relaxed) > 0;
    println!("interrupted: {interrupted}, came: {came}, too short: {short}");
    ExitCode::SUCCESS
}

/// If each signal restarted the wait with the full timeout, the wait would never end. At least one
/// signal arrives during the wait on any machine: the kernel delivers an expired timer before the
/// process continues.
fn signals_neither_end_nor_extend_a_wait() {
    let mut running = Pipeline::new()
        .command(command_for_role("nap", &[]))
        .input(Stdio::piped())
        .output(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let _input = running.take_input().expect("piped");
    let mut output = running.take_output().expect("piped");
    assert!(until_readable(&output, Timeout::after(TIMEOUT)).expect("a pipe"));
    let mut said = String::new();
    output.read_to_string(&mut said).expect("UTF-8 text");
    let expected = "interrupted: true, came: false, too short: false\n";
    assert_eq!(said, expected);
    let statuses = running
        .wait_timeout(TIMEOUT)
        .expect("this process reaps it")
        .expect("the process ends");
    assert!(statuses[0].success());
}
