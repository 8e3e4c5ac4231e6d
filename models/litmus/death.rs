//! What the death of a process does in the model world, and what the kernel does then.

use super::Litmus;
use super::reach::pinned;
use interlatch::ShmSafe;
use interlatch::platform::robust::{OWNER_DIED, RobustWord, WAITERS, as_owner};
use interlatch::platform::{AtomicU32, Ordering::*, futex};
use interlatch::region::{ShmType, TypeInfo};
use interlatch_check::Scenario;
use interlatch_check::{self, Exploration, Limits, Model};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub fn all() -> Vec<Litmus> {
    vec![
        Litmus::new("a_process_dies_before_each_of_its_steps", each_step),
        Litmus::new("a_dead_process_does_nothing_more", nothing_more),
        Litmus::new("a_process_dies_asleep_or_woken", asleep_or_woken),
        Litmus::new("two_processes_die_in_every_pair_of_steps", two_deaths),
        Litmus::new("an_owner_that_dies_leaves_its_waiters_bit", waiters_bit),
        Litmus::new("a_word_of_another_owner_is_left_alone", another_owner),
        Litmus::new("a_free_word_that_is_announced_wakes_one", announced),
        Litmus::new("sleepers_look_again_once_a_process_has_died", look_again),
    ]
}

/// Two words, and one that the kernel looks after, with this value at first.
struct MemoryReader<const ROBUST: u32 = 0> {
    one: AtomicU32,
    two: AtomicU32,
    robust: RobustWord,
}

// SAFETY: a model has one address space.
unsafe impl<const ROBUST: u32> ShmSafe for MemoryReader<ROBUST> {
    fn initial() -> Self {
        Self {
            one: AtomicU32::new(0),
            two: AtomicU32::new(0),
            robust: RobustWord::new(ROBUST),
        }
    }
}

impl<const ROBUST: u32> ShmType for MemoryReader<ROBUST> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("MemoryReader");
}

thread_local! {
    static SEEN: RefCell<BTreeSet<[u32; 3]>> = const { RefCell::new(BTreeSet::new()) };
}

/// What is in the words at the end of each execution.
fn ends<const ROBUST: u32>(
    build: impl Fn() -> Scenario<MemoryReader<ROBUST>> + Send + Sync + 'static,
) -> (BTreeSet<[u32; 3]>, Exploration) {
    SEEN.take();
    let note = |words: &MemoryReader<ROBUST>| {
        let all = [&words.one, &words.two, words.robust.word()];
        SEEN.with_borrow_mut(|seen| seen.insert(all.map(|word| word.load(Relaxed))));
    };
    let model = Model::new("litmus", move || build().verify(note));
    let limits = Limits {
        preemptions: None,
        time: Duration::from_secs(60),
    };
    let explored = interlatch_check::explore(&model, limits);
    (SEEN.take(), explored)
}

fn write_three(words: &MemoryReader) {
    words.one.swap(1, Relaxed);
    words.two.swap(1, Relaxed);
    words.one.swap(2, Relaxed);
}

fn each_step() -> Result<String, String> {
    let (ends, explored) = ends(|| Scenario::new("dies", vec![write_three]).victims(&[0]));
    let all = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]];
    pinned(
        &(ends, explored.crash_points),
        &(BTreeSet::from(all), 3),
        "three steps, three deaths, and a life",
    )
}

fn nothing_more() -> Result<String, String> {
    /// Writes when it is dropped, and sleeps unless that was written.
    struct Writes<'a>(&'a AtomicU32);
    impl Drop for Writes<'_> {
        fn drop(&mut self) {
            self.0.swap(7, Relaxed);
            futex::wait(self.0, 0, None);
        }
    }
    fn body(words: &MemoryReader) {
        let _writes = Writes(&words.two);
        words.one.swap(1, Relaxed);
    }
    let (ends, _) = ends(|| {
        Scenario::new("dies", vec![body])
            .victims(&[0])
            .without_rechecks()
    });
    pinned(
        &ends,
        &BTreeSet::from([[0, 0, 0], [1, 0, 0], [1, 7, 0]]),
        "the destructors of a dead process write nothing, and do not sleep",
    )
}

/// Process 0 sleeps on word one and is killed; how many does process 1 wake?
fn asleep_or_woken() -> Result<String, String> {
    fn sleep(words: &MemoryReader) {
        futex::wait(&words.one, 0, None);
        words.one.fetch_add(0, Relaxed);
    }
    fn wake(words: &MemoryReader) {
        let woken = futex::wake(&words.one, 1);
        words.two.swap(woken + 1, Relaxed);
        words.one.swap(1, Relaxed);
        futex::wake(&words.one, 1);
    }
    let (ends, _) = ends(|| Scenario::new("dies", vec![sleep, wake]).victims(&[0]));
    pinned(
        &ends,
        &BTreeSet::from([[1, 1, 0], [1, 2, 0]]),
        "a wake finds the one that is killed asleep, or does not find it any more",
    )
}

