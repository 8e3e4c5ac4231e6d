//! The parent: starts a child for each model, two at a time, and watches over them.

use super::cli::Options;
use super::report::{End, Explored, Failed, Report, receive};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use interlatch::check::{self, Bound, Expectation, Model};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

/// What came of one model.
#[derive(Clone, Debug)]
pub struct Result {
    /// Its name.
    pub name: String,
    /// How many processes took part.
    pub processes: usize,
    /// The failure that is expected, if it is a model of a bug.
    pub expected: Option<&'static str>,
    /// The bound that it had to finish, if it was swept.
    pub at_least: Option<usize>,
    /// Its explorations, in order.
    pub explored: Vec<Explored>,
    /// The failure that was found.
    pub failed: Option<Failed>,
    /// It was not run, since threads cannot show its bug.
    pub skipped: bool,
}

impl Result {
    /// The exploration that counts: a blind one, or else the last one that came to its end where
    /// a bound was swept, or else the last.
    pub fn conclusion(&self) -> Option<&Explored> {
        let last = |end| self.explored.iter().rfind(|explored| explored.end == end);
        let finished = self.at_least.and_then(|_| last(End::Finished));
        last(End::Blind).or(finished).or(self.explored.last())
    }

    /// In the words of the table.
    pub fn verdict(&self) -> String {
        match (&self.failed, self.expected, self.conclusion()) {
            _ if self.skipped => "not run: threads cannot show it".into(),
            (Some(failed), Some(expected), _) if failed.kind == expected => {
                format!("caught: {}", failed.kind)
            }
            (Some(failed), Some(expected), _) => {
                format!("FAILED: {} instead of {expected}", failed.kind)
            }
            (Some(failed), None, _) => format!("FAILED: {}", failed.kind),
            (None, Some(expected), _) => format!("FAILED: no {expected} was found"),
            (None, None, Some(conclusion)) => conclusion.verdict.clone(),
            (None, None, None) => "FAILED: no result".into(),
        }
    }

    /// Whether it is as expected.
    pub fn is_good(&self) -> bool {
        if self.skipped {
            return true;
        }
        match (self.expected, &self.failed) {
            (Some(expected), Some(failed)) => failed.kind == expected,
            (None, None) => self.conclusion().is_some_and(|conclusion| {
                conclusion.end == End::Finished && self.finished_bounds() >= self.at_least
            }),
            _ => false,
        }
    }

    /// The highest preemption bound that was finished, if it was swept.
    fn finished_bounds(&self) -> Option<usize> {
        let finished = self
            .explored
            .iter()
            .filter(|explored| explored.end == End::Finished)
            .count();
        if check::IS_EXHAUSTIVE {
            finished.checked_sub(1)
        } else {
            Some(usize::MAX)
        }
    }
}

/// Runs the models and returns their results in the same order; with `--fail-fast` only of those
/// that were begun.
pub fn all(models: &[&Model], options: &Options) -> Vec<Result> {
    let progress = Progress::new(models.len(), options.json);
    let is_over = OnceLock::new();
    let results = in_parallel(models, options.jobs, |model| {
        if is_over.get().is_some() {
            return None;
        }
        let spinner = progress.begin(&model.name);
        let result = one(model, options, &spinner);
        progress.end(&spinner, &result);
        if options.fail_fast && !result.is_good() {
            is_over.get_or_init(|| ());
        }
        Some(result)
    });
    progress.finish();
    results.into_iter().flatten().collect()
}

/// Does this to each item, so many at a time, and returns the results in the same order.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let queue = Mutex::new(items.iter().enumerate());
    let next = || queue.lock().ok()?.next();
    let worker = || {
        let mine = std::iter::from_fn(|| next().map(|(index, item)| (index, work(item))));
        mine.collect::<Vec<_>>()
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|mine| mine.expect("a worker does not panic"))
            .collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs one model in a child.
