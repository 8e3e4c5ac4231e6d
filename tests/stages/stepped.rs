//! Stepped runs: the driver starts one call of one process at a time.
//!
//! After each step the specification determines which calls must return and which calls must wait.
//! The driver collects exactly the replies of the calls that must return, and checks in /proc that
//! the waiting processes sleep. If any one of several waiters may proceed, the driver follows every
//! possibility.

use super::actor::from_text;
use super::harness::Test;
use super::object::{self, Open};
use super::process::{Actor, TIMEOUT, readable};
use super::program::{Call, Kind, Object, Program, Wait, programs};
use super::property;
use interlatch::{Region, Semaphore};
use interlatch_contract::specification::{Outcome, SequentialState};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

/// Returns a property test for each kind of object except a message queue. The waiters of a message
/// queue wait for different messages, so the number of waiters that proceed depends on which waiter
/// is first.
pub fn tests() -> Vec<Test> {
    Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Queue)
        .map(|kind| {
            let name = format!("processes::stepped_{kind:?}_follows_its_specification");
            Test::new(name.clone(), move || {
                property::check(&name, &programs(kind), |program| Driver::run(&program));
            })
        })
        .collect()
}

type Completions = BTreeMap<usize, Outcome>;

struct Driver {
    object: Object,
    actors: Vec<Actor>,
    /// The possible states of the object.
    states: HashSet<SequentialState>,
    /// The calls that have not returned.
    pending: BTreeMap<usize, Call>,
    capabilities: Capabilities,
}

/// The owner of the lock, and the handles that each actor still has.
struct Capabilities {
    owner: Option<usize>,
    sending: Vec<bool>,
    receiving: Vec<bool>,
}

impl Driver {
    fn run(program: &Program) -> Result<(), String> {
        let object = program.object;
        let region = Region::memfd("stepped", object::size(&object)).map_err(|e| e.to_string())?;
        let _gate: &Semaphore = region.create("gate", ()).map_err(|e| e.to_string())?;
        object::open(&region, &object, Open::Create).map_err(|e| e.to_string())?;
        let mut driver = Self::new(object, start(&region, &object)?);
        for (row, (process, call)) in program.steps.iter().enumerate() {
            if driver.can_perform(*process, *call) {
                driver.step(*process, *call).map_err(|problem| {
                    format!("step {row}, process {process}: {call}: {problem}")
                })?;
            }
        }
        Ok(())
    }

    fn new(object: Object, actors: Vec<Actor>) -> Self {
        let capabilities = Capabilities {
            owner: None,
            sending: vec![true; object.processes],
            receiving: vec![true; object.processes],
        };
        let states = HashSet::from([object.initial()]);
        Self {
            object,
            actors,
            states,
            pending: BTreeMap::new(),
            capabilities,
        }
    }

    /// Returns whether the process can perform the call: the process is not waiting, and has the
    /// lock or handle that the call needs.
    fn can_perform(&self, process: usize, call: Call) -> bool {
        if self.pending.contains_key(&process) {
            return false;
        }
        let is_lock = self.object.kind == Kind::Lock;
        match call {
            Call::Acquire(_) => !is_lock || self.capabilities.owner != Some(process),
            Call::Release(_) => !is_lock || self.capabilities.owner == Some(process),
            Call::Send(..) | Call::CloseSending => self.capabilities.sending[process],
            Call::Recv(_) | Call::CloseReceiving => self.capabilities.receiving[process],
            _ => true,
        }
    }

    fn step(&mut self, process: usize, call: Call) -> Result<(), String> {
        let line = serde_json::to_string(&call).map_err(|error| error.to_string())?;
        self.actors[process].tell(&line);
        self.pending.insert(process, call);
        let possible = self.possibilities();
        let counts: HashSet<usize> = possible
            .iter()
            .map(|(_, completed)| completed.len())
            .collect();
        assert_eq!(
            counts.len(),
            1,
            "the specification determines how many calls end: {possible:?}"
        );
        let expected = counts.into_iter().next().unwrap_or(0);
        let completed = self.collect(expected)?;
        self.states = possible
            .into_iter()
            .filter(|(_, completions)| *completions == completed)
            .map(|(state, _)| state)
            .collect();
        if self.states.is_empty() {
            return Err(format!("the specification does not allow {completed:?}"));
        }
        self.update_capabilities(&completed);
        self.check_sleepers()
    }

