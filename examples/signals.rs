//! What a daemon does with signals: `signals` prints its number, and waits. `SIGHUP` is a notification that adds
//! a permit to a semaphore, which another thread waits for as for any other; `SIGUSR1` is read like a message,
//! and tells who has sent it; so is `SIGTERM`, and Ctrl+C, after which the program says goodbye and ends.
//!
//! Exit status: 0 after `SIGTERM` or Ctrl+C, 1 if something went wrong.

use interlatch::Semaphore;
use interlatch::ipc::{Signal, SignalError, SignalFd, notify_semaphore};
use std::process::ExitCode;
use std::sync::OnceLock;

/// A permit for each `SIGHUP`, and one for the end.
static HANGUPS: Semaphore = Semaphore::empty();

/// Set before the permit for the end is added.
static END: OnceLock<()> = OnceLock::new();

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signals: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), SignalError> {
    // Before there is another thread: each blocks them as well, and so they are read here.
    let messages = SignalFd::new([Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGINT])?;
    let notification = notify_semaphore(Signal::SIGHUP, &HANGUPS)?;
    let reader = std::thread::spawn(reload_at_each_hangup);
    println!("{} waits for signals", std::process::id());
    let last = loop {
        let received = messages.recv()?;
        match (received.signal, received.process) {
            (Signal::SIGUSR1, Some(process)) => println!("SIGUSR1 from {process}"),
            (Signal::SIGUSR1, None) => println!("SIGUSR1"),
            (other, _) => break other,
        }
    };
    drop(notification);
    END.get_or_init(|| ());
    // It holds two thousand million.
    let _ = HANGUPS.release(1);
    let reloads = reader.join().unwrap_or_default();
    println!("reloaded {reloads} times; goodbye after {last}");
    Ok(())
}

/// How often it has.
fn reload_at_each_hangup() -> u32 {
    let mut reloads = 0;
    loop {
        HANGUPS.acquire().forget();
        if END.get().is_some() {
            // One permit was for the end, the others are hangups that came just before it.
            return reloads + HANGUPS.permits();
        }
        reloads += 1;
        println!("SIGHUP: reloaded");
    }
}
