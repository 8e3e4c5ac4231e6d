//! The limits of loom 0.7.2 that a reader of the word "exhaustive" would not expect.

use super::Litmus;
use super::reach::{Body, ORDER_ALONE, Outcomes, ours, pinned, seen_by, stock};
use interlatch::ShmSafe;
use interlatch::platform::{self, Ordering::*};
use interlatch::sync::RawMutex;
use interlatch_check::Scenario;
use interlatch_check::{self, Limits, Model, Verdict};
use interlatch_contract::lock;
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
            "a_load_before_a_write_hides_loads_of_others",
            load_then_write,
        ),
        Litmus::new("a_load_before_a_write_is_called_blind", is_called_blind),
        Litmus::new("read_modify_writes_hide_nothing", rmw_first),
        Litmus::new("a_companion_makes_loads_visible", companion),
        Litmus::new("seq_cst_accesses_are_acquire_and_release", seq_cst),
        Litmus::new("an_acquire_fence_orders_too_much", acquire_fence),
        Litmus::new("a_seq_cst_fence_orders_too_much", seq_cst_fence),
        Litmus::new("fences_and_seq_cst_are_remarked_on", remarks),
        Litmus::new("a_word_remembers_seven_stores", seven_stores),
        Litmus::new("a_weak_exchange_never_fails_spuriously", weak_exchange),
        Litmus::new("a_failed_exchange_reads_the_newest_value", failed_exchange),
        Litmus::new("there_are_at_most_five_threads", five_threads),
        Litmus::new("a_limit_ends_in_plain_success", limit_is_success),
        Litmus::new("a_failing_model_may_abort_its_process", failure_aborts),
        Litmus::new("what_a_model_collects_once_is_no_leak", collects),
    ]
}

