//! Adaptive spinning: waiting briefly without the kernel, if this has paid off before.
//!
//! A failed spin costs more than the sleep that follows it. Whether a spin fails depends on facts
//! that user code cannot see: whether the other side runs at this moment, on another core, and how
//! soon it finishes. So each process keeps a prediction per word that it waits on (`predictor`). On
//! a single core, no other thread makes progress during a spin. After a few failures there, a
//! primitive sleeps without spinning.
//!
//! If a waiter takes the first item immediately, both sides access the buffer at the same time
//! during every later operation. The cache lines of the buffer then move between the two cores on
//! every operation. The semaphores of a buffer then pass 1 to 2 million items per second, compared
//! with 5 to 10 million if one side waits until the other stops. So a waiter that sees a permit
//! does not take the permit immediately. The waiter keeps waiting while more permits arrive fast,
//! if permits also arrived fast during the last such wait.
//!
//! A spin only loads a word and decides nothing: the caller confirms the loaded value with a
//! read-modify-write. So an adaptive spin cannot change an outcome, and the model does not
//! implement it.
//!
//! **Sources.** Spinning for about as long as a sleep would cost, and predicting from earlier
//! waits: Karlin, Li, Manasse and Owicki, *Empirical Studies of Competitive Spinning for a
//! Shared-Memory Multiprocessor* (1991). Exponential back-off at a lock: Anderson, *The Performance
//! of Spin Lock Alternatives for Shared-Memory Multiprocessors* (1990). A table indexed by a hash
//! of the address, as in branch prediction: Smith, *A Study of Branch Prediction Strategies*
//! (1981).

mod predictor;

use super::{AtomicU32, Deadline};
use core::hint::spin_loop;
use core::sync::atomic::Ordering::Relaxed;
use predictor::{SpinPredictor, other_runnable};
use std::time::Duration;

/// What a waiter spins for. The policy determines the pauses and the time limit of the spin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpinPolicy {
    /// A lock that many threads acquire repeatedly.
    ///
    /// When a waiter reads the lock's word, the cache line of the word moves from the holder's core
    /// to the waiter's core. When another thread acquires the lock, the protected data moves to
    /// that thread's core too. So the lock is faster if one thread acquires it many times in a row,
    /// and the pauses before a waiter's checks double: 1, 2, 4, ...
    Lock,
    /// A lock that a thread acquires to begin a turn, to finish that turn, and soon to begin the
    /// next turn. A turn is the right to write or read once.
    ///
    /// A waiter that checks early acquires the lock between two of these operations. In each
    /// operation, both threads then wait until the cache lines with the protected data arrive from
    /// the other core. A channel then passes 3.7 million loans of 64 bytes per second, compared
    /// with 5.5 million if the waiter pauses before its first check.
    Turns,
    /// A permit or a notification, which arrives once and should be taken immediately.
    Event,
    /// Items or free slots, which seldom arrive alone.
    ///
    /// When a waiter reads the count, the cache line of the count moves away from the core of the
    /// thread that changes the count. A waiter that pauses between its checks finds many items in
    /// one check.
    Items,
}

impl SpinPolicy {
    /// The maximum duration of a spin.
    ///
    /// Most locks are held for less time than this limit. If a lock is held for longer, the cost of
    /// a sleep is small compared with the wait.
    ///
    /// An event may come from a thread that sleeps and is woken on another core, which takes 30 to
    /// 40 microseconds in a virtual machine. A waiter with a shorter limit would never see such an
    /// event.
    fn limit(self) -> Duration {
        Duration::from_micros(match self {
            Self::Lock | Self::Turns => 20,
            Self::Event | Self::Items => 50,
        })
    }

    /// Returns the number of pauses before the check with this number, counted from 0.
    #[inline]
    fn pauses(self, check: u32) -> u32 {
        match self {
            Self::Lock => 1 << check.min(MAX_LOCK_PAUSES),
            Self::Turns => 1 << (check + FIRST_TURN_PAUSES).min(MAX_LOCK_PAUSES),
            Self::Event => 1,
            Self::Items => 1 << (check + FIRST_ITEM_PAUSES).min(MAX_ITEM_PAUSES),
        }
    }
}

/// Base-2 logarithm of the maximum number of pauses before a check of a lock: 256 pauses take 2 to
/// 12 microseconds.
const MAX_LOCK_PAUSES: u32 = 8;

/// Base-2 logarithm of the number of pauses before the first check of a lock with
/// [`SpinPolicy::Turns`].
const FIRST_TURN_PAUSES: u32 = 6;

