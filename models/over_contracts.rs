//! Models of composites whose parts do what their contract says.
//!
//! These models are exhaustive where those with the code of the parts are bounded. The contracts
//! themselves run the scenarios of the parts.
//!
//! Models of plain primitives are built on the types of `interlatch_contract::specified`. Models of
//! robust primitives are the models of the other files, in which the contracts of [`ROBUST`] stand
//! in for the code of the robust lock and the condition variable.

use crate::broken;
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
/// The parts of robust primitives.
pub const ROBUST: &[&str] = &["Condvar", "RawRobustMutex"];

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
        robust(),
        robust_known_bugs(),
    ]
    .concat()
}

/// Returns the models of every primitive that uses a robust lock, over contracts.
fn robust() -> Vec<Model> {
    without(crate::of_robust_primitives(), &TOO_LARGE_WITH_DEATHS)
        .map(over_robust)
        .collect()
}

/// Returns the known bugs of the same primitives, over contracts.
fn robust_known_bugs() -> Vec<Model> {
    let models = [
        broken::deaths::models(),
        broken::rendezvous::models(),
        broken::loan::models(),
        broken::segment_list::models(),
        broken::addressed::models(),
        broken::robust_buffer::models(),
        broken::byte_pipe::models(),
        broken::message_queue::models(),
        broken::directory::models(),
    ];
    without(models.concat(), &BUGS_OF_PARTS)
        .map(over_robust)
        .collect()
}

fn over_robust(model: Model) -> Model {
    let name = format!("{}, over contracts", model.name);
    model.named(name).over(ROBUST)
}

/// Returns the models except the named ones.
///
/// # Panics
/// Panics if no model has one of the names.
fn without(models: Vec<Model>, names: &'static [&str]) -> impl Iterator<Item = Model> {
    for name in names {
        let is_known = models.iter().any(|model| model.name == *name);
        assert!(is_known, "no model has the name {name}");
    }
    models
        .into_iter()
        .filter(|model| !names.contains(&model.name.as_str()))
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

/// Models of robust primitives that take more than some seconds over contracts. Each scenario has a
/// model of the code of its parts, which is explored up to a bound.
const TOO_LARGE_WITH_DEATHS: [&str; 27] = [
    "raw_robust_mutex/memory_reused_after_refused_lock_is_not_marked/1, 0 dies",
    "robust_bounded<2>/every_batch_receiver_sees_disconnection/3",
    "robust_monitor<2>/every_batch_receiver_sees_disconnection/3",
    "robust_bounded<1>/killed_receive_completes_or_has_no_effect/3, 0 dies",
    "robust_bounded<1>/sender_death_loses_no_sent_item/3, 0 dies",
    "robust_bounded<1>/surviving_receiver_gets_the_remaining_items/3, 0 dies",
    "robust_monitor<1>/sender_death_loses_no_sent_item/3, 0 dies",
    "robust_monitor<1>/surviving_receiver_gets_the_remaining_items/3, 0 dies",
    "refused/refused_sender_wakes_another_sender/4",
    "rendezvous/item_is_received_or_returned/3",
    "rendezvous/item_of_killed_sender_is_received_or_withdrawn/3, 0 dies",
    "rendezvous/killed_receive_completes_or_has_no_effect/3, 0 dies",
    "rendezvous/unacknowledged_item_is_delivered_again/3, 0 dies",
    "rendezvous/acknowledgement_applies_to_its_own_item/3",
    "rendezvous/two_receivers_share_handed_items/3",
    "rendezvous/item_of_killed_acceptor_is_received_by_value/3, 0 dies",
    "rendezvous/non_blocking_send_passes_an_acceptor/3",
    "rendezvous/delivers_each_once/4",
    "rendezvous/sender_death_loses_no_sent_item/3, 0 dies",
    "rendezvous/surviving_receiver_gets_the_remaining_items/3, 0 dies",
    "loan/returning_the_last_item_disconnects_receivers/3",
    "loan/returning_the_last_item_disconnects_receivers/3, 1 interruption",
    "loan/left_item_is_received_before_disconnection/4",
    "addressed/link_rejects_a_stranger/3",
    "addressed/receiver_learns_the_sender/3",
    "byte_pipe<2>/small_writer_does_not_wait_behind_a_larger_one/3",
    "message_queue/reply_reaches_its_requester/3",
];

/// Known bugs inside the parts whose contracts stand in for their code. The failure of the last one
/// has another kind in `interlatch-engine`.
const BUGS_OF_PARTS: [&str; 5] = [
    "broken/raw_robust_mutex_without_rechecks",
    "broken/robust_condvar_without_rechecks_after_waiter_death",
    "broken/condvar_without_rechecks_after_waiter_death",
    "broken/robust_condvar_without_rechecks_after_notifier_death",
    "broken/rendezvous_that_does_not_wait",
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
