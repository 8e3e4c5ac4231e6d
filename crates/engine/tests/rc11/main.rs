//! x
mod deaths;
mod failures;
mod parts;
mod waits;
use interlatch_engine::*;
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, *};

fn count(n: usize, f: impl Fn(usize, &AtomicU32) + Copy + 'static) -> Report {
    let r = explore(Limits::default(), move |m| {
        let x = Rc::new(AtomicU32::new(0));
        for i in 0..n {
            let x = x.clone();
            m.process(move || f(i, &x));
        }
    });
    println!("{r}");
    r
}

fn sb(o: Ordering, l: Ordering) -> Report {
    let r = explore(Limits::default(), move |m| {
        let x = Rc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let y = x.clone();
        m.process(move || {
            x.0.store(1, o);
            x.1.load(l);
        });
        m.process(move || {
            y.1.store(1, o);
            y.0.load(l);
        });
    });
    println!("{r}");
    r
}

#[test]
fn counts() {
    assert_eq!(sb(Relaxed, Relaxed).executions, 4);
    assert_eq!(sb(SeqCst, SeqCst).executions, 3);
    for n in 2..=7 {
        count(n, |_, x| {
            x.fetch_add(1, Relaxed);
        });
    }
    for n in 3..=4 {
        count(n, |_, x| {
            let v = x.load(Relaxed);
            x.store(v + 1, Relaxed);
        });
    }
    for n in 3..=4 {
        count(n, |_, x| {
            let v = x.load(Relaxed);
            let _ = x.compare_exchange(v, v + 1, Relaxed, Relaxed);
        });
    }
    for n in [5, 7] {
        count(n, |i, x| {
            let _ = x.compare_exchange(i as u32, i as u32 + 1, Relaxed, Relaxed);
        });
    }
}

fn mutex(n: usize, acq: Ordering) -> Report {
    let r = explore(Limits::default(), move |m| {
        let x = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
        for _ in 0..n {
            let x = x.clone();
            m.process(move || {
                // Drepper's mutex 2
                let lock = &x.0;
                if lock.compare_exchange(0, 1, acq, Relaxed).is_err() {
                    while lock.swap(2, acq) != 0 {
                        lock.wait(2);
                    }
                }
                x.1.with_mut(|v| *v += 1);
                if lock.swap(0, Release) == 2 {
                    lock.wake(1);
                }
            });
        }
        m.verify(move || x.1.with(|v| assert_eq!(*v, n)));
    });
    println!("mutex {n}: {r}");
    r
}

#[test]
fn locks() {
    mutex(2, Acquire).assert_exhaustive();
    mutex(3, Acquire).assert_exhaustive();
    mutex(2, Relaxed);
}
