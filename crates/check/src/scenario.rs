//! Scenarios: a shared state, and participants that run at the same time.

use interlatch::platform::{ShmSafe, UnsafeCell, spin};

/// What one participant does with the shared state.
pub type Participant<S> = fn(&S);

/// A promise, shown by participants that would break it if it did not hold.
///
/// # Example
/// ```
/// use interlatch::Semaphore;
/// use interlatch_check::run_once;
/// use interlatch_check::Scenario;
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
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>);
}

/// A number that is protected by something else, not by itself: a race on it is an error.
#[repr(C)]
#[derive(Debug)]
pub struct RaceCell(UnsafeCell<u64>);

// SAFETY: a plain number. That nobody races on it is what the scenarios check.
unsafe impl Sync for RaceCell {}

// SAFETY: a plain number, valid for every bit pattern.
unsafe impl ShmSafe for RaceCell {
    fn initial() -> Self {
        Self::new(0)
    }
}

impl RaceCell {
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
        spin::yield_now();
        self.set(value + 1);
    }
}
