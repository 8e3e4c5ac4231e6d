//! What a lock or a semaphore costs while nobody else wants it, beside what a user would pick
//! instead.
//!
//! Criterion measures one after the other, and a machine's speed drifts. So before that, ours and
//! each peer run in alternation, in short rounds, and the ratio is taken round by round.

use criterion::{Criterion, criterion_group};
use interlatch::platform::UnsafeCell;
use interlatch::sync::{Patience, Permits};
use interlatch::{Mutex, RawMutex, Region, Semaphore};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Instant;

const ROUNDS: usize = 300;
const PAIRS: u32 = 20_000;

fn main() {
    compare();
    uncontended();
    Criterion::default().configure_from_args().final_summary();
}

criterion_group!(uncontended, criterion_benches);

/// An operation that is undone at once, and its name.
type Pair<'a> = (&'a str, Box<dyn Fn() + 'a>);

fn locks<'a>(shared: &'a Shared) -> Vec<Pair<'a>> {
    vec![
        (
            "interlatch::RawMutex",
            boxed(|| {
                shared.raw.lock();
                // SAFETY: locked in the line above.
                unsafe { shared.raw.unlock() };
            }),
        ),
        (
            "interlatch::Mutex",
            boxed(|| *black_box(shared.mutex).lock() += 1),
        ),
        (
            "parking_lot::Mutex",
            boxed(|| *black_box(&shared.parking_lot).lock() += 1),
        ),
        (
            "std::sync::Mutex",
            boxed(|| {
                if let Ok(mut value) = black_box(&shared.std).lock() {
                    *value += 1;
                }
            }),
        ),
        (
            "pthread_mutex_t, shared",
            boxed(|| shared.pthread.lock_and_unlock()),
        ),
    ]
}

fn semaphores<'a>(shared: &'a Shared) -> Vec<Pair<'a>> {
    fn pair(semaphore: &Semaphore) {
        let _ = black_box(semaphore).release(1);
        black_box(black_box(semaphore).acquire_within(Patience::Forever));
    }
    vec![
        ("interlatch::Semaphore at 0", boxed(|| pair(shared.empty))),
        ("interlatch::Semaphore at 5", boxed(|| pair(shared.five))),
        (
            "interlatch permit at 1",
            boxed(|| drop(black_box(shared.one).acquire())),
        ),
        (
            "sem_t, shared, at 0",
            boxed(|| shared.sem_empty.post_and_wait()),
        ),
        (
            "sem_t, shared, at 5",
            boxed(|| shared.sem_five.post_and_wait()),
        ),
    ]
}

fn boxed<'a>(pair: impl Fn() + 'a) -> Box<dyn Fn() + 'a> {
    Box::new(move || (0..PAIRS).for_each(|_| pair()))
}

/// Everything that is measured, in one shared mapping where it can be.
struct Shared<'a> {
    raw: &'a RawMutex,
    mutex: &'a Mutex<u64>,
    empty: &'a Semaphore,
    five: &'a Semaphore,
    one: &'a Semaphore,
    parking_lot: parking_lot::Mutex<u64>,
    std: std::sync::Mutex<u64>,
    pthread: PthreadMutex,
    sem_empty: PosixSemaphore,
    sem_five: PosixSemaphore,
}

impl<'a> Shared<'a> {
    fn new(region: &'a Region) -> Result<Self, Box<dyn std::error::Error>> {
        let (five, one): (&Semaphore, &Semaphore) = (region.create(())?, region.create(())?);
        five.release(5)?;
        one.release(1)?;
        Ok(Self {
            raw: region.create(())?,
            mutex: region.create(())?,
            empty: region.create(())?,
            five,
            one,
            parking_lot: parking_lot::Mutex::new(0),
            std: std::sync::Mutex::new(0),
            pthread: PthreadMutex::new(),
            sem_empty: PosixSemaphore::new(0),
            sem_five: PosixSemaphore::new(5),
        })
    }
}

