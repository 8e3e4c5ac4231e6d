//! Steps a child process with `ptrace` up to the instruction at which it is killed.

use super::watchdog::{record_progress, record_step};
use super::{Objects, Operation, SIZE};
use crate::process::{Actor, TIMEOUT};
use interlatch::Region;
use interlatch::platform::Ordering::Relaxed;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal::{SIGKILL, SIGSTOP, SIGTRAP};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// The moment at which the child is killed.
#[derive(Clone, Copy, PartialEq)]
pub enum Kill {
    After(usize),
    Asleep,
}

/// The progress of the child.
#[derive(PartialEq)]
pub enum Outcome {
    Killed,
    /// The operation completed after this number of instructions.
    Done(usize),
}

/// Returns the reason why a child cannot be stepped on this system, or `None`.
pub fn reason_to_skip() -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("instructions are stepped on x86-64 only".into());
    }
    let region = Region::memfd("sweep", SIZE).expect("a region");
    let _: &Objects = region.create("objects", ()).expect("the region has room");
    let mut actor = Actor::start(&region, &["sweep 0".into()]);
    match actor.reply(Instant::now() + TIMEOUT) {
        Ok(_) => None,
        Err(error) => Some(format!("the kernel does not allow tracing here: {error}")),
    }
}

/// Runs the operation in a new child, kills the child, and then runs the operation's check.
pub fn kill(index: usize, operation: &Operation, kill: Kill) -> Outcome {
    record_progress();
    let region = Region::memfd("sweep", SIZE).expect("a region");
    let objects: &Objects = region.create("objects", ()).expect("the region has room");
    (operation.prepare)(objects);
    let mut actor = Actor::start(&region, &[format!("sweep {index}")]);
    assert_eq!(
        actor.reply(Instant::now() + TIMEOUT).as_deref(),
        Ok("ready")
    );
    std::thread::scope(|scope| {
        scope.spawn(|| (operation.peer)(objects));
        let end = step(&actor, operation, kill, || (operation.unblock)(objects));
        actor.signal(SIGKILL);
        drop(actor);
        objects.is_over.store(1, Relaxed);
        record_progress();
        (operation.check)(objects);
        end
    })
}

/// Steps the child instruction by instruction until it is killed.
fn step(actor: &Actor, operation: &Operation, kill: Kill, unblock: impl Fn()) -> Outcome {
    let pid = actor.pid();
    assert_eq!(waitpid(pid, None), Ok(WaitStatus::Stopped(pid, SIGSTOP)));
    for instructions in 0.. {
        if kill == Kill::After(instructions) {
            return Outcome::Killed;
        }
        let may_sleep = operation.at_system_calls || is_at_a_system_call(pid);
        let resumed = match operation.at_system_calls {
            true => ptrace::syscall(pid, None),
            false => ptrace::step(pid, None),
        };
        resumed.expect("the child is stopped");
        record_step(instructions);
        let stopped = match may_sleep {
            false => waitpid(pid, None).expect("this process has the child"),
            true => match next_stop(actor, kill, &unblock) {
                Some(stopped) => stopped,
                None => return Outcome::Killed,
            },
        };
        match stopped {
            WaitStatus::Stopped(_, SIGTRAP) => {}
            WaitStatus::Stopped(_, SIGSTOP) => return Outcome::Done(instructions),
            other => panic!("after {instructions} instructions: {other:?}"),
        }
    }
    unreachable!("the loop returns")
}

/// Returns whether the next instruction of the child is `syscall`.
fn is_at_a_system_call(pid: Pid) -> bool {
    const SYSCALL: i64 = 0x050f;
    let address = ptrace::getregs(pid).expect("the child is stopped").rip;
    let bytes = ptrace::read(pid, address as ptrace::AddressType);
    bytes.expect("the instruction is readable") & 0xffff == SYSCALL
}

/// Waits for the next stop of the child, and unblocks the child if it sleeps. Returns `None` if the
/// child sleeps and the test must kill the child during its sleep.
fn next_stop(actor: &Actor, kill: Kill, unblock: &impl Fn()) -> Option<WaitStatus> {
    let begin = Instant::now();
    let mut is_unblocked = false;
    loop {
        match waitpid(actor.pid(), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
            Ok(status) => return Some(status),
            Err(error) => panic!("waitpid: {error}"),
        }
        let waited = begin.elapsed();
        assert!(
            waited < TIMEOUT,
            "the child does not continue: {}",
            actor.kernel_state()
        );
        let sleeps = waited > Duration::from_millis(1) && actor.sleeps_on_futex() == Some(true);
        if sleeps && kill == Kill::Asleep {
            return None;
        }
        if sleeps && !is_unblocked {
            unblock();
            is_unblocked = true;
        }
        std::thread::yield_now();
    }
}
