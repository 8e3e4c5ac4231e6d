//! Comparisons, which run several subjects alternately in rounds.

use super::results::{self, Claim, Fairness, Measured, Outcome, Sample};
use super::workers::{Affinity, Report, WorkerGroup};
use super::{CacheLine, Goal, Subject, at_least, page, table, with_criterion};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::time::Duration;

/// The smallest acceptable share of a worker in one second of work, relative to a fair share.
const FAIR: f64 = 0.25;

/// The quantity that a comparison measures in each round.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// The number of operations per second, added over all workers.
    PerSecond,
    /// The mean duration of an operation in a round, in nanoseconds.
    Nanoseconds,
    /// The median duration of an operation of the first worker, in nanoseconds.
    Median,
}

/// The length of a round: a time or a number of operations.
#[derive(Clone, Copy)]
pub enum Length {
    /// A round of a fixed duration.
    Timed(Duration),
    /// A round with a fixed number of operations. The number is calibrated so that the round takes
    /// about this time.
    Counted(Duration),
}

impl Length {
    /// Returns a shorter length, for a test run of the benchmark.
    fn short(self) -> Self {
        let moment = Duration::from_micros(100);
        match self {
            Self::Timed(_) => Self::Timed(moment),
            Self::Counted(_) => Self::Counted(moment),
        }
    }
}

/// The subjects of a comparison and the comparison's settings.
pub struct Comparison {
    title: String,
    measure: Measure,
    length: Length,
    rounds: usize,
    affinity: Affinity,
    needs_line: bool,
    measures_fairness: bool,
    runs_criterion: bool,
    subjects: Vec<(bool, Subject)>,
    claims: Vec<Claim>,
    kept: Vec<Box<dyn Any>>,
}

impl Comparison {
    /// Keeps a value alive until the end of the comparison.
    pub fn keep(&mut self, value: impl Any) {
        self.kept.push(Box::new(value));
    }

    /// Adds an interlatch subject. The first interlatch subject is compared with all peers.
    pub fn ours(&mut self, subject: Subject) {
        self.subjects.push((true, subject));
    }

    pub fn peer(&mut self, subject: Subject) {
        self.subjects.push((false, subject));
    }

    /// Adds a row to the table that compares two subjects, optionally with a goal for their ratio.
    pub fn versus(&mut self, ours: &str, peer: &str, goal: Option<Goal>) {
        self.claims.push(Claim {
            ours: ours.into(),
            peer: Some(peer.into()),
            goal,
        });
    }

    /// Adds a goal: each worker of this subject gets nearly its fair share of the operations.
    pub fn must_be_fair(&mut self, ours: &str) {
        self.claims.push(Claim {
            ours: ours.into(),
            peer: None,
            goal: at_least(FAIR),
        });
    }

    pub fn rounds(&mut self, rounds: usize) {
        self.rounds = rounds;
    }

    /// Runs all workers of the comparison on one core.
    pub fn on_one_core(&mut self) {
        self.affinity = Affinity::OneCore;
        self.needs_line = false;
    }

    /// Runs all workers of the comparison on one core without wake-up preemption.
    ///
    /// A woken worker does not interrupt the running worker. The running worker continues until it
    /// sleeps or until its time slice ends.
    pub fn on_one_core_without_preemption(&mut self) {
        self.affinity = Affinity::OneCoreBatch;
        self.needs_line = false;
    }

    /// States that this comparison's result does not depend on the transfer of cache lines between
    /// cores.
    pub fn ignore_cache_line(&mut self) {
        self.needs_line = false;
    }

    /// Adds one uninterrupted second of work after the rounds. This second shows how the workers
    /// share the work.
    pub fn measure_fairness(&mut self) {
        self.measures_fairness = true;
    }

    /// Also measures each subject with criterion, unless `--table` is given.
    ///
    /// criterion measures the subjects one after the other. If the machine's speed changes between
    /// two subjects, criterion's figures are hard to compare.
    pub fn run_criterion(&mut self) {
        self.runs_criterion = true;
    }
}

/// The run of one benchmark program.
pub struct Session {
    name: String,
    filters: Vec<String>,
    /// Whether this run only tests the benchmarks. As in criterion, a test run has no `--bench`
    /// argument.
    is_test: bool,
    is_table: bool,
    line: Option<CacheLine>,
    outcomes: Vec<Outcome>,
}

