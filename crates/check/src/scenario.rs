//! Scenarios: a shared state, and participants that access the state concurrently.

use interlatch::platform::{ShmSafe, ShmType, TypeInfo, UnsafeCell, spin};

/// The code of one participant: a plain function of the shared state.
///
/// A closure without captures coerces to this type. All participants of a scenario have the same
/// type, so the first closure in a list may need `as Participant<_>` or a typed variable.
pub type Participant<S> = fn(&S);

/// A property of a primitive, together with participants that check the property.
///
/// A scenario has a name (the property as an identifier), participants that share a state of type
/// `S`, and a verification of the final state. Participants check what they observe with
/// assertions. [`ShmSafe::init_in_place`] initializes the state.
///
/// The same scenario runs in several environments. In a [`Model`](crate::Model), every interleaving
/// is explored. A [`Stage`] runs the scenario on threads or processes.
///
/// Under loom, a scenario has at most four participants. The scenario must be deterministic: it
/// must not read a clock, use random numbers or iterate over a `HashMap`.
///
/// # Example
/// ```
/// use interlatch::Semaphore;
/// use interlatch_check::{Scenario, run_once};
///
/// let scenario: Scenario<Semaphore> = Scenario::new(
///     "release_admits_one_acquirer",
///     vec![
///         |semaphore: &Semaphore| semaphore.release(1).unwrap(),
///         |semaphore| semaphore.acquire().forget(),
///     ],
/// )
/// .verify(|semaphore| assert_eq!(semaphore.permits(), 0));
/// # #[cfg(not(loom))]
/// run_once(scenario);
/// ```
pub struct Scenario<S> {
    /// The name of the property, as an identifier.
    pub name: &'static str,
    /// The functions that run concurrently, one per participant.
    pub participants: Vec<Participant<S>>,
    /// The function that verifies the state after all participants have finished.
    pub verify: fn(&S),
    /// The maximum number of binary choices in an execution. See [`choices`](Self::choices).
    pub choices: usize,
    /// The number of waits per participant that may be interrupted.
    pub interruptions: usize,
    /// The number of weak compare-exchanges per participant that may fail spuriously.
    pub spurious_failures: usize,
    /// The number of waits per participant that may spin or not. See [`spins`](Self::spins).
    pub spins: usize,
    /// Whether the kernel may refuse `membarrier(2)` to each participant.
    pub may_lack_barrier: bool,
    /// The indices of the participants that may die.
    pub victims: Vec<usize>,
    /// The process that runs in place of a participant that has died.
    pub successor: Option<Participant<S>>,
    /// Whether sleeping participants recheck their condition after a participant has died.
    pub rechecks: bool,
}

/// Implemented by hand, because a derived `Clone` implementation would require `S: Clone`.
impl<S> Clone for Scenario<S> {
    fn clone(&self) -> Self {
        Self {
            participants: self.participants.clone(),
            victims: self.victims.clone(),
            ..*self
        }
    }
}

impl<S> Scenario<S> {
    /// Creates a scenario that has no verification yet.
    pub fn new(name: &'static str, participants: Vec<Participant<S>>) -> Self {
        Self {
            name,
            participants,
            verify: |_| {},
            choices: 0,
            interruptions: 0,
            spurious_failures: 0,
            spins: 0,
            may_lack_barrier: false,
            victims: Vec::new(),
            successor: None,
            rechecks: true,
        }
    }

    /// Sets the function that verifies the state after all participants have finished.
    #[must_use]
    pub fn verify(self, verify: fn(&S)) -> Self {
        Self { verify, ..self }
    }

    /// Sets the number of binary choices that an execution may need.
    ///
    /// If a wake finds more waiters than it may wake, it chooses the waiters to wake. A choice of
    /// one among `n` waiters takes up to `n - 1` binary choices. A model that needs more than
    /// `choices` fails with [`FailureKind::LimitHit`](crate::FailureKind::LimitHit). Each unused
    /// choice costs little.
    #[must_use]
    pub fn choices(self, choices: usize) -> Self {
        Self { choices, ..self }
    }

    /// Lets up to `interruptions` waits of each participant end early, as if by a signal.
    ///
    /// These may be any of the participant's waits.
    ///
    /// This setting has an effect only in models under loom.
    #[must_use]
    pub fn interruptions(self, interruptions: usize) -> Self {
        Self {
            interruptions,
            ..self
        }
    }