    /// Returns the final state and the outcomes by process for every order in which the pending
    /// calls can proceed until no call can.
    fn possibilities(&self) -> HashSet<(SequentialState, Vec<(usize, Outcome)>)> {
        let mut found = HashSet::new();
        let initial = self
            .states
            .iter()
            .map(|state| (state.clone(), Completions::new()));
        let mut unexplored: Vec<(SequentialState, Completions)> = initial.collect();
        let mut seen = HashSet::new();
        while let Some((state, completed)) = unexplored.pop() {
            let list: Vec<(usize, Outcome)> = completed
                .iter()
                .map(|(process, outcome)| (*process, *outcome))
                .collect();
            if !seen.insert((state.clone(), list.clone())) {
                continue;
            }
            let mut stuck = true;
            for (process, call) in self
                .pending
                .iter()
                .filter(|(process, _)| !completed.contains_key(process))
            {
                let (outcome, next) = state.apply(call.operation());
                if outcome == Outcome::WouldBlock && call.wait() == Wait::Forever {
                    continue;
                }
                stuck = false;
                let mut completed = completed.clone();
                completed.insert(*process, outcome);
                unexplored.push((next, completed));
            }
            if stuck {
                found.insert((state, list));
            }
        }
        found
    }

    /// Collects this number of replies.
    fn collect(&mut self, expected: usize) -> Result<Vec<(usize, Outcome)>, String> {
        let deadline = Instant::now() + TIMEOUT;
        let mut completed = Completions::new();
        while completed.len() < expected {
            let waiting: Vec<usize> = self
                .pending
                .keys()
                .copied()
                .filter(|process| !completed.contains_key(process))
                .collect();
            let actors: Vec<&Actor> = waiting
                .iter()
                .map(|process| &self.actors[*process])
                .collect();
            let ready = readable(&actors, deadline);
            if !ready.contains(&true) {
                return Err(self.describe_hang(expected, &completed));
            }
            for (process, _) in waiting.into_iter().zip(ready).filter(|(_, ready)| *ready) {
                let reply = self.actors[process].reply(deadline)?;
                let outcome =
                    from_text(&reply).ok_or_else(|| format!("unknown reply {reply:?}"))?;
                completed.insert(process, outcome);
            }
        }
        Ok(completed.into_iter().collect())
    }

    fn describe_hang(&self, expected: usize, completed: &Completions) -> String {
        let mut text = format!(
            "{expected} calls must end, {} ended: {completed:?}",
            completed.len()
        );
        for (process, call) in self
            .pending
            .iter()
            .filter(|(process, _)| !completed.contains_key(process))
        {
            let kernel_state = self.actors[*process].kernel_state();
            text.push_str(&format!(
                "; process {process} is in `{call}`: {kernel_state}"
            ));
        }
        text
    }

    fn update_capabilities(&mut self, completed: &[(usize, Outcome)]) {
        let calls: Vec<(usize, Call, Outcome)> = completed
            .iter()
            .filter_map(|(process, outcome)| {
                Some((*process, self.pending.remove(process)?, *outcome))
            })
            .collect();
        // An unlock takes effect before the lock call that the unlock enables.
        if calls
            .iter()
            .any(|(_, call, _)| matches!(call, Call::Release(_)))
        {
            self.capabilities.owner = None;
        }
        for (process, call, outcome) in calls {
            match call {
                Call::Acquire(_) if outcome == Outcome::Done => {
                    self.capabilities.owner = Some(process)
                }
                Call::CloseSending => self.capabilities.sending[process] = false,
                Call::CloseReceiving => self.capabilities.receiving[process] = false,
                _ => {}
            }
        }
    }

    /// Checks that the process of every pending call sleeps in the kernel instead of spinning.
    fn check_sleepers(&self) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        for (process, call) in &self.pending {
            while self.actors[*process].sleeps_on_futex() == Some(false) {
                if Instant::now() > deadline {
                    let kernel_state = self.actors[*process].kernel_state();
                    return Err(format!(
                        "process {process} should sleep in `{call}`: {kernel_state}"
                    ));
                }
                std::thread::yield_now();
            }
        }
        Ok(())
    }
}

/// Starts the actors, and returns when all actors have attached.
fn start(region: &Region, object: &Object) -> Result<Vec<Actor>, String> {
    let object_text = serde_json::to_string(object).map_err(|error| error.to_string())?;
    let mut actors: Vec<Actor> = (0..object.processes)
        .map(|_| Actor::start(region, &["stepped".into(), object_text.clone()]))
        .collect();
    let deadline = Instant::now() + TIMEOUT;
    actors
        .iter_mut()
        .try_for_each(|actor| actor.reply(deadline).map(|_| ()))?;
    Ok(actors)
}