/// Base-2 logarithms of the initial and the maximum number of pauses before a check for more
/// permits.
///
/// Each check costs the other side at least two transfers of a cache line. 128 pauses take 1 to 6
/// microseconds, which is enough for the other side to release some permits.
const FIRST_BATCH_PAUSES: u32 = 7;
const MAX_BATCH_PAUSES: u32 = 9;

/// A waiter that waits for more permits continues while at least one permit arrives in this number
/// of pauses.
const PAUSES_PER_PERMIT: u32 = 64;

/// Base-2 logarithms of the initial and the maximum number of pauses before a check for items.
const FIRST_ITEM_PAUSES: u32 = 4;
const MAX_ITEM_PAUSES: u32 = 7;

/// The number of pauses between two reads of the clock.
const PAUSES_PER_CLOCK: u32 = 64;

/// 1 if adaptive spinning is enabled in this process, and 0 otherwise.
static SPINNING: AtomicU32 = AtomicU32::new(1);

fn spinning_enabled() -> bool {
    // Relaxed: this setting publishes no other memory.
    SPINNING.load(Relaxed) != 0
}

/// Enables or disables adaptive spinning for all later waits of this process.
///
/// Spinning is enabled at the start. Disable it in a process whose processor time matters more than
/// its latency. The waiters of that process then sleep without spinning.
pub fn set_spinning(enabled: bool) {
    // Relaxed: this setting publishes no other memory.
    SPINNING.store(enabled.into(), Relaxed);
}

/// Pauses this many times, so that other threads make progress. Returns immediately if spinning is
/// disabled.
pub fn back_off(pauses: u32) {
    if spinning_enabled() && other_runnable() {
        (0..pauses).for_each(|_| spin_loop());
    }
}

/// The spin phase of one wait: the checks of the word before the thread sleeps.
#[derive(Debug)]
pub struct Spin<'a> {
    word: &'a AtomicU32,
    policy: SpinPolicy,
    deadline: Option<Deadline>,
    predictor: &'static SpinPredictor,
    is_enabled: bool,
    has_slept: bool,
    may_batch: bool,
    /// The number of checks of the word so far, which determines the number of pauses before the
    /// next check.
    checks: u32,
    /// The number of pauses since the last read of the clock.
    pauses: u32,
    /// The time limit of the spin, or `None` until the spin has read the clock.
    end: Option<Deadline>,
}

impl<'a> Spin<'a> {
    /// Begins a wait on this word.
    pub fn new(word: &'a AtomicU32, policy: SpinPolicy, deadline: Option<Deadline>) -> Self {
        let predictor = SpinPredictor::for_word(word);
        let is_enabled = spinning_enabled() && predictor.should_spin();
        Self::with_predictor(word, policy, deadline, predictor, is_enabled)
    }

    fn with_predictor(
        word: &'a AtomicU32,
        policy: SpinPolicy,
        deadline: Option<Deadline>,
        predictor: &'static SpinPredictor,
        is_enabled: bool,
    ) -> Self {
        // The decision is made before the spin, when the caller has to wait anyway. A decision
        // after the permit has arrived would delay the caller.
        let may_batch =
            is_enabled && policy == SpinPolicy::Event && predictor.batching.should_batch();
        Self {
            word,
            policy,
            deadline,
            predictor,
            is_enabled,
            has_slept: false,
            may_batch,
            checks: 0,
            pauses: 0,
            end: None,
        }
    }

    /// Whether this wait spins at all before it sleeps.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Spins until the word meets the condition.
    ///
    /// Returns false if the time limit is over or this wait does not spin. The caller then sleeps.
    /// If the condition no longer holds when the caller acts, the caller calls `wait_until` again
    /// on the same `Spin`, because the time limit covers the whole wait.
    pub fn wait_until(&mut self, condition: impl Fn(u32) -> bool) -> bool {
        while self.pause_before_check() {
            // Relaxed: the caller confirms the value with a read-modify-write.
            if condition(self.word.load(Relaxed)) {
                return true;
            }
        }
        false
    }

    /// Waits for more permits while they arrive fast, if they also arrived fast during the last
    /// such wait.
    ///
    /// Call this method when the word holds at least one permit. The method waits at most once per
    /// `Spin`. `count` extracts the number of permits from the word.
    pub fn wait_for_batch(&mut self, count: impl Fn(u32) -> u32) {
        if core::mem::take(&mut self.may_batch) {
            let more_arrived = self.wait_for_more(count);
            self.predictor.batching.record(more_arrived);
        }
    }

