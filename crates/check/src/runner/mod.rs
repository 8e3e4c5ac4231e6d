//! A command line program that explores models.
//!
//! Each model runs in its own child process, and several child processes run in parallel. The
//! program prints a table of verdicts and the details of each failure. It also writes HTML pages.
//!
//! # Setup
//! Add a test target with its own `main`:
//!
//! ```toml
//! [dev-dependencies]
//! interlatch-check = "0.1"
//!
//! [[test]]
//! name = "models"
//! harness = false
//!
//! [profile.release]
//! lto = "fat" # about 1.5 times as fast
//! ```
//!
//! ```no_run
//! // tests/models.rs
//! use interlatch::sync::RawMutex;
//! use interlatch_check::{Model, runner::Runner};
//! use interlatch_contract::mutex;
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     let models = vec![Model::new("mutex", || mutex::excludes::<RawMutex>(2))];
//!     Runner::new(models).run()
//! }
//! ```
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test models` explores every execution. Without
//! `--cfg loom`, the same command runs a short stress test on threads. `-- --help` lists the
//! options.
//!
//! # Pages
//! An exploration writes `target/interlatch/index.html`, a summary of all models. For each failure,
//! including the failure of a known bug, the exploration also writes a page with the execution as a
//! diagram.
//!
//! # Speed
//! Under loom, this crate overrides five functions of the program. Three of them are `mmap`,
//! `munmap` and `mprotect`, to reuse the stacks of coroutines between executions. The other two are
//! functions of the unwinder. All other calls of these functions are forwarded to the original
//! functions. The option `--speed` measures the gain.

mod child;
mod children;
mod cli;
mod context;
mod expected;
mod failure_page;
mod failure_text;
mod html;
mod litmus;
mod outcome;
mod output;
mod progress;
mod replay;
mod report;
mod run;
mod source;
mod speed;
mod summary;
mod table;
mod weaken;

use super::{IS_EXHAUSTIVE, Model};
use clap::Parser;
use cli::{Engine, Options};
use context::Context;
pub use litmus::Litmus;
use output::print_line;
use std::path::PathBuf;
use std::process::ExitCode;

/// A program that explores a list of models.
///
/// The [module page](self) shows how to set up the program.
pub struct Runner {
    models: Vec<Model>,
    litmus: Vec<Litmus>,
    context: Context,
}

impl Runner {
    /// Creates a program that explores these models.
    pub fn new(models: Vec<Model>) -> Self {
        let program = std::env::args().next();
        Self {
            models,
            litmus: Vec::new(),
            context: Context {
                folder: "target/interlatch".into(),
                command: program.unwrap_or_else(|| "PROGRAM".into()),
            },
        }
    }

    /// Adds litmus tests of the engine. The litmus tests run before the models.
    #[must_use]
    pub fn litmus(self, litmus: Vec<Litmus>) -> Self {
        Self { litmus, ..self }
    }

    /// Sets the command prefix that starts this program. Reports print commands with this prefix.
    ///
    /// The default is the path of the program.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.context.command = command.into();
        self
    }

    /// Sets the folder to which the program writes its files.
    ///
    /// The default is `target/interlatch`. Two programs of one package need different folders.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.context.folder = folder.into();
        self
    }

    /// Runs the program according to its command line.
    ///
    /// Call this function first in `main`, because the program starts itself again for each model.
    pub fn run(self) -> ExitCode {
        restore_default_sigpipe();
        let options = Options::parse();
        if let Some(name) = &options.exec {
            return child::main(&self.models, name, &options);
        }
        if let Some(name) = &options.litmus {
            return litmus::child(&self.litmus, name);
        }
        Selection::new(&self, &options).run(&options, self.size())
    }

    fn size(&self) -> usize {
        self.models.len() + self.litmus.len()
    }
}

/// Restores the default action of `SIGPIPE`, which Rust programs ignore. The signal then ends the
/// program when a reader such as `head` closes the pipe.
fn restore_default_sigpipe() {
    // SAFETY: the call restores the default action of a signal and installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// The models and litmus tests that the filters select.
struct Selection<'a> {
    models: Vec<&'a Model>,
    litmus: Vec<&'a Litmus>,
    context: &'a Context,
}

impl<'a> Selection<'a> {
    fn new(runner: &'a Runner, options: &Options) -> Self {
        let models = runner.models.iter();
        let litmus = runner.litmus.iter();
        Self {
            models: models
                .filter(|model| options.selects(&model.name))
                .collect(),
            litmus: litmus
                .filter(|test| options.selects(&test.name()))
                .collect(),
            context: &runner.context,
        }
    }

    fn run(&self, options: &Options, all: usize) -> ExitCode {
        if options.list {
            self.list();
            return ExitCode::SUCCESS;
        }
        if self.models.is_empty() && self.litmus.is_empty() {
            eprintln!(
                "no model and no litmus test matches {:?}; `--list` prints all names",
                options.filters
            );
            return ExitCode::FAILURE;
        }
        if let (Some(option), false) = (options.needs_loom(), IS_EXHAUSTIVE) {
            eprintln!("{option} needs RUSTFLAGS=\"--cfg loom\"");
            return ExitCode::FAILURE;
        }
        if let Some(file) = &options.replay {
            return replay::main(&self.models, file, options);
        }
        if options.speed {
            return speed::main(&self.models);
        }
        if options.weaken {
            return weaken::main(&self.models, options, self.context);
        }
        self.explore(options, all)
    }

    fn list(&self) {
        let tests = self.litmus.iter().map(|test| test.name());
        let models = self.models.iter().map(|model| model.name.clone());
        tests
            .chain(models)
            .for_each(|name| print_line(format_args!("{name}: test")));
    }

    fn explore(&self, options: &Options, all: usize) -> ExitCode {
        let litmus = litmus::all(&self.litmus, options);
        let outcomes = run::all(&self.models, options, self.context);
        // The page shows the results of loom, which the other checks refer to.
        let page = match options.engine {
            Engine::Loom => summary::write_run(&outcomes, &litmus, all, self.context),
            Engine::Ours => None,
        };
        if options.json {
            litmus::print_json(&litmus);
            table::print_json(&outcomes);
        } else {
            litmus::print(&litmus);
            table::print(&outcomes, options);
            if let Some(page) = page {
                print_line(format_args!("Summary page: {}", page.display()));
            }
            table::print_totals(&outcomes, &litmus, all);
        }
        let passed = litmus.iter().all(litmus::LitmusResult::passed)
            && outcomes.iter().all(outcome::Outcome::passed);
        if passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