fn two_deaths() -> Result<String, String> {
    fn first(words: &MemoryReader) {
        words.one.swap(1, Relaxed);
        words.one.swap(2, Relaxed);
    }
    fn second(words: &MemoryReader) {
        words.two.swap(1, Relaxed);
        words.two.swap(2, Relaxed);
    }
    let (ends, explored) = ends(|| Scenario::new("die", vec![first, second]).victims(&[0, 1]));
    let all = (0..3).flat_map(|one| (0..3).map(move |two| [one, two, 0]));
    pinned(
        &(ends, explored.crash_points),
        &(all.collect(), 8),
        "eight ways to kill one or both at two steps each",
    )
}

fn take(words: &MemoryReader, bits: u32) {
    as_owner(|me| {
        me.set_pending(&words.robust);
        words.robust.word().swap(me.id() | bits, Relaxed);
        me.link(&words.robust);
        me.clear_pending();
    });
}

fn waiters_bit() -> Result<String, String> {
    let build = || {
        let hold = |words: &MemoryReader| {
            take(words, WAITERS);
            words.one.swap(1, Relaxed);
        };
        Scenario::new("dies", vec![hold]).victims(&[0])
    };
    let (ends, _) = ends(build);
    let left = OWNER_DIED | WAITERS;
    // Not killed, it ends as a holder, and nobody plays the kernel then.
    let expected = [[0, 0, 0], [0, 0, left], [1, 0, 1 | WAITERS]];
    pinned(
        &ends,
        &BTreeSet::from(expected),
        "the word of a dead owner loses the owner and keeps its waiters bit, wherever it died",
    )
}

fn another_owner() -> Result<String, String> {
    let build = || {
        let announce = |words: &MemoryReader| {
            words.robust.word().swap(99, Relaxed);
            as_owner(|me| me.set_pending(&words.robust));
            words.one.swap(1, Relaxed);
        };
        Scenario::new("dies", vec![announce]).victims(&[0])
    };
    let (ends, _) = ends(build);
    pinned(
        &ends,
        &BTreeSet::from([[0, 0, 0], [0, 0, 99], [1, 0, 99]]),
        "a word that names another owner stays as it is",
    )
}

/// Process 0 holds the word, gives it up, and wakes the sleeper; if it dies on the way, the kernel
/// does, or this is a deadlock. If it dies before it has begun, process 2 does it.
fn announced() -> Result<String, String> {
    const HELD: u32 = 1 | WAITERS;
    fn sleep(words: &MemoryReader<HELD>) {
        futex::wait(words.robust.word(), HELD, None);
    }
    fn wake(words: &MemoryReader<HELD>) {
        words.one.swap(1, Relaxed);
        words.robust.word().swap(0, Relaxed);
        futex::wake(words.robust.word(), 1);
    }
    fn wake_if_nobody_else_does(words: &MemoryReader<HELD>) {
        if words.one.swap(2, Relaxed) == 0 {
            words.robust.word().swap(99, Relaxed);
            futex::wake(words.robust.word(), 1);
        }
    }
    let announced = |words: &MemoryReader<HELD>| {
        as_owner(|me| me.set_pending(&words.robust));
        wake(words);
    };
    let fails = |first: fn(&MemoryReader<HELD>)| {
        let build = move || {
            let participants = vec![first, sleep, wake_if_nobody_else_does];
            let scenario = Scenario::new("dies", participants).victims(&[0]);
            scenario.without_rechecks()
        };
        catch_unwind(AssertUnwindSafe(|| ends(build))).is_err()
    };
    pinned(
        &[fails(announced), fails(wake)],
        &[false, true],
        "a waiter is woken wherever the one dies that has announced it, and else sleeps on",
    )
}

fn look_again() -> Result<String, String> {
    fn sleep(words: &MemoryReader) {
        while words.one.fetch_add(0, Relaxed) == 0 {
            futex::wait(&words.one, 0, None);
        }
    }
    fn write(words: &MemoryReader) {
        words.one.swap(1, Relaxed);
        futex::wake(&words.one, 1);
    }
    let (ends, _) = ends(|| {
        let patient = |words: &MemoryReader| {
            words.one.swap(1, Relaxed);
        };
        let scenario = Scenario::new("dies", vec![write, sleep, patient]);
        scenario.victims(&[0])
    });
    pinned(
        &ends,
        &BTreeSet::from([[1, 0, 0]]),
        "a wake that a dead process owed is made up for",
    )
}