    /// Waits for more permits while they arrive fast, and returns whether any arrived.
    #[cold]
    fn wait_for_more(&mut self, count: impl Fn(u32) -> u32) -> bool {
        let mut more_arrived = false;
        let mut pauses = 1 << FIRST_BATCH_PAUSES;
        // Relaxed: the caller confirms the value with a read-modify-write. The same holds for the
        // load in the loop below.
        let mut before = count(self.word.load(Relaxed));
        (self.pauses, self.end) = (0, None);
        loop {
            let in_time = self.pause(pauses);
            let now = count(self.word.load(Relaxed));
            if now < before.saturating_add(pauses / PAUSES_PER_PERMIT) {
                return more_arrived;
            }
            more_arrived = true;
            if !in_time {
                return true;
            }
            before = now;
            pauses = (2 * pauses).min(1 << MAX_BATCH_PAUSES);
        }
    }

    /// Records a success if the wait ended without a sleep.
    pub fn record_success(&self) {
        if self.is_enabled && !self.has_slept {
            self.predictor.record_success();
        }
    }

    /// Starts a new spin after the thread has slept.
    ///
    /// A woken waiter may find that another thread has just acquired the lock or permit, and will
    /// soon release it. The outcome of this spin is not recorded, because the sleep that a spin
    /// should avoid has already happened.
    pub fn restart(&mut self) {
        self.is_enabled = spinning_enabled() && self.predictor.confidence() > 0;
        self.has_slept = true;
        (self.checks, self.pauses, self.end) = (0, 0, None);
    }

    /// Pauses, and returns whether the caller should check the word afterwards.
    fn pause_before_check(&mut self) -> bool {
        if !self.is_enabled {
            return false;
        }
        let pauses = self.policy.pauses(self.checks);
        self.checks += 1;
        if !self.pause(pauses) {
            self.stop();
        }
        self.is_enabled
    }

    /// Pauses this many times. Returns false if the time limit is over.
    fn pause(&mut self, pauses: u32) -> bool {
        (0..pauses).for_each(|_| spin_loop());
        self.pauses += pauses;
        if self.pauses < PAUSES_PER_CLOCK {
            return true;
        }
        self.pauses = 0;
        self.is_in_time()
    }

    /// Returns whether the time limit has not passed yet. The clock decides, because the length of
    /// a pause depends on the processor.
    #[cold]
    fn is_in_time(&mut self) -> bool {
        if let Some(end) = self.end {
            return !end.has_passed();
        }
        let limit = Deadline::after(self.policy.limit());
        self.end = Some(self.deadline.map_or(limit, |deadline| deadline.min(limit)));
        true
    }

    /// Ends the spin. Records a failure unless the caller's own deadline ended the spin.
    #[cold]
    fn stop(&mut self) {
        self.is_enabled = false;
        if self.end != self.deadline && !self.has_slept {
            self.predictor.record_failure();
        }
    }
}

/// Waits for more permits like [`Spin::wait_for_batch`]. A caller that found a permit without a
/// spin calls this function.
#[cold]
pub fn batch_wait(word: &AtomicU32, deadline: Option<Deadline>, count: impl Fn(u32) -> u32) {
    let predictor = SpinPredictor::for_word(word);
    if spinning_enabled() && predictor.confidence() > 0 {
        Spin::with_predictor(word, SpinPolicy::Event, deadline, predictor, true)
            .wait_for_batch(count);
    }
}

