//! What a process remembers about its waits on a word: whether spins succeed and permits come in
//! batches.

use super::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

/// This process's prediction of whether a spin on a word succeeds.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0 to 7 | confidence: remaining failures before spinning is disabled |
/// | 8 to 15 | base-2 logarithm of the interval between tries at confidence 0 |
/// | 16 to 31 | remaining waits without a spin before the next try |
///
/// Words with the same hash share a predictor, and threads may overwrite each other's updates. Such
/// errors are harmless, because a prediction is only a guess. So every access is Relaxed.
#[derive(Debug)]
pub(super) struct SpinPredictor {
    spinning: AtomicU32,
    pub(super) batching: BatchPredictor,
}

static PREDICTORS: [SpinPredictor; 1 << PREDICTORS_BITS] =
    [const { SpinPredictor::new() }; 1 << PREDICTORS_BITS];

const PREDICTORS_BITS: u32 = 8;
pub(super) const MAX_CONFIDENCE: u32 = 4;
/// The confidence after a success at confidence 0: one success among many sleeps proves little.
const INITIAL_CONFIDENCE: u32 = 2;
const MIN_INTERVAL: u32 = 6;
const MAX_INTERVAL: u32 = 12;

/// The decoded fields of a [`SpinPredictor`].
#[derive(Clone, Copy)]
struct Prediction {
    confidence: u32,
    interval: u32,
    sleeps: u32,
}

impl Prediction {
    /// Returns a prediction without confidence. The process spins again after 2^`interval` sleeps.
    const fn without_confidence(interval: u32) -> Self {
        Self {
            confidence: 0,
            interval,
            sleeps: 1 << interval,
        }
    }

    const fn with_confidence(confidence: u32) -> Self {
        Self {
            confidence,
            interval: MIN_INTERVAL,
            sleeps: 0,
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

    /// Returns a predictor with this confidence, which no other test shares.
    #[cfg(test)]
    pub(super) fn with_confidence(confidence: u32) -> &'static Self {
        let predictor = Box::leak(Box::new(Self::new()));
        predictor.store(Prediction::with_confidence(confidence));
        predictor
    }

    /// Returns the predictor of this word.
    pub(super) fn for_word(word: &AtomicU32) -> &'static Self {
        /// Knuth's multiplicative hash: 2^32 divided by the golden ratio.
        const MULTIPLIER: u32 = 0x9E37_79B9;
        let address = (word.as_ptr() as usize >> 2) as u32;
        &PREDICTORS[(address.wrapping_mul(MULTIPLIER) >> (u32::BITS - PREDICTORS_BITS)) as usize]
    }

    /// Returns the remaining failures before spinning is disabled.
    pub(super) fn confidence(&self) -> u32 {
        self.load().confidence
    }

    fn load(&self) -> Prediction {
        let bits = self.spinning.load(Relaxed);
        Prediction {
            confidence: bits & 0xff,
            interval: bits >> 8 & 0xff,
            sleeps: bits >> 16,
        }
    }

    fn store(&self, prediction: Prediction) {
        let bits = prediction.confidence | prediction.interval << 8 | prediction.sleeps << 16;
        self.spinning.store(bits, Relaxed);
    }

    /// Decides whether the next wait spins, and counts that wait.
    pub(super) fn should_spin(&self) -> bool {
        let prediction = self.load();
        if prediction.confidence > 0 {
            return true;
        }
        match prediction {
            Prediction {
                sleeps: 0,
                interval: 0,
                ..
            } => self.init(),
            Prediction { sleeps: 0, .. } => other_runnable(),
            Prediction { sleeps, .. } => {
                self.store(Prediction {
                    sleeps: sleeps - 1,
                    ..prediction
                });
                false
            }
        }
    }

    /// Decides whether the first wait spins. If the thread is bound to one core, the predictor
    /// starts without confidence, even though the other side may run on another core.
    #[cold]
    fn init(&self) -> bool {
        let has_cores = other_runnable()
            && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        self.store(match has_cores {
            true => Prediction::with_confidence(MAX_CONFIDENCE),
            false => Prediction::without_confidence(MIN_INTERVAL),
        });
        has_cores
    }

    /// Records that a spin saw its condition hold before the time limit.
    pub(super) fn record_success(&self) {
        let confidence = match self.load().confidence {
            0 => INITIAL_CONFIDENCE,
            MAX_CONFIDENCE => return,
            confidence => confidence + 1,
        };
        self.store(Prediction::with_confidence(confidence));
    }

