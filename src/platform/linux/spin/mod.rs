//! Waiting a moment without the kernel, where that has paid.
//!
//! **Source.** To spin for about as long as a sleep would cost, and to remember whether it paid: Karlin, Li,
//! Manasse and Owicki, *Empirical Studies of Competitive Spinning for a Shared-Memory Multiprocessor* (1991).
//! To look ever more seldom at a lock: Anderson, *The Performance of Spin Lock Alternatives for
//! Shared-Memory Multiprocessors* (1990). To remember it by a hash of the address, as a processor does of its
//! branches: Smith, *A Study of Branch Prediction Strategies* (1981).
//!
//! A spin that fails costs more than the sleep that follows it, and whether it fails depends on what nobody
//! here can see: whether the others run at this moment, on another core, and how soon they are done. So each
//! process remembers, for each word that it waits at, how it went: `predictor`. On one core nobody gives
//! anything while another one spins, and after a few failures this is as a primitive without spinning.
//!
//! Who waits for items, or for room, and takes the first at once, meets the other side at every step from then
//! on, and each takes the cache lines from the other: the semaphores of a buffer pass 1 to 2 million items a
//! second so, and 5 to 10 million if the one waits until the other one stops. So whoever sees a permit waits on while
//! more come fast, if they did the last time.
//!
//! A spin only loads, and decides nothing: what it has seen, a read-modify-write of the caller finds out. So
//! the model needs none of this.

mod predictor;

use super::{AtomicU32, Deadline};
use core::hint::spin_loop;
use core::sync::atomic::Ordering::Relaxed;
use predictor::{SpinPredictor, other_runnable};
use std::time::Duration;

/// What a spin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpinPolicy {
    /// A lock, which many want again and again. Each look takes the cache line from the holder, and who
    /// gets the lock takes all that it protects: a few turns of many operations are faster than many
    /// turns of one. So it looks after 1, 2, 4, ... pauses.
    Lock,
    /// A lock that each wants again at once, to take a turn, to finish it, and for the next one. Who looks soon gets
    /// it between two of these, and then both wait at each for the cache lines that it protects: 64 bytes go by loans
    /// at 3.7 million a second so, and at 5.5 million if the other one has some head start.
    Turns,
    /// A permit, or a notification: it comes once, and who waits for it should go on at once.
    Event,
    /// Items, or places for them, one of which seldom comes alone. Each look takes the cache line of the
    /// count from the one who moves it, and who leaves that one some head start finds many.
    Items,
}

impl SpinPolicy {
    /// How long to spin. A lock is held for less, or for so long that a sleep costs little in comparison. An
    /// event may come from one who sleeps, and is woken across cores: in a virtual machine that takes
    /// 30 to 40 microseconds. Who spins no longer than that can never catch up with one that does not.
    fn limit(self) -> Duration {
        Duration::from_micros(match self {
            Self::Lock | Self::Turns => 20,
            Self::Event | Self::Items => 50,
        })
    }

    /// Pauses before this look.
    #[inline]
    fn pauses(self, look: u32) -> u32 {
        match self {
            Self::Lock => 1 << look.min(LONGEST_PAUSE),
            Self::Turns => 1 << (look + FIRST_OF_TURNS).min(LONGEST_PAUSE),
            Self::Event => 1,
            Self::Items => 1 << (look + HEAD_START).min(LONGEST_HEAD_START),
        }
    }
}

/// As a power of two: 256 pauses take 2 to 12 microseconds.
const LONGEST_PAUSE: u32 = 8;

/// As a power of two: the first pauses before a look at a lock of turns.
const FIRST_OF_TURNS: u32 = 6;

/// Pauses before it is seen whether more come, as powers of two: first, and at most. Each look costs the
/// other side two ways of a cache line or more; after 128 pauses, which are 1 to 6 microseconds, it has had some.
const FIRST_GATHERING: u32 = 7;
const LONGEST_GATHERING: u32 = 9;

