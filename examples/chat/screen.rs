//! Lines that somebody types, and others that appear meanwhile: with an editor on a terminal, plain elsewhere.

use anyhow::Result;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use std::io::IsTerminal;

/// Where lines come from.
pub enum Screen {
    Terminal {
        editor: Box<DefaultEditor>,
        prompt: String,
    },
    Plain,
}

/// Where those of the other side go.
pub enum Printer {
    Terminal(Box<dyn ExternalPrinter + Send>),
    Plain,
}

impl Screen {
    pub fn new(name: &str) -> Result<(Self, Printer)> {
        if !std::io::stdin().is_terminal() {
            return Ok((Self::Plain, Printer::Plain));
        }
        let mut editor = Box::new(DefaultEditor::new()?);
        let printer = Printer::Terminal(Box::new(editor.create_external_printer()?));
        let prompt = format!("{name}: ");
        Ok((Self::Terminal { editor, prompt }, printer))
    }

    /// The next line; none at the end, or when Ctrl+C asks for it.
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
    pub fn print(&mut self, line: &str) {
        match self {
            // A terminal that is gone hangs up, which ends the program.
            Self::Terminal(printer) => drop(printer.print(format!("{line}\n"))),
            Self::Plain => println!("{line}"),
        }
    }
}
