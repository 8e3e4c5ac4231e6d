//! Programs whose numbers of executions are known.
//!
//! The numbers of `ainc`, `inc`, `cinc` and `casrot` are those of the tests of GenMC (version 0.11,
//! memory model RC11), whose programs these are. The others follow from the outcomes: each outcome
//! of a litmus test is one execution.

use interlatch_engine::{AtomicU32, Limits, Setup, explore};
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release, SeqCst};

/// The code of a process: its number and the words.
type Body = fn(u32, &[AtomicU32; 3]);

fn executions(bodies: &[Body]) -> u64 {
    let report = explore(Limits::default(), |model: &mut Setup| {
        let words = Rc::new([0, 0, 0].map(AtomicU32::new));
        for (number, body) in (0..).zip(bodies.iter().copied()) {
            let words = words.clone();
            model.process(move || body(number, &words));
        }
    });
    report.assert_exhaustive().executions
}

fn factorial(number: u64) -> u64 {
    (1..=number).product()
}

fn store_and_load<const SEQUENTIAL: bool>(number: u32, words: &[AtomicU32; 3]) {
    let ordering = ordering::<SEQUENTIAL>();
    words[number as usize].store(1, ordering);
    words[1 - number as usize].load(ordering);
}

fn ordering<const SEQUENTIAL: bool>() -> Ordering {
    if SEQUENTIAL { SeqCst } else { Relaxed }
}

#[test]
fn store_buffering() {
    assert_eq!(executions(&[store_and_load::<false> as Body; 2]), 4);
    assert_eq!(executions(&[store_and_load::<true> as Body; 2]), 3);
}

#[test]
fn message_passing() {
    let send: Body = |_, [data, flag, _]| {
        data.store(1, Relaxed);
        flag.store(1, Release);
    };
    let receive: Body = |_, [data, flag, _]| {
        flag.load(Acquire);
        data.load(Relaxed);
    };
    assert_eq!(executions(&[send, receive]), 3);
}

#[test]
fn load_buffering() {
    let body: Body = |number, words| {
        words[number as usize].load(Relaxed);
        words[1 - number as usize].store(1, Relaxed);
    };
    assert_eq!(executions(&[body; 2]), 3);
}

fn store_twice<const SEQUENTIAL: bool>(number: u32, words: &[AtomicU32; 3]) {
    let ordering = ordering::<SEQUENTIAL>();
    words[number as usize].store(1, ordering);
    words[1 - number as usize].store(2, ordering);
}

#[test]
fn two_stores_to_two_words() {
    assert_eq!(executions(&[store_twice::<false> as Body; 2]), 4);
    assert_eq!(executions(&[store_twice::<true> as Body; 2]), 3);
}

fn write_or_read<const SEQUENTIAL: bool>(number: u32, words: &[AtomicU32; 3]) {
    let (store, load) = match SEQUENTIAL {
        true => (SeqCst, SeqCst),
        false => (Release, Acquire),
    };
    let (one, other) = (number as usize % 2, 1 - number as usize % 2);
    if number < 2 {
        words[one].store(1, store);
    } else {
        words[one].load(load);
        words[other].load(load);
    }
}

#[test]
fn independent_reads_of_independent_writes() {
    assert_eq!(executions(&[write_or_read::<false> as Body; 4]), 16);
    assert_eq!(executions(&[write_or_read::<true> as Body; 4]), 15);
}

#[test]
fn ainc() {
    let body: Body = |_, words| {
        words[0].fetch_add(1, Relaxed);
    };
    for count in 1..=6 {
        let expected = factorial(count as u64);
        assert_eq!(
            executions(&vec![body; count]),
            expected,
            "{count} processes"
        );
    }
}

#[test]
fn inc() {
    let body: Body = |_, words| {
        let read = words[0].load(Relaxed);
        words[0].store(read + 1, Relaxed);
    };
    assert_eq!(executions(&[body; 3]), 36);
    assert_eq!(executions(&[body; 4]), 576);
}

#[test]
fn cinc() {
    let body: Body = |_, words| {
        words.iter().for_each(|word| {
            word.fetch_add(1, Relaxed);
        });
    };
    assert_eq!(executions(&[body; 3]), 216);
}

#[test]
fn casrot() {
    let body: Body = |number, words| {
        let _ = words[0].compare_exchange(number, number + 1, Relaxed, Relaxed);
    };
    assert_eq!(executions(&[body; 5]), 43);
    assert_eq!(executions(&[body; 7]), 523);
}

#[test]
fn load_and_compare_exchange() {
    let body: Body = |_, words| {
        let read = words[0].load(Relaxed);
        let _ = words[0].compare_exchange(read, read + 1, Relaxed, Relaxed);
    };
    assert_eq!(executions(&[body; 2]), 4);
    assert_eq!(executions(&[body; 3]), 27);
}
