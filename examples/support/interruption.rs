//! Cleanup when Ctrl+C or another terminating signal ends a program.

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// Termination signals that are blocked in this thread and in threads started later.
pub struct Interruption(SigSet);

impl Interruption {
    pub fn block() -> Result<Self> {
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        let signals: SigSet = signals.into_iter().collect();
        signals.thread_block().context("holding signals back")?;
        Ok(Self(signals))
    }

    /// Waits for a signal in a thread, then cleans up and ends the program.
    ///
    /// The exit status is the status that a shell reports for a program that the signal terminated.
    pub fn on_signal(self, cleanup: impl FnOnce() + Send + 'static) {
        std::thread::spawn(move || {
            let signal = loop {
                if let Ok(signal) = self.0.wait() {
                    break signal;
                }
            };
            cleanup();
            std::process::exit(128 + signal as i32)
        });
    }
}
