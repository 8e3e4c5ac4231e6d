//! Limits, verdicts and reports.

#[cfg(doc)]
use crate::GRAPHS_BEFORE_SAMPLES;
use crate::failure::Failure;
use core::fmt;
use std::time::Duration;

/// The limits of an exploration. An exploration that reaches one is not exhaustive, and its
/// [`Verdict`] says so.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of events of one process in one execution, at most 60,000. The default is
    /// 10,000.
    pub steps: usize,
    /// The maximum number of graphs to replay. The default is no limit.
    pub graphs: Option<u64>,
    /// The maximum time. The default is no limit.
    pub time: Option<Duration>,
    /// The maximum number of random executions. They run after the first
    /// [`GRAPHS_BEFORE_SAMPLES`] graphs, because in a large model they find most bugs earlier than
    /// the exploration. With 0, there are none. The default is 10,000.
    pub samples: u64,
    /// The maximum time for the random executions. The default is no limit.
    pub sample_time: Option<Duration>,
    /// The seed of the random executions: with the same seed, they are the same. The default is 1.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 10_000,
            graphs: None,
            time: None,
            samples: 10_000,
            sample_time: None,
            seed: 1,
        }
    }
}

impl Limits {
    /// Returns the limits of one of `count` parts of an exploration, which share the random
    /// executions.
    pub(crate) fn of_part(self, number: u64, count: u64) -> Self {
        let rest = u64::from(number < self.samples % count);
        Self {
            samples: self.samples / count + rest,
            seed: self.seed.wrapping_add(number),
            ..self
        }
    }
}

/// The result of an exploration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// Every execution that the memory model allows was explored, and none fails.
    Exhaustive,
    /// The executions of these shards were explored, and none fails: see
    /// [`explore_shard`](crate::explore_shard).
    Partial {
        /// The numbers of the shards, in ascending order.
        explored: Vec<u32>,
        /// The number of all shards.
        count: u32,
    },
    /// This execution fails.
    Failed(Box<Failure>),
    /// The exploration reached this limit, and no execution until then fails.
    Limited(Limit),
}

/// A limit that an exploration has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::graphs`].
    Graphs,
    /// [`Limits::time`].
    Time,
    /// [`Limits::samples`]: only random executions were run.
    Samples,
}

/// What an exploration has found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The result.
    pub verdict: Verdict,
    /// The number of executions in which every process has ended.
    pub executions: u64,
    /// The number of executions in which a process waits for a value that a later write stores:
    /// they are parts of other executions.
    pub blocked: u64,
    /// The number of random executions. They are not among the other numbers.
    pub sampled: u64,
    /// The number of graphs that turned out to be inconsistent.
    pub dead_ends: u64,
    /// The largest number of events in one execution.
    pub max_events: usize,
}

impl Report {
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            executions: 0,
            blocked: 0,
            sampled: 0,
            dead_ends: 0,
            max_events: 0,
        }
    }

    /// Returns the report if the exploration was exhaustive.
    ///
    /// # Panics
    /// Panics with the failing execution, or with the limit that the exploration has reached.
    #[track_caller]
    pub fn assert_exhaustive(self) -> Self {
        match &self.verdict {
            Verdict::Exhaustive => self,
            verdict => panic!("{verdict}"),
        }
    }

    /// Adds the report of other shards of the same exploration.
    ///
    /// # Errors
    /// Fails if a shard is in both reports, if the numbers of shards differ, or if one of the
    /// reports is not that of a shard.
    pub fn merge(self, other: Self) -> Result<Self, MergeError> {
        let verdict = merge_verdicts(self.verdict, other.verdict)?;
        Ok(Self {
            verdict,
            executions: self.executions + other.executions,
            blocked: self.blocked + other.blocked,
            sampled: self.sampled + other.sampled,
            dead_ends: self.dead_ends + other.dead_ends,
            max_events: self.max_events.max(other.max_events),
        })
    }

    /// Adds the figures of another part of the same exploration.
    pub(crate) fn add(&mut self, other: Self) {
        self.executions += other.executions;
        self.blocked += other.blocked;
        self.sampled += other.sampled;
        self.dead_ends += other.dead_ends;
        self.max_events = self.max_events.max(other.max_events);
        self.worsen(other.verdict);
    }

    /// Replaces a verdict by a worse one.
    pub(crate) fn worsen(&mut self, verdict: Verdict) {
        let severity = |verdict: &Verdict| match verdict {
            Verdict::Exhaustive => 0,
            Verdict::Partial { .. } => 1,
            Verdict::Limited(_) => 2,
            Verdict::Failed(_) => 3,
        };
        if severity(&verdict) > severity(&self.verdict) {
            self.verdict = verdict;
        }
    }
}

impl Verdict {
    /// Returns the verdict of these shards, none of which fails.
    pub(crate) fn of_shards(explored: Vec<u32>, count: u32) -> Self {
        match explored.len() == count as usize {
            true => Self::Exhaustive,
            false => Self::Partial { explored, count },
        }
    }
}

fn merge_verdicts(one: Verdict, other: Verdict) -> Result<Verdict, MergeError> {
    match (one, other) {
        (
            Verdict::Partial {
                mut explored,
                count,
            },
            Verdict::Partial {
                explored: others,
                count: other_count,
            },
        ) => {
            if count != other_count {
                return Err(MergeError::Counts(count, other_count));
            }
            if let Some(doubled) = others.iter().find(|shard| explored.contains(shard)) {
                return Err(MergeError::Doubled(*doubled));
            }
            explored.extend(others);
            explored.sort_unstable();
            Ok(Verdict::of_shards(explored, count))
        }
        (failed @ Verdict::Failed(_), _) | (_, failed @ Verdict::Failed(_)) => Ok(failed),
        (limited @ Verdict::Limited(_), _) | (_, limited @ Verdict::Limited(_)) => Ok(limited),
        (Verdict::Exhaustive, _) | (_, Verdict::Exhaustive) => Err(MergeError::NotAShard),
    }
}

/// Two reports cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeError {
    /// Both reports contain this shard.
    Doubled(u32),
    /// The reports have these different numbers of shards.
    Counts(u32, u32),
    /// One of the reports is that of a complete exploration.
    NotAShard,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubled(shard) => write!(f, "both reports contain shard {shard}"),
            Self::Counts(one, other) => {
                write!(f, "one report is of {one} shards, the other of {other}")
            }
            Self::NotAShard => f.write_str("a report is already complete"),
        }
    }
}

impl core::error::Error for MergeError {}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graphs => "the limit of graphs was reached",
            Self::Time => "the time limit was reached",
            Self::Samples => "only random executions were run",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhaustive => f.write_str("exhaustive"),
            Self::Partial { explored, count } => {
                write!(f, "partial: {} of {count} shards", explored.len())
            }
            Self::Failed(failure) => write!(f, "failed: {failure}"),
            Self::Limited(limit) => write!(f, "not exhaustive: {limit}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} executions, {} blocked, {} dead ends, {} random executions; {}",
            self.executions, self.blocked, self.dead_ends, self.sampled, self.verdict
        )
    }
}
