//! What a daemon does with signals: `signals` prints its number, and waits. `SIGHUP` is a notification that adds
//! a permit to a semaphore, which another thread waits for as for any other; `SIGUSR1` is read like a message,
//! and tells who has sent it; so is `SIGTERM`, and Ctrl+C, after which the program says goodbye and ends.
//!
//! Exit status: 0 after `SIGTERM` or Ctrl+C, 1 if something went wrong.

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

/// A permit for each `SIGHUP`, and one for the end.
static HANGUPS: Semaphore = Semaphore::empty();

/// Set before the permit for the end is added.
static END: OnceLock<()> = OnceLock::new();

fn main() -> ExitCode {
    end("signals", run())
}

fn run() -> Result<()> {
    // Before there is another thread: each blocks them as well, and so they are read here.
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
    // It holds two thousand million.
    let _ = HANGUPS.release(1);
    let reloads = reader
        .join()
        .map_err(|_| anyhow!("the thread has panicked"))??;
    say(format_args!(
        "reloaded {reloads} times; goodbye after {last}"
    ))
}

/// How often it has. If it cannot go on, the program is told to end.
fn reload_at_each_hangup() -> Result<u32> {
    let mut reloads = 0;
    loop {
        HANGUPS.acquire().forget();
        if END.get().is_some() {
            // One permit was for the end, the others are hangups that came just before it.
            return Ok(reloads + HANGUPS.permits());
        }
        reloads += 1;
        if let Err(error) = say("SIGHUP: reloaded") {
            kill(Pid::this(), Signal::SIGTERM)?;
            return Err(error);
        }
    }
}
