//! What a process remembers of its waits at a word: whether spinning has paid, and whether more came.

use super::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::OnceLock;

/// How the last spins at a word went, as this process remembers.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0 to 7 | trust: so many failures in a row until it gives up |
/// | 8 to 15 | the interval of tries without trust, as a power of two |
/// | 16 to 31 | so many waits to sleep through until the next try |
///
/// Words may share a record, and threads may overwrite each other's: it is a guess, and Relaxed everywhere.
#[derive(Debug)]
pub(super) struct SpinPredictor {
    spinning: AtomicU32,
    pub(super) batching: BatchPredictor,
}

static RECORDS: [SpinPredictor; 1 << RECORDS_BITS] =
    [const { SpinPredictor::new() }; 1 << RECORDS_BITS];

const RECORDS_BITS: u32 = 8;
pub(super) const MAX_CONFIDENCE: u32 = 4;
/// A success without trust is one of many sleeps: it does not stand for much.
const INITIAL_CONFIDENCE: u32 = 2;
const SHORTEST_INTERVAL: u32 = 6;
const LONGEST_INTERVAL: u32 = 12;

/// The parts of a [`SpinPredictor`].
#[derive(Clone, Copy)]
struct Memory {
    confidence: u32,
    interval: u32,
    sleeps: u32,
}

impl Memory {
    /// After so many sleeps, one try.
    const fn of_failures(interval: u32) -> Self {
        Self {
            confidence: 0,
            interval,
            sleeps: 1 << interval,
        }
    }
}

impl SpinPredictor {
    const fn new() -> Self {
        Self {
            spinning: AtomicU32::new(0),
            batching: BatchPredictor(AtomicU32::new(0)),
        }
    }

    /// One that no other test shares, with this trust.
    #[cfg(test)]
    pub(super) fn of_confidence(confidence: u32) -> &'static Self {
        let predictor = Box::leak(Box::new(Self::new()));
        predictor.store(Memory {
            confidence,
            interval: SHORTEST_INTERVAL,
            sleeps: 0,
        });
        predictor
    }

    /// Of this word.
    pub(super) fn of(word: &AtomicU32) -> &'static Self {
        /// Knuth's: 2^32 by the golden ratio.
        const MULTIPLIER: u32 = 0x9E37_79B9;
        let address = (word.as_ptr() as usize >> 2) as u32;
        &RECORDS[(address.wrapping_mul(MULTIPLIER) >> (u32::BITS - RECORDS_BITS)) as usize]
    }

    /// So many failures in a row until it is given up.
    pub(super) fn confidence(&self) -> u32 {
        self.load().confidence
    }

    fn load(&self) -> Memory {
        let predictor = self.spinning.load(Relaxed);
        Memory {
            confidence: predictor & 0xff,
            interval: predictor >> 8 & 0xff,
            sleeps: predictor >> 16,
        }
    }

    fn store(&self, memory: Memory) {
        let predictor = memory.confidence | memory.interval << 8 | memory.sleeps << 16;
        self.spinning.store(predictor, Relaxed);
    }

    /// Whether the next wait is to spin.
    pub(super) fn is_worth_it(&self) -> bool {
        let memory = self.load();
        if memory.confidence > 0 {
            return true;
        }
        match memory {
            Memory {
                sleeps: 0,
                interval: 0,
                ..
            } => self.begin(),
            Memory { sleeps: 0, .. } => other_runnable(),
            Memory { sleeps, .. } => {
                self.store(Memory {
                    sleeps: sleeps - 1,
                    ..memory
                });
                false
            }
        }
    }

    /// The first time: whoever has one core for itself may still have company on another one, but does not
    /// count on it.
    #[cold]
    fn begin(&self) -> bool {
        let has_choice = other_runnable()
            && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        self.store(match has_choice {
            true => Memory {
                confidence: MAX_CONFIDENCE,
                interval: SHORTEST_INTERVAL,
                sleeps: 0,
            },
            false => Memory::of_failures(SHORTEST_INTERVAL),
        });
        has_choice
    }

    /// A spin has seen what it was for.
    pub(super) fn paid(&self) {
        let memory = self.load();
        let confidence = match memory.confidence {
            0 => INITIAL_CONFIDENCE,
            MAX_CONFIDENCE => return,
            confidence => confidence + 1,
        };
        self.store(Memory {
            confidence,
            interval: SHORTEST_INTERVAL,
            sleeps: 0,
        });
    }

    /// A spin was in vain.
    pub(super) fn failed(&self) {
        let memory = self.load();
        self.store(match memory.confidence {
            0 => Memory::of_failures((memory.interval + 1).min(LONGEST_INTERVAL)),
            1 => Memory::of_failures(SHORTEST_INTERVAL),
            confidence => Memory {
                confidence: confidence - 1,
                ..memory
            },
        });
    }
}

