//! The thread that rechecks the words of the process's sleepers.
//!
//! A process may die between its change of a word and its wake-up. The sleeper must then find the
//! change itself. Instead of a timer for each sleep, one thread of the process, the *watcher*,
//! compares the words of all sleepers once per recheck interval. If no word has changed, no sleeper
//! wakes.
//!
//! A sleeper records the addresses and the expected values of its words in a slot, and frees the
//! slot when it wakes. No lock is involved, so a sleeper may be a signal handler that has
//! interrupted another sleeper.
//!
//! # Why no wake-up is lost
//! A sleeper records its slot before it calls `futex(2)`, and the kernel compares the word before
//! the sleeper sleeps. So a change that the kernel does not report to the sleeper happens after the
//! slot was recorded, and the next pass of the watcher finds it. That pass starts at most one
//! interval after the change, because a sleeper that finds a longer period than its own interval
//! wakes the watcher, and the watcher publishes a period before it reads the intervals again.
//!
//! The watcher may read a slot while it changes, and combine two sleeps. The pass may then miss
//! the new sleep, which began during this pass. The next pass finds it, again at most one interval
//! later. Or the pass may wake a word without need.
//!
//! # Addresses
//! A sleeper may wake and unmap its word while the watcher compares it. So the watcher never
//! accesses the word itself. It passes the address to the kernel, which reports an error if the
//! address is not mapped. If the address is mapped again, a wake-up is at worst spurious, like
//! every late wake-up of a futex.
//!
//! # Spurious wake-ups
//! `futex(2)` cannot wake a certain thread. Each slot has one of 32 bits, and the watcher wakes all
//! sleepers on the word that have the same bit, in all processes. A sleeper that finds the expected
//! value after it was woken knows that there was no notification (see
//! [`futex::wait`](super::futex::wait)).
//!
//! # Processes
//! The watcher starts when a thread of the process sleeps for the first time, and sleeps without a
//! timer while no other thread sleeps. The records are in memory that the kernel wipes in a forked
//! child, so a child starts its own watcher. If the watcher cannot run or all slots are in use, a
//! sleeper uses a timer.

use super::pin::pin;
use super::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Deadline};
use super::{futex, thread, wiped};
use core::cell::Cell;
use core::ffi::c_void;
use core::num::NonZeroU32;
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};

/// An interval or a period that never ends.
pub(super) const NEVER: u64 = u64::MAX;

/// The maximum number of sleepers that the watcher serves.
const MAX_SLEEPERS: usize = 4096;

/// The number of slots that a sleeper tries. A thread has a slot to itself, unless a signal handler
/// sleeps too or the process has had more than [`MAX_SLEEPERS`] threads.
const ATTEMPTS: usize = 4;

/// The maximum number of words of a sleeper: the word on which it sleeps, and others.
pub(super) const MAX_WORDS: usize = 4;

// The states of the watcher.
const NOT_STARTED: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
const FAILED: u32 = 3;

/// The address in a slot that a thread is about to fill. No word has this address, because it is
/// not aligned.
const CLAIMED: usize = 1;

/// What a sleeper waits for.
#[repr(C, align(64))]
struct SleepSlot {
    /// The addresses of the words, first that of the word on which the sleeper sleeps. The first
    /// address is 0 if the slot is free. An address behind the last word is 0.
    addresses: [AtomicUsize; MAX_WORDS],
    /// The values that the words had when the sleeper decided to sleep.
    expected: [AtomicU32; MAX_WORDS],
    /// The recheck interval of this sleep in nanoseconds.
    interval: AtomicU64,
}

const _: () = assert!(size_of::<SleepSlot>() == 64);

/// The records of the process. Zeroed memory is the state of a new process.
#[repr(C)]
pub(super) struct Watcher {
    state: AtomicU32,
    /// The number of times that a sleeper has woken the watcher.
    calls: AtomicU32,
    /// The time between two passes in nanoseconds.
    period: AtomicU64,
    /// All slots from this index on are free.
    used: AtomicUsize,
    slots: [SleepSlot; MAX_SLEEPERS],
}

/// The memory of the records. A forked child has the same pointer, and finds zeros there.
static WATCHER: AtomicPtr<Watcher> = AtomicPtr::new(null_mut());

/// The number of threads of this process and its ancestors that have slept.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The index of the thread's slot plus 1, or 0 if the thread has not slept yet.
    static HOME: Cell<usize> = const { Cell::new(0) };
}

