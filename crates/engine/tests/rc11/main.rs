//! x
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
        m.process(move || { x.0.store(1, o); x.1.load(l); });
        m.process(move || { y.1.store(1, o); y.0.load(l); });
    });
    println!("{r}");
    r
}

#[test]
fn counts() {
    assert_eq!(sb(Relaxed, Relaxed).executions, 4);
    assert_eq!(sb(SeqCst, SeqCst).executions, 3);
    for n in 2..=7 {
        count(n, |_, x| { x.fetch_add(1, Relaxed); });
    }
    for n in 3..=4 { count(n, |_, x| { let v = x.load(Relaxed); x.store(v + 1, Relaxed); }); }
    for n in 3..=4 { count(n, |_, x| { let v = x.load(Relaxed); let _ = x.compare_exchange(v, v + 1, Relaxed, Relaxed); }); }
    for n in [5, 7] { count(n, |i, x| { let _ = x.compare_exchange(i as u32, i as u32 + 1, Relaxed, Relaxed); }); }
}
