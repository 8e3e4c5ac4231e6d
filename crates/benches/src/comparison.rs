//! Subjects that take turns, in rounds.

use super::crew::{Crew, Pins, Report};
use super::results::{self, Claim, Measured, Outcome, Sample, Second};
use super::{Goal, Line, Subject, at_least, page, table, with_criterion};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::time::Duration;

/// The share of the least served, of what would be fair, in a second.
const FAIR: f64 = 0.25;

/// What is measured of a round.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Operations of all workers in a second.
    PerSecond,
    /// Nanoseconds of an operation, on average.
    Nanoseconds,
    /// Nanoseconds of the middle one of the first worker's operations.
    Median,
}

/// When a round ends.
#[derive(Clone, Copy)]
pub enum Length {
    /// After that time.
    Timed(Duration),
    /// After a number of operations that takes about that time, and is found out at first.
    Counted(Duration),
}

impl Length {
    /// For a test.
    fn short(self) -> Self {
        let moment = Duration::from_micros(100);
        match self {
            Self::Timed(_) => Self::Timed(moment),
            Self::Counted(_) => Self::Counted(moment),
        }
    }
}

/// What is compared, and how.
pub struct Comparison {
    title: String,
    measure: Measure,
    length: Length,
    rounds: usize,
    pins: Pins,
    needs_line: bool,
    has_second: bool,
    has_criterion: bool,
    subjects: Vec<(bool, Subject)>,
    claims: Vec<Claim>,
    kept: Vec<Box<dyn Any>>,
}

impl Comparison {
    /// Keeps this until all has been measured.
    pub fn keep(&mut self, value: impl Any) {
        self.kept.push(Box::new(value));
    }

    /// A subject of this crate. The first one is compared with all peers.
    pub fn ours(&mut self, subject: Subject) {
        self.subjects.push((true, subject));
    }

    pub fn peer(&mut self, subject: Subject) {
        self.subjects.push((false, subject));
    }

    /// How two of them should compare, or that they are worth a line of the table.
    pub fn versus(&mut self, ours: &str, peer: &str, goal: Option<Goal>) {
        self.claims.push(Claim {
            ours: ours.into(),
            peer: Some(peer.into()),
            goal,
        });
    }

    /// Of this one nobody may starve.
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

    /// All workers share a core.
    pub fn on_one_core(&mut self) {
        self.pins = Pins::Together;
        self.needs_line = false;
    }

    /// The same, and none takes the core from another one as it wakes up: that goes on until it sleeps, or its time slice
    /// is over.
    pub fn undisturbed_on_one_core(&mut self) {
        self.pins = Pins::Undisturbed;
        self.needs_line = false;
    }

    /// Nothing goes from one core to another.
    pub fn needs_no_line(&mut self) {
        self.needs_line = false;
    }

    /// A second without a break at the end tells how the work was shared.
    pub fn has_second(&mut self) {
        self.has_second = true;
    }

    /// Criterion measures each subject too, one after the other, unless the program is told not to by `--table`. A
    /// machine that changes its speed in between makes these hard to compare.
    pub fn has_criterion(&mut self) {
        self.has_criterion = true;
    }
}

/// A program that measures.
pub struct Session {
    name: String,
    filters: Vec<String>,
    /// As criterion does it: without the argument `--bench` it is a test whether benchmarks run at all.
    is_test: bool,
    is_table: bool,
    line: Option<Line>,
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
            line: Line::new()?,
            outcomes: Vec::new(),
        })
    }

    pub fn is_test(&self) -> bool {
        self.is_test
    }

    fn is_chosen(&self, title: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| title.contains(filter))
    }

    /// Compares what `fill` adds, if the title has been chosen.
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
            pins: Pins::Spread,
            needs_line: true,
            has_second: false,
            has_criterion: false,
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
        let mut lanes = Vec::new();
        for (is_ours, subject) in subjects {
            let crew = Crew::start(subject, comparison.pins)?;
            lanes.push(Lane::new(crew, is_ours));
        }
        let rounds = if self.is_test { 1 } else { comparison.rounds };
        let length = if self.is_test {
            comparison.length.short()
        } else {
            comparison.length
        };
        for lane in &mut lanes {
            lane.prepare(length, comparison.measure)?;
        }
        let mut line_nanoseconds = Vec::new();
        for round in 0..rounds {
            if let Some(line) = &mut self.line {
                line_nanoseconds.push(line.nanoseconds()?);
            }
            // Whoever is first may find the caches cold, so the first changes.
            for turn in 0..lanes.len() {
                let lane = (turn + round) % lanes.len();
                lanes[lane].round(length, comparison.measure)?;
            }
        }
        if comparison.has_second && !self.is_test {
            lanes.iter_mut().try_for_each(Lane::second)?;
        }
        if comparison.has_criterion && !self.is_table {
            let crews = lanes.iter_mut().map(|lane| &mut lane.crew);
            with_criterion(&comparison.title, crews);
        }
        Ok(Outcome {
            title: comparison.title,
            measure: comparison.measure,
            needs_line: comparison.needs_line,
            line_nanoseconds,
            claims: comparison.claims,
            measured: lanes.into_iter().map(|lane| lane.measured).collect(),
        })
    }

    /// Leaves what was measured, and draws the page and the table of all that has been left.
    pub fn finish(self) -> Result<()> {
        if self.outcomes.is_empty() {
            ensure!(self.is_test || !self.filters.is_empty(), "nothing to do");
            return Ok(());
        }
        println!("{}", table::claims(&self.outcomes));
        results::leave(&self.name, self.outcomes)?;
        let page = page::draw(&results::all()?)?;
        println!("all that was measured so far: {}", page.display());
        Ok(())
    }
}

/// A crew, and what was measured of it.
struct Lane {
    crew: Crew,
    /// Operations of a round, where these are counted.
    count: u64,
    measured: Measured,
}

impl Lane {
    fn new(crew: Crew, is_ours: bool) -> Self {
        let measured = Measured::new(&crew.name, is_ours);
        Self {
            crew,
            count: 16,
            measured,
        }
    }

    /// A first round, that is not kept; and how many operations a round has.
    fn prepare(&mut self, length: Length, measure: Measure) -> Result<()> {
        let Length::Counted(time) = length else {
            return self.round(length, measure).map(|()| self.forget());
        };
        for _ in 0..3 {
            let report = self.crew.count(self.count)?;
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
            Length::Timed(time) => self.crew.time(time)?,
            Length::Counted(_) => self.crew.count(self.count)?,
        };
        self.measured.samples.push(sample(&report, measure));
        Ok(())
    }

    fn second(&mut self) -> Result<()> {
        let report = self.crew.time(Duration::from_secs(1))?;
        let done = || report.tallies.iter().map(|tally| tally.operations);
        let fair = done().sum::<u64>() as f64 / report.tallies.len() as f64;
        let share = |operations: Option<u64>| operations.unwrap_or(0) as f64 / fair;
        self.measured.second = Some(Second {
            least: share(done().min()),
            most: share(done().max()),
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