/// A sleep that the watcher watches. Dropping it frees the slot.
pub(super) struct Registration {
    slot: &'static SleepSlot,
    /// The bit with which the watcher wakes this sleeper.
    pub(super) bit: NonZeroU32,
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `claim`: the stores of the next sleeper come last.
        self.slot.addresses[0].store(0, Release);
    }
}

/// Makes the watcher wake the caller, who is about to sleep on `word`, when a word no longer has
/// its value. Returns `None` if the caller must use a timer.
///
/// A word is an address and a value. There are at most [`MAX_WORDS`].
pub(super) fn watch(
    word: (usize, u32),
    others: impl Iterator<Item = (usize, u32)>,
    interval: u64,
) -> Option<Registration> {
    let watcher = running()?;
    let (slot, bit) = watcher.claim()?;
    slot.interval.store(interval, Relaxed);
    slot.expected[0].store(word.1, Relaxed);
    let mut others = others.fuse();
    for position in 1..MAX_WORDS {
        let (address, expected) = others.next().unwrap_or_default();
        slot.addresses[position].store(address, Relaxed);
        slot.expected[position].store(expected, Relaxed);
    }
    // SeqCst on these two accesses pairs with SeqCst in `publish_period`. Either this load returns
    // the new period, or the watcher finds the slot after it has published the period.
    slot.addresses[0].store(word.0, SeqCst);
    if watcher.period.load(SeqCst) > interval {
        watcher.call();
    }
    Some(Registration { slot, bit })
}

/// Returns the watcher of this process, and starts it if necessary.
#[inline]
fn running() -> Option<&'static Watcher> {
    // SAFETY: the pointer is null or that of memory that stays mapped. Acquire pairs with the
    // Release in `create`.
    let watcher = match unsafe { WATCHER.load(Acquire).as_ref() } {
        Some(watcher) => watcher,
        None => create()?,
    };
    // Acquire pairs with the Release in `start`: the period is initialized.
    match watcher.state.load(Acquire) {
        RUNNING => Some(watcher),
        NOT_STARTED => watcher.start(),
        _ => None,
    }
}

#[cold]
fn create() -> Option<&'static Watcher> {
    /// Whether the memory is not available.
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);
    // Relaxed: the flag only avoids further attempts.
    if HAS_FAILED.load(Relaxed) {
        return None;
    }
    let Some(new) = wiped::map_wiped(size_of::<Watcher>()) else {
        HAS_FAILED.store(true, Relaxed);
        return None;
    };
    // If another thread is faster, this thread's memory stays unused.
    let _ = WATCHER.compare_exchange(null_mut(), new.cast().as_ptr(), AcqRel, Acquire);
    // SAFETY: the memory stays mapped, and zeros are a valid `Watcher`.
    unsafe { WATCHER.load(Acquire).as_ref() }
}

