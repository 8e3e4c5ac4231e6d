//! A daemon's signals: `signals` prints its process ID and waits for signals.
//!
//! `SIGHUP` releases a semaphore, which another thread acquires. `SIGUSR1` is received like a
//! message, with its sender. `SIGTERM` and Ctrl+C are received in the same way and end the program.
//!
//! Exit status: 0 after `SIGTERM` or Ctrl+C, 1 on failure.

#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;

use anyhow::{Result, anyhow};
use interlatch::Semaphore;
use interlatch_ipc::{Signal, SignalFd, notify_semaphore};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use output::{end, say};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Holds a permit for each `SIGHUP`, and one permit that announces the end of the program.
static HANGUPS: Semaphore = Semaphore::empty();

/// Tells the other thread that the program ends. This flag is set before the last permit is
/// released.
static END: OnceLock<()> = OnceLock::new();

fn main() -> ExitCode {
    end("signals", run())
}

fn run() -> Result<()> {
    // Threads started later inherit the mask, so the signals are received here.
    let messages = SignalFd::new([Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGINT])?;
    let notification = notify_semaphore(Signal::SIGHUP, &HANGUPS)?;
    let reader = std::thread::spawn(reload_at_each_hangup);
    say(format_args!("{} waits for signals", std::process::id()))?;
    let last = loop {
        let received = messages.recv()?;
        match (received.signal, received.process) {
            (Signal::SIGUSR1, Some(process)) => say(format_args!("SIGUSR1 from {process}"))?,
            (Signal::SIGUSR1, None) => say("SIGUSR1")?,
            (other, _) => break other,
        }
    };
    drop(notification);
    END.get_or_init(|| ());
    // The semaphore can hold two thousand million permits.
    let _ = HANGUPS.release(1);
    let reloads = reader
        .join()
        .map_err(|_| anyhow!("the thread has panicked"))??;
    say(format_args!(
        "reloaded {reloads} times; goodbye after {last}"
    ))
}

/// Counts the hangups. On failure, terminates the program.
fn reload_at_each_hangup() -> Result<u32> {
    let mut reloads = 0;
    loop {
        HANGUPS.acquire().forget();
        if END.get().is_some() {
            // One permit is for the end. The other permits are for hangups shortly before the end.
            return Ok(reloads + HANGUPS.permits());
        }
        reloads += 1;
        if let Err(error) = say("SIGHUP: reloaded") {
            kill(Pid::this(), Signal::SIGTERM)?;
            return Err(error);
        }
    }
}
