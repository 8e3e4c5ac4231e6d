//! The end by Ctrl+C, or by who kills politely, of a program that has something to put away.

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// From now on these signals wait, in this thread and in those that it starts.
pub struct Interruption(SigSet);

impl Interruption {
    pub fn held() -> Result<Self> {
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        let signals: SigSet = signals.into_iter().collect();
        signals.thread_block().context("holding signals back")?;
        Ok(Self(signals))
    }

    /// When one comes, or has come, puts away and ends the program, with the status that a shell shows for one that the
    /// signal has ended.
    pub fn puts_away(self, put_away: impl FnOnce() + Send + 'static) {
        std::thread::spawn(move || {
            let signal = loop {
                if let Ok(signal) = self.0.wait() {
                    break signal;
                }
            };
            put_away();
            std::process::exit(128 + signal as i32)
        });
    }
}