impl Watcher {
    /// Starts the thread. A caller that finds another thread starting it does not wait.
    #[cold]
    fn start(&'static self) -> Option<&'static Self> {
        // Relaxed: the winner is the only thread that stores until it stores the result.
        let is_first = self
            .state
            .compare_exchange(NOT_STARTED, STARTING, Relaxed, Relaxed)
            .is_ok();
        if !is_first {
            return None;
        }
        pin();
        self.period.store(NEVER, Relaxed);
        let argument = core::ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: `run` needs the records, which stay mapped until the process ends.
        let is_started = unsafe { thread::start(run, argument) };
        let state = if is_started { RUNNING } else { FAILED };
        // Release pairs with the Acquire in `running`.
        self.state.store(state, Release);
        is_started.then_some(self)
    }

    /// Claims a free slot, and returns it with its bit.
    fn claim(&'static self) -> Option<(&'static SleepSlot, NonZeroU32)> {
        let home = HOME.with(|home| {
            if home.get() == 0 {
                // Relaxed: the number only distributes the threads.
                home.set(THREADS.fetch_add(1, Relaxed) % MAX_SLEEPERS + 1);
            }
            home.get() - 1
        });
        let index = (home..home + ATTEMPTS)
            .map(|index| index % MAX_SLEEPERS)
            // Acquire pairs with the Release in `Registration::drop`.
            .find(|index| {
                let address = &self.slots[*index].addresses[0];
                address.load(Relaxed) == 0
                    && address
                        .compare_exchange(0, CLAIMED, Acquire, Relaxed)
                        .is_ok()
            })?;
        if self.used.load(Relaxed) <= index {
            // SeqCst pairs with SeqCst in `slots`, like the accesses in `watch`.
            self.used.fetch_max(index + 1, SeqCst);
        }
        Some((&self.slots[index], bit(index)))
    }

    /// Wakes the watcher, because its period is too long.
    #[cold]
    fn call(&self) {
        // Release pairs with the Acquire in `serve`: the watcher finds the caller's slot.
        self.calls.fetch_add(1, Release);
        futex::wake_in_process(&self.calls);
    }

    /// Rechecks the words whenever the period has passed.
    fn serve(&self) -> ! {
        let mut last_pass = Instant::now();
        loop {
            // Acquire pairs with the Release in `call`. The load comes before the slots are read,
            // so a later call keeps the watcher awake.
            let calls = self.calls.load(Acquire);
            let period = self.publish_period();
            let now = Instant::now();
            let rest = Duration::from_nanos(period).saturating_sub(now - last_pass);
            if rest.is_zero() {
                last_pass = now;
                self.recheck();
            } else {
                let deadline = (period != NEVER).then(|| Deadline::after(rest));
                futex::wait_in_process_until(&self.calls, calls, deadline);
            }
        }
    }

    /// Publishes and returns the shortest interval of the sleepers.
    fn publish_period(&self) -> u64 {
        let mut period = self.shortest_interval();
        loop {
            // SeqCst pairs with the accesses in `watch`: a sleeper that does not see this period is
            // found below.
            self.period.store(period, SeqCst);
            let shortest = self.shortest_interval();
            if shortest >= period {
                return period;
            }
            period = shortest;
        }
    }

    fn shortest_interval(&self) -> u64 {
        let intervals = self.sleepers().map(|(_, slot)| slot.interval.load(Relaxed));
        intervals.min().unwrap_or(NEVER)
    }

    /// Wakes the sleepers for whom a word has changed.
    fn recheck(&self) {
        for (index, slot) in self.sleepers() {
            let mut words = slot.addresses.iter().zip(&slot.expected);
            let has_changed = words.any(|(address, expected)| {
                has_changed(address.load(Relaxed), expected.load(Relaxed))
            });
            if has_changed {
                let address = slot.addresses[0].load(Relaxed);
                let all = i32::MAX as u32;
                call_futex(libc::FUTEX_WAKE_BITSET, address, all, bit(index).get());
            }
        }
    }

    /// Returns the slots of the sleepers.
    fn sleepers(&self) -> impl Iterator<Item = (usize, &SleepSlot)> {
        // SeqCst on both loads pairs with the stores in `claim` and `watch`. The load of the
        // address is also an Acquire, which makes the other fields of the slot visible.
        let slots = self.slots.iter().enumerate().take(self.used.load(SeqCst));
        slots.filter(|(_, slot)| ![0, CLAIMED].contains(&slot.addresses[0].load(SeqCst)))
    }
}

/// Returns the bit of the slot with this index.
fn bit(index: usize) -> NonZeroU32 {
    NonZeroU32::new(1 << (index as u32 % u32::BITS)).unwrap_or(NonZeroU32::MIN)
}

/// Whether the word at this address has another value, or cannot be read.
fn has_changed(address: usize, expected: u32) -> bool {
    // The kernel compares the word, and wakes and requeues no waiter.
    ![0, CLAIMED].contains(&address) && !call_futex(libc::FUTEX_CMP_REQUEUE, address, 0, expected)
}

/// Makes a call of `futex(2)` that may get the address of memory that is no longer mapped, and
/// returns whether it succeeds.
fn call_futex(operation: i32, address: usize, count: u32, value: u32) -> bool {
    // rustix has no such call, because it takes references.
    // SAFETY: the kernel checks the address, only reads the word, and writes nothing. The second
    // address is that of the same word for FUTEX_CMP_REQUEUE, and FUTEX_WAKE_BITSET ignores it. The
    // fourth argument is the number of waiters to requeue.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            address,
            operation,
            count,
            null::<c_void>(),
            address,
            value,
        )
    };
    result >= 0
}

/// The code of the watcher's thread, which never ends.
extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes the records, which stay mapped until the process ends.
    let watcher = unsafe { &*argument.cast::<Watcher>() };
    // SAFETY: the argument is a C string of less than 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"interlatch-wake".as_ptr()) };
    watcher.serve()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_compares_words_of_any_address() {
        let word = AtomicU32::new(7);
        let address = word.as_ptr().addr();
        assert!(!has_changed(address, 7));
        assert!(has_changed(address, 8));
        // No program maps this page.
        assert!(has_changed(16, 0));
        // There is no such word.
        assert!(!has_changed(0, 0));
    }
}