    /// Records that a spin reached its time limit.
    pub(super) fn record_failure(&self) {
        let prediction = self.load();
        self.store(match prediction.confidence {
            0 => Prediction::without_confidence((prediction.interval + 1).min(MAX_INTERVAL)),
            1 => Prediction::without_confidence(MIN_INTERVAL),
            confidence => Prediction {
                confidence: confidence - 1,
                ..prediction
            },
        });
    }
}

/// This process's prediction of whether more permits arrive if a waiter that sees a permit keeps
/// waiting.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0 to 7 | base-2 logarithm of the interval between tries |
/// | 8 to 31 | remaining waits before the next try |
///
/// Two processes that alternate release one permit at a time, so waiting for more permits never
/// helps them. Each of these processes tries such a wait once in 512 waits, which hardly affects
/// the 99th percentile of their round trips. A longer interval would be better for such processes.
/// A longer interval would be worse for a stream of items in which the receiver takes each item as
/// soon as it arrives. Both sides would keep slowing each other down for longer.
#[derive(Debug)]
pub(super) struct BatchPredictor(AtomicU32);

const MAX_BATCH_INTERVAL: u32 = 9;

impl BatchPredictor {
    /// Decides whether the next wait is a batch wait, and counts that wait.
    pub(super) fn should_batch(&self) -> bool {
        let bits = self.0.load(Relaxed);
        match bits >> 8 {
            0 => true,
            _ => {
                self.0.store(bits - (1 << 8), Relaxed);
                false
            }
        }
    }

    /// Records the outcome of a batch wait.
    pub(super) fn record(&self, more_arrived: bool) {
        if more_arrived {
            return self.0.store(0, Relaxed);
        }
        let interval = (self.0.load(Relaxed) & 0xff) + 1;
        let interval = interval.min(MAX_BATCH_INTERVAL);
        self.0.store(interval | 1 << interval << 8, Relaxed);
    }
}

/// Returns whether the machine has more than one core, so that another thread can run during a
/// spin.
///
/// The function does not ask which cores this thread may use. Two threads that are each bound to
/// their own core gain the most from spinning, although each of them may use only one core.
pub(super) fn other_runnable() -> bool {
    const ONE: u32 = 1;
    const SEVERAL: u32 = 2;
    /// `ONE`, `SEVERAL`, or 0 if the number is not known yet. A `OnceLock` could stay locked in a
    /// forked child.
    static CORES: AtomicU32 = AtomicU32::new(0);
    // Relaxed: the word stands for itself. Threads that ask the kernel at the same time store the
    // same answer.
    if CORES.load(Relaxed) == 0 {
        // SAFETY: `sysconf` has no preconditions.
        let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        CORES.store(if count == 1 { ONE } else { SEVERAL }, Relaxed);
    }
    CORES.load(Relaxed) == SEVERAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_failures_lengthen_the_interval_between_tries() {
        let predictor = SpinPredictor::with_confidence(MAX_CONFIDENCE);
        (1..MAX_CONFIDENCE).for_each(|_| predictor.record_failure());
        assert!(predictor.should_spin(), "no confidence is left");
        for interval in [6, 7, 8, 9, 10, 11, 12, 12] {
            predictor.record_failure();
            let sleeps = (0..1 << interval).filter(|_| !predictor.should_spin());
            assert_eq!(sleeps.count(), 1 << interval);
            assert_eq!(predictor.should_spin(), other_runnable(), "the next try");
        }
        predictor.record_success();
        assert_eq!(predictor.confidence(), INITIAL_CONFIDENCE);
        (0..INITIAL_CONFIDENCE).for_each(|_| predictor.record_failure());
        assert_eq!(predictor.load().sleeps, 1 << MIN_INTERVAL);
    }

    #[test]
    fn neighbouring_words_have_different_predictors() {
        let words = [AtomicU32::new(0), AtomicU32::new(0)];
        let [first, second] = words
            .each_ref()
            .map(|word| std::ptr::from_ref(SpinPredictor::for_word(word)));
        let same_word = SpinPredictor::for_word(&words[0]);
        assert_eq!(first, std::ptr::from_ref(same_word));
        assert_ne!(first, second);
    }

    #[test]
    fn failed_batch_waits_lengthen_the_interval_between_tries() {
        let batching = BatchPredictor(AtomicU32::new(0));
        for interval in (1..=MAX_BATCH_INTERVAL).chain([MAX_BATCH_INTERVAL]) {
            assert!(batching.should_batch(), "the next try");
            batching.record(false);
            let without = (0..1 << interval).filter(|_| !batching.should_batch());
            assert_eq!(without.count(), 1 << interval);
        }
        batching.record(true);
        assert!(batching.should_batch());
        assert!(batching.should_batch(), "while batches arrive");
    }
}
