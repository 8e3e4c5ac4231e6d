//! Outcomes that loom 0.7.2 misses although the verdict of the model is "exhaustive".

use super::Litmus;
use super::outcomes::{
    Body, INTERLEAVINGS_ONLY, Outcomes, check_pinned, loom_outcomes, model_outcomes, seen_by,
};
use interlatch::ShmSafe;
use interlatch::platform::{self, Ordering::*};
use interlatch::sync::RawMutex;
use interlatch_check::Scenario;
use interlatch_check::{self, Limits, Model, Verdict};
use interlatch_contract::mutex;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, fence};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::process::Command;
use std::time::Duration;

pub fn all() -> Vec<Litmus> {
    vec![
        Litmus::new(
            "load_then_write_hides_loads_of_other_threads",
            load_then_write,
        ),
        Litmus::new(
            "load_then_write_is_reported_as_blind",
            load_then_write_is_blind,
        ),
        Litmus::new("read_modify_writes_hide_no_execution", rmw_first),
        Litmus::new("companion_word_makes_loads_visible", companion),
        Litmus::new("seq_cst_accesses_act_as_acquire_and_release", seq_cst),
        Litmus::new("acquire_fence_is_too_strong", acquire_fence),
        Litmus::new("seq_cst_fence_is_too_strong", seq_cst_fence),
        Litmus::new("fences_and_seq_cst_get_a_remark", remarks),
        Litmus::new("atomic_remembers_seven_stores", seven_stores),
        Litmus::new(
            "weak_compare_exchange_never_fails_spuriously",
            weak_exchange,
        ),
        Litmus::new(
            "failed_compare_exchange_reads_the_latest_value",
            failed_exchange,
        ),
        Litmus::new("at_most_five_threads_run", five_threads),
        Litmus::new("loom_reports_success_at_its_limits", limit_is_success),
        Litmus::new("failing_model_may_abort_its_process", failure_aborts),
        Litmus::new("single_allocation_is_no_leak", allocates_once),
    ]
}

/// The pairs of values that a process may read from a counter that two others increment.
const SIX: [[u64; 2]; 6] = [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]];

fn pairs(outcomes: &Outcomes, process: usize) -> BTreeSet<Vec<u64>> {
    seen_by(outcomes, process)
}

fn six() -> BTreeSet<Vec<u64>> {
    SIX.into_iter().map(Vec::from).collect()
}

fn load_then_write() -> Result<String, String> {
    fn increment(word: &AtomicU32) -> Vec<u64> {
        let value = word.load(Relaxed);
        let _ = word.compare_exchange(value, value + 1, Relaxed, Relaxed);
        vec![]
    }
    fn read_twice(word: &AtomicU32) -> Vec<u64> {
        vec![word.load(Relaxed).into(), word.load(Relaxed).into()]
    }
    let outcomes = loom_outcomes(|| AtomicU32::new(0), &[read_twice, increment, increment]);
    let reached = pairs(&outcomes, 0);
    check_pinned(
        &reached.len(),
        &1,
        &format!("reaches {} of 6 outcomes", reached.len()),
    )
}

