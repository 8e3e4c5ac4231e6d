//! How fast the models run, beside stock loom: the same model, in turns, in the same run.

use super::children::run_child;
use super::output::say;
use super::report::Report;
use crate::Model;
use comfy_table::Table;
use std::process::ExitCode;

/// Rounds; in each, both run the model once.
const ROUNDS: usize = 3;

/// Prints the rate of each, and the ratio.
pub fn main(models: &[&Model]) -> ExitCode {
    let &[model] = models else {
        let chosen = models.len();
        eprintln!("--speed measures one model, and {chosen} are chosen: name it with --exact");
        return ExitCode::FAILURE;
    };
    let name = &model.name;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["round", "executions", "stock loom/s", "here/s", "ratio"]);
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (Some(stock), Some(here)) = (measure(name, Some("--stock")), measure(name, None))
        else {
            eprintln!("{name} did not come to its end");
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
    say(format_args!("{name}, all executions, on one core"));
    say(format_args!("{}", table.trim_fmt()));
    say(format_args!(
        "{:.2} times the executions per second of stock loom (median)",
        ratios[ROUNDS / 2]
    ));
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

fn measure(name: &str, how: Option<&str>) -> Option<Run> {
    let mut arguments = vec![format!("--exec={name}")];
    arguments.extend(how.map(str::to_owned));
    let mut run = Run {
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
