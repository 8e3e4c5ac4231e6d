//! Runs models, each in a child process of its own, and says what came of them.

mod child;
mod cli;
mod report;
mod run;
#[cfg(loom)]
mod stacks;
mod table;
mod weaken;

use clap::Parser;
use cli::Options;
use interlatch::check::Model;
use std::process::ExitCode;

pub fn main(models: &[Model]) -> ExitCode {
    let options = Options::parse();
    if let Some(name) = &options.exec {
        return child::main(models, name, &options);
    }
    let chosen: Vec<&Model> = models
        .iter()
        .filter(|model| options.chooses(&model.name))
        .collect();
    if options.list {
        chosen
            .iter()
            .for_each(|model| println!("{}: test", model.name));
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        eprintln!(
            "no model matches {:?}; `-- --list` shows them all",
            options.filters
        );
        return ExitCode::FAILURE;
    }
    if options.weaken {
        return weaken::main(&chosen, &options);
    }
    let results = run::all(&chosen, &options);
    if options.json {
        table::print_json(&results);
    } else {
        table::print(&results);
    }
    if results.iter().all(run::Result::is_good) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
