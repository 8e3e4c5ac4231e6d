//! The results and the files that store them. Each benchmark program has one file. Each line of the
//! file is the result of one comparison, as JSON.

use super::Goal;
use super::comparison::Measure;
use super::goal::{Spread, Verdict, is_noisy};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

/// A claim about two subjects, or about the fairness of one subject. A claim without a peer
/// compares the smallest share of a worker with a fair share.
#[derive(Clone, Serialize, Deserialize)]
pub struct Claim {
    pub ours: String,
    pub peer: Option<String>,
    pub goal: Option<Goal>,
}

/// The result of one subject in one round.
#[derive(Serialize, Deserialize)]
pub struct Sample {
    pub value: f64,
    /// How often per second the object passes from one worker to another.
    pub handoffs: Option<f64>,
    pub p99: Option<f64>,
}

/// The smallest and the largest share that a worker gets in one second, relative to a fair share.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Fairness {
    pub min_share: f64,
    pub max_share: f64,
}

/// The results of one subject in all rounds.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub name: String,
    pub is_ours: bool,
    pub samples: Vec<Sample>,
    pub fairness: Option<Fairness>,
}

impl Measured {
    pub fn new(name: &str, is_ours: bool) -> Self {
        Self {
            name: name.into(),
            is_ours,
            samples: Vec::new(),
            fairness: None,
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.value)
    }

    pub fn spread(&self) -> Spread {
        Spread::from_values(self.values())
    }

    pub fn handoffs(&self) -> Option<f64> {
        median(self.samples.iter().filter_map(|sample| sample.handoffs))
    }

    pub fn p99(&self) -> Option<f64> {
        median(self.samples.iter().filter_map(|sample| sample.p99))
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    Some(Spread::from_values(values).middle).filter(|middle| !middle.is_nan())
}

/// The results of one comparison.
#[derive(Serialize, Deserialize)]
pub struct Outcome {
    pub title: String,
    pub measure: Measure,
    /// Whether this comparison's result depends on the transfer of cache lines between cores.
    pub needs_line: bool,
    /// The transfer time of a cache line in each round, in nanoseconds.
    pub line_nanoseconds: Vec<f64>,
    pub claims: Vec<Claim>,
    pub measured: Vec<Measured>,
}

/// A claim with its verdict. The table shows one such claim per row.
pub struct JudgedClaim<'a> {
    pub ours: &'a Measured,
    pub peer: Option<&'a Measured>,
    pub ratios: Spread,
    pub goal: Option<Goal>,
    pub verdict: Option<Verdict>,
    pub is_noisy: bool,
}

impl Outcome {
    /// Returns the spread of the cache line's transfer times.
    pub fn line(&self) -> Option<Spread> {
        let line = Spread::from_values(self.line_nanoseconds.iter().copied());
        (!line.middle.is_nan()).then_some(line)
    }

    fn find(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.name == name)
    }

    /// Returns all claims of the comparison with their verdicts.
    ///
    /// Claims with goals come first. A peer without a claim of its own is compared with the first
    /// interlatch subject.
    pub fn judged(&self) -> Vec<JudgedClaim<'_>> {
        let mut claims = self.claims.clone();
        claims.sort_by_key(|claim| claim.goal.is_none());
        let first = self.measured.iter().find(|measured| measured.is_ours);
        for peer in self.measured.iter().filter(|measured| !measured.is_ours) {
            let is_there = |claim: &Claim| claim.peer.as_ref() == Some(&peer.name);
            if let Some(first) = first.filter(|_| !claims.iter().any(is_there)) {
                claims.push(Claim {
                    ours: first.name.clone(),
                    peer: Some(peer.name.clone()),
                    goal: None,
                });
            }
        }
        claims
            .iter()
            .filter_map(|claim| self.judge(claim))
            .collect()
    }

    /// Judges a claim. Returns `None` if one of the claim's subjects was not measured.
    fn judge(&self, claim: &Claim) -> Option<JudgedClaim<'_>> {
        let ours = self.find(&claim.ours)?;
        let peer = match &claim.peer {
            Some(name) => Some(self.find(name)?),
            None => None,
        };
        let ratios = match peer {
            Some(peer) => {
                let pairs = ours.values().zip(peer.values());
                Spread::from_values(pairs.map(|(ours, peer)| ours / peer))
            }
            None => Spread::from_values([ours.fairness?.min_share]),
        };
        let line = self.line().filter(|_| self.needs_line && peer.is_some());
        Some(JudgedClaim {
            ours,
            peer,
            ratios,
            goal: claim.goal,
            verdict: claim.goal.map(|goal| goal.verdict(ratios, line)),
            is_noisy: is_noisy(ratios, line),
        })
    }
}

/// The saved results of one benchmark program.
pub struct Program {
    pub name: String,
    pub outcomes: Vec<Outcome>,
}

/// Returns the folder for the pages of the benchmarks. The models' pages are in the same folder.
pub fn folder() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // The package `peers` is one folder deeper than the package of the benchmarks.
    let root = package.ancestors().find(|path| path.join("ci").is_dir());
    root.unwrap_or(&package).join("target/interlatch")
}

/// Saves the results. They replace older results with the same titles.
pub fn save(name: &str, outcomes: Vec<Outcome>) -> Result<()> {
    let mut kept = read(name).unwrap_or_default();
    for outcome in outcomes {
        match kept.iter_mut().find(|old| old.title == outcome.title) {
            Some(old) => *old = outcome,
            None => kept.push(outcome),
        }
    }
    let mut text = String::new();
    for outcome in &kept {
        text += &serde_json::to_string(outcome)?;
        text.push('\n');
    }
    let folder = folder().join("bench");
    fs::create_dir_all(&folder)?;
    let file = folder.join(name).with_extension("json");
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

fn read(name: &str) -> Result<Vec<Outcome>> {
    let file = folder().join("bench").join(name).with_extension("json");
    let text = fs::read_to_string(file)?;
    let outcomes = text.lines().map(serde_json::from_str);
    Ok(outcomes.collect::<Result<_, _>>()?)
}

/// Loads the saved results of all programs. Skips files in another format.
pub fn load_all() -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(folder().join("bench"))? {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy());
        let name = name.context("a file has a name")?.into_owned();
        if let Ok(outcomes) = read(&name) {
            programs.push(Program { name, outcomes });
        }
    }
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(programs)
}
