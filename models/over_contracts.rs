//! Models of composites whose parts do what their contract says.
//!
//! These models are exhaustive where those with the code of the parts are bounded. The contracts
//! themselves run the scenarios of the parts.

use crate::collector::Collector;
use interlatch::channel::Unregistered;
use interlatch::sync::{
    Condvar, LockGuard, RawCondvar, RawLock, SemaphoreCondvar, SemaphoreLock, Timeout,
};
use interlatch_check::{FailureKind, Model, Stage};
use interlatch_contract::process_local::{self, Factory, ProcessLocal, SemaphoreFactory};
use interlatch_contract::specified::{
    Bounded, Monitor, SpecifiedCondvar, SpecifiedLock, SpecifiedSemaphore,
};
use interlatch_contract::{buffer, mutex, semaphore};

const LOCK: &[&str] = &["RawMutex"];
const SEMAPHORE: &[&str] = &["Semaphore"];
const CONDVAR: &[&str] = &["Condvar", "RawMutex"];
const BOTH: &[&str] = &["Semaphore", "RawMutex"];

pub fn models() -> Vec<Model> {
    [
        locks::<SpecifiedLock>("contract_of_lock", LOCK),
        semaphores(),
        condvars::<SpecifiedCondvar, SpecifiedLock>("contract_of_condvar", CONDVAR),
        locks::<SemaphoreLock<SpecifiedSemaphore>>("semaphore_lock_over_contract", SEMAPHORE),
        condvars::<Condvar, SpecifiedLock>("condvar_over_contract", LOCK),
        condvars::<SemaphoreCondvar<SpecifiedSemaphore>, SpecifiedLock>(
            "semaphore_condvar_over_contracts",
            BOTH,
        ),
        buffers::<Bounded<1>>("bounded<1>_over_contracts", BOTH),
        buffers::<Bounded<2>>("bounded<2>_over_contracts", BOTH),
        buffers::<Monitor<1>>("monitor<1>_over_contracts", CONDVAR),
        buffers::<Monitor<2>>("monitor<2>_over_contracts", CONDVAR),
        known_bugs(),
    ]
    .concat()
}

fn known_bugs() -> Vec<Model> {
    let excludes = mutex::excludes::<ProcessLocal<SharedLock>>;
    let keeps_order = buffer::keeps_order::<ProcessLocal<Monitor<1, LateCondvar>>>;
    vec![
        Model::broken(
            "semaphore_lock_over_contract_with_two_permits",
            FailureKind::DataRace,
            move || excludes(2),
        )
        .over(SEMAPHORE),
        Model::broken(
            "monitor_over_contracts_that_unlocks_before_it_waits",
            FailureKind::Deadlock,
            keeps_order,
        )
        .over(CONDVAR),
    ]
}

/// A known bug: a lock with two permits.
struct SharedLock(SemaphoreLock<SpecifiedSemaphore>);

impl Factory for SharedLock {
    fn create() -> Self {
        // SAFETY: the model finds the data race that the second permit allows.
        Self(unsafe { SemaphoreLock::from_semaphore(SpecifiedSemaphore::with_permits(2)) })
    }
}

// SAFETY: the model finds that the lock does not exclude.
unsafe impl RawLock for SharedLock {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.0.raw_lock_with(timeout)
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock.
        unsafe { self.0.unlock() }
    }
}

/// A known bug: a condition variable that unlocks before the process joins the waiters.
struct LateCondvar {
    inner: SpecifiedCondvar,
    own: SpecifiedLock,
}

impl Factory for LateCondvar {
    fn create() -> Self {
        Self {
            inner: SpecifiedCondvar::create(),
            own: SpecifiedLock::create(),
        }
    }
}

impl RawCondvar for LateCondvar {
    fn wait_with<L: RawLock>(&self, guard: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        let lock = guard.mutex();
        // SAFETY: the guard holds the lock. It is locked again before the guard is used.
        unsafe { lock.unlock() };
        let notified = self.inner.wait_with(&mut self.own.lock(), timeout);
        while !lock.raw_lock_with(Timeout::Infinite) {}
        notified
    }

    fn notify_one(&self) {
        self.inner.notify_one();
    }

    fn notify_all(&self) {
        self.inner.notify_all();
    }
}

/// Models that take half a minute and more. Each scenario has a model of another size, or one of
/// the part itself, which is explored up to a bound.
const TOO_LARGE: [&str; 3] = [
    "contract_of_condvar/three_notifications_wake_three_waiters/4",
    "condvar_over_contract/three_notifications_wake_three_waiters/4",
    "monitor<1>_over_contracts/batch_receive_wakes_every_sender/3",
];

/// Returns the models of the scenarios that `add` adds, except those that are too large.
fn over(name: &str, contracts: &'static [&'static str], add: fn(&mut Collector)) -> Vec<Model> {
    let mut models = Collector::new(name);
    add(&mut models);
    let mut models = models.finish();
    models.retain(|model| !TOO_LARGE.contains(&model.name.as_str()));
    models
        .into_iter()
        .map(|model| model.over(contracts))
        .collect()
}

fn locks<L: RawLock + Factory + 'static>(
    name: &str,
    contracts: &'static [&'static str],
) -> Vec<Model> {
    over(name, contracts, |models| {
        process_local::all_of_lock::<L>(models)
    })
}

fn semaphores() -> Vec<Model> {
    over("contract_of_semaphore", SEMAPHORE, |models| {
        semaphore::all_of_any_semaphore::<ProcessLocal<SpecifiedSemaphore>>(models);
    })
}

fn condvars<C, L>(name: &str, contracts: &'static [&'static str]) -> Vec<Model>
where
    C: RawCondvar + Factory + 'static,
    L: RawLock + Factory + 'static,
{
    over(name, contracts, |models| {
        process_local::all_of_condvar::<C, L>(models)
    })
}

fn buffers<B: Unregistered<Item = u64> + Factory + 'static>(
    name: &str,
    contracts: &'static [&'static str],
) -> Vec<Model> {
    over(name, contracts, |models| {
        process_local::all_of_buffer::<B>(models);
        models.run(buffer::single_items_and_batches_share_a_slot::<
            ProcessLocal<B>,
        >());
    })
}
