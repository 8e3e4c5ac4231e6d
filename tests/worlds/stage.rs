//! The stages of threads and of processes: every scenario of the contracts, many times.

use super::harness::Test;
use super::process::{Actor, PATIENCE, inherited};
use interlatch::contract::{self, Scenario, Stage};
use interlatch::{InPlace, Region};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// The states of one run: participants go through them one after the other, so that starting
/// them once shows many interleavings.
const ROUNDS: usize = 200;

/// A test for each scenario on each of the two stages.
pub fn tests() -> Vec<Test> {
    let mut names = Names(Vec::new());
    contract::all(&mut names);
    let mut tests = Vec::new();
    for (index, name) in names.0.into_iter().enumerate() {
        tests.push(Test::new(format!("threads::{name}"), move || {
            contract::all(&mut Only {
                index,
                next: 0,
                stage: Threads,
            });
        }));
        tests.push(Test::new(format!("processes::{name}"), move || {
            contract::all(&mut Only {
                index,
                next: 0,
                stage: Processes { index },
            });
        }));
    }
    tests
}

struct Names(Vec<String>);

impl Stage for Names {
    fn run<S: InPlace + 'static>(&mut self, scenario: Scenario<S>) {
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
struct Only<T> {
    index: usize,
    next: usize,
    stage: T,
}

impl<T: Stage> Stage for Only<T> {
    fn run<S: InPlace + 'static>(&mut self, scenario: Scenario<S>) {
        if self.next == self.index {
            self.stage.run(scenario);
        }
        self.next += 1;
    }
}

struct Threads;

impl Stage for Threads {
    fn run<S: InPlace + 'static>(&mut self, scenario: Scenario<S>) {
        let states: Vec<S> = (0..ROUNDS).map(|_| S::initial()).collect();
        std::thread::scope(|scope| {
            for participant in &scenario.participants {
                let states = &states;
                scope.spawn(move || states.iter().for_each(participant));
            }
        });
        states.iter().for_each(scenario.verify);
    }
}

/// Runs the participants as processes; `index` is the number of the scenario.
struct Processes {
    index: usize,
}

impl Stage for Processes {
    fn run<S: InPlace + 'static>(&mut self, scenario: Scenario<S>) {
        let size = (size_of::<S>().next_multiple_of(align_of::<S>())) * ROUNDS;
        let region = Region::memfd("stage", size).expect("memory for the states");
        let states: Vec<&S> = (0..ROUNDS)
            .map(|_| region.create(()).expect("room for a state"))
            .collect();
        let actors: Vec<Actor> = (0..scenario.participants.len())
            .map(|part| Actor::start(&region, &role(self.index, part)))
            .collect();
        let deadline = Instant::now() + PATIENCE;
        for (part, mut actor) in actors.into_iter().enumerate() {
            let ended = actor.reply(deadline).and_then(|_| actor.end(deadline));
            if let Err(problem) = ended {
                panic!("participant {part} of {}: {problem}", scenario.name);
            }
        }
        states.into_iter().for_each(scenario.verify);
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
    contract::all(&mut Only {
        index,
        next: 0,
        stage,
    });
    println!("{}", if passed.get() { "passed" } else { "failed" });
    passed.get()
}

struct Part<'a> {
    region: &'a Region,
    part: usize,
    passed: &'a Cell<bool>,
}

impl Stage for Part<'_> {
    fn run<S: InPlace + 'static>(&mut self, scenario: Scenario<S>) {
        let participant = scenario.participants[self.part];
        let played = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..ROUNDS {
                participant(self.region.attach(()).expect("the driver has created it"));
            }
        }));
        self.passed.set(played.is_ok());
    }
}
