//! What a ratio should be, and whether it is: or whether the machine was too noisy to say.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The middle 80 % of the ratios lie further apart than this: nothing can be said of what is among them.
const WIDE: f64 = 1.25;
/// The same of the way between the cores, where that matters.
const UNSTEADY: f64 = 1.5;

/// A bound of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    is_most: bool,
    bound: f64,
}

pub fn at_most(bound: f64) -> Option<Goal> {
    let is_most = true;
    Some(Goal { is_most, bound })
}

pub fn at_least(bound: f64) -> Option<Goal> {
    let is_most = false;
    Some(Goal { is_most, bound })
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

    fn is_kept_by(self, ratio: f64) -> bool {
        if self.is_most {
            ratio <= self.bound
        } else {
            ratio >= self.bound
        }
    }

    /// Noise does not matter where four rounds of five say the same.
    pub fn verdict(self, ratios: Spread, line: Option<Spread>) -> Verdict {
        let is_clear = self.is_kept_by(ratios.low) == self.is_kept_by(ratios.high);
        if !is_clear && is_noisy(ratios, line) {
            Verdict::TooNoisy
        } else if self.is_kept_by(ratios.middle) {
            Verdict::Reached
        } else {
            Verdict::NotReached
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_most { "at most" } else { "at least" };
        write!(f, "{word} {}", self.bound)
    }
}

/// Whether the ratios vary too much, or the cache line did, where that matters.
pub fn is_noisy(ratios: Spread, line: Option<Spread>) -> bool {
    ratios.width() > WIDE || line.is_some_and(|line| line.width() > UNSTEADY)
}

/// The median of some values, and the middle 80 % of them.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
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