/// Whether more came when somebody waited on at a word, as this process remembers.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0 to 7 | the interval of tries, as a power of two |
/// | 8 to 31 | so many waits without until the next try |
///
/// Two who wait for each other in turns give one permit at a time. There each tries it once in 512 waits, which the
/// 99th percentile of their round trips hardly sees. More seldom would be better for these, and worse for two who send
/// a stream and have once met in step: they would stay so for longer.
#[derive(Debug)]
pub(super) struct BatchPredictor(AtomicU32);

const LONGEST_GATHERING_INTERVAL: u32 = 9;

impl BatchPredictor {
    /// Whether the next wait is to wait on.
    pub(super) fn is_worth_it(&self) -> bool {
        let predictor = self.0.load(Relaxed);
        match predictor >> 8 {
            0 => true,
            _ => {
                self.0.store(predictor - (1 << 8), Relaxed);
                false
            }
        }
    }

    /// How it went.
    pub(super) fn note(&self, more_came: bool) {
        if more_came {
            return self.0.store(0, Relaxed);
        }
        let interval = (self.0.load(Relaxed) & 0xff) + 1;
        let interval = interval.min(LONGEST_GATHERING_INTERVAL);
        self.0.store(interval | 1 << interval << 8, Relaxed);
    }
}

/// Whether the machine has a second core at all. Which ones this thread may use says little: two that are
/// bound to a core each are the best of spinners.
pub(super) fn other_runnable() -> bool {
    static CORES: OnceLock<bool> = OnceLock::new();
    *CORES.get_or_init(|| {
        // SAFETY: it has no preconditions.
        unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) != 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_again_and_again_sleeps_ever_longer_before_the_next_try() {
        let predictor = SpinPredictor::of_confidence(MAX_CONFIDENCE);
        (1..MAX_CONFIDENCE).for_each(|_| predictor.failed());
        assert!(predictor.is_worth_it(), "there is confidence left");
        for interval in [6, 7, 8, 9, 10, 11, 12, 12] {
            predictor.failed();
            let sleeps = (0..1 << interval).filter(|_| !predictor.is_worth_it());
            assert_eq!(sleeps.count(), 1 << interval);
            assert_eq!(predictor.is_worth_it(), other_runnable(), "the next try");
        }
        predictor.paid();
        assert_eq!(predictor.confidence(), INITIAL_CONFIDENCE);
        (0..INITIAL_CONFIDENCE).for_each(|_| predictor.failed());
        assert_eq!(predictor.load().sleeps, 1 << SHORTEST_INTERVAL);
    }

    #[test]
    fn a_word_has_one_record_and_its_neighbour_another() {
        let words = [AtomicU32::new(0), AtomicU32::new(0)];
        let [one, other] = words
            .each_ref()
            .map(|word| std::ptr::from_ref(SpinPredictor::of(word)));
        assert_eq!(one, std::ptr::from_ref(SpinPredictor::of(&words[0])));
        assert_ne!(one, other);
    }

    #[test]
    fn where_nothing_more_comes_it_is_tried_ever_more_seldom() {
        let batching = BatchPredictor(AtomicU32::new(0));
        for interval in (1..=LONGEST_GATHERING_INTERVAL).chain([LONGEST_GATHERING_INTERVAL]) {
            assert!(batching.is_worth_it(), "the next try");
            batching.note(false);
            let without = (0..1 << interval).filter(|_| !batching.is_worth_it());
            assert_eq!(without.count(), 1 << interval);
        }
        batching.note(true);
        assert!(batching.is_worth_it());
        assert!(batching.is_worth_it(), "as long as it pays");
    }
}
