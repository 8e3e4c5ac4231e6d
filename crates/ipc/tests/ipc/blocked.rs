//! Signals during calls that block in the kernel rather than on a futex.
//!
//! A process in such a call gets a series of signals, and then the event that it waits for. The
//! process's signal handler does not restart system calls.

use super::harness::Test;
use super::process::{TIMEOUT, command_for_role, has_pending, test, until};
use interlatch::Region;
use interlatch::platform::{AtomicU32, Ordering};
use interlatch::sync::Timeout;
use interlatch_ipc::wait::until_readable;
use interlatch_ipc::{
    Link, PacketLink, Pipeline, RunningPipeline, SeqpacketListener, Signal, SignalFd, StreamLink,
    recv_region, send_region_with,
};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, kill, sigaction};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdout, ExitCode, Stdio};

const SIGNALS: u32 = 20;

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "blocked::receiving_a_region_survives_signals",
            receiving_a_region_survives_signals,
        ),
        test(
            "blocked::accepting_a_link_survives_signals",
            accepting_a_link_survives_signals,
        ),
        test(
            "blocked::connecting_a_link_survives_signals",
            connecting_a_link_survives_signals,
        ),
        test(
            "blocked::receiving_a_packet_survives_signals",
            receiving_a_packet_survives_signals,
        ),
        test(
            "blocked::receiving_from_a_stream_survives_signals",
            receiving_from_a_stream_survives_signals,
        ),
        test(
            "blocked::receiving_a_signal_survives_other_signals",
            receiving_a_signal_survives_other_signals,
        ),
        test(
            "blocked::waiting_for_a_pipeline_survives_signals",
            waiting_for_a_pipeline_survives_signals,
        ),
    ]
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Makes one blocking call and prints a line when it returns.
pub fn run_role(arguments: &[String]) -> ExitCode {
    let [call, path] = arguments else {
        panic!("a call and a path, not {arguments:?}");
    };
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler only increments an atomic counter.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("the handler is installed");
    let is_well = match call.as_str() {
        "recv_region" => {
            let stream = std::io::stdin().as_fd().try_clone_to_owned();
            let stream = UnixStream::from(stream.expect("a free descriptor"));
            println!("ready");
            recv_region(&stream).expect("a region arrives").is_some()
        }
        "accept" => {
            let listener = SeqpacketListener::bind(path).expect("the path is free");
            println!("ready");
            let accepted = listener.accept_with(Timeout::Infinite);
            accepted.expect("a free descriptor").is_some()
        }
        "connect" => {
            println!("ready");
            PacketLink::connect_seqpacket(path, Timeout::Infinite).is_ok()
        }
        "packet" => {
            let stdin = std::io::stdin().as_fd().try_clone_to_owned();
            let mut link =
                PacketLink::seqpacket(stdin.expect("a free descriptor")).expect("a socket");
            println!("ready");
            link.recv().expect("a message").is_some()
        }
        "stream" => {
            let stdin = std::io::stdin().as_fd().try_clone_to_owned();
            let stream = UnixStream::from(stdin.expect("a free descriptor"));
            let mut link = StreamLink::unix(stream);
            println!("ready");
            link.recv().expect("a message").is_some()
        }
        "signal" => {
            let signals = SignalFd::new([Signal::SIGUSR2]).expect("a free descriptor");
            println!("ready");
            signals.recv().expect("it arrives").signal == Signal::SIGUSR2
        }
        "wait" => {
            let cat = Pipeline::new().command(std::process::Command::new("cat"));
            let input = std::io::stdin().as_fd().try_clone_to_owned();
            let cat = cat
                .input(input.expect("a free descriptor"))
                .foreground(false);
            let mut running = cat.spawn().expect("it exists");
            println!("ready");
            running.wait().expect("this process reaps it")[0].success()
        }
        other => panic!("unknown call {other:?}"),
    };
    println!("{is_well}, {} signals", HANDLED.load(Ordering::Relaxed));
    ExitCode::SUCCESS
}

/// A process in a blocking call.
struct Blocked {
    running: RunningPipeline,
    output: BufReader<ChildStdout>,
}