pub fn one(model: &Model, options: &Options, spinner: &ProgressBar) -> Result {
    let expected = match model.expectation {
        Expectation::Holds => None,
        Expectation::Fails(kind) => Some(kind.name()),
    };
    let at_least = match options.bound_of(model) {
        Bound::Sweep { at_least } => Some(at_least),
        Bound::None => None,
    };
    let mut result = Result {
        name: model.name.clone(),
        processes: model.processes,
        expected,
        at_least,
        explored: Vec::new(),
        failed: None,
        skipped: expected.is_some() && !check::IS_EXHAUSTIVE,
    };
    if result.skipped {
        return result;
    }
    let seconds = options.seconds.max(options.sweep_seconds);
    let mut arguments = vec![
        format!("--exec={}", model.name),
        format!("--seconds={}", options.seconds),
        format!("--sweep-seconds={}", options.sweep_seconds),
    ];
    if options.unbounded {
        arguments.push("--unbounded".into());
    }
    if let Some(preemptions) = options.preemptions {
        arguments.push(format!("--preemptions={preemptions}"));
    }
    let problem = run_child(&arguments, seconds, |report| match report {
        Report::Explored(explored) => {
            spinner.set_message(format!(
                "{} executions: {}",
                explored.executions, explored.verdict
            ));
            result.explored.push(explored);
        }
        Report::Failed(failed) => result.failed = Some(failed),
        Report::Sites(_) | Report::Observed(_) => {}
    });
    if let (Some(problem), None) = (problem, &result.failed) {
        result.failed = Some(Failed {
            kind: "the process".into(),
            message: problem,
            ..Failed::default()
        });
    }
    result
}

/// Runs this program again and hands its reports on; returns what went wrong with the process
/// itself, in a sentence.
pub fn run_child(
    arguments: &[String],
    seconds: u64,
    mut report: impl FnMut(Report),
) -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Some(format!("it could not be started: {error}")),
    };
    let output = child.stdout.take()?;
    // Exploring ends by itself; a model that spins inside one execution does not.
    let watchdog = Watchdog::start(child, Duration::from_secs(seconds * 2 + 30));
    for line in BufReader::new(output)
        .lines()
        .map_while(std::io::Result::ok)
    {
        match receive(&line) {
            Some(step) => report(step),
            None => println!("{line}"),
        }
    }
    watchdog.finish()
}

/// Ends a child that does not end by itself.
struct Watchdog {
    child: Arc<(Mutex<(Child, bool)>, Condvar)>,
    guard: std::thread::JoinHandle<bool>,
}

impl Watchdog {
    fn start(child: Child, patience: Duration) -> Self {
        let child = Arc::new((Mutex::new((child, false)), Condvar::new()));
        let watched = child.clone();
        let guard = std::thread::spawn(move || {
            let (state, ended) = &*watched;
            let Ok(state) = state.lock() else {
                return false;
            };
            let waited = ended.wait_timeout_while(state, patience, |(_, ended)| !*ended);
            let Ok((mut state, result)) = waited else {
                return false;
            };
            result.timed_out() && state.0.kill().is_ok()
        });
        Self { child, guard }
    }

    fn finish(self) -> Option<String> {
        let (state, ended) = &*self.child;
        if let Ok(mut state) = state.lock() {
            state.1 = true;
            ended.notify_one();
        }
        let killed = self.guard.join().unwrap_or(false);
        let status = state.lock().ok()?.0.wait();
        match status {
            _ if killed => Some("one execution of it never ends: it was killed".into()),
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("its process ended with {status}")),
            Err(error) => Some(format!("its process could not be waited for: {error}")),
        }
    }
}

/// The live display; silent where there is no terminal.
struct Progress {
    all: MultiProgress,
    bar: ProgressBar,
}

impl Progress {
    fn new(count: usize, quiet: bool) -> Self {
        let all = MultiProgress::new();
        if quiet {
            all.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let bar = all.add(ProgressBar::new(count as u64));
        bar.set_style(style("{elapsed_precise} {bar:40} {pos}/{len} models"));
        Self { all, bar }
    }

    fn begin(&self, name: &str) -> ProgressBar {
        let spinner = self
            .all
            .insert_before(&self.bar, ProgressBar::new_spinner());
        spinner.set_style(style("{spinner} {prefix}  {msg}"));
        spinner.set_prefix(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    fn end(&self, spinner: &ProgressBar, result: &Result) {
        spinner.finish_and_clear();
        if !result.is_good() {
            self.all
                .suspend(|| eprintln!("{}: {}", result.name, result.verdict()));
        }
        self.bar.inc(1);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