impl Session {
    pub fn new(name: &str) -> Result<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let is_filter = |argument: &&String| !argument.starts_with('-');
        Ok(Self {
            name: name.into(),
            filters: arguments.iter().filter(is_filter).cloned().collect(),
            is_test: !arguments.iter().any(|argument| argument == "--bench"),
            is_table: arguments.iter().any(|argument| argument == "--table"),
            line: CacheLine::new()?,
            outcomes: Vec::new(),
        })
    }

    pub fn is_test(&self) -> bool {
        self.is_test
    }

    fn is_chosen(&self, title: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| title.contains(filter))
    }

    /// Sets up a comparison with `fill` and runs it, if the command line selects its title.
    pub fn compare(
        &mut self,
        title: impl Into<String>,
        measure: Measure,
        length: Length,
        fill: impl FnOnce(&mut Comparison) -> Result<()>,
    ) -> Result<()> {
        let title = title.into();
        if !self.is_chosen(&title) {
            return Ok(());
        }
        let mut comparison = Comparison {
            title,
            measure,
            length,
            rounds: 20,
            affinity: Affinity::Spread,
            needs_line: true,
            measures_fairness: false,
            runs_criterion: false,
            subjects: Vec::new(),
            claims: Vec::new(),
            kept: Vec::new(),
        };
        let title = comparison.title.clone();
        fill(&mut comparison).with_context(|| format!("preparing {title}"))?;
        let outcome = self.run(comparison).with_context(|| title.clone())?;
        if !self.is_test {
            println!("{}", table::figures(&outcome));
            self.outcomes.push(outcome);
        }
        Ok(())
    }

    fn run(&mut self, mut comparison: Comparison) -> Result<Outcome> {
        let subjects = std::mem::take(&mut comparison.subjects);
        let mut runs = Vec::new();
        for (is_ours, subject) in subjects {
            let group = WorkerGroup::start(subject, comparison.affinity)?;
            runs.push(SubjectRun::new(group, is_ours));
        }
        let rounds = if self.is_test { 1 } else { comparison.rounds };
        let length = if self.is_test {
            comparison.length.short()
        } else {
            comparison.length
        };
        for run in &mut runs {
            run.prepare(length, comparison.measure)?;
        }
        let mut line_nanoseconds = Vec::new();
        for round in 0..rounds {
            if let Some(line) = &mut self.line {
                line_nanoseconds.push(line.nanoseconds()?);
            }
            // The first subject of a round may find cold caches. The order of the subjects
            // therefore rotates.
            for turn in 0..runs.len() {
                let run = (turn + round) % runs.len();
                runs[run].round(length, comparison.measure)?;
            }
        }
        if comparison.measures_fairness && !self.is_test {
            runs.iter_mut().try_for_each(SubjectRun::second)?;
        }
        if comparison.runs_criterion && !self.is_table {
            let groups = runs.iter_mut().map(|run| &mut run.group);
            with_criterion(&comparison.title, groups);
        }
        Ok(Outcome {
            title: comparison.title,
            measure: comparison.measure,
            needs_line: comparison.needs_line,
            line_nanoseconds,
            claims: comparison.claims,
            measured: runs.into_iter().map(|run| run.measured).collect(),
        })
    }

    /// Saves the results of this program. Then creates the page and the table from the saved
    /// results of all programs.
    pub fn finish(self) -> Result<()> {
        if self.outcomes.is_empty() {
            ensure!(self.is_test || !self.filters.is_empty(), "nothing to do");
            return Ok(());
        }
        println!("{}", table::claims(&self.outcomes));
        results::save(&self.name, self.outcomes)?;
        let page = page::draw(&results::load_all()?)?;
        println!("all saved results: {}", page.display());
        Ok(())
    }
}

/// A group of workers, together with its results.
struct SubjectRun {
    group: WorkerGroup,
    /// The number of operations in a round with a fixed number of operations.
    count: u64,
    measured: Measured,
}

impl SubjectRun {
    fn new(group: WorkerGroup, is_ours: bool) -> Self {
        let measured = Measured::new(&group.name, is_ours);
        Self {
            group,
            count: 16,
            measured,
        }
    }

    /// Runs a warm-up round and calibrates the number of operations per round.
    fn prepare(&mut self, length: Length, measure: Measure) -> Result<()> {
        let Length::Counted(time) = length else {
            return self.round(length, measure).map(|()| self.forget());
        };
        for _ in 0..3 {
            let report = self.group.count(self.count)?;
            let wanted = time.as_secs_f64() / report.seconds * self.count as f64;
            self.count = (wanted as u64).clamp(16, self.count * 256);
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.measured.samples.clear();
    }

    fn round(&mut self, length: Length, measure: Measure) -> Result<()> {
        let report = match length {
            Length::Timed(time) => self.group.time(time)?,
            Length::Counted(_) => self.group.count(self.count)?,
        };
        self.measured.samples.push(sample(&report, measure));
        Ok(())
    }

    fn second(&mut self) -> Result<()> {
        let report = self.group.time(Duration::from_secs(1))?;
        let done = || report.tallies.iter().map(|tally| tally.operations);
        let fair = done().sum::<u64>() as f64 / report.tallies.len() as f64;
        let share = |operations: Option<u64>| operations.unwrap_or(0) as f64 / fair;
        self.measured.fairness = Some(Fairness {
            min_share: share(done().min()),
            max_share: share(done().max()),
        });
        Ok(())
    }
}

fn sample(report: &Report, measure: Measure) -> Sample {
    let operations: u64 = report.tallies.iter().map(|tally| tally.operations).sum();
    let handoffs: u64 = report.tallies.iter().map(|tally| tally.handoffs).sum();
    let first = report.tallies[0];
    Sample {
        value: match measure {
            Measure::PerSecond => operations as f64 / report.seconds,
            Measure::Nanoseconds => report.seconds * 1e9 / operations as f64,
            Measure::Median => first.p50,
        },
        handoffs: (handoffs > 0).then(|| handoffs as f64 / report.seconds),
        p99: (measure == Measure::Median).then_some(first.p99),
    }
}
