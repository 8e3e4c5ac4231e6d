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
pub(super) struct Record {
    spinning: AtomicU32,
    pub(super) gathering: Gathering,
}

static RECORDS: [Record; 1 << RECORDS_BITS] = [const { Record::new() }; 1 << RECORDS_BITS];

const RECORDS_BITS: u32 = 8;
pub(super) const MOST_TRUST: u32 = 4;
/// A success without trust is one of many sleeps: it does not stand for much.
const NEW_TRUST: u32 = 2;
const SHORTEST_INTERVAL: u32 = 6;
const LONGEST_INTERVAL: u32 = 12;

/// The parts of a [`Record`].
#[derive(Clone, Copy)]
struct Memory {
    trust: u32,
    interval: u32,
    sleeps: u32,
}

impl Memory {
    /// After so many sleeps, one try.
    const fn of_failures(interval: u32) -> Self {
        Self {
            trust: 0,
            interval,
            sleeps: 1 << interval,
        }
    }
}

impl Record {
    const fn new() -> Self {
        Self {
            spinning: AtomicU32::new(0),
            gathering: Gathering(AtomicU32::new(0)),
        }
    }

    /// One that no other test shares, with this trust.
    #[cfg(test)]
    pub(super) fn of_trust(trust: u32) -> &'static Self {
        let record = Box::leak(Box::new(Self::new()));
        record.store(Memory {
            trust,
            interval: SHORTEST_INTERVAL,
            sleeps: 0,
        });
        record
    }

    /// Of this word.
    pub(super) fn of(word: &AtomicU32) -> &'static Self {
        /// Knuth's: 2^32 by the golden ratio.
        const MULTIPLIER: u32 = 0x9E37_79B9;
        let address = (word.as_ptr() as usize >> 2) as u32;
        &RECORDS[(address.wrapping_mul(MULTIPLIER) >> (u32::BITS - RECORDS_BITS)) as usize]
    }

    /// So many failures in a row until it is given up.
    pub(super) fn trust(&self) -> u32 {
        self.load().trust
    }

    fn load(&self) -> Memory {
        let record = self.spinning.load(Relaxed);
        Memory {
            trust: record & 0xff,
            interval: record >> 8 & 0xff,
            sleeps: record >> 16,
        }
    }

    fn store(&self, memory: Memory) {
        let record = memory.trust | memory.interval << 8 | memory.sleeps << 16;
        self.spinning.store(record, Relaxed);
    }

    /// Whether the next wait is to spin.
    pub(super) fn is_worth_it(&self) -> bool {
        let memory = self.load();
        if memory.trust > 0 {
            return true;
        }
        match memory {
            Memory {
                sleeps: 0,
                interval: 0,
                ..
            } => self.begin(),
            Memory { sleeps: 0, .. } => has_company(),
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
        let has_choice = has_company()
            && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        self.store(match has_choice {
            true => Memory {
                trust: MOST_TRUST,
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
        let trust = match memory.trust {
            0 => NEW_TRUST,
            MOST_TRUST => return,
            trust => trust + 1,
        };
        self.store(Memory {
            trust,
            interval: SHORTEST_INTERVAL,
            sleeps: 0,
        });
    }

    /// A spin was in vain.
    pub(super) fn failed(&self) {
        let memory = self.load();
        self.store(match memory.trust {
            0 => Memory::of_failures((memory.interval + 1).min(LONGEST_INTERVAL)),
            1 => Memory::of_failures(SHORTEST_INTERVAL),
            trust => Memory {
                trust: trust - 1,
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
pub(super) struct Gathering(AtomicU32);

const LONGEST_GATHERING_INTERVAL: u32 = 9;

impl Gathering {
    /// Whether the next wait is to wait on.
    pub(super) fn is_worth_it(&self) -> bool {
        let record = self.0.load(Relaxed);
        match record >> 8 {
            0 => true,
            _ => {
                self.0.store(record - (1 << 8), Relaxed);
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
pub(super) fn has_company() -> bool {
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
        let record = Record::of_trust(MOST_TRUST);
        (1..MOST_TRUST).for_each(|_| record.failed());
        assert!(record.is_worth_it(), "there is trust left");
        for interval in [6, 7, 8, 9, 10, 11, 12, 12] {
            record.failed();
            let sleeps = (0..1 << interval).filter(|_| !record.is_worth_it());
            assert_eq!(sleeps.count(), 1 << interval);
            assert_eq!(record.is_worth_it(), has_company(), "the next try");
        }
        record.paid();
        assert_eq!(record.trust(), NEW_TRUST);
        (0..NEW_TRUST).for_each(|_| record.failed());
        assert_eq!(record.load().sleeps, 1 << SHORTEST_INTERVAL);
    }

    #[test]
    fn a_word_has_one_record_and_its_neighbour_another() {
        let words = [AtomicU32::new(0), AtomicU32::new(0)];
        let [one, other] = words
            .each_ref()
            .map(|word| std::ptr::from_ref(Record::of(word)));
        assert_eq!(one, std::ptr::from_ref(Record::of(&words[0])));
        assert_ne!(one, other);
    }

    #[test]
    fn where_nothing_more_comes_it_is_tried_ever_more_seldom() {
        let gathering = Gathering(AtomicU32::new(0));
        for interval in (1..=LONGEST_GATHERING_INTERVAL).chain([LONGEST_GATHERING_INTERVAL]) {
            assert!(gathering.is_worth_it(), "the next try");
            gathering.note(false);
            let without = (0..1 << interval).filter(|_| !gathering.is_worth_it());
            assert_eq!(without.count(), 1 << interval);
        }
        gathering.note(true);
        assert!(gathering.is_worth_it());
        assert!(gathering.is_worth_it(), "as long as it pays");
    }
}
