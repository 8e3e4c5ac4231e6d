//! The death of a process on the model platform, and what the kernel does afterwards.

use super::Litmus;
use super::outcomes::check_pinned;
use interlatch::ShmSafe;
use interlatch::platform::futex::WatchedWord;
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
        Litmus::new("process_dies_before_each_of_its_steps", each_step),
        Litmus::new("dead_process_takes_no_further_step", nothing_more),
        Litmus::new("process_dies_asleep_or_woken", asleep_or_woken),
        Litmus::new("two_processes_die_before_every_pair_of_steps", two_deaths),
        Litmus::new("dead_owner_keeps_the_waiters_bit", waiters_bit),
        Litmus::new("word_of_another_owner_is_unchanged", another_owner),
        Litmus::new("pending_free_word_wakes_one_waiter", pending_word_wakes),
        Litmus::new("sleepers_recheck_after_a_death", recheck),
        Litmus::new(
            "sleepers_recheck_only_the_words_that_they_watch",
            recheck_words,
        ),
    ]
}

/// Two words and a robust word with the initial value `ROBUST`.
struct Words<const ROBUST: u32 = 0> {
    one: AtomicU32,
    two: AtomicU32,
    robust: RobustWord,
}

// SAFETY: a model runs in one address space, and no other process maps the words.
unsafe impl<const ROBUST: u32> ShmSafe for Words<ROBUST> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                one: AtomicU32::new(0),
                two: AtomicU32::new(0),
                robust: RobustWord::new(ROBUST),
            });
        }
    }
}

impl<const ROBUST: u32> ShmType for Words<ROBUST> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Words");
}

thread_local! {
    static SEEN: RefCell<BTreeSet<[u32; 3]>> = const { RefCell::new(BTreeSet::new()) };
}

/// Returns the final values of the words in all executions.
fn final_values<const ROBUST: u32>(
    build: impl Fn() -> Scenario<Words<ROBUST>> + Send + Sync + 'static,
) -> (BTreeSet<[u32; 3]>, Exploration) {
    SEEN.take();
    let note = |words: &Words<ROBUST>| {
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

fn write_three(words: &Words) {
    words.one.swap(1, Relaxed);
    words.two.swap(1, Relaxed);
    words.one.swap(2, Relaxed);
}

fn each_step() -> Result<String, String> {
    let (values, explored) =
        final_values(|| Scenario::new("dies", vec![write_three]).victims(&[0]));
    let all = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]];
    check_pinned(
        &(values, explored.crash_points),
        &(BTreeSet::from(all), 3),
        "three steps, three deaths, and one execution without a death",
    )
}

fn nothing_more() -> Result<String, String> {
    /// A value whose `drop` writes to a word. If the write has no effect, `drop` sleeps on the
    /// word.
    struct WriteOnDrop<'a>(&'a AtomicU32);
    impl Drop for WriteOnDrop<'_> {
        fn drop(&mut self) {
            self.0.swap(7, Relaxed);
            futex::wait(self.0, 0, None);
        }
    }
    fn body(words: &Words) {
        let _guard = WriteOnDrop(&words.two);
        words.one.swap(1, Relaxed);
    }
    let (values, _) = final_values(|| {
        Scenario::new("dies", vec![body])
            .victims(&[0])
            .without_rechecks()
    });
    check_pinned(
        &values,
        &BTreeSet::from([[0, 0, 0], [1, 0, 0], [1, 7, 0]]),
        "the destructors of a dead process neither write nor sleep",
    )
}

/// Process 0 sleeps on word `one` and dies. Process 1 records how many waiters it wakes.
fn asleep_or_woken() -> Result<String, String> {
    fn sleep(words: &Words) {
        futex::wait(&words.one, 0, None);
        words.one.fetch_add(0, Relaxed);
    }
    fn wake(words: &Words) {
        let woken = futex::wake(&words.one, 1);
        words.two.swap(woken + 1, Relaxed);
        words.one.swap(1, Relaxed);
        futex::wake(&words.one, 1);
    }
    let (values, _) = final_values(|| Scenario::new("dies", vec![sleep, wake]).victims(&[0]));
    check_pinned(
        &values,
        &BTreeSet::from([[1, 1, 0], [1, 2, 0]]),
        "a wake finds the victim asleep, or finds it dead",
    )
}

fn two_deaths() -> Result<String, String> {
    fn first(words: &Words) {
        words.one.swap(1, Relaxed);
        words.one.swap(2, Relaxed);
    }
    fn second(words: &Words) {
        words.two.swap(1, Relaxed);
        words.two.swap(2, Relaxed);
    }
    let (values, explored) =
        final_values(|| Scenario::new("die", vec![first, second]).victims(&[0, 1]));
    let all = (0..3).flat_map(|one| (0..3).map(move |two| [one, two, 0]));
    check_pinned(
        &(values, explored.crash_points),
        &(all.collect(), 8),
        "eight ways for one or both of two processes to die at two steps each",
    )
}

