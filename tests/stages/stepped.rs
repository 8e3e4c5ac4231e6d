//! Stepped runs: the driver lets one process do one thing at a time.
//!
//! After each step the specification says which calls must have ended and which must be waiting.
//! The driver collects exactly the former, and sees in /proc that the latter sleep. Where any of
//! several waiters may be the one that goes on, every possibility is followed.

use super::actor::outcome;
use super::harness::Test;
use super::object::{self, Find};
use super::process::{Actor, TIMEOUT, readable};
use super::program::{Call, Kind, Object, Program, Wait, programs};
use super::property;
use interlatch::{Region, Semaphore};
use interlatch_contract::specification::{Outcome, SequentialState};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

/// A property for each kind of object, but a message queue: of its waiters, who wait for different things,
/// a different number may go on, depending on which of them does first.
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
    /// The states that the object may be in.
    states: HashSet<SequentialState>,
    /// The calls that have not ended.
    pending: BTreeMap<usize, Call>,
    ends: Ends,
}

/// What an actor may still do: it owns a lock or not, and has handles or not.
struct Ends {
    holder: Option<usize>,
    sending: Vec<bool>,
    receiving: Vec<bool>,
}

impl Driver {
    fn run(program: &Program) -> Result<(), String> {
        let object = program.object;
        let region = Region::memfd("stepped", object::size(&object)).map_err(|e| e.to_string())?;
        let _gate: &Semaphore = region.create("gate", ()).map_err(|e| e.to_string())?;
        object::find(&region, &object, Find::Create).map_err(|e| e.to_string())?;
        let mut driver = Self::new(object, start(&region, &object)?);
        for (row, (process, call)) in program.steps.iter().enumerate() {
            if driver.can(*process, *call) {
                driver.step(*process, *call).map_err(|problem| {
                    format!("step {row}, process {process}: {call}: {problem}")
                })?;
            }
        }
        Ok(())
    }

    fn new(object: Object, actors: Vec<Actor>) -> Self {
        let ends = Ends {
            holder: None,
            sending: vec![true; object.processes],
            receiving: vec![true; object.processes],
        };
        let states = HashSet::from([object.initial()]);
        Self {
            object,
            actors,
            states,
            pending: BTreeMap::new(),
            ends,
        }
    }

    /// Whether the call makes sense: the process waits for nothing, and has what it needs.
    fn can(&self, process: usize, call: Call) -> bool {
        if self.pending.contains_key(&process) {
            return false;
        }
        let is_lock = self.object.kind == Kind::Lock;
        match call {
            Call::Acquire(_) => !is_lock || self.ends.holder != Some(process),
            Call::Release(_) => !is_lock || self.ends.holder == Some(process),
            Call::Send(..) | Call::CloseSending => self.ends.sending[process],
            Call::Recv(_) | Call::CloseReceiving => self.ends.receiving[process],
            _ => true,
        }
    }

    fn step(&mut self, process: usize, call: Call) -> Result<(), String> {
        let line = serde_json::to_string(&call).map_err(|error| error.to_string())?;
        self.actors[process].tell(&line);
        self.pending.insert(process, call);
        let possible = self.possibilities();
        let counts: HashSet<usize> = possible.iter().map(|(_, ended)| ended.len()).collect();
        assert_eq!(
            counts.len(),
            1,
            "the specification says how many go on: {possible:?}"
        );
        let expected = counts.into_iter().next().unwrap_or(0);
        let ended = self.collect(expected)?;
        self.states = possible
            .into_iter()
            .filter(|(_, completions)| *completions == ended)
            .map(|(state, _)| state)
            .collect();
        if self.states.is_empty() {
            return Err(format!(
                "ended as {ended:?}, which the specification does not allow"
            ));
        }
        self.note(&ended);
        self.check_sleepers()
    }

