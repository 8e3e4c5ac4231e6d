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
//! process remembers, for each word that it waits at, how it went: `Record`. On one core nobody gives
//! anything while another one spins, and after a few failures this is as a primitive without spinning.
//!
//! A spin only loads, and decides nothing: what it has seen, a read-modify-write of the caller finds out. So
//! the model needs none of this.

use super::{AtomicU32, Deadline};
use core::hint::spin_loop;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::OnceLock;
use std::time::Duration;

/// What a spin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A lock, which many want again and again. Each look takes the cache line from the holder, and who
    /// gets the lock takes all that it protects: a few turns of many operations are faster than many
    /// turns of one. So it looks after 1, 2, 4, ... pauses.
    Lock,
    /// A permit, or a notification: it comes once, and who waits for it should go on at once.
    Event,
    /// Items, or places for them, one of which seldom comes alone. Each look takes the cache line of the
    /// count from the one who moves it, and who leaves that one some head start finds many.
    Items,
}

impl For {
    /// How long to spin. A lock is held for less, or for so long that a sleep costs little in comparison. An
    /// event may come from one who sleeps, and is woken across cores: in a virtual machine that takes
    /// 30 to 40 microseconds. Who spins no longer than that can never catch up with one that does not.
    fn limit(self) -> Duration {
        Duration::from_micros(match self {
            Self::Lock => 20,
            Self::Event | Self::Items => 50,
        })
    }

    /// Pauses before this look.
    #[inline]
    fn pauses(self, look: u32) -> u32 {
        match self {
            Self::Lock => 1 << look.min(LONGEST_PAUSE),
            Self::Event => 1,
            Self::Items => 1 << (look + HEAD_START).min(LONGEST_HEAD_START),
        }
    }
}

/// As a power of two: 256 pauses take 2 to 12 microseconds.
const LONGEST_PAUSE: u32 = 8;

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
pub fn give_head_start(pauses: u32) {
    // Relaxed: nothing follows from it.
    if SPINS.load(Relaxed) != 0 {
        (0..pauses).for_each(|_| spin_loop());
    }
}

/// One wait at a word.
#[derive(Debug)]
pub struct Spin<'a> {
    word: &'a AtomicU32,
    purpose: For,
    deadline: Option<Deadline>,
    record: &'static Record,
    is_worth_it: bool,
    has_slept: bool,
    looks: u32,
    pauses: u32,
    end: Option<Deadline>,
}

impl<'a> Spin<'a> {
    /// Begins a wait at this word.
    pub fn on(word: &'a AtomicU32, purpose: For, deadline: Option<Deadline>) -> Self {
        let record = Record::of(word);
        Self {
            word,
            purpose,
            deadline,
            record,
            is_worth_it: SPINS.load(Relaxed) != 0 && record.is_worth_it(),
            has_slept: false,
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

    /// The wait is over, without the kernel.
    pub fn has_paid(&self) {
        if self.is_worth_it && !self.has_slept {
            self.record.paid();
        }
    }

    /// Begins again, after a sleep: who was woken may find that another one was faster, and that one may
    /// soon be done. How this goes is not remembered: what it was to be spared has happened.
    pub fn again(&mut self) {
        self.is_worth_it = SPINS.load(Relaxed) != 0 && self.record.load().trust > 0;
        self.has_slept = true;
        (self.looks, self.pauses, self.end) = (0, 0, None);
    }

    fn goes_on(&mut self) -> bool {
        if !self.is_worth_it {
            return false;
        }
        let pauses = self.purpose.pauses(self.looks);
        (0..pauses).for_each(|_| spin_loop());
        self.looks += 1;
        self.pauses += pauses;
        if self.pauses >= PAUSES_PER_CLOCK {
            self.pauses = 0;
            self.look_at_the_clock();
        }
        self.is_worth_it
    }

    /// How long a pause takes depends on the processor, so only the clock says when it is enough.
    #[cold]
    fn look_at_the_clock(&mut self) {
        let Some(end) = self.end else {
            let limit = Deadline::after(self.purpose.limit());
            self.end = Some(self.deadline.map_or(limit, |deadline| deadline.min(limit)));
            return;
        };
        if end.has_passed() {
            self.is_worth_it = false;
            if Some(end) != self.deadline && !self.has_slept {
                self.record.failed();
            }
        }
    }
}

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
struct Record(AtomicU32);

static RECORDS: [Record; 1 << RECORDS_BITS] =
    [const { Record(AtomicU32::new(0)) }; 1 << RECORDS_BITS];

const RECORDS_BITS: u32 = 8;
const MOST_TRUST: u32 = 4;
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
    fn of(word: &AtomicU32) -> &'static Self {
        /// Knuth's: 2^32 by the golden ratio.
        const MULTIPLIER: u32 = 0x9E37_79B9;
        let address = (word.as_ptr() as usize >> 2) as u32;
        &RECORDS[(address.wrapping_mul(MULTIPLIER) >> (u32::BITS - RECORDS_BITS)) as usize]
    }

    fn load(&self) -> Memory {
        let record = self.0.load(Relaxed);
        Memory {
            trust: record & 0xff,
            interval: record >> 8 & 0xff,
            sleeps: record >> 16,
        }
    }

    fn store(&self, memory: Memory) {
        let record = memory.trust | memory.interval << 8 | memory.sleeps << 16;
        self.0.store(record, Relaxed);
    }

    fn is_worth_it(&self) -> bool {
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

    fn paid(&self) {
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

    fn failed(&self) {
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

/// Whether the machine has a second core at all. Which ones this thread may use says little: two that are
/// bound to a core each are the best of spinners.
fn has_company() -> bool {
    static CORES: OnceLock<bool> = OnceLock::new();
    *CORES.get_or_init(|| {
        // SAFETY: it has no preconditions.
        unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) != 1 }
    })
}

/// Lets others run, here and now: a test asks for it where an intruder would do most harm.
pub fn give_way() {
    std::thread::yield_now();
}