fn acquire(words: &Words, bits: u32) {
    as_owner(|owner| {
        owner.set_pending(&words.robust);
        words.robust.word().swap(owner.id() | bits, Relaxed);
        owner.link(&words.robust);
        owner.clear_pending();
    });
}

fn waiters_bit() -> Result<String, String> {
    let build = || {
        let hold = |words: &Words| {
            acquire(words, WAITERS);
            words.one.swap(1, Relaxed);
        };
        Scenario::new("dies", vec![hold]).victims(&[0])
    };
    let (values, _) = final_values(build);
    let left = OWNER_DIED | WAITERS;
    // If the process is not killed, it ends while it owns the word, and the kernel does nothing.
    let expected = [[0, 0, 0], [0, 0, left], [1, 0, 1 | WAITERS]];
    check_pinned(
        &values,
        &BTreeSet::from(expected),
        "the word of a dead owner loses the owner and keeps the waiters bit, at every crash point",
    )
}

fn another_owner() -> Result<String, String> {
    let build = || {
        let set_pending = |words: &Words| {
            words.robust.word().swap(99, Relaxed);
            as_owner(|owner| owner.set_pending(&words.robust));
            words.one.swap(1, Relaxed);
        };
        Scenario::new("dies", vec![set_pending]).victims(&[0])
    };
    let (values, _) = final_values(build);
    check_pinned(
        &values,
        &BTreeSet::from([[0, 0, 0], [0, 0, 99], [1, 0, 99]]),
        "a word with another owner is unchanged",
    )
}

/// Process 0 owns the word, frees it, and wakes the sleeper. If process 0 dies after it frees the
/// word and before it wakes the sleeper, the kernel must wake the sleeper, or the model deadlocks.
/// If process 0 dies before its first step, process 2 frees the word and wakes the sleeper.
fn pending_word_wakes() -> Result<String, String> {
    const HELD: u32 = 1 | WAITERS;
    fn sleep(words: &Words<HELD>) {
        futex::wait(words.robust.word(), HELD, None);
    }
    fn wake(words: &Words<HELD>) {
        words.one.swap(1, Relaxed);
        words.robust.word().swap(0, Relaxed);
        futex::wake(words.robust.word(), 1);
    }
    fn wake_if_process_0_does_not(words: &Words<HELD>) {
        if words.one.swap(2, Relaxed) == 0 {
            words.robust.word().swap(99, Relaxed);
            futex::wake(words.robust.word(), 1);
        }
    }
    let wake_with_pending_entry = |words: &Words<HELD>| {
        as_owner(|owner| owner.set_pending(&words.robust));
        wake(words);
    };
    let fails = |first: fn(&Words<HELD>)| {
        let build = move || {
            let participants = vec![first, sleep, wake_if_process_0_does_not];
            let scenario = Scenario::new("dies", participants).victims(&[0]);
            scenario.without_rechecks()
        };
        catch_unwind(AssertUnwindSafe(|| final_values(build))).is_err()
    };
    check_pinned(
        &[fails(wake_with_pending_entry), fails(wake)],
        &[false, true],
        "a pending entry wakes a waiter at every crash point; without it the waiter sleeps on",
    )
}

fn recheck() -> Result<String, String> {
    fn sleep(words: &Words) {
        while words.one.fetch_add(0, Relaxed) == 0 {
            futex::wait(&words.one, 0, None);
        }
    }
    fn write(words: &Words) {
        words.one.swap(1, Relaxed);
        futex::wake(&words.one, 1);
    }
    let (values, _) = final_values(|| {
        let write_only = |words: &Words| {
            words.one.swap(1, Relaxed);
        };
        let scenario = Scenario::new("dies", vec![write, sleep, write_only]);
        scenario.victims(&[0])
    });
    check_pinned(
        &values,
        &BTreeSet::from([[1, 0, 0]]),
        "a recheck replaces the wake that a dead process did not make",
    )
}

/// Process 0 changes word `two` and dies before it wakes the sleeper on word `one`.
fn recheck_words() -> Result<String, String> {
    fn write(words: &Words) {
        words.two.swap(1, Relaxed);
        words.one.swap(1, Relaxed);
        futex::wake(&words.one, 1);
    }
    fn write_after_death(words: &Words) {
        words.two.swap(1, Relaxed);
    }
    let fails = |sleep: fn(&Words)| {
        let build = move || {
            let participants = vec![write, sleep, write_after_death];
            Scenario::new("dies", participants).victims(&[0])
        };
        catch_unwind(AssertUnwindSafe(|| final_values(build))).is_err()
    };
    let watches_one = |words: &Words| {
        futex::wait(&words.one, 0, None);
    };
    let watches_both = |words: &Words| {
        futex::wait_watching(&words.one, 0, None, &[WatchedWord::new(&words.two, 0)]);
    };
    let has_a_timer = |words: &Words| {
        futex::wait_or_recheck(&words.one, 0, None);
    };
    check_pinned(
        &[fails(watches_one), fails(watches_both), fails(has_a_timer)],
        &[true, false, false],
        "a change of another word ends a sleep after a death only if the sleeper watches that word \
         or has a timer",
    )
}
