//! x
use interlatch_engine::*;
use std::rc::Rc;
use std::sync::atomic::Ordering::*;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let t = std::time::Instant::now();
    let mut limits = Limits::default();
    limits.time = Some(std::time::Duration::from_secs(20));
    let r = explore(limits, move |m| {
        let x = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
        for _ in 0..n {
            let x = x.clone();
            m.process(move || {
                let lock = &x.0;
                if lock.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
                    while lock.swap(2, Acquire) != 0 {
                        lock.wait(2);
                    }
                }
                x.1.with_mut(|v| *v += 1);
                if lock.swap(0, Release) == 2 {
                    lock.wake(1);
                }
            });
        }
    });
    let graphs = r.executions + r.blocked + r.dead_ends;
    println!(
        "{r} {:?} {} graphs/s",
        t.elapsed(),
        graphs as f64 / t.elapsed().as_secs_f64()
    );
    let t = std::time::Instant::now();
    let r = explore(Limits::default(), move |m| {
        let x = Rc::new(AtomicU32::new(0));
        for _ in 0..4 {
            let x = x.clone();
            m.process(move || {
                let mut v = x.load(Relaxed);
                loop {
                    match x.compare_exchange(v, v + 1, Relaxed, Relaxed) {
                        Ok(_) => break,
                        Err(n) => v = n,
                    }
                }
            });
        }
    });
    println!("cinc-like {r} {:?}", t.elapsed());
}
