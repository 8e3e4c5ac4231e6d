//! Goals for the ratio of two subjects, and the verdicts on these goals.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest acceptable spread of the middle 80 % of the ratios, as a factor. If the spread is
/// larger, a goal inside the range of these ratios is not judged.
const WIDE: f64 = 1.25;
/// The largest acceptable spread of a cache line's transfer times, as a factor. This limit applies
/// only to results that depend on these transfers.
const UNSTEADY: f64 = 1.5;

/// An upper or lower bound for a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    is_upper_bound: bool,
    bound: f64,
}

pub fn at_most(bound: f64) -> Option<Goal> {
    let is_upper_bound = true;
    Some(Goal {
        is_upper_bound,
        bound,
    })
}

pub fn at_least(bound: f64) -> Option<Goal> {
    let is_upper_bound = false;
    Some(Goal {
        is_upper_bound,
        bound,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reached,
    NotReached,
    TooNoisy,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NotReached => "not reached",
            Self::TooNoisy => "too noisy",
        }
    }
}

impl Goal {
    pub fn bound(self) -> f64 {
        self.bound
    }

    fn is_met_by(self, ratio: f64) -> bool {
        if self.is_upper_bound {
            ratio <= self.bound
        } else {
            ratio >= self.bound
        }
    }

    /// Judges the ratios. Noise does not matter if all of the middle 80 % of the ratios reach the
    /// goal, or if all of them miss the goal.
    pub fn verdict(self, ratios: Spread, line: Option<Spread>) -> Verdict {
        let is_clear = self.is_met_by(ratios.low) == self.is_met_by(ratios.high);
        if !is_clear && is_noisy(ratios, line) {
            Verdict::TooNoisy
        } else if self.is_met_by(ratios.middle) {
            Verdict::Reached
        } else {
            Verdict::NotReached
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_upper_bound {
            "at most"
        } else {
            "at least"
        };
        write!(f, "{word} {}", self.bound)
    }
}

/// Returns whether the ratios vary too much, or the transfer times of the cache line on which they
/// depend.
pub fn is_noisy(ratios: Spread, line: Option<Spread>) -> bool {
    ratios.width() > WIDE || line.is_some_and(|line| line.width() > UNSTEADY)
}

/// The median of several values, and the range of their middle 80 %.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

impl Spread {
    pub fn from_values(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        Self {
            low: at(last / 10),
            middle: at(last / 2),
            high: at(last - last / 10),
        }
    }

    pub fn width(self) -> f64 {
        self.high / self.low
    }
}