/// Lets other threads run at this point. Stress tests call this where a preemption is most harmful.
pub fn yield_now() {
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::predictor::MAX_CONFIDENCE;
    use super::*;
    use std::cell::Cell;
    use std::sync::Mutex;

    /// Serializes the tests that read or change the setting of the process.
    static SETTING: Mutex<()> = Mutex::new(());

    fn spin<'a>(
        word: &'a AtomicU32,
        deadline: Option<Deadline>,
        predictor: &'static SpinPredictor,
    ) -> Spin<'a> {
        Spin::with_predictor(word, SpinPolicy::Event, deadline, predictor, true)
    }

    #[test]
    fn failed_spin_ends_and_lowers_the_confidence() {
        let (word, predictor) = (
            AtomicU32::new(0),
            SpinPredictor::with_confidence(MAX_CONFIDENCE),
        );
        let mut spin = spin(&word, None, predictor);
        assert!(!spin.wait_until(|word| word == 1));
        assert!(!spin.is_enabled(), "the same wait spins again");
        assert_eq!(predictor.confidence(), MAX_CONFIDENCE - 1);
        spin.record_success();
        assert_eq!(
            predictor.confidence(),
            MAX_CONFIDENCE - 1,
            "a failed spin counts as a success"
        );
    }

    #[test]
    fn successful_spin_raises_the_confidence() {
        let (word, predictor) = (AtomicU32::new(1), SpinPredictor::with_confidence(1));
        let mut spin = spin(&word, None, predictor);
        assert!(spin.wait_until(|word| word == 1));
        spin.record_success();
        assert_eq!(predictor.confidence(), 2);
        (0..9).for_each(|_| spin.record_success());
        assert_eq!(predictor.confidence(), MAX_CONFIDENCE);
    }

    #[test]
    fn deadline_of_the_caller_is_no_failure() {
        let (word, predictor) = (
            AtomicU32::new(0),
            SpinPredictor::with_confidence(MAX_CONFIDENCE),
        );
        let past = Deadline::after(Duration::ZERO);
        assert!(!spin(&word, Some(past), predictor).wait_until(|word| word == 1));
        assert_eq!(predictor.confidence(), MAX_CONFIDENCE);
    }

    #[test]
    fn outcome_after_a_sleep_is_not_recorded() {
        let (word, predictor) = (AtomicU32::new(0), SpinPredictor::with_confidence(2));
        let _set = SETTING.lock();
        let mut spin = spin(&word, None, predictor);
        spin.restart();
        assert!(spin.wait_until(|word| word == 0));
        spin.record_success();
        assert_eq!(predictor.confidence(), 2, "a success");
        assert!(!spin.wait_until(|word| word == 1));
        assert_eq!(predictor.confidence(), 2, "a failure");
    }

    #[test]
    fn pauses_at_a_lock_grow_up_to_a_limit() {
        let pauses = |policy: SpinPolicy| [0, 1, 2, 8, 9, 100].map(|check| policy.pauses(check));
        assert_eq!(pauses(SpinPolicy::Lock), [1, 2, 4, 256, 256, 256]);
        assert_eq!(pauses(SpinPolicy::Turns), [64, 128, 256, 256, 256, 256]);
        assert_eq!(pauses(SpinPolicy::Event), [1; 6]);
    }

    #[test]
    fn process_with_spinning_disabled_does_not_spin() {
        let word = AtomicU32::new(1);
        let _set = SETTING.lock();
        set_spinning(false);
        let is_enabled = Spin::new(&word, SpinPolicy::Event, None).is_enabled();
        set_spinning(true);
        assert!(!is_enabled);
    }

    /// Counts the checks of a batch wait. Before each check, the number of permits grows by the
    /// next gain.
    fn checks_for(gains: &[u32], predictor: &'static SpinPredictor) -> usize {
        let (word, checks) = (AtomicU32::new(0), Cell::new(0));
        spin(&word, None, predictor).wait_for_batch(|_| {
            checks.set(checks.get() + 1);
            gains.iter().take(checks.get()).sum()
        });
        checks.get()
    }

    #[test]
    fn batch_wait_lasts_while_more_arrives_fast() {
        let predictor = SpinPredictor::with_confidence(MAX_CONFIDENCE);
        // There are fewer than 5 checks only if the time limit ends the wait.
        let checks = checks_for(&[1, 1000, 1000, 1000], predictor);
        assert!((3..=5).contains(&checks), "{checks} checks");
        assert!(predictor.batching.should_batch());
        assert_eq!(checks_for(&[1], predictor), 2);
        assert!(!predictor.batching.should_batch());
    }

    #[test]
    fn batch_wait_happens_once_per_wait() {
        let (word, predictor) = (
            AtomicU32::new(0),
            SpinPredictor::with_confidence(MAX_CONFIDENCE),
        );
        let mut spin = spin(&word, None, predictor);
        let checks = Cell::new(0);
        // The count of permits grows only on the first read.
        spin.wait_for_batch(|_| {
            checks.set(checks.get() + 1);
            u32::from(checks.get() > 1) * 1000
        });
        assert!(
            predictor.batching.should_batch(),
            "the next wait does not wait for a batch"
        );
        let before = checks.get();
        spin.wait_for_batch(|_| {
            checks.set(checks.get() + 1);
            0
        });
        assert_eq!(checks.get(), before);
    }
}
