//! Runs every scenario of the contracts many times, with threads and with processes.

use super::harness::Test;
use super::process::{Actor, TIMEOUT, inherited};
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::{Region, ShmSafe};
use interlatch_check::{Scenario, Stage};
use interlatch_contract as contract;
use interlatch_testing::random::env_number;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Instant;

/// Returns the number of rounds per start of the participants, so each start covers many
/// interleavings. `INTERLATCH_ROUNDS` sets it, for long runs.
fn round_count() -> usize {
    env_number("INTERLATCH_ROUNDS").map_or(400, |count| count as usize)
}

/// The state of one round, and a gate at which the participants of the round meet. Without the
/// gate, the first participant would finish all rounds before the second participant begins.
#[repr(C)]
#[derive(ShmSafe)]
pub struct Round<S> {
    arrived: AtomicU32,
    state: S,
}

impl<S> Round<S> {
    /// Runs one participant of the scenario, concurrently with all others.
    pub fn run_participant(&self, scenario: &Scenario<S>, participant: usize) {
        let deadline = Instant::now() + TIMEOUT;
        let all = scenario.participants.len() as u32;
        // Relaxed: the primitive under test must order the accesses, so the gate must not order
        // them.
        let mut arrived = self.arrived.fetch_add(1, Relaxed) + 1;
        while arrived < all {
            assert!(
                Instant::now() < deadline,
                "{arrived} of {all} participants arrived at the gate"
            );
            std::thread::yield_now();
            arrived = self.arrived.load(Relaxed);
        }
        scenario.participants[participant](&self.state);
    }

    /// Checks the state after all participants have finished.
    pub fn verify(&self, scenario: &Scenario<S>) {
        (scenario.verify)(&self.state);
    }
}

/// Returns a test for each scenario, with threads and with processes.
pub fn tests() -> Vec<Test> {
    let mut names = Names(Vec::new());
    contract::all(&mut names);
    let mut tests = Vec::new();
    for (index, name) in names.0.into_iter().enumerate() {
        tests.push(Test::alone(format!("threads::{name}"), move || {
            contract::all(&mut Only::new(index, Threads));
        }));
        tests.push(Test::alone(format!("processes::{name}"), move || {
            contract::all(&mut Only::new(index, Processes { index }));
        }));
    }
    tests
}

/// Collects the names of the scenarios.
pub struct Names(pub Vec<String>);

impl Stage for Names {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let state = std::any::type_name::<S>();
        let state: String = state
            .split_inclusive(['<', ',', ';', ' ', '[', '('])
            .map(|participant| participant.rsplit("::").next().unwrap_or(participant))
            .collect();
        let count = scenario.participants.len();
        self.0.push(format!("{}/{count} of {state}", scenario.name));
    }
}

/// Runs only the scenario with this index.
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
        // The rounds and the scenario are leaked, because a hanging thread may outlive the test and
        // still use both.
        let rounds: Vec<&Round<S>> = (0..round_count()).map(|_| Round::new_leaked()).collect();
        let (rounds, scenario) = (&*rounds.leak(), &*Box::leak(Box::new(scenario)));
        let (report, reports) = mpsc::channel();
        for participant in 0..scenario.participants.len() {
            let report = report.clone();
            std::thread::spawn(move || {
                let run_result = catch_unwind(AssertUnwindSafe(|| {
                    rounds
                        .iter()
                        .for_each(|round| round.run_participant(scenario, participant));
                }));
                let _ = report.send(run_result.is_ok());
            });
        }
        let deadline = Instant::now() + TIMEOUT;
        for ended in 0..scenario.participants.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            match reports.recv_timeout(left) {
                Ok(run_result) => assert!(run_result, "a participant of {} failed", scenario.name),
                Err(_) => panic!("only {ended} participants of {} ended", scenario.name),
            }
        }
        rounds.iter().for_each(|round| round.verify(scenario));
    }
}

/// Runs the participants in separate processes. `index` is the index of the scenario.
struct Processes {
    index: usize,
}

impl Stage for Processes {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let count = round_count();
        let size = size_of::<Round<S>>() * count;
        let region = Region::memfd("stage", size).expect("memory for the rounds");
        let rounds: &[Round<S>] = region.create("rounds", count).expect("the region has room");
        let actors: Vec<Actor> = (0..scenario.participants.len())
            .map(|participant| Actor::start(&region, &role(self.index, participant)))
            .collect();
        let deadline = Instant::now() + TIMEOUT;
        for (participant, mut actor) in actors.into_iter().enumerate() {
            let ended = actor.reply(deadline).and_then(|_| actor.end(deadline));
            if let Err(problem) = ended {
                panic!("participant {participant} of {}: {problem}", scenario.name);
            }
        }
        rounds.iter().for_each(|round| round.verify(&scenario));
    }
}

fn role(index: usize, participant: usize) -> [String; 3] {
    ["stage".into(), index.to_string(), participant.to_string()]
}

/// Runs one participant of one scenario through all rounds in an actor.
pub fn run_actor(descriptor: &str, index: usize, participant: usize) -> bool {
    let region = inherited(descriptor);
    let passed = Cell::new(false);
    let stage = ParticipantStage {
        region: &region,
        participant,
        passed: &passed,
    };
    contract::all(&mut Only::new(index, stage));
    println!("{}", if passed.get() { "passed" } else { "failed" });
    passed.get()
}

struct ParticipantStage<'a> {
    region: &'a Region,
    participant: usize,
    passed: &'a Cell<bool>,
}

impl Stage for ParticipantStage<'_> {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let run_result = catch_unwind(AssertUnwindSafe(|| {
            let rounds: &[Round<S>] = self
                .region
                .attach("rounds")
                .expect("the driver creates the rounds");
            for round in rounds {
                round.run_participant(&scenario, self.participant);
            }
        }));
        self.passed.set(run_result.is_ok());
    }
}