/// A process-shared mutex of the C library.
struct PthreadMutex(Box<UnsafeCell<libc::pthread_mutex_t>>);

impl PthreadMutex {
    fn new() -> Self {
        let mutex = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the attributes are initialized by the first call, and the mutex is in a box,
        // which it does not leave.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            let shared = libc::PTHREAD_PROCESS_SHARED;
            libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), shared);
            libc::pthread_mutex_init(mutex.with_mut(|mutex| mutex), attributes.as_ptr());
        }
        Self(mutex)
    }

    fn lock_and_unlock(&self) {
        // SAFETY: initialized, and unlocked by the thread that locked.
        unsafe {
            libc::pthread_mutex_lock(black_box(self.0.with_mut(|object| object)));
            libc::pthread_mutex_unlock(black_box(self.0.with_mut(|object| object)));
        }
    }
}

/// A process-shared semaphore of the C library.
struct PosixSemaphore(Box<UnsafeCell<libc::sem_t>>);

impl PosixSemaphore {
    fn new(permits: u32) -> Self {
        // SAFETY: a `sem_t` of zeros is memory that `sem_init` then initializes, in a box, which
        // it does not leave.
        let semaphore = unsafe {
            let semaphore = Box::new(UnsafeCell::new(MaybeUninit::zeroed().assume_init()));
            libc::sem_init(semaphore.with_mut(|semaphore| semaphore), 1, permits);
            semaphore
        };
        Self(semaphore)
    }

    fn post_and_wait(&self) {
        // SAFETY: initialized.
        unsafe {
            libc::sem_post(black_box(self.0.with_mut(|object| object)));
            libc::sem_wait(black_box(self.0.with_mut(|object| object)));
        }
    }
}

fn with_shared(then: impl FnOnce(&Shared)) {
    let region = Region::memfd("bench", 4096).expect("a page of memory");
    then(&Shared::new(&region).expect("all of it fits in a page"));
}

/// The table of ratios, before criterion begins.
fn compare() {
    with_shared(|shared| {
        let (locks, semaphores) = (locks(shared), semaphores(shared));
        println!(
            "{:<28} {:<26} {:>7} {:>7}  {:>6} (p10 to p90)",
            "ours", "peer", "ns", "ns", "ratio"
        );
        for (ours, peer) in [(0, 2), (1, 2), (1, 3), (1, 4)] {
            print_ratio(&locks[ours], &locks[peer]);
        }
        for (ours, peer) in [(0, 3), (1, 4), (2, 3)] {
            print_ratio(&semaphores[ours], &semaphores[peer]);
        }
        println!();
    });
}

fn print_ratio(ours: &Pair<'_>, peer: &Pair<'_>) {
    let (mut times, mut peers, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mine, theirs) = (nanoseconds(&ours.1), nanoseconds(&peer.1));
        times.push(mine);
        peers.push(theirs);
        ratios.push(mine / theirs);
    }
    println!(
        "{:<28} {:<26} {:>7.2} {:>7.2}  {:>6.3} ({:.3} to {:.3})",
        ours.0,
        peer.0,
        quantile(&mut times, 0.5),
        quantile(&mut peers, 0.5),
        quantile(&mut ratios, 0.5),
        quantile(&mut ratios, 0.1),
        quantile(&mut ratios, 0.9),
    );
}

fn nanoseconds(pairs: &dyn Fn()) -> f64 {
    let begin = Instant::now();
    pairs();
    begin.elapsed().as_nanos() as f64 / f64::from(PAIRS)
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

fn criterion_benches(criterion: &mut Criterion) {
    with_shared(|shared| {
        for (group, pairs) in [("lock", locks(shared)), ("semaphore", semaphores(shared))] {
            let mut group = criterion.benchmark_group(group);
            group.throughput(criterion::Throughput::Elements(u64::from(PAIRS)));
            for (name, pair) in pairs {
                group.bench_function(name, |bencher| bencher.iter(&pair));
            }
            group.finish();
        }
    });
}
