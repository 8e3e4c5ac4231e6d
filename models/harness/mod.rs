//! Runs models, each in a child process of its own, and says what came of them.

mod child;
mod cli;
mod engine;
mod failure;
mod replay;
mod report;
mod run;
mod speed;
#[cfg(loom)]
mod stacks;
mod table;
#[cfg(loom)]
mod unwinding;
mod weaken;

use clap::Parser;
use cli::Options;
use interlatch::check::{self, Model};
use std::process::ExitCode;

pub fn main(models: &[Model]) -> ExitCode {
    let options = Options::parse();
    if let Some(name) = &options.exec {
        return child::main(models, name, &options);
    }
    if let Some(name) = &options.litmus {
        return engine::child(name);
    }
    let tests = engine::chosen(&options);
    let chosen: Vec<&Model> = models
        .iter()
        .filter(|model| options.chooses(&model.name))
        .collect();
    if options.list {
        let names = tests.iter().map(engine::name);
        names
            .chain(chosen.iter().map(|model| model.name.clone()))
            .for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() && tests.is_empty() {
        eprintln!(
            "no model and no litmus test matches {:?}; `-- --list` shows them all",
            options.filters
        );
        return ExitCode::FAILURE;
    }
    if let (Some(option), false) = (options.needs_loom(), check::IS_EXHAUSTIVE) {
        eprintln!("{option} needs RUSTFLAGS=\"--cfg loom\": threads cannot be told what to do");
        return ExitCode::FAILURE;
    }
    if let Some(file) = &options.replay {
        return replay::main(&chosen, file, options.seconds);
    }
    if options.speed {
        return speed::main(&chosen);
    }
    if options.weaken {
        return weaken::main(&chosen, &options);
    }
    let observed = engine::all(&tests, &options);
    let results = run::all(&chosen, &options);
    if options.json {
        engine::print_json(&observed);
        table::print_json(&results);
    } else {
        engine::print(&observed);
        table::print(&results, &options);
        let all = models.len() + crate::litmus::all().len();
        table::print_totals(&results, &observed, all);
    }
    let good =
        observed.iter().all(engine::Observed::is_good) && results.iter().all(run::Result::is_good);
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