/// The two values that a process may see of a counter that two others increment.
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
    fn look(word: &AtomicU32) -> Vec<u64> {
        vec![word.load(Relaxed).into(), word.load(Relaxed).into()]
    }
    let outcomes = stock(|| AtomicU32::new(0), &[look, increment, increment]);
    let reached = pairs(&outcomes, 0);
    pinned(
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

fn is_called_blind() -> Result<String, String> {
    fn increment(word: &Word) -> Vec<u64> {
        let value = word.0.load(Relaxed);
        let _ = word.0.compare_exchange(value, value + 1, Relaxed, Relaxed);
        vec![]
    }
    fn look(word: &Word) -> Vec<u64> {
        vec![word.0.load(Relaxed).into(), word.0.load(Relaxed).into()]
    }
    let (_, exploration) = ours(&[increment, increment, look], ORDER_ALONE);
    match exploration.verdict {
        Verdict::Blind(why) => Ok(why),
        other => Err(format!("the verdict is {other}")),
    }
}

fn rmw_first() -> Result<String, String> {
    fn increment(word: &Word) -> Vec<u64> {
        let mut load_hint = 0;
        while let Err(found) = word
            .0
            .compare_exchange(load_hint, load_hint + 1, Relaxed, Relaxed)
        {
            load_hint = found;
        }
        vec![]
    }
    fn look(word: &Word) -> Vec<u64> {
        vec![
            word.0.fetch_add(0, Relaxed).into(),
            word.0.fetch_add(0, Relaxed).into(),
        ]
    }
    let (outcomes, exploration) = ours(&[increment, increment, look], ORDER_ALONE);
    pinned(&pairs(&outcomes, 2), &six(), "reaches 6 of 6 outcomes")?;
    pinned(
        &exploration.verdict,
        &Verdict::Exhaustive,
        "reaches 6 of 6, and is called exhaustive",
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
    fn look(pair: &Pair) -> Vec<u64> {
        vec![load(pair).into(), load(pair).into()]
    }
    let build = || Pair {
        word: AtomicU32::new(0),
        companion: AtomicU32::new(0),
    };
    let reached = pairs(&stock(build, &[increment, increment, look]), 2);
    pinned(&reached, &six(), "reaches 6 of 6 outcomes, at a price")
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
        // SAFETY: loom checks that no other access is concurrent.
        self.data.with_mut(|data| unsafe { *data = 1 });
    }

    fn read(&self) -> u64 {
        // SAFETY: loom checks that no write is concurrent.
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
    let reached = stock(two, &[one, other]).contains(&vec![vec![0], vec![0]]);
    pinned(
        &reached,
        &true,
        "store buffering reaches 0, 0, which SeqCst forbids",
    )
}

/// The relay connects the two without ordering them: it does not acquire what it read of `x`.
fn race_is_missed(writer: Body<Two>, reader: Body<Two>) -> bool {
    let relay: Body<Two> = |two| {
        if two.x.load(Relaxed) == 1 {
            two.y.store(1, Release);
        }
        vec![]
    };
    let reached = stock(two, &[writer, relay, reader]);
    seen_by(&reached, 2).contains(&vec![1])
}

fn acquire_fence() -> Result<String, String> {
    let writer: Body<Two> = |two| {
        two.write();
        two.x.store(1, Release);
        vec![]
    };
    // It never reads `x`, so this fence does not pair with the release of it. loom takes every
    // store that anyone before it has seen.
    let reader: Body<Two> = |two| {
        let told = two.y.load(Acquire) == 1;
        fence(Acquire);
        if told { vec![two.read()] } else { vec![] }
    };
    let missed = race_is_missed(writer, reader);
    let text = "a data race through a fence that pairs with nothing is not reported";
    pinned(&missed, &true, text)
}

fn seq_cst_fence() -> Result<String, String> {
    let writer: Body<Two> = |two| {
        two.write();
        fence(SeqCst);
        two.x.store(1, Relaxed);
        vec![]
    };
    let reader: Body<Two> = |two| {
        let told = two.y.load(Relaxed) == 1;
        fence(SeqCst);
        if told { vec![two.read()] } else { vec![] }
    };
    let missed = race_is_missed(writer, reader);
    let text = "a data race between two SeqCst fences is not reported";
    pinned(&missed, &true, text)
}

fn remarks() -> Result<String, String> {
    let body: fn(&Word) -> Vec<u64> = |word| {
        platform::fence(Acquire);
        vec![word.0.swap(1, SeqCst).into()]
    };
    let (_, exploration) = ours(&[body], ORDER_ALONE);
    let remarks = exploration.remarks.join("; ");
    let both = remarks.contains("fences") && remarks.contains("SeqCst");
    pinned(&both, &true, "a model that has them gets a remark for each")
}

fn seven_stores() -> Result<String, String> {
    let writer: fn(&AtomicU32) -> Vec<u64> = |word| {
        (1..=8).for_each(|value| word.store(value, Relaxed));
        vec![]
    };
    let reader: fn(&AtomicU32) -> Vec<u64> = |word| vec![word.load(Relaxed).into()];
    let reached = stock(|| AtomicU32::new(0), &[writer, reader]);
    let last: fn(&Word) -> Vec<u64> = |word| {
        (1..=8).for_each(|value| word.0.store(value, Relaxed));
        vec![word.0.load(Relaxed).into()]
    };
    let other: fn(&Word) -> Vec<u64> = |word| vec![word.0.load(Relaxed).into()];
    let is_remarked = |bodies: &[Body<Word>]| {
        let (_, exploration) = ours(bodies, ORDER_ALONE);
        let mut remarks = exploration.remarks.iter();
        remarks.any(|remark| remark.contains("7 stores"))
    };
    pinned(
        &[is_remarked(&[last]), is_remarked(&[last, other])],
        &[false, true],
        "a load after more than 7 stores gets a remark, unless it is alone",
    )?;
    let at_the_end = forgotten();
    pinned(
        &(seen_by(&reached, 1).len(), at_the_end),
        &(9, 7),
        "of 9 values, a reader that comes last is offered 7",
    )
}

/// How many values loom offers a reader that runs after all of nine stores.
fn forgotten() -> usize {
    let writer: fn(&Two) -> Vec<u64> = |two| {
        (1..=8).for_each(|value| two.x.store(value, Relaxed));
        // The reader learns by this that all stores are done, but nothing is ordered.
        two.y.store(1, Relaxed);
        vec![]
    };
    let reader: fn(&Two) -> Vec<u64> = |two| match two.y.load(Relaxed) {
        1 => vec![two.x.load(Relaxed).into()],
        _ => vec![],
    };
    let reached = stock(two, &[writer, reader]);
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
    let reached = stock(|| AtomicU32::new(0), &[body]);
    pinned(
        &seen_by(&reached, 0),
        &BTreeSet::from([vec![1]]),
        "it always succeeds where it may",
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
    let loads = seen_by(&stock(two, &[writer, load]), 1).contains(&stale);
    let exchanges = seen_by(&stock(two, &[writer, exchange]), 1).contains(&stale);
    pinned(
        &(loads, exchanges),
        &(true, false),
        "a load may read an older value, an exchange not",
    )
}

fn five_threads() -> Result<String, String> {
    let body: fn(&AtomicU32) -> Vec<u64> = |_| vec![];
    let five = catch_unwind(|| stock(|| AtomicU32::new(0), &[body; 5])).is_ok();
    let six = catch_unwind(|| stock(|| AtomicU32::new(0), &[body; 6])).is_ok();
    pinned(
        &(five, six),
        &(true, false),
        "five threads run, main included, a sixth panics",
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
            assert_ne!(word.load(Relaxed), 1, "there is an execution that fails");
        });
    });
    pinned(
        &returned.is_ok(),
        &true,
        "after 2 executions loom returns as if all had passed",
    )?;
    let model = Model::new("litmus", || lock::excludes::<RawMutex>(3));
    let limits = Limits {
        preemptions: None,
        time: Duration::ZERO,
    };
    let verdict = interlatch_check::explore(&model, limits).verdict;
    pinned(
        &verdict,
        &Verdict::Truncated,
        "loom returns as if all had passed; we say truncated",
    )
}