/// In so many pauses, one more has to come at least.
const PAUSES_PER_GATHERED: u32 = 64;

/// As powers of two: the first pauses before a look for items, and the most.
const HEAD_START: u32 = 4;
const LONGEST_HEAD_START: u32 = 7;

/// So many pauses may pass without a look at the clock.
const PAUSES_PER_CLOCK: u32 = 64;

/// Whether this process spins at all.
static SPINS: AtomicU32 = AtomicU32::new(1);

/// Whether this process, from its next wait on, spins where that has paid, as it does from the start, or always
/// sleeps at once: for one whose time on the processor is dearer than its latency.
pub fn set_spinning(spins: bool) {
    // Relaxed: nothing follows from it.
    SPINS.store(spins.into(), Relaxed);
}

/// So many pauses, for others to do something meanwhile; none, if this process does not spin.
pub fn back_off(pauses: u32) {
    // Relaxed: nothing follows from it.
    if SPINS.load(Relaxed) != 0 && other_runnable() {
        (0..pauses).for_each(|_| spin_loop());
    }
}

/// One wait at a word.
#[derive(Debug)]
pub struct Spin<'a> {
    word: &'a AtomicU32,
    purpose: SpinPolicy,
    deadline: Option<Deadline>,
    predictor: &'static SpinPredictor,
    is_worth_it: bool,
    has_slept: bool,
    is_to_batch_wait: bool,
    looks: u32,
    pauses: u32,
    end: Option<Deadline>,
}

impl<'a> Spin<'a> {
    /// Begins a wait at this word.
    pub fn on(word: &'a AtomicU32, purpose: SpinPolicy, deadline: Option<Deadline>) -> Self {
        let predictor = SpinPredictor::of(word);
        let is_worth_it = SPINS.load(Relaxed) != 0 && predictor.is_worth_it();
        Self::new(word, purpose, deadline, predictor, is_worth_it)
    }

    fn new(
        word: &'a AtomicU32,
        purpose: SpinPolicy,
        deadline: Option<Deadline>,
        predictor: &'static SpinPredictor,
        is_worth_it: bool,
    ) -> Self {
        // Asked now, while there is nothing to do but wait, and not when what it waits for is there.
        let is_to_batch_wait =
            is_worth_it && purpose == SpinPolicy::Event && predictor.batching.is_worth_it();
        Self {
            word,
            purpose,
            deadline,
            predictor,
            is_worth_it,
            has_slept: false,
            is_to_batch_wait,
            looks: 0,
            pauses: 0,
            end: None,
        }
    }

    /// Whether to look at the word at all, instead of sleeping at once.
    pub fn is_worth_it(&self) -> bool {
        self.is_worth_it
    }

    /// Looks at the word until it is like that; false if that takes too long, or is not worth the time. Then
    /// sleep. If it was seen and is so no more, go on with the same spin: all of it is one wait.
    pub fn sees(&mut self, like: impl Fn(u32) -> bool) -> bool {
        while self.goes_on() {
            // Relaxed: what follows from it is the caller's to find out.
            if like(self.word.load(Relaxed)) {
                return true;
            }
        }
        false
    }

    /// It was seen: of what is counted so there is some. Waits on as long as more comes fast, where more came the
    /// last time; once in a wait.
    pub fn batch_waits(&mut self, count: impl Fn(u32) -> u32) {
        if core::mem::take(&mut self.is_to_batch_wait) {
            let more_came = self.batch_waits_more(count);
            self.predictor.batching.note(more_came);
        }
    }

    /// Whether more came.
    #[cold]
    fn batch_waits_more(&mut self, count: impl Fn(u32) -> u32) -> bool {
        let mut more_came = false;
        let mut pauses = 1 << FIRST_GATHERING;
        // Relaxed: what follows from it is the caller's to find out.
        let mut before = count(self.word.load(Relaxed));
        (self.pauses, self.end) = (0, None);
        loop {
            let in_time = self.pauses(pauses);
            let now = count(self.word.load(Relaxed));
            if now < before.saturating_add(pauses / PAUSES_PER_GATHERED) {
                return more_came;
            }
            more_came = true;
            if !in_time {
                return true;
            }
            before = now;
            pauses = (2 * pauses).min(1 << LONGEST_GATHERING);
        }
    }

