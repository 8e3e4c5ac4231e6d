//! Explorations in parts find what a whole one finds.

use interlatch_engine::{
    AtomicU32, Limits, MergeError, Report, Setup, Verdict, explore, explore_on_threads,
    explore_shard,
};
use std::num::NonZero;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// Three processes that add to a word, and read another.
fn model(model: &mut Setup) {
    let words = Rc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    for process in 0..3 {
        let words = words.clone();
        model.process(move || {
            words[0].fetch_add(1, Relaxed);
            words[1].store(process, Relaxed);
            words[1].load(Relaxed);
        });
    }
}

/// A model whose last process sees a rare value.
fn failing(model: &mut Setup) {
    let word = Rc::new(AtomicU32::new(0));
    for process in 1..=4 {
        let word = word.clone();
        model.process(move || {
            let before = word.fetch_add(1 << process, Relaxed);
            assert!(process != 1 || before != 0b11100, "all others were before");
        });
    }
}

fn figures(report: &Report) -> (u64, u64, u64, usize) {
    (
        report.executions,
        report.blocked,
        report.dead_ends,
        report.max_events,
    )
}

fn on_threads(count: usize, model: fn(&mut Setup)) -> Report {
    let count = NonZero::new(count).expect("not 0");
    explore_on_threads(Limits::default(), count, model)
}

#[test]
fn threads_explore_each_execution_once() {
    let whole = explore(Limits::default(), model).assert_exhaustive();
    for threads in [1, 2, 4] {
        let report = on_threads(threads, model).assert_exhaustive();
        assert_eq!(figures(&report), figures(&whole), "{threads} threads");
    }
}

#[test]
fn one_thread_that_fails_ends_the_exploration() {
    for threads in [1, 2, 4] {
        let report = on_threads(threads, failing);
        assert!(matches!(report.verdict, Verdict::Failed(_)), "{report}");
    }
}

#[test]
fn limit_of_one_thread_ends_the_exploration() {
    let mut limits = Limits::default();
    limits.graphs = Some(10);
    let report = explore_on_threads(limits, NonZero::new(2).expect("not 0"), model);
    assert!(matches!(report.verdict, Verdict::Limited(_)), "{report}");
}

fn shards(count: u32, model: fn(&mut Setup)) -> Vec<Report> {
    let shard = |number| explore_shard(Limits::default(), (number, count), model);
    (1..=count).map(shard).collect()
}

fn merge(reports: Vec<Report>) -> Report {
    let merged = reports
        .into_iter()
        .map(Ok)
        .reduce(|one, other| one?.merge(other?));
    merged
        .expect("at least one shard")
        .expect("different shards")
}

#[test]
fn shards_explore_each_execution_once() {
    let whole = explore(Limits::default(), model).assert_exhaustive();
    for count in [1, 2, 5] {
        let report = merge(shards(count, model)).assert_exhaustive();
        assert_eq!(figures(&report), figures(&whole), "{count} shards");
    }
}

#[test]
fn more_shards_than_executions_are_complete() {
    let small: fn(&mut Setup) = |model| model.process(|| {});
    let report = merge(shards(4, small)).assert_exhaustive();
    assert_eq!(report.executions, 1);
}

#[test]
fn one_shard_finds_the_failure() {
    let report = merge(shards(3, failing));
    assert!(matches!(report.verdict, Verdict::Failed(_)), "{report}");
}

#[test]
fn missing_and_doubled_shards_are_noticed() {
    let [one, two]: [Report; 2] = shards(2, model).try_into().expect("two shards");
    assert!(matches!(one.verdict, Verdict::Partial { .. }), "{one}");
    let doubled = one.clone().merge(one.clone()).map(|_| ());
    assert_eq!(doubled, Err(MergeError::Doubled(1)));
    let other = explore_shard(Limits::default(), (3, 3), model);
    let counts = one.clone().merge(other).map(|_| ());
    assert_eq!(counts, Err(MergeError::Counts(2, 3)));
    let complete = one.merge(two).expect("two different shards");
    let again = complete
        .merge(explore(Limits::default(), model))
        .map(|_| ());
    assert_eq!(again, Err(MergeError::NotAShard));
}
