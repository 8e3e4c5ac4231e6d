//! The stages of threads and of processes: every scenario of the contracts, many times.

use super::harness::Test;
use super::process::{Actor, TIMEOUT, inherited};
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::{Region, ShmSafe};
use interlatch_check::{Scenario, Stage};
use interlatch_contract as contract;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Instant;

/// Starting participants once shows many interleavings: they go through that many rounds.
const ROUNDS: usize = 2_000;

/// A state of its own for each round, and a gate at which its participants wait for each other:
/// otherwise the first one would be through with all rounds before the second has begun.
#[repr(C)]
#[derive(ShmSafe)]
pub struct Round<S> {
    arrived: AtomicU32,
    state: S,
}

impl<S> Round<S> {
    /// Plays one part of the scenario, together with all others.
    pub fn play(&self, scenario: &Scenario<S>, part: usize) {
        let deadline = Instant::now() + TIMEOUT;
        let all = scenario.participants.len() as u32;
        // The gate orders nothing; what orders is the primitive.
        let mut arrived = self.arrived.fetch_add(1, Relaxed) + 1;
        while arrived < all {
            assert!(
                Instant::now() < deadline,
                "{arrived} of {all} came to the gate"
            );
            std::thread::yield_now();
            arrived = self.arrived.load(Relaxed);
        }
        scenario.participants[part](&self.state);
    }

    /// Looks at what all participants have left.
    pub fn verify(&self, scenario: &Scenario<S>) {
        (scenario.verify)(&self.state);
    }
}

/// A test for each scenario on each of the two stages.
pub fn tests() -> Vec<Test> {
    let mut names = Names(Vec::new());
    contract::all(&mut names);
    let mut tests = Vec::new();
    for (index, name) in names.0.into_iter().enumerate() {
        tests.push(Test::new(format!("threads::{name}"), move || {
            contract::all(&mut Only::new(index, Threads));
        }));
        tests.push(Test::new(format!("processes::{name}"), move || {
            contract::all(&mut Only::new(index, Processes { index }));
        }));
    }
    tests
}

/// What the scenarios are called.
pub struct Names(pub Vec<String>);

impl Stage for Names {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let state = std::any::type_name::<S>();
        let state: String = state
            .split_inclusive(['<', ',', ';', ' ', '[', '('])
            .map(|part| part.rsplit("::").next().unwrap_or(part))
            .collect();
        let count = scenario.participants.len();
        self.0.push(format!("{}/{count} of {state}", scenario.name));
    }
}

/// One scenario of all.
pub struct Only<T> {
    index: usize,
    next: usize,
    stage: T,
}

impl<T> Only<T> {
    pub fn new(index: usize, stage: T) -> Self {
        Self {
            index,
            next: 0,
            stage,
        }
    }
}

impl<T: Stage> Stage for Only<T> {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        if self.next == self.index {
            self.stage.run(scenario);
        }
        self.next += 1;
    }
}

struct Threads;

impl Stage for Threads {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let rounds: Vec<Round<S>> = (0..ROUNDS).map(|_| Round::initial()).collect();
        // Leaked, since a thread that never ends cannot be joined, and may not outlive them.
        let (rounds, scenario) = (&*rounds.leak(), &*Box::leak(Box::new(scenario)));
        let (report, reports) = mpsc::channel();
        for part in 0..scenario.participants.len() {
            let report = report.clone();
            std::thread::spawn(move || {
                let played = catch_unwind(AssertUnwindSafe(|| {
                    rounds.iter().for_each(|round| round.play(scenario, part));
                }));
                let _ = report.send(played.is_ok());
            });
        }
        let deadline = Instant::now() + TIMEOUT;
        for ended in 0..scenario.participants.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            match reports.recv_timeout(left) {
                Ok(played) => assert!(played, "a participant of {} failed", scenario.name),
                Err(_) => panic!("only {ended} participants of {} have ended", scenario.name),
            }
        }
        rounds.iter().for_each(|round| round.verify(scenario));
    }
}

/// Runs the participants as processes; `index` is the number of the scenario.
struct Processes {
    index: usize,
}

impl Stage for Processes {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let size = size_of::<Round<S>>() * ROUNDS;
        let region = Region::memfd("stage", size).expect("memory for the rounds");
        let rounds: &[Round<S>] = region.create("rounds", ROUNDS).expect("room for them");
        let actors: Vec<Actor> = (0..scenario.participants.len())
            .map(|part| Actor::start(&region, &role(self.index, part)))
            .collect();
        let deadline = Instant::now() + TIMEOUT;
        for (part, mut actor) in actors.into_iter().enumerate() {
            let ended = actor.reply(deadline).and_then(|_| actor.end(deadline));
            if let Err(problem) = ended {
                panic!("participant {part} of {}: {problem}", scenario.name);
            }
        }
        rounds.iter().for_each(|round| round.verify(&scenario));
    }
}

fn role(index: usize, part: usize) -> [String; 3] {
    ["stage".into(), index.to_string(), part.to_string()]
}

/// In an actor: plays one participant of one scenario through all states.
pub fn play(descriptor: &str, index: usize, part: usize) -> bool {
    let region = inherited(descriptor);
    let passed = Cell::new(false);
    let stage = Part {
        region: &region,
        part,
        passed: &passed,
    };
    contract::all(&mut Only::new(index, stage));
    println!("{}", if passed.get() { "passed" } else { "failed" });
    passed.get()
}

struct Part<'a> {
    region: &'a Region,
    part: usize,
    passed: &'a Cell<bool>,
}

impl Stage for Part<'_> {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let played = catch_unwind(AssertUnwindSafe(|| {
            let rounds: &[Round<S>] = self
                .region
                .attach("rounds")
                .expect("the driver creates them");
            for round in rounds {
                round.play(&scenario, self.part);
            }
        }));
        self.passed.set(played.is_ok());
    }
}