    /// The wait is over, without the kernel.
    pub fn has_paid(&self) {
        if self.is_worth_it && !self.has_slept {
            self.predictor.paid();
        }
    }

    /// Begins again, after a sleep: who was woken may find that another one was faster, and that one may
    /// soon be done. How this goes is not remembered: what it was to be spared has happened.
    pub fn again(&mut self) {
        self.is_worth_it = SPINS.load(Relaxed) != 0 && self.predictor.confidence() > 0;
        self.has_slept = true;
        (self.looks, self.pauses, self.end) = (0, 0, None);
    }

    fn goes_on(&mut self) -> bool {
        if !self.is_worth_it {
            return false;
        }
        let pauses = self.purpose.pauses(self.looks);
        self.looks += 1;
        if !self.pauses(pauses) {
            self.gives_up();
        }
        self.is_worth_it
    }

    /// So many pauses. False if it takes too long.
    fn pauses(&mut self, pauses: u32) -> bool {
        (0..pauses).for_each(|_| spin_loop());
        self.pauses += pauses;
        if self.pauses < PAUSES_PER_CLOCK {
            return true;
        }
        self.pauses = 0;
        self.is_in_time()
    }

    /// How long a pause takes depends on the processor, so only the clock says when it is enough.
    #[cold]
    fn is_in_time(&mut self) -> bool {
        if let Some(end) = self.end {
            return !end.has_passed();
        }
        let limit = Deadline::after(self.purpose.limit());
        self.end = Some(self.deadline.map_or(limit, |deadline| deadline.min(limit)));
        true
    }

    #[cold]
    fn gives_up(&mut self) {
        self.is_worth_it = false;
        if self.end != self.deadline && !self.has_slept {
            self.predictor.failed();
        }
    }
}

/// Two have met at a word that counts something, and there is some of it: waits for more as [`Spin::batch_waits`].
#[cold]
pub fn batch_wait(word: &AtomicU32, deadline: Option<Deadline>, count: impl Fn(u32) -> u32) {
    let predictor = SpinPredictor::of(word);
    if SPINS.load(Relaxed) != 0 && predictor.confidence() > 0 {
        Spin::new(word, SpinPolicy::Event, deadline, predictor, true).batch_waits(count);
    }
}