    /// Lets each participant with one of these indices die before any of its steps.
    ///
    /// The model is explored once for every step of every victim. After a death, the model of the
    /// kernel marks the robust locks of the dead process and wakes a waiter. The verification must
    /// hold both with and without a death. This setting has an effect only in models under loom.
    #[must_use]
    pub fn victims(self, victims: &[usize]) -> Self {
        Self {
            victims: victims.to_vec(),
            ..self
        }
    }

    /// Runs `successor` as a new process in place of each victim that has died.
    ///
    /// The successor starts after the kernel has marked the locks of the dead process, at any step
    /// of the other participants. It does not die. Unlike a real successor, it also sees everything
    /// that the dead process has seen, so a missing synchronization with the dead process is not
    /// found. This setting has an effect only in models under loom.
    #[must_use]
    pub fn successor(self, successor: Participant<S>) -> Self {
        Self {
            successor: Some(successor),
            ..self
        }
    }

    /// Disables the rechecks that sleeping participants do after a death.
    ///
    /// By default, each sleeper wakes up once after a process has died, as a sleeper in a real
    /// process does at the recheck interval. Without rechecks, only the kernel's wake-ups reach the
    /// sleepers. The model then shows whether the robust list alone is enough.
    #[must_use]
    pub fn without_rechecks(self) -> Self {
        Self {
            rechecks: false,
            ..self
        }
    }

    /// Lets the first `spurious_failures` weak compare-exchanges of each participant fail
    /// spuriously.
    ///
    /// Weak compare-exchanges never fail spuriously on x86, but they do on other architectures.
    /// This setting has an effect only in models under loom.
    #[must_use]
    pub fn spurious_failures(self, spurious_failures: usize) -> Self {
        Self {
            spurious_failures,
            ..self
        }
    }

    /// Lets each of the first `spins` waits of each participant spin or not.
    ///
    /// By default, one wait of each participant spins. A spinning waiter may register differently
    /// from a sleeping waiter, so this setting lets both kinds meet. It has an effect only in
    /// models under loom.
    #[must_use]
    pub fn spins(self, spins: usize) -> Self {
        Self { spins, ..self }
    }

    /// Lets the kernel refuse `membarrier(2)` to each participant, as a seccomp filter of one
    /// process does.
    ///
    /// This setting has an effect only in models under loom.
    #[must_use]
    pub fn may_lack_barrier(self) -> Self {
        Self {
            may_lack_barrier: true,
            ..self
        }
    }
}

/// A [`Scenario`] without the type of its state.
#[allow(dead_code, reason = "only the engine on loom reads all fields")]
pub(crate) struct ErasedScenario {
    pub name: &'static str,
    /// The number of participants.
    pub participants: usize,
    pub choices: usize,
    pub interruptions: usize,
    pub spurious_failures: usize,
    pub spins: usize,
    pub may_lack_barrier: bool,
    pub victims: Vec<usize>,
    pub has_successor: bool,
    pub rechecks: bool,
    /// Creates the scenario's state. The engine calls this function inside the execution.
    pub start: Box<dyn FnOnce() -> Box<dyn Instance>>,
}

/// The state of one execution, with the code that runs on this state.
pub(crate) trait Instance: Sync {
    /// Runs the participant with this index.
    fn participate(&self, index: usize);

    /// Runs the successor of a participant that has died.
    #[allow(dead_code, reason = "only the engine on loom lets participants die")]
    fn succeed(&self);

    /// Runs the verification of the state.
    fn verify(&self);
}

struct TypedInstance<S> {
    state: Box<S>,
    participants: Vec<Participant<S>>,
    successor: Option<Participant<S>>,
    verify: fn(&S),
}

impl<S: Sync> Instance for TypedInstance<S> {
    fn participate(&self, index: usize) {
        self.participants[index](&self.state);
    }

    fn succeed(&self) {
        if let Some(successor) = self.successor {
            successor(&self.state);
        }
    }

    fn verify(&self) {
        (self.verify)(&self.state);
    }
}

