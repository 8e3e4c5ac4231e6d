//! Compares the speed of this crate's loom with that of the published loom. One run of the program
//! explores the same model with both variants alternately.

use super::children::run_child;
use super::output::print_line;
use super::report::Report;
use crate::Model;
use comfy_table::Table;
use std::process::ExitCode;

/// The number of rounds. In each round, each variant explores the model once.
const ROUNDS: usize = 3;

/// Measures the speed of both variants, and prints the two rates and their ratio.
pub fn main(models: &[&Model]) -> ExitCode {
    let &[model] = models else {
        let selected = models.len();
        eprintln!(
            "--speed measures one model, but {selected} are selected; select one with --exact"
        );
        return ExitCode::FAILURE;
    };
    let name = &model.name;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["round", "executions", "loom/s", "interlatch/s", "ratio"]);
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (Some(stock), Some(ours)) = (measure(name, Some("--stock")), measure(name, None))
        else {
            eprintln!("{name} did not finish");
            return ExitCode::FAILURE;
        };
        ratios.push(ours.rate() / stock.rate());
        table.add_row([
            round.to_string(),
            ours.executions.to_string(),
            format!("{:.0}", stock.rate()),
            format!("{:.0}", ours.rate()),
            format!("{:.2}", ours.rate() / stock.rate()),
        ]);
    }
    ratios.sort_by(f64::total_cmp);
    print_line(format_args!("{name}: all executions, on one core"));
    print_line(format_args!("{}", table.trim_fmt()));
    print_line(format_args!(
        "{:.2} times the executions per second of loom as published (median)",
        ratios[ROUNDS / 2]
    ));
    ExitCode::SUCCESS
}

/// One measurement of a variant's speed.
struct Measurement {
    executions: u64,
    seconds: f64,
}

impl Measurement {
    fn rate(&self) -> f64 {
        self.executions as f64 / self.seconds
    }
}

fn measure(name: &str, option: Option<&str>) -> Option<Measurement> {
    let mut arguments = vec![format!("--exec={name}")];
    arguments.extend(option.map(str::to_owned));
    let mut run = Measurement {
        executions: 0,
        seconds: 0.0,
    };
    let problem = run_child(&arguments, 600, |report| {
        if let Report::Explored(explored) = report {
            run.executions += explored.executions;
            run.seconds += explored.elapsed.as_secs_f64();
        }
    });
    problem.is_none().then_some(run)
}