/// Lets others run, here and now: a test asks for it where an intruder would do most harm.
pub fn give_way() {
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::predictor::MAX_CONFIDENCE;
    use super::*;
    use std::cell::Cell;
    use std::sync::Mutex;

    /// Held by those who need it as it is, or set it, for all of the process.
    static SETTING: Mutex<()> = Mutex::new(());

    fn spin<'a>(
        word: &'a AtomicU32,
        deadline: Option<Deadline>,
        predictor: &'static SpinPredictor,
    ) -> Spin<'a> {
        Spin::new(word, SpinPolicy::Event, deadline, predictor, true)
    }

    #[test]
    fn a_spin_in_vain_ends_and_costs_trust() {
        let (word, predictor) = (
            AtomicU32::new(0),
            SpinPredictor::of_confidence(MAX_CONFIDENCE),
        );
        let mut spin = spin(&word, None, predictor);
        assert!(!spin.sees(|word| word == 1));
        assert!(!spin.is_worth_it(), "not the same wait again");
        assert_eq!(predictor.confidence(), MAX_CONFIDENCE - 1);
        spin.has_paid();
        assert_eq!(predictor.confidence(), MAX_CONFIDENCE - 1, "it has not");
    }

    #[test]
    fn a_spin_that_pays_brings_trust() {
        let (word, predictor) = (AtomicU32::new(1), SpinPredictor::of_confidence(1));
        let mut spin = spin(&word, None, predictor);
        assert!(spin.sees(|word| word == 1));
        spin.has_paid();
        assert_eq!(predictor.confidence(), 2);
        (0..9).for_each(|_| spin.has_paid());
        assert_eq!(predictor.confidence(), MAX_CONFIDENCE);
    }

    #[test]
    fn the_end_of_the_callers_time_is_no_failure() {
        let (word, predictor) = (
            AtomicU32::new(0),
            SpinPredictor::of_confidence(MAX_CONFIDENCE),
        );
        let past = Deadline::after(Duration::ZERO);
        assert!(!spin(&word, Some(past), predictor).sees(|word| word == 1));
        assert_eq!(predictor.confidence(), MAX_CONFIDENCE);
    }

    #[test]
    fn how_it_goes_after_a_sleep_is_not_remembered() {
        let (word, predictor) = (AtomicU32::new(0), SpinPredictor::of_confidence(2));
        let _set = SETTING.lock();
        let mut spin = spin(&word, None, predictor);
        spin.again();
        assert!(spin.sees(|word| word == 0));
        spin.has_paid();
        assert_eq!(predictor.confidence(), 2, "a success");
        assert!(!spin.sees(|word| word == 1));
        assert_eq!(predictor.confidence(), 2, "a failure");
    }

    #[test]
    fn a_lock_is_looked_at_ever_more_seldom() {
        let pauses = |purpose: SpinPolicy| [0, 1, 2, 8, 9, 100].map(|look| purpose.pauses(look));
        assert_eq!(pauses(SpinPolicy::Lock), [1, 2, 4, 256, 256, 256]);
        assert_eq!(pauses(SpinPolicy::Turns), [64, 128, 256, 256, 256, 256]);
        assert_eq!(pauses(SpinPolicy::Event), [1; 6]);
    }

    #[test]
    fn who_is_not_to_spin_does_not() {
        let word = AtomicU32::new(1);
        let _set = SETTING.lock();
        set_spinning(false);
        let is_worth_it = Spin::on(&word, SpinPolicy::Event, None).is_worth_it();
        set_spinning(true);
        assert!(!is_worth_it);
    }

    /// How often it looks at a word of which that much more comes at each of the first looks.
    fn looks_for(gains: &[u32], predictor: &'static SpinPredictor) -> usize {
        let (word, looks) = (AtomicU32::new(0), Cell::new(0));
        spin(&word, None, predictor).batch_waits(|_| {
            looks.set(looks.get() + 1);
            gains.iter().take(looks.get()).sum()
        });
        looks.get()
    }

    #[test]
    fn gathers_as_long_as_more_comes_fast() {
        let predictor = SpinPredictor::of_confidence(MAX_CONFIDENCE);
        // Less only if the time for that is over.
        let looks = looks_for(&[1, 1000, 1000, 1000], predictor);
        assert!((3..=5).contains(&looks), "{looks} looks");
        assert!(predictor.batching.is_worth_it());
        assert_eq!(looks_for(&[1], predictor), 2);
        assert!(!predictor.batching.is_worth_it());
    }

    #[test]
    fn gathers_once_in_a_wait() {
        let (word, predictor) = (
            AtomicU32::new(0),
            SpinPredictor::of_confidence(MAX_CONFIDENCE),
        );
        let mut spin = spin(&word, None, predictor);
        let looks = Cell::new(0);
        // More has come once.
        spin.batch_waits(|_| {
            looks.set(looks.get() + 1);
            u32::from(looks.get() > 1) * 1000
        });
        assert!(
            predictor.batching.is_worth_it(),
            "the next wait would batch_wait"
        );
        let before = looks.get();
        spin.batch_waits(|_| {
            looks.set(looks.get() + 1);
            0
        });
        assert_eq!(looks.get(), before);
    }
}
