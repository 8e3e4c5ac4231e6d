//! The end of the program, from any thread: removes the named pipe and restores the terminal.

use crate::output::{OUTPUT_CLOSED, OutputClosed, say};
use anyhow::Result;
use interlatch_ipc::Fifo;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// The cleanup at the end of the program.
#[derive(Clone)]
pub struct Exit {
    inbox: Arc<Mutex<Option<Fifo>>>,
    terminal: Option<Termios>,
}

impl Exit {
    pub fn new() -> Self {
        Self {
            inbox: Arc::default(),
            terminal: tcgetattr(std::io::stdin()).ok(),
        }
    }

    /// Lets the end of the program remove this named pipe.
    pub fn remove_at_exit(&self, inbox: Fifo) {
        let mut removed = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        *removed = Some(inbox);
    }

    /// Removes the named pipe now, because no process needs its name any longer.
    pub fn remove_now(&self) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inbox) = inbox.take() {
            // The pipe may have been removed together with its directory.
            let _ = inbox.remove();
        }
    }

    /// Ends the program when a termination signal arrives. Call this function before starting other
    /// threads.
    pub fn on_signals(&self) -> Result<()> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        signals.thread_block()?;
        let exit = self.clone();
        std::thread::spawn(move || {
            while signals.wait().is_err() {}
            exit.finish(Ok("goodbye".to_owned()))
        });
        Ok(())
    }

    /// Prints a message and ends the program, once.
    pub fn finish(&self, message: Result<String>) -> ! {
        static ONCE: Mutex<()> = Mutex::new(());
        let _once = ONCE.lock();
        self.remove_now();
        if let Some(terminal) = &self.terminal {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, terminal);
        }
        let printed = message.and_then(say);
        let status = match printed {
            Ok(()) => 0,
            Err(error) if error.is::<OutputClosed>() => i32::from(OUTPUT_CLOSED),
            Err(error) => {
                // Standard error may be closed too.
                let _ = writeln!(std::io::stderr(), "Error: {error:#}");
                1
            }
        };
        std::process::exit(status)
    }
}