    /// Every way in which the pending calls can go on until none can: the state, and who ended how.
    fn possibilities(&self) -> HashSet<(SequentialState, Vec<(usize, Outcome)>)> {
        let mut found = HashSet::new();
        let begin = self
            .states
            .iter()
            .map(|state| (state.clone(), Completions::new()));
        let mut open: Vec<(SequentialState, Completions)> = begin.collect();
        let mut seen = HashSet::new();
        while let Some((state, ended)) = open.pop() {
            let list: Vec<(usize, Outcome)> = ended.iter().map(|(who, how)| (*who, *how)).collect();
            if !seen.insert((state.clone(), list.clone())) {
                continue;
            }
            let mut stuck = true;
            for (who, call) in self
                .pending
                .iter()
                .filter(|(who, _)| !ended.contains_key(who))
            {
                let (outcome, next) = state.apply(call.operation());
                if outcome == Outcome::WouldBlock && call.wait() == Wait::Forever {
                    continue;
                }
                stuck = false;
                let mut ended = ended.clone();
                ended.insert(*who, outcome);
                open.push((next, ended));
            }
            if stuck {
                found.insert((state, list));
            }
        }
        found
    }

    /// That many replies.
    fn collect(&mut self, expected: usize) -> Result<Vec<(usize, Outcome)>, String> {
        let deadline = Instant::now() + TIMEOUT;
        let mut ended = Completions::new();
        while ended.len() < expected {
            let waiting: Vec<usize> = self
                .pending
                .keys()
                .copied()
                .filter(|who| !ended.contains_key(who))
                .collect();
            let actors: Vec<&Actor> = waiting.iter().map(|who| &self.actors[*who]).collect();
            let ready = readable(&actors, deadline);
            if !ready.contains(&true) {
                return Err(self.nobody_goes_on(expected, &ended));
            }
            for (who, _) in waiting.into_iter().zip(ready).filter(|(_, ready)| *ready) {
                let reply = self.actors[who].reply(deadline)?;
                let outcome = outcome(&reply).ok_or_else(|| format!("it said {reply:?}"))?;
                ended.insert(who, outcome);
            }
        }
        Ok(ended.into_iter().collect())
    }

    fn nobody_goes_on(&self, expected: usize, ended: &Completions) -> String {
        let mut text = format!(
            "{expected} calls have to end, {} did: {ended:?}",
            ended.len()
        );
        for (who, call) in self
            .pending
            .iter()
            .filter(|(who, _)| !ended.contains_key(who))
        {
            let stands = self.actors[*who].kernel_state();
            text.push_str(&format!("; process {who} is in `{call}`: {stands}"));
        }
        text
    }

    fn note(&mut self, ended: &[(usize, Outcome)]) {
        let calls: Vec<(usize, Call, Outcome)> = ended
            .iter()
            .filter_map(|(who, outcome)| Some((*who, self.pending.remove(who)?, *outcome)))
            .collect();
        // An unlock comes before the lock that it lets go.
        if calls
            .iter()
            .any(|(_, call, _)| matches!(call, Call::Release(_)))
        {
            self.ends.holder = None;
        }
        for (who, call, outcome) in calls {
            match call {
                Call::Acquire(_) if outcome == Outcome::Done => self.ends.holder = Some(who),
                Call::CloseSending => self.ends.sending[who] = false,
                Call::CloseReceiving => self.ends.receiving[who] = false,
                _ => {}
            }
        }
    }

    /// Whoever has to wait sleeps in the kernel, and does not spin or fail in silence.
    fn check_sleepers(&self) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        for (who, call) in &self.pending {
            while self.actors[*who].sleeps_on_futex() == Some(false) {
                if Instant::now() > deadline {
                    let stands = self.actors[*who].kernel_state();
                    return Err(format!("process {who} should sleep in `{call}`: {stands}"));
                }
                std::thread::yield_now();
            }
        }
        Ok(())
    }
}

/// Starts the actors; all of them have attached when this returns.
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
