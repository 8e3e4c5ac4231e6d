//! The end of the program, from whichever thread: nothing stays, and the terminal is as it was.

use crate::output::{NOBODY_READS, NobodyReads, say};
use anyhow::Result;
use interlatch_ipc::Fifo;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// What has to be done at the end.
#[derive(Clone)]
pub struct Goodbye {
    inbox: Arc<Mutex<Option<Fifo>>>,
    terminal: Option<Termios>,
}

impl Goodbye {
    pub fn new() -> Self {
        Self {
            inbox: Arc::default(),
            terminal: tcgetattr(std::io::stdin()).ok(),
        }
    }

    /// Removes this named pipe.
    pub fn removes(&self, inbox: Fifo) {
        let mut removed = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        *removed = Some(inbox);
    }

    /// Nobody needs the name any more.
    pub fn removes_now(&self) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inbox) = inbox.take() {
            // It may be gone with its folder, which is as well.
            let _ = inbox.remove();
        }
    }

    /// Also when a signal asks for it. For threads that are started after this.
    pub fn follows_signals(&self) -> Result<()> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        signals.thread_block()?;
        let goodbye = self.clone();
        std::thread::spawn(move || {
            while signals.wait().is_err() {}
            goodbye.say(Ok("goodbye".to_owned()))
        });
        Ok(())
    }

    /// Ends the program with this sentence, once.
    pub fn say(&self, sentence: Result<String>) -> ! {
        static ONCE: Mutex<()> = Mutex::new(());
        let _once = ONCE.lock();
        self.removes_now();
        if let Some(terminal) = &self.terminal {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, terminal);
        }
        let said = sentence.and_then(say);
        let status = match said {
            Ok(()) => 0,
            Err(error) if error.is::<NobodyReads>() => i32::from(NOBODY_READS),
            Err(error) => {
                // Standard error may be closed as well.
                let _ = writeln!(std::io::stderr(), "Error: {error:#}");
                1
            }
        };
        std::process::exit(status)
    }
}