#[repr(C)]
#[derive(Debug, ShmSafe)]
struct Word(#[shm(initial = Self::default().0)] platform::AtomicU32);

impl Default for Word {
    fn default() -> Self {
        Self(platform::AtomicU32::new(0))
    }
}

fn load_then_write_is_blind() -> Result<String, String> {
    fn increment(word: &Word) -> Vec<u64> {
        let value = word.0.load(Relaxed);
        let _ = word.0.compare_exchange(value, value + 1, Relaxed, Relaxed);
        vec![]
    }
    fn read_twice(word: &Word) -> Vec<u64> {
        vec![word.0.load(Relaxed).into(), word.0.load(Relaxed).into()]
    }
    let (_, exploration) = model_outcomes(&[increment, increment, read_twice], INTERLEAVINGS_ONLY);
    match exploration.verdict {
        Verdict::Blind(why) => Ok(why),
        other => Err(format!("the verdict is {other}")),
    }
}

fn rmw_first() -> Result<String, String> {
    fn increment(word: &Word) -> Vec<u64> {
        let mut expected = 0;
        while let Err(found) = word
            .0
            .compare_exchange(expected, expected + 1, Relaxed, Relaxed)
        {
            expected = found;
        }
        vec![]
    }
    fn read_twice(word: &Word) -> Vec<u64> {
        vec![
            word.0.fetch_add(0, Relaxed).into(),
            word.0.fetch_add(0, Relaxed).into(),
        ]
    }
    let (outcomes, exploration) =
        model_outcomes(&[increment, increment, read_twice], INTERLEAVINGS_ONLY);
    check_pinned(&pairs(&outcomes, 2), &six(), "reaches 6 of 6 outcomes")?;
    check_pinned(
        &exploration.verdict,
        &Verdict::Exhaustive,
        "reaches 6 of 6 outcomes; the verdict is exhaustive",
    )
}

fn companion() -> Result<String, String> {
    struct Pair {
        word: AtomicU32,
        companion: AtomicU32,
    }
    fn load(pair: &Pair) -> u32 {
        let _ = pair.companion.compare_exchange(1, 1, Relaxed, Relaxed);
        pair.word.load(Relaxed)
    }
    fn increment(pair: &Pair) -> Vec<u64> {
        let value = load(pair);
        let _ = pair.companion.compare_exchange(1, 1, Relaxed, Relaxed);
        let _ = pair
            .word
            .compare_exchange(value, value + 1, Relaxed, Relaxed);
        vec![]
    }
    fn read_twice(pair: &Pair) -> Vec<u64> {
        vec![load(pair).into(), load(pair).into()]
    }
    let build = || Pair {
        word: AtomicU32::new(0),
        companion: AtomicU32::new(0),
    };
    let reached = pairs(
        &loom_outcomes(build, &[increment, increment, read_twice]),
        2,
    );
    check_pinned(
        &reached,
        &six(),
        "reaches 6 of 6 outcomes, with more executions",
    )
}

struct Two {
    x: AtomicU32,
    y: AtomicU32,
    data: UnsafeCell<u32>,
}

fn two() -> Two {
    Two {
        x: AtomicU32::new(0),
        y: AtomicU32::new(0),
        data: UnsafeCell::new(0),
    }
}

impl Two {
    fn write(&self) {
        // SAFETY: loom reports an error if another access is concurrent.
        self.data.with_mut(|data| unsafe { *data = 1 });
    }

    fn read(&self) -> u64 {
        // SAFETY: loom reports an error if a write is concurrent.
        self.data.with(|data| unsafe { *data }).into()
    }
}

fn seq_cst() -> Result<String, String> {
    let one: fn(&Two) -> Vec<u64> = |two| {
        two.x.store(1, SeqCst);
        vec![two.y.load(SeqCst).into()]
    };
    let other: fn(&Two) -> Vec<u64> = |two| {
        two.y.store(1, SeqCst);
        vec![two.x.load(SeqCst).into()]
    };
    let reached = loom_outcomes(two, &[one, other]).contains(&vec![vec![0], vec![0]]);
    check_pinned(
        &reached,
        &true,
        "store buffering reaches 0, 0, which SeqCst forbids",
    )
}

/// Returns whether loom misses a race between the writer and the reader. A relay between them loads
/// `x` without Acquire and then stores `y`, so the reader is not ordered after the writer.
fn race_is_missed(writer: Body<Two>, reader: Body<Two>) -> bool {
    let relay: Body<Two> = |two| {
        if two.x.load(Relaxed) == 1 {
            two.y.store(1, Release);
        }
        vec![]
    };
    let reached = loom_outcomes(two, &[writer, relay, reader]);
    seen_by(&reached, 2).contains(&vec![1])
}

fn acquire_fence() -> Result<String, String> {
    let writer: Body<Two> = |two| {
        two.write();
        two.x.store(1, Release);
        vec![]
    };
    // The reader never loads `x`, so its fence does not pair with the release store to `x`. loom
    // lets the fence acquire every store that any earlier thread has seen.
    let reader: Body<Two> = |two| {
        let signaled = two.y.load(Acquire) == 1;
        fence(Acquire);
        if signaled { vec![two.read()] } else { vec![] }
    };
    let missed = race_is_missed(writer, reader);
    let text = "a data race through a fence that pairs with nothing is not reported";
    check_pinned(&missed, &true, text)
}

fn seq_cst_fence() -> Result<String, String> {
    let writer: Body<Two> = |two| {
        two.write();
        fence(SeqCst);
        two.x.store(1, Relaxed);
        vec![]
    };
    let reader: Body<Two> = |two| {
        let signaled = two.y.load(Relaxed) == 1;
        fence(SeqCst);
        if signaled { vec![two.read()] } else { vec![] }
    };
    let missed = race_is_missed(writer, reader);
    let text = "a data race between two SeqCst fences is not reported";
    check_pinned(&missed, &true, text)
}

fn remarks() -> Result<String, String> {
    let body: fn(&Word) -> Vec<u64> = |word| {
        platform::fence(Acquire);
        vec![word.0.swap(1, SeqCst).into()]
    };
    let (_, exploration) = model_outcomes(&[body], INTERLEAVINGS_ONLY);
    let remarks = exploration.remarks.join("; ");
    let both = remarks.contains("fences") && remarks.contains("SeqCst");
    check_pinned(
        &both,
        &true,
        "a model with fences and SeqCst accesses gets a remark for each",
    )
}

fn seven_stores() -> Result<String, String> {
    let writer: fn(&AtomicU32) -> Vec<u64> = |word| {
        (1..=8).for_each(|value| word.store(value, Relaxed));
        vec![]
    };
    let reader: fn(&AtomicU32) -> Vec<u64> = |word| vec![word.load(Relaxed).into()];
    let reached = loom_outcomes(|| AtomicU32::new(0), &[writer, reader]);
    let last: fn(&Word) -> Vec<u64> = |word| {
        (1..=8).for_each(|value| word.0.store(value, Relaxed));
        vec![word.0.load(Relaxed).into()]
    };
    let other: fn(&Word) -> Vec<u64> = |word| vec![word.0.load(Relaxed).into()];
    let is_remarked = |bodies: &[Body<Word>]| {
        let (_, exploration) = model_outcomes(bodies, INTERLEAVINGS_ONLY);
        let mut remarks = exploration.remarks.iter();
        remarks.any(|remark| remark.contains("7 stores"))
    };
    check_pinned(
        &[is_remarked(&[last]), is_remarked(&[last, other])],
        &[false, true],
        "a load after more than 7 stores gets a remark, except in a model of one process",
    )?;
    let at_the_end = forgotten();
    check_pinned(
        &(seen_by(&reached, 1).len(), at_the_end),
        &(9, 7),
        "a reader after all stores is offered 7 of 9 values",
    )
}

/// Returns how many values loom offers to a reader that runs after all stores.
fn forgotten() -> usize {
    let writer: fn(&Two) -> Vec<u64> = |two| {
        (1..=8).for_each(|value| two.x.store(value, Relaxed));
        // This store tells the reader that all other stores are done, but does not order them.
        two.y.store(1, Relaxed);
        vec![]
    };
    let reader: fn(&Two) -> Vec<u64> = |two| match two.y.load(Relaxed) {
        1 => vec![two.x.load(Relaxed).into()],
        _ => vec![],
    };
    let reached = loom_outcomes(two, &[writer, reader]);
    seen_by(&reached, 1)
        .iter()
        .filter(|seen| !seen.is_empty())
        .count()
}

fn weak_exchange() -> Result<String, String> {
    let body: fn(&AtomicU32) -> Vec<u64> = |word| {
        vec![
            word.compare_exchange_weak(0, 1, Relaxed, Relaxed)
                .is_ok()
                .into(),
        ]
    };
    let reached = loom_outcomes(|| AtomicU32::new(0), &[body]);
    check_pinned(
        &seen_by(&reached, 0),
        &BTreeSet::from([vec![1]]),
        "always succeeds if the value matches",
    )
}

fn failed_exchange() -> Result<String, String> {
    let writer: fn(&Two) -> Vec<u64> = |two| {
        two.x.store(1, Relaxed);
        two.y.store(1, Relaxed);
        vec![]
    };
    let load: fn(&Two) -> Vec<u64> =
        |two| vec![two.y.load(Relaxed).into(), two.x.load(Relaxed).into()];
    let exchange: fn(&Two) -> Vec<u64> = |two| {
        let y = two.y.load(Relaxed);
        let (Ok(x) | Err(x)) = two.x.compare_exchange(9, 9, Relaxed, Relaxed);
        vec![y.into(), x.into()]
    };
    let stale = vec![1, 0];
    let loads = seen_by(&loom_outcomes(two, &[writer, load]), 1).contains(&stale);
    let exchanges = seen_by(&loom_outcomes(two, &[writer, exchange]), 1).contains(&stale);
    check_pinned(
        &(loads, exchanges),
        &(true, false),
        "a load may read an older value, a compare-exchange may not",
    )
}

fn five_threads() -> Result<String, String> {
    let body: fn(&AtomicU32) -> Vec<u64> = |_| vec![];
    let five = catch_unwind(|| loom_outcomes(|| AtomicU32::new(0), &[body; 5])).is_ok();
    let six = catch_unwind(|| loom_outcomes(|| AtomicU32::new(0), &[body; 6])).is_ok();
    check_pinned(
        &(five, six),
        &(true, false),
        "five threads run, including main; a sixth panics",
    )
}

fn limit_is_success() -> Result<String, String> {
    let mut builder = loom::model::Builder::new();
    (builder.max_permutations, builder.checkpoint_interval) = (Some(2), 1);
    let returned = catch_unwind(move || {
        builder.check(|| {
            let word = std::rc::Rc::new(AtomicU32::new(0));
            let other = word.clone();
            loom::thread::spawn(move || other.store(1, Relaxed));
            word.store(2, Relaxed);
            assert_ne!(word.load(Relaxed), 1, "one execution fails");
        });
    });
    check_pinned(
        &returned.is_ok(),
        &true,
        "after 2 executions loom returns as if all had passed",
    )?;
    let model = Model::new("litmus", || mutex::excludes::<RawMutex>(3));
    let limits = Limits {
        preemptions: None,
        time: Duration::ZERO,
    };
    let verdict = interlatch_check::explore(&model, limits).verdict;
    check_pinned(
        &verdict,
        &Verdict::Truncated,
        "loom returns as if all had passed; the verdict is truncated",
    )
}

/// Command-line argument that makes this program run only the model that aborts.
const ABORTS: &str = "--abort";

/// Runs the model that aborts if the command line contains the argument.
pub fn abort_if_asked() {
    if std::env::args().nth(1).as_deref() == Some(ABORTS) {
        abort();
    }
}

/// Runs a model that fails before a thread has started. loom then drops the captures of the thread
/// outside the model.
fn abort() {
    struct LoadOnDrop(AtomicU32);
    impl Drop for LoadOnDrop {
        fn drop(&mut self) {
            self.0.load(Relaxed);
        }
    }
    loom::model(|| {
        let captured = LoadOnDrop(AtomicU32::new(0));
        loom::thread::spawn(move || drop(captured));
        panic!("a failure of the model");
    });
}

fn failure_aborts() -> Result<String, String> {
    use std::os::unix::process::ExitStatusExt;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).arg(ABORTS).output();
    let status = output.map_err(|error| error.to_string())?.status;
    check_pinned(
        &status.signal(),
        &Some(6),
        "a destructor panics during a failure, and the process aborts",
    )
}

/// Checks a model that allocates 100 kB in one execution and reuses this memory in later
/// executions.
fn allocates_once() -> Result<String, String> {
    thread_local! {
        static COLLECTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let model = Model::new("litmus", || {
        let collect = |word: &Word| {
            if word.0.swap(1, Relaxed) == 2 {
                COLLECTED.with_borrow_mut(|collected| collected.resize(100_000, 7));
            }
        };
        let lead = |word: &Word| {
            word.0.swap(2, Relaxed);
        };
        Scenario::new("allocates_once", vec![collect, lead])
    });
    let limits = Limits {
        preemptions: None,
        time: Duration::from_secs(10),
    };
    let verdict = interlatch_check::explore(&model, limits).verdict;
    check_pinned(
        &verdict,
        &Verdict::Exhaustive,
        "memory that grows once is not reported as a leak",
    )
}
