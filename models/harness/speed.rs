//! How fast the models run, beside stock loom: the same model, in turns, in the same run.

use super::report::Report;
use super::run::run_child;
use comfy_table::Table;
use interlatch::check::Model;
use std::process::ExitCode;

/// Rounds; in each, both run the model once.
const ROUNDS: usize = 3;

/// What is compared: enough executions to measure, in a few seconds.
const MODEL: &str = "mutex/excludes/3";

/// Prints the rate of each, and the ratio.
pub fn main(models: &[&Model]) -> ExitCode {
    if !models.iter().any(|model| model.name == MODEL) {
        eprintln!("there is no model {MODEL}, or it was not chosen");
        return ExitCode::FAILURE;
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["round", "executions", "stock loom/s", "here/s", "ratio"]);
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (Some(stock), Some(here)) = (measure(&["--stock".to_owned()]), measure(&[])) else {
            eprintln!("{MODEL} did not come to its end");
            return ExitCode::FAILURE;
        };
        ratios.push(here.rate() / stock.rate());
        table.add_row([
            round.to_string(),
            here.executions.to_string(),
            format!("{:.0}", stock.rate()),
            format!("{:.0}", here.rate()),
            format!("{:.2}", here.rate() / stock.rate()),
        ]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("{MODEL}, all executions, on one core");
    println!("{}", table.trim_fmt());
    println!(
        "{:.2} times the executions per second of stock loom (median)",
        ratios[ROUNDS / 2]
    );
    ExitCode::SUCCESS
}

/// One run.
struct Run {
    executions: u64,
    seconds: f64,
}

impl Run {
    fn rate(&self) -> f64 {
        self.executions as f64 / self.seconds
    }
}

fn measure(more: &[String]) -> Option<Run> {
    let arguments = [format!("--exec={MODEL}")];
    let mut run = Run {
        executions: 0,
        seconds: 0.0,
    };
    let problem = run_child(&[&arguments, more].concat(), 600, |report| {
        if let Report::Explored(explored) = report {
            run.executions += explored.executions;
            run.seconds += explored.seconds;
        }
    });
    problem.is_none().then_some(run)
}
