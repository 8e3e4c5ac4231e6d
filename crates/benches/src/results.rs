//! What was measured, and where it is left: a file of JSON lines for each program, a comparison in each line.

use super::Goal;
use super::comparison::Measure;
use super::goal::{Spread, Verdict, is_noisy};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

/// How two subjects should compare; or, without a peer, how the least served should do.
#[derive(Clone, Serialize, Deserialize)]
pub struct Claim {
    pub ours: String,
    pub peer: Option<String>,
    pub goal: Option<Goal>,
}

/// One subject in one round.
#[derive(Serialize, Deserialize)]
pub struct Sample {
    pub value: f64,
    /// A second, of what one had after another.
    pub handoffs: Option<f64>,
    pub p99: Option<f64>,
}

/// How the work of a second was shared: of what would be fair.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Second {
    pub least: f64,
    pub most: f64,
}

/// A subject, in all rounds.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub name: String,
    pub is_ours: bool,
    pub samples: Vec<Sample>,
    pub second: Option<Second>,
}

impl Measured {
    pub fn new(name: &str, is_ours: bool) -> Self {
        Self {
            name: name.into(),
            is_ours,
            samples: Vec::new(),
            second: None,
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.value)
    }

    pub fn spread(&self) -> Spread {
        Spread::of(self.values())
    }

    pub fn handoffs(&self) -> Option<f64> {
        median(self.samples.iter().filter_map(|sample| sample.handoffs))
    }

    pub fn p99(&self) -> Option<f64> {
        median(self.samples.iter().filter_map(|sample| sample.p99))
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    Some(Spread::of(values).middle).filter(|middle| !middle.is_nan())
}

/// A comparison that was made.
#[derive(Serialize, Deserialize)]
pub struct Outcome {
    pub title: String,
    pub measure: Measure,
    /// It depends on the way between the cores.
    pub needs_line: bool,
    /// What a cache line took from one core to another, in each round.
    pub line_nanoseconds: Vec<f64>,
    pub claims: Vec<Claim>,
    pub measured: Vec<Measured>,
}

/// A claim, and what has come of it: a line of the table.
pub struct Judged<'a> {
    pub ours: &'a Measured,
    pub peer: Option<&'a Measured>,
    pub ratios: Spread,
    pub goal: Option<Goal>,
    pub verdict: Option<Verdict>,
    pub is_noisy: bool,
}

impl Outcome {
    /// Of the cache line.
    pub fn line(&self) -> Option<Spread> {
        let line = Spread::of(self.line_nanoseconds.iter().copied());
        (!line.middle.is_nan()).then_some(line)
    }

    fn find(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.name == name)
    }

    /// All claims, those with goals first, and then the first of ours with each peer that is left.
    pub fn judged(&self) -> Vec<Judged<'_>> {
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

    /// None if one of the two was not measured.
    fn judge(&self, claim: &Claim) -> Option<Judged<'_>> {
        let ours = self.find(&claim.ours)?;
        let peer = match &claim.peer {
            Some(name) => Some(self.find(name)?),
            None => None,
        };
        let ratios = match peer {
            Some(peer) => {
                let pairs = ours.values().zip(peer.values());
                Spread::of(pairs.map(|(ours, peer)| ours / peer))
            }
            None => Spread::of([ours.second?.least]),
        };
        let line = self.line().filter(|_| self.needs_line && peer.is_some());
        Some(Judged {
            ours,
            peer,
            ratios,
            goal: claim.goal,
            verdict: claim.goal.map(|goal| goal.verdict(ratios, line)),
            is_noisy: is_noisy(ratios, line),
        })
    }
}

/// What a program has left.
pub struct Program {
    pub name: String,
    pub outcomes: Vec<Outcome>,
}

/// Where pages are left: beside those of the models.
pub fn folder() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // The peers have a package of their own, two folders below.
    let root = package.ancestors().find(|path| path.join("ci").is_dir());
    root.unwrap_or(&package).join("target/interlatch")
}

/// Leaves these in the place of those of the same titles.
pub fn leave(name: &str, outcomes: Vec<Outcome>) -> Result<()> {
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

/// Of all programs that have left anything that this one understands.
pub fn all() -> Result<Vec<Program>> {
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
