//! Reads input lines and prints output lines at the same time. On a terminal, a line editor handles
//! both input and output.

use crate::output::say;
use anyhow::Result;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use std::io::IsTerminal;

/// The source of input lines.
pub enum Screen {
    Terminal {
        editor: Box<DefaultEditor>,
        prompt: String,
    },
    Plain,
}

/// The destination of the partner's lines.
pub enum Printer {
    Terminal(Box<dyn ExternalPrinter + Send>),
    Plain,
}

impl Screen {
    pub fn new(name: &str) -> Result<(Self, Printer)> {
        if !std::io::stdin().is_terminal() {
            return Ok((Self::Plain, Printer::Plain));
        }
        // Bracketed paste is disabled. The chat may end while the editor waits for a line, and
        // nothing would then reset this mode of the terminal.
        let config = Config::builder().bracketed_paste(false).build();
        let history = DefaultHistory::with_config(&config);
        let mut editor = Box::new(DefaultEditor::with_history(config, history)?);
        let printer = Printer::Terminal(Box::new(editor.create_external_printer()?));
        let prompt = format!("{name}: ");
        Ok((Self::Terminal { editor, prompt }, printer))
    }

    /// Reads the next line; returns `None` at the end of the input and on Ctrl+C.
    pub fn line(&mut self) -> Result<Option<String>> {
        match self {
            Self::Terminal { editor, prompt } => match editor.readline(prompt) {
                Ok(line) => Ok(Some(line)),
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Plain => Ok(std::io::stdin().lines().next().transpose()?),
        }
    }
}

impl Printer {
    pub fn print(&mut self, line: &str) -> Result<()> {
        match self {
            Self::Terminal(printer) => Ok(printer.print(format!("{line}\n"))?),
            Self::Plain => say(line),
        }
    }
}