/// Returns a state with its initial value.
///
/// The engine on loom drops the state after all simulated processes have ended. The engine on
/// threads never drops it, because a thread may leak a robust lock in it.
fn boxed_initial_state<S: ShmSafe>() -> Box<S> {
    let mut state = Box::<S>::new_uninit();
    // SAFETY: the new memory has the layout of `S`, and only this call has its address.
    unsafe {
        S::init_in_place(state.as_mut_ptr());
        state.assume_init()
    }
}

impl ErasedScenario {
    pub fn new<S: ShmSafe + 'static>(scenario: Scenario<S>) -> Self {
        let (participants, verify) = (scenario.participants, scenario.verify);
        let successor = scenario.successor;
        Self {
            name: scenario.name,
            participants: participants.len(),
            choices: scenario.choices,
            interruptions: scenario.interruptions,
            spurious_failures: scenario.spurious_failures,
            spins: scenario.spins,
            may_lack_barrier: scenario.may_lack_barrier,
            victims: scenario.victims,
            has_successor: successor.is_some(),
            rechecks: scenario.rechecks,
            start: Box::new(move || {
                Box::new(TypedInstance {
                    state: boxed_initial_state(),
                    participants,
                    successor,
                    verify,
                })
            }),
        }
    }

    /// Returns a placeholder for a scenario whose construction panicked.
    pub fn failed() -> Self {
        Self {
            name: "scenario_that_cannot_be_built",
            participants: 0,
            choices: 0,
            interruptions: 0,
            spurious_failures: 0,
            spins: 0,
            may_lack_barrier: false,
            victims: Vec::new(),
            has_successor: false,
            rechecks: true,
            start: Box::new(|| unreachable!("a scenario without participants does not start")),
        }
    }
}

/// An environment that runs scenarios, for example threads or processes.
///
/// Implement this trait to run scenarios in your own tests. Models do not need a stage.
pub trait Stage {
    /// Runs one scenario.
    ///
    /// # Panics
    /// Panics if the property is violated, unless the implementation documents another reaction.
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>);
}

/// An unsynchronized number. A data race on this number is an error.
///
/// Protect the cell with the primitive under test. Under loom, two unordered accesses fail the
/// model. A wrong memory ordering is therefore found even if the value is right. Without loom, the
/// accesses are volatile, and concurrent calls of [`increment`](Self::increment) lose updates.
///
/// # Example
/// ```
/// use interlatch::{ShmSafe, sync::RawMutex};
/// use interlatch_check::{RaceCell, Scenario, run_once};
///
/// #[repr(C)]
/// #[derive(ShmSafe)]
/// struct Protected {
///     lock: RawMutex,
///     number: RaceCell,
/// }
///
/// let increment = |shared: &Protected| {
///     let _guard = shared.lock.lock();
///     shared.number.increment();
/// };
/// let scenario = Scenario::new("excludes", vec![increment, increment])
///     .verify(|shared: &Protected| assert_eq!(shared.number.get(), 2));
/// # #[cfg(not(loom))]
/// run_once(scenario);
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RaceCell(UnsafeCell<u64>);

// SAFETY: the value is a plain number, and the scenario's primitive orders the accesses. If the
// primitive does not order them, the check reports a race.
unsafe impl Sync for RaceCell {}

// SAFETY: the value is a plain number without a pointer. Every bit pattern is a valid number.
unsafe impl ShmSafe for RaceCell {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::new(0)) }
    }
}

impl ShmType for RaceCell {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RaceCell");
}

impl RaceCell {
    /// Creates a cell with this initial value.
    pub fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Returns the value of the cell.
    #[track_caller]
    pub fn get(&self) -> u64 {
        // SAFETY: the scenario's primitive excludes writers. If the primitive does not exclude
        // them, the check reports a race.
        let value = self.0.with(|value| unsafe { value.read_volatile() });
        #[cfg(loom)]
        crate::outcome::note(value);
        value
    }

    /// Sets the value of the cell.
    #[track_caller]
    pub fn set(&self, new: u64) {
        #[cfg(loom)]
        crate::outcome::note(new);
        // SAFETY: the scenario's primitive excludes all other accesses. If the primitive does not
        // exclude them, the check reports a race.
        self.0
            .with_mut(|value| unsafe { value.write_volatile(new) });
    }

    /// Adds 1 to the value in two steps. Other participants may run between the two steps.
    #[track_caller]
    pub fn increment(&self) {
        let value = self.get();
        spin::yield_now();
        self.set(value + 1);
    }
}
