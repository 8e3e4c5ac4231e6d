//! The progress display of a run.

use super::outcome::Outcome;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::time::Duration;

/// A progress display with one bar for all models and one line for each running model. The display
/// is hidden if the output is not a terminal.
pub struct Progress {
    all: MultiProgress,
    bar: ProgressBar,
}

impl Progress {
    pub fn new(count: usize, quiet: bool) -> Self {
        let all = MultiProgress::new();
        if quiet {
            all.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let bar = all.add(ProgressBar::new(count as u64));
        bar.set_style(style("{elapsed_precise} {bar:40} {pos}/{len} models"));
        Self { all, bar }
    }

    pub fn begin(&self, name: &str) -> ProgressBar {
        let spinner = self
            .all
            .insert_before(&self.bar, ProgressBar::new_spinner());
        spinner.set_style(style("{spinner} {prefix}  {msg}"));
        spinner.set_prefix(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    pub fn end(&self, spinner: &ProgressBar, outcome: &Outcome) {
        spinner.finish_and_clear();
        if !outcome.passed() {
            self.all
                .suspend(|| eprintln!("{}: {}", outcome.name, outcome.verdict()));
        }
        self.bar.inc(1);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
