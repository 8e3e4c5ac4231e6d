//! What each primitive promises: scenarios with sentences for names, written once.
//!
//! A scenario is a shared state and a few *participants*, which are plain functions of it. A
//! [`Stage`] runs them: as simulated processes under loom, as threads, or as real processes over
//! shared memory. Each scenario is generic over the implementation, so a broken one can be put in
//! its place, and must then fail.

pub mod address;
pub mod buffer;
pub mod byte_pipe;
pub mod chain;
pub mod condvar;
pub mod directory;
pub mod loan;
pub mod lock;
pub mod message_queue;
pub mod private;
pub mod recoverable;
pub mod recoverable_pair;
pub mod rendezvous;
pub mod ring;
pub mod robust_buffer;
pub mod robust_condvar;
pub mod robust_lock;
pub mod robust_mutex;
pub mod semaphore;
pub mod semaphore_pair;
pub mod specification;

use crate::platform::{Deadline, InPlace, UnsafeCell, spin};
use crate::sync::Patience;
use std::time::{Duration, Instant};

/// What one participant does with the shared state.
pub type Participant<S> = fn(&S);

/// A promise, shown by participants that would break it if it did not hold.
///
/// # Example
/// ```
/// use interlatch::Semaphore;
/// use interlatch::check::run_once;
/// use interlatch::contract::Scenario;
///
/// let scenario: Scenario<Semaphore> = Scenario::new(
///     "a_release_lets_one_go",
///     vec![|one: &Semaphore| one.release(1).unwrap(), |one| one.acquire().forget()],
/// )
/// .verify(|one| assert_eq!(one.permits(), 0));
/// run_once(&scenario);
/// ```
pub struct Scenario<S> {
    /// The promise in a few words, as an identifier.
    pub name: &'static str,
    /// What runs at the same time.
    pub participants: Vec<Participant<S>>,
    /// What holds after all of them have finished.
    pub verify: fn(&S),
    /// How many binary choices an execution needs at most, for waking one of several waiters.
    pub choices: usize,
    /// How many waits of each participant, its first ones, may end for no reason.
    pub interruptions: usize,
    /// How many weak compare-exchanges of each participant, its first ones, may fail for no reason.
    pub spurious_failures: usize,
    /// The participants that may be killed.
    pub victims: Vec<usize>,
    /// Whether sleepers look again, once in a while, after one was killed.
    pub rechecks: bool,
}

impl<S> Scenario<S> {
    /// A scenario that ends well if its participants do.
    pub fn new(name: &'static str, participants: Vec<Participant<S>>) -> Self {
        Self {
            name,
            participants,
            verify: |_| {},
            choices: 0,
            interruptions: 0,
            spurious_failures: 0,
            victims: Vec::new(),
            rechecks: true,
        }
    }

    /// What holds after all participants have finished.
    #[must_use]
    pub fn verify(self, verify: fn(&S)) -> Self {
        Self { verify, ..self }
    }

    /// How many binary choices an execution needs at most.
    #[must_use]
    pub fn choices(self, choices: usize) -> Self {
        Self { choices, ..self }
    }

    /// How many waits of each participant, its first ones, may end for no reason, as when a signal
    /// comes. Only a model can bring that about.
    #[must_use]
    pub fn interruptions(self, interruptions: usize) -> Self {
        Self {
            interruptions,
            ..self
        }
    }

    /// The participants, by their position, that may be killed at any of their steps. Only a model
    /// can bring that about at each of them; on the other stages they live.
    #[must_use]
    pub fn victims(self, victims: &[usize]) -> Self {
        Self {
            victims: victims.to_vec(),
            ..self
        }
    }

    /// Sleepers do not look again after one was killed: what follows is owed to the kernel alone.
    #[must_use]
    pub fn without_rechecks(self) -> Self {
        Self {
            rechecks: false,
            ..self
        }
    }

    /// How many weak compare-exchanges of each participant, its first ones, may fail for no reason.
    /// A machine of the x86 kind never does that, others do.
    #[must_use]
    pub fn spurious_failures(self, spurious_failures: usize) -> Self {
        Self {
            spurious_failures,
            ..self
        }
    }
}

/// Something that can run scenarios.
pub trait Stage {
    /// Runs one; a broken promise panics, or ends the stage as it describes.
    fn run<S: InPlace + 'static>(&mut self, scenario: Scenario<S>);
}

/// Every scenario of every primitive of this crate, as the real machine runs them.
pub fn all(stage: &mut impl Stage) {
    lock::all::<crate::RawMutex>(stage);
    condvar::all::<crate::Condvar, crate::RawMutex>(stage);
    robust_lock::all::<crate::sync::RawRobustMutex>(stage);
    robust_mutex::all(stage);
    robust_condvar::all(stage);
    recoverable::all(stage);
    recoverable_pair::all(stage);
    robust_buffer::all(stage);
    rendezvous::all(stage);
    ring::all(stage);
    loan::all(stage);
    chain::all(stage);
    address::all(stage);
    byte_pipe::all(stage);
    semaphore::all::<crate::Semaphore>(stage);
    stage.run(semaphore::guards_exclude_with_one_permit(2));
    stage.run(semaphore::guards_exclude_with_one_permit(3));
    stage.run(lock::every_way_to_lock_locks());
    stage.run(semaphore::every_way_to_acquire_acquires());
    semaphore_pair::all(stage);
    buffer::all(stage);
    message_queue::all(stage);
    directory::all(stage);
}

/// Patience that has run out before it begins.
pub(crate) fn spent() -> [Patience; 2] {
    let past = Instant::now().checked_sub(Duration::from_secs(1));
    let past = past.unwrap_or_else(Instant::now);
    [
        Patience::of(Duration::ZERO),
        Patience::Until(Deadline::at(past)),
    ]
}

/// Patience for centuries.
pub(crate) fn centuries() -> Patience {
    Patience::of(Duration::MAX)
}

/// A number that is protected by something else, not by itself: a race on it is an error.
#[repr(C)]
#[derive(Debug)]
pub struct Guarded(UnsafeCell<u64>);

// SAFETY: a plain number. That nobody races on it is what the scenarios check.
unsafe impl Sync for Guarded {}

// SAFETY: a plain number, valid for every bit pattern.
unsafe impl InPlace for Guarded {
    fn initial() -> Self {
        Self::new(0)
    }
}

impl Guarded {
    /// With this value.
    pub fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Its value.
    #[track_caller]
    pub fn get(&self) -> u64 {
        // SAFETY: the scenario's primitive keeps writers out, or the check fails.
        self.0.with(|value| unsafe { value.read_volatile() })
    }

    /// Changes it.
    #[track_caller]
    pub fn set(&self, new: u64) {
        // SAFETY: the scenario's primitive keeps all others out, or the check fails.
        self.0
            .with_mut(|value| unsafe { value.write_volatile(new) });
    }

    /// Adds one, in two steps that an intruder comes between.
    #[track_caller]
    pub fn increment(&self) {
        let value = self.get();
        spin::give_way();
        self.set(value + 1);
    }
}
