//! Refinement tests: whatever a program observes of a part, it may also observe of its contract.
//!
//! Each test runs the same scenarios with the code of a part and with its contract in
//! `interlatch-engine`, and compares the sets of outcomes: what each process reads from and writes
//! to the cells of the scenario. The executions of a part may be too many. Then the test compares
//! those that it explores in its time, and says so.

use crate::collector::Collector;
use crate::over_contracts::ROBUST;
use interlatch::sync::{Condvar, RawLock, RawMutex, RawRobustMutex, Semaphore, Timeout};
use interlatch_check::runner::Litmus;
use interlatch_check::{Model, outcomes};
use interlatch_contract::process_local::{self, Factory, ProcessLocal};
use interlatch_contract::specified::{self, SpecifiedCondvar, SpecifiedLock, SpecifiedSemaphore};
use interlatch_contract::{
    buffer, condvar, mutex, raw_robust_mutex, robust_condvar, robust_mutex, robust_semaphore,
    semaphore,
};
use std::time::Duration;

/// The time for the code of a part, and for its contract, in each scenario.
const TIME: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(60)];

/// Scenarios whose contracts have too many executions.
const LEFT_OUT: [&str; 2] = [
    "part/three_notifications_wake_three_waiters/4",
    "part/batch_receive_wakes_every_sender/3",
];

/// Adds the models of the same scenarios with the code of a part and with its contract. In the
/// second models, the contracts of these types stand in for their code.
type Pair = ([fn(&mut Collector); 2], &'static [&'static str]);

/// The same scenarios, in whose second models contracts stand in for code.
const fn in_place(scenarios: fn(&mut Collector), contracts: &'static [&'static str]) -> Pair {
    ([scenarios, scenarios], contracts)
}

pub fn all() -> Vec<Litmus> {
    let tests = of_plain_parts().into_iter().chain(of_robust_parts());
    let tests = tests.map(|(name, pair)| Litmus::new(name, move || refines(pair)));
    let too_strong = Litmus::new(
        "refinement_test_notices_a_contract_that_is_too_strong",
        || {
            let difference = refines((
                [
                    |part| process_local::all_of_lock::<SpecifiedLock>(part),
                    |contract| process_local::all_of_lock::<PatientLock>(contract),
                ],
                &[],
            ));
            match difference {
                Err(difference) => Ok(difference.split(" [").next().unwrap_or_default().into()),
                Ok(observed) => Err(observed),
            }
        },
    );
    tests.chain([too_strong]).collect()
}

/// The parts whose contracts are types of their own.
fn of_plain_parts() -> [(&'static str, Pair); 5] {
    [
        (
            "lock_refines_its_contract",
            (
                [
                    |part| mutex::all::<RawMutex>(part),
                    |contract| process_local::all_of_lock::<SpecifiedLock>(contract),
                ],
                &[],
            ),
        ),
        (
            "semaphore_refines_its_contract",
            (
                [
                    |part| semaphore::all_of_any_semaphore::<Semaphore>(part),
                    |contract| {
                        semaphore::all_of_any_semaphore::<ProcessLocal<SpecifiedSemaphore>>(
                            contract,
                        );
                    },
                ],
                &[],
            ),
        ),
        (
            "condvar_refines_its_contract",
            (
                [
                    |part| condvar::all::<Condvar, RawMutex>(part),
                    |contract| {
                        process_local::all_of_condvar::<SpecifiedCondvar, SpecifiedLock>(contract);
                    },
                ],
                &[],
            ),
        ),
        (
            "bounded_buffer_refines_itself_over_contracts",
            (
                [
                    |part| buffer::all_of::<buffer::Bounded<1>>(part),
                    |contract| process_local::all_of_buffer::<specified::Bounded<1>>(contract),
                ],
                &[],
            ),
        ),
        (
            "monitor_buffer_refines_itself_over_contracts",
            (
                [
                    |part| buffer::all_of::<buffer::Monitor<1>>(part),
                    |contract| process_local::all_of_buffer::<specified::Monitor<1>>(contract),
                ],
                &[],
            ),
        ),
    ]
}

/// The parts whose contracts stand in for their code.
fn of_robust_parts() -> [(&'static str, Pair); 4] {
    [
        (
            "robust_lock_refines_its_contract",
            in_place(raw_robust_mutex::all::<RawRobustMutex>, &["RawRobustMutex"]),
        ),
        (
            "robust_mutex_refines_itself_over_a_contract",
            in_place(robust_mutex::all, &["RawRobustMutex"]),
        ),
        (
            "robust_condvar_refines_its_contract",
            in_place(robust_condvar::all, ROBUST),
        ),
        (
            "robust_semaphore_refines_itself_over_contracts",
            in_place(robust_semaphore::all, ROBUST),
        ),
    ]
}

/// A lock whose timeouts never expire, which is more than a lock promises.
struct PatientLock(SpecifiedLock);

impl Factory for PatientLock {
    fn create() -> Self {
        Self(SpecifiedLock::create())
    }
}

// SAFETY: `SpecifiedLock` fulfils the contract.
unsafe impl RawLock for PatientLock {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        match timeout {
            Timeout::At(_) => self.0.raw_lock_with(Timeout::Infinite),
            _ => self.0.raw_lock_with(timeout),
        }
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock.
        unsafe { self.0.unlock() }
    }
}

/// Compares the outcomes of each scenario.
fn refines((pair, in_place): Pair) -> Result<String, String> {
    let [parts, contracts] = pair.map(|add| {
        let mut models = Collector::new("part");
        add(&mut models);
        let mut models = models.finish();
        models.retain(|model| !LEFT_OUT.contains(&model.name.as_str()));
        models
    });
    let names = |models: &[Model]| models.iter().map(|model| model.name.clone()).collect();
    let [of_parts, of_contracts]: [Vec<String>; 2] = [names(&parts), names(&contracts)];
    assert_eq!(of_parts, of_contracts, "the lists of scenarios differ");
    let (mut observed, mut allowed, mut in_part) = (0, 0, 0);
    for (part, contract) in parts.iter().zip(&contracts) {
        let (of_part, is_complete) = outcomes(part, TIME[0]);
        let contract = contract.clone().over(in_place);
        let (of_contract, contract_is_complete) = outcomes(&contract, TIME[1]);
        if !contract_is_complete {
            return Err(format!(
                "{}: the contract has too many executions",
                part.name
            ));
        }
        if let Some(outcome) = of_part.difference(&of_contract).next() {
            let name = &part.name;
            return Err(format!("{name}: the contract does not allow {outcome:?}"));
        }
        observed += of_part.len();
        allowed += of_contract.len();
        in_part += usize::from(!is_complete);
    }
    let count = parts.len();
    Ok(format!(
        "{observed} outcomes of {allowed} that the contracts allow, in {count} scenarios, \
         {in_part} of them in part"
    ))
}