/// The argument with which this program runs the model that aborts, and nothing else.
const ABORTS: &str = "--abort";

/// Where this program is started again to be watched.
pub fn abort_if_asked() {
    if std::env::args().nth(1).as_deref() == Some(ABORTS) {
        abort();
    }
}

/// A failure while a thread is not yet started: loom drops what it was to own outside the model.
fn abort() {
    struct Leaves(AtomicU32);
    impl Drop for Leaves {
        fn drop(&mut self) {
            self.0.load(Relaxed);
        }
    }
    loom::model(|| {
        let leaves = Leaves(AtomicU32::new(0));
        loom::thread::spawn(move || drop(leaves));
        panic!("a failure of the model");
    });
}

fn failure_aborts() -> Result<String, String> {
    use std::os::unix::process::ExitStatusExt;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).arg(ABORTS).output();
    let status = output.map_err(|error| error.to_string())?.status;
    pinned(
        &status.signal(),
        &Some(6),
        "a destructor panics while it fails, and the process aborts",
    )
}

/// 100 kB, if the other one was first, and not again.
fn collects() -> Result<String, String> {
    thread_local! {
        static COLLECTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let model = Model::new("collects", || {
        let collect = |word: &Word| {
            if word.0.swap(1, Relaxed) == 2 {
                COLLECTED.with_borrow_mut(|collected| collected.resize(100_000, 7));
            }
        };
        let lead = |word: &Word| {
            word.0.swap(2, Relaxed);
        };
        Scenario::new("collects", vec![collect, lead])
    });
    let limits = Limits {
        preemptions: None,
        time: Duration::from_secs(10),
    };
    let verdict = interlatch_check::explore(&model, limits).verdict;
    pinned(
        &verdict,
        &Verdict::Exhaustive,
        "what grows once and not again is not called a leak",
    )
}
