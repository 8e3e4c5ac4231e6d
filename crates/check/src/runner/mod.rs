//! Models as a program of their own: each in a child process, two at a time, with tables, pages
//! and a command line.
//!
//! It takes the feature `runner`, for tests only, and a test target that has a `main` of its own:
//!
//! ```toml
//! [dev-dependencies]
//! interlatch = { version = "0.1", features = ["runner"] }
//!
//! [[test]]
//! name = "models"
//! harness = false
//!
//! [profile.release]
//! lto = "fat" # half as fast again
//! ```
//!
//! whose `main` is a [`Runner`]:
//!
//! ```no_run
//! use interlatch::sync::RawMutex;
//! use interlatch_check::{Model, runner::Runner};
//! use interlatch_contract::lock;
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     let models = vec![Model::new("mutex", || lock::excludes::<RawMutex>(2))];
//!     Runner::new(models).run()
//! }
//! ```
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test NAME` explores every execution; without the
//! cfg it is a short stress test with threads. `-- --help` shows the options: filters, `--weaken`,
//! `--replay`, `--json`, and others.
//!
//! # Pages
//! What is explored leaves `target/interlatch/index.html`, and each failure, also a known bug that
//! is caught, a page of its own beside it, with the execution as a picture.
//!
//! # Speed
//! Under loom this module's functions stand in front of four of the program's: `mmap`, `munmap` and
//! `mprotect`, to keep the stacks of coroutines between executions, and two of the unwinder. They
//! hand everything else on; `--speed` shows what is gained.

mod board;
mod child;
mod children;
mod cli;
mod desk;
mod failure;
mod html;
mod litmus;
mod outcome;
mod output;
mod page;
mod progress;
mod replay;
mod report;
mod run;
mod source;
mod speed;
mod table;
mod weaken;

use super::{IS_EXHAUSTIVE, Model};
use clap::Parser;
use cli::Options;
use desk::Desk;
pub use litmus::Litmus;
use output::say;
use std::path::PathBuf;
use std::process::ExitCode;

/// A program that runs models; see the [module](self).
pub struct Runner {
    models: Vec<Model>,
    litmus: Vec<Litmus>,
    desk: Desk,
}

impl Runner {
    /// A program that runs these models.
    pub fn new(models: Vec<Model>) -> Self {
        let program = std::env::args().next();
        Self {
            models,
            litmus: Vec::new(),
            desk: Desk {
                folder: "target/interlatch".into(),
                command: program.unwrap_or_else(|| "PROGRAM".into()),
            },
        }
    }

    /// Runs these tests of the engine before the models.
    #[must_use]
    pub fn litmus(self, litmus: Vec<Litmus>) -> Self {
        Self { litmus, ..self }
    }

    /// How a person starts this program, options to follow: what a replay command begins with.
    /// By itself it is the path of the program.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.desk.command = command.into();
        self
    }

    /// The folder in which a run leaves its files. By itself it is `target/interlatch`; a second
    /// program of one package needs another one.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.desk.folder = folder.into();
        self
    }

    /// Does what the command line says. This is the whole of `main`: the program starts itself
    /// again for each model.
    pub fn run(self) -> ExitCode {
        end_with_the_reader();
        let options = Options::parse();
        if let Some(name) = &options.exec {
            return child::main(&self.models, name, &options);
        }
        if let Some(name) = &options.litmus {
            return litmus::child(&self.litmus, name);
        }
        let chosen = Chosen {
            models: self.models.iter().collect(),
            litmus: self.litmus.iter().collect(),
            desk: &self.desk,
        };
        chosen.by(&options).run(&options, &self)
    }

    fn size(&self) -> usize {
        self.models.len() + self.litmus.len()
    }
}

/// Where nobody reads on, as in `... | head`, this program ends like others, and does not panic.
fn end_with_the_reader() {
    // SAFETY: it sets how a signal is handled to how programs handle it by default; no handler of
    // ours runs.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// What the filters have left.
struct Chosen<'a> {
    models: Vec<&'a Model>,
    litmus: Vec<&'a Litmus>,
    desk: &'a Desk,
}

impl Chosen<'_> {
    fn by(mut self, options: &Options) -> Self {
        self.models.retain(|model| options.chooses(&model.name));
        self.litmus.retain(|test| options.chooses(&test.name()));
        self
    }

    fn run(&self, options: &Options, all: &Runner) -> ExitCode {
        if options.list {
            self.list();
            return ExitCode::SUCCESS;
        }
        if self.models.is_empty() && self.litmus.is_empty() {
            eprintln!(
                "no model and no litmus test matches {:?}; `--list` shows them all",
                options.filters
            );
            return ExitCode::FAILURE;
        }
        if let (Some(option), false) = (options.needs_loom(), IS_EXHAUSTIVE) {
            eprintln!("{option} needs RUSTFLAGS=\"--cfg loom\": threads cannot be told what to do");
            return ExitCode::FAILURE;
        }
        if let Some(file) = &options.replay {
            return replay::main(&self.models, file, options);
        }
        if options.speed {
            return speed::main(&self.models);
        }
        if options.weaken {
            return weaken::main(&self.models, options, self.desk);
        }
        self.explore(options, all.size())
    }

    fn list(&self) {
        let tests = self.litmus.iter().map(|test| test.name());
        let models = self.models.iter().map(|model| model.name.clone());
        tests
            .chain(models)
            .for_each(|name| say(format_args!("{name}: test")));
    }

    fn explore(&self, options: &Options, all: usize) -> ExitCode {
        let observed = litmus::all(&self.litmus, options);
        let results = run::all(&self.models, options, self.desk);
        let page = board::leave_run(&results, &observed, all, self.desk);
        if options.json {
            litmus::print_json(&observed);
            table::print_json(&results);
        } else {
            litmus::print(&observed);
            table::print(&results, options);
            if let Some(page) = page {
                say(format_args!("The board: {}", page.display()));
            }
            table::print_totals(&results, &observed, all);
        }
        let good = observed.iter().all(litmus::Observed::is_good)
            && results.iter().all(outcome::Outcome::is_good);
        if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