impl Blocked {
    /// Starts a process and interrupts its call several times.
    fn start(call: &str, path: &str, input: impl Into<Stdio>) -> Self {
        let mut running = Pipeline::new()
            .command(command_for_role("blocked", &[call, path]))
            .input(input)
            .output(Stdio::piped())
            .spawn()
            .expect("the process starts");
        let output = BufReader::new(running.take_output().expect("piped"));
        let mut blocked = Self { running, output };
        assert_eq!(blocked.said(), "ready");
        let process = blocked.process();
        for _ in 0..SIGNALS {
            until("the process blocks", || waits(process));
            blocked.signal(Signal::SIGUSR1);
            until("the signal is delivered", || !has_pending(process));
        }
        until("the process blocks again", || waits(process));
        blocked
    }

    fn process(&self) -> u32 {
        self.running.process_ids()[0]
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process() as i32), signal).expect("the process is not reaped");
    }

    fn said(&mut self) -> String {
        let is_there = !self.output.buffer().is_empty()
            || until_readable(self.output.get_ref(), Timeout::after(TIMEOUT)).expect("a pipe");
        assert!(is_there, "no line arrived");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Checks that the call returned and that the process ends.
    fn ends(mut self) {
        assert_eq!(self.said(), format!("true, {SIGNALS} signals"));
        let statuses = self
            .running
            .wait_timeout(TIMEOUT)
            .expect("this process reaps it");
        assert!(statuses.expect("the process ends")[0].success());
    }
}

/// Returns whether the process sleeps in one of the system calls of the roles above.
fn waits(process: u32) -> bool {
    const CALLS: [i64; 7] = [
        libc::SYS_recvfrom,
        libc::SYS_ppoll,
        libc::SYS_recvmsg,
        libc::SYS_connect,
        libc::SYS_read,
        libc::SYS_waitid,
        libc::SYS_wait4,
    ];
    let call = fs::read_to_string(format!("/proc/{process}/syscall")).unwrap_or_default();
    let number = call
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    number.is_some_and(|number: i64| CALLS.contains(&number))
}

fn receiving_a_region_survives_signals() {
    let (here, there) = UnixStream::pair().expect("a free descriptor");
    let blocked = Blocked::start("recv_region", "", OwnedFd::from(there));
    let region = Region::memfd("blocked", 4096).expect("memory");
    send_region_with(&here, &region, Timeout::after(TIMEOUT)).expect("the peer receives");
    blocked.ends();
}

fn accepting_a_link_survives_signals() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let name = path.to_str().expect("a readable path");
    let blocked = Blocked::start("accept", name, Stdio::null());
    let link = PacketLink::connect_seqpacket(&path, Timeout::after(TIMEOUT));
    blocked.ends();
    drop(link);
}

fn connecting_a_link_survives_signals() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let name = path.to_str().expect("a readable path");
    let listener = SeqpacketListener::bind(&path).expect("the path is free");
    let connect = || PacketLink::connect_seqpacket(&path, Timeout::NonBlocking).ok();
    let links: Vec<PacketLink> = std::iter::from_fn(connect).collect();
    let blocked = Blocked::start("connect", name, Stdio::null());
    let accepted = listener
        .accept_with(Timeout::NonBlocking)
        .expect("clients are waiting");
    blocked.ends();
    drop((links, accepted));
}

fn receiving_a_packet_survives_signals() {
    let (mut here, there) = PacketLink::seqpacket_pair().expect("a free descriptor");
    let blocked = Blocked::start("packet", "", OwnedFd::from(there));
    here.send(b"a message").expect("the peer receives");
    blocked.ends();
}

fn receiving_from_a_stream_survives_signals() {
    let (here, there) = UnixStream::pair().expect("a free descriptor");
    let mut here = StreamLink::unix(here);
    let blocked = Blocked::start("stream", "", OwnedFd::from(there));
    here.send(b"a message").expect("the peer receives");
    blocked.ends();
}

fn receiving_a_signal_survives_other_signals() {
    let blocked = Blocked::start("signal", "", Stdio::null());
    blocked.signal(Signal::SIGUSR2);
    blocked.ends();
}

fn waiting_for_a_pipeline_survives_signals() {
    let (here, there) = UnixStream::pair().expect("a free descriptor");
    let blocked = Blocked::start("wait", "", OwnedFd::from(there));
    drop(here);
    blocked.ends();
}
