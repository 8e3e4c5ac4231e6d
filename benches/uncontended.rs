//! What a lock, or a permit, costs that nobody else wants: ours beside its peers.
//!
//! Every object lies alone at the start of a shared mapping of its own: ours in a memfd region,
//! its peers in anonymous shared memory, which to the kernel is the same.
//!
//! 1. Criterion measures each subject, one after the other. A machine that changes its speed in
//!    between makes these hard to compare.
//! 2. So a table follows for which ours and the peer took turns, in rounds of about a quarter of a
//!    millisecond. It alone, with a filter that no benchmark matches:
//!
//! ```text
//! cargo bench --bench uncontended -- table-only
//! ```
//!
//! What a pair costs is mostly its read-modify-writes, about 5 ns each on a CPU of 2021: two, and
//! one more for each that begins with a wrong guess of a semaphore's state. A semaphore at 1 is
//! always guessed; at 5 an acquire is not, nor is a bare release, but a guard's release knows what
//! its acquire left.

use anyhow::{Result, ensure};
use core::sync::atomic::compiler_fence;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use interlatch::platform::Ordering::{Acquire, Relaxed, Release, SeqCst};
use interlatch::platform::{AtomicU32, AtomicUsize, UnsafeCell};
use interlatch::sync::{Lock, Patience, Permits};
use interlatch::{InPlace, Mutex, RawMutex, Region, RobustMutex, Semaphore};
use lock_api::RawMutex as _;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Rounds of a comparison. In each, both subjects run [`PAIRS`] pairs.
const ROUNDS: usize = 200;
/// Pairs of operations in one measurement of the table.
const PAIRS: u32 = 20_000;
/// How much slower than the peer that sets the goal ours may be.
const GOAL: f64 = 1.05;
/// What surviving a death may cost, against a lock that does not.
const ROBUST_TO_RAW: f64 = 1.15;
/// The same against libc's lock that survives one.
const ROBUST_TO_PTHREAD: f64 = 0.85;
/// Bytes of a mapping.
const PAGE: usize = 4096;
/// The values at which semaphores are measured: a pair takes one permit and gives it back. The
/// first is what a semaphore used as a lock holds, the second is an arbitrary larger one.
const PERMITS: [u32; 2] = [1, 5];

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let locks = Locks::new()?;
    locks.measure(&mut criterion);
    let semaphores = PERMITS
        .into_iter()
        .map(Semaphores::new)
        .collect::<Result<Vec<_>>>()?;
    for each in &semaphores {
        each.measure(&mut criterion);
    }
    criterion.final_summary();
    // As criterion does it: without this argument, it is a test whether benchmarks run at all.
    if std::env::args().any(|argument| argument == "--bench") {
        print_header();
        locks.compare();
        semaphores.iter().for_each(Semaphores::compare);
    }
    Ok(())
}

/// The locks, all free.
struct Locks {
    raw: &'static RawMutex,
    mutex: &'static Mutex<u64>,
    parking_lot_raw: &'static parking_lot::RawMutex,
    parking_lot: &'static parking_lot::Mutex<u64>,
    parking_lot_again: &'static parking_lot::Mutex<u64>,
    std: &'static std::sync::Mutex<u64>,
    pthread: &'static PthreadMutex,
    robust: &'static RobustMutex<u64>,
    robust_pthread: &'static PthreadMutex,
    by_hand: &'static ByHand,
}

impl Locks {
    fn new() -> Result<Self> {
        Ok(Self {
            raw: ours()?,
            mutex: ours()?,
            parking_lot_raw: peer(parking_lot::RawMutex::INIT)?,
            parking_lot: peer(parking_lot::Mutex::new(0))?,
            parking_lot_again: peer(parking_lot::Mutex::new(0))?,
            std: peer(std::sync::Mutex::new(0))?,
            pthread: PthreadMutex::create(libc::PTHREAD_MUTEX_STALLED)?,
            robust: ours()?,
            robust_pthread: PthreadMutex::create(libc::PTHREAD_MUTEX_ROBUST)?,
            by_hand: peer(ByHand::default())?,
        })
    }

    fn measure(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("lock + unlock");
        bench(&mut group, "interlatch::RawMutex", self.raw, raw_lock);
        bench(&mut group, "interlatch::Mutex", self.mutex, lock_api_lock);
        let raw = self.parking_lot_raw;
        bench(&mut group, "parking_lot::RawMutex", raw, raw_lock);
        let mutex = self.parking_lot;
        bench(&mut group, "parking_lot::Mutex", mutex, lock_api_lock);
        bench(&mut group, "std::sync::Mutex", self.std, std_lock);
        let pthread = self.pthread;
        bench(&mut group, "pthread_mutex_t", pthread, PthreadMutex::pair);
        let robust = self.robust;
        bench(&mut group, "interlatch::RobustMutex", robust, robust_lock);
        let pthread = self.robust_pthread;
        bench(
            &mut group,
            "pthread_mutex_t, robust",
            pthread,
            PthreadMutex::pair,
        );
        group.finish();
    }

    fn compare(&self) {
        let raw = Subject::new("RawMutex", self.raw, raw_lock);
        let mutex = Subject::new("Mutex", self.mutex, lock_api_lock);
        let held = Subject::new("RawMutex, held", self.raw, hold);
        let parking_lot_raw = Subject::new("parking_lot::RawMutex", self.parking_lot_raw, raw_lock);
        let parking_lot = Subject::new("parking_lot::Mutex", self.parking_lot, lock_api_lock);
        let again = Subject::new("itself (the noise)", self.parking_lot_again, lock_api_lock);
        let std = Subject::new("std::sync::Mutex", self.std, std_lock);
        let pthread = Subject::new("pthread_mutex_t", self.pthread, PthreadMutex::pair);
        compare(&parking_lot, &again, None);
        compare(&mutex, &parking_lot, Some(GOAL));
        compare(&raw, &parking_lot_raw, Some(GOAL));
        compare(&held, &parking_lot_raw, Some(GOAL));
        compare(&mutex, &std, None);
        compare(&mutex, &pthread, None);
        let robust = Subject::new("RobustMutex", self.robust, robust_lock);
        let robust_pthread = self.robust_pthread;
        let robust_pthread = Subject::new(
            "pthread_mutex_t, robust",
            robust_pthread,
            PthreadMutex::pair,
        );
        let by_hand = Subject::new("robust, by hand", self.by_hand, ByHand::pair);
        compare(&robust, &raw, Some(ROBUST_TO_RAW));
        compare(&by_hand, &raw, None);
        compare(&robust, &by_hand, None);
        compare(&robust, &robust_pthread, Some(ROBUST_TO_PTHREAD));
    }
}

/// The semaphores, all with the same number of permits.
struct Semaphores {
    permits: u32,
    semaphore: &'static Semaphore,
    posix: &'static PosixSemaphore,
}

impl Semaphores {
    fn new(permits: u32) -> Result<Self> {
        let semaphore: &Semaphore = ours()?;
        semaphore.release(permits)?;
        Ok(Self {
            permits,
            semaphore,
            posix: PosixSemaphore::create(permits)?,
        })
    }

    fn measure(&self, criterion: &mut Criterion) {
        let name = format!("acquire + release at {}", self.permits);
        let mut group = criterion.benchmark_group(name);
        let semaphore = self.semaphore;
        bench(&mut group, "interlatch::Semaphore, guard", semaphore, guard);
        bench(&mut group, "interlatch::Semaphore, calls", semaphore, calls);
        bench(&mut group, "sem_t", self.posix, PosixSemaphore::pair);
        group.finish();
    }

    fn compare(&self) {
        let at = |name| format!("{name} at {}", self.permits);
        let posix = Subject::new("sem_t", self.posix, PosixSemaphore::pair);
        let by_guard = Subject::new(at("Semaphore, guard"), self.semaphore, guard);
        let by_calls = Subject::new(at("Semaphore, calls"), self.semaphore, calls);
        compare(&by_guard, &posix, Some(GOAL));
        compare(&by_calls, &posix, Some(GOAL));
    }
}

// The pairs are inlined always: otherwise the compiler would inline some and charge the others
// for a call.

#[inline(always)]
fn raw_lock<L: lock_api::RawMutex>(lock: &L) {
    lock.lock();
    // SAFETY: locked above.
    unsafe { lock.unlock() };
}

/// As the buffers of this crate lock, which take any lock.
#[inline(always)]
fn hold(lock: &RawMutex) {
    drop(lock.hold());
}

#[inline(always)]
fn lock_api_lock<L: lock_api::RawMutex>(mutex: &lock_api::Mutex<L, u64>) {
    drop(mutex.lock());
}

#[inline(always)]
fn std_lock(mutex: &std::sync::Mutex<u64>) {
    // Nobody panics here, so the lock is never poisoned; this looks at the flag as users do.
    drop(mutex.lock().unwrap());
}

#[inline(always)]
fn robust_lock(mutex: &RobustMutex<u64>) {
    // Nobody dies here; this looks at the result as users do.
    drop(mutex.lock().unwrap());
}

#[inline(always)]
fn guard(semaphore: &Semaphore) {
    drop(semaphore.acquire());
}

#[inline(always)]
fn calls(semaphore: &Semaphore) {
    while !semaphore.acquire_within(Patience::Forever) {}
    // There is room for what was just taken; this looks at the result as users do.
    semaphore.release(1).unwrap();
}

/// A process-shared mutex of libc.
struct PthreadMutex(UnsafeCell<libc::pthread_mutex_t>);

impl PthreadMutex {
    fn create(robustness: libc::c_int) -> Result<&'static Self> {
        let this = peer(Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)))?;
        // SAFETY: zeros are a value of this C structure, which the first call overwrites.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { core::mem::zeroed() };
        // SAFETY: the attributes live through the three calls and are initialized by the first.
        // The mutex lies where it will stay, and nobody else knows of it yet.
        this.0.with_mut(|mutex| unsafe {
            must(libc::pthread_mutexattr_init(&mut attributes));
            let shared = libc::PTHREAD_PROCESS_SHARED;
            must(libc::pthread_mutexattr_setpshared(&mut attributes, shared));
            must(libc::pthread_mutexattr_setrobust(
                &mut attributes,
                robustness,
            ));
            must(libc::pthread_mutex_init(mutex, &attributes));
        });
        Ok(this)
    }

    #[inline(always)]
    fn pair(&self) {
        // SAFETY: `create` has initialized the mutex, and this thread does not hold it.
        must(
            self.0
                .with_mut(|at| unsafe { libc::pthread_mutex_lock(at) }),
        );
        // SAFETY: locked above.
        must(
            self.0
                .with_mut(|at| unsafe { libc::pthread_mutex_unlock(at) }),
        );
    }
}

/// The least that the protocol of robust locks costs: a store before each of the two exchanges, to
/// announce it, and one after each. An exchange has to wait until the stores before it are done.
#[derive(Default)]
struct ByHand {
    word: AtomicU32,
    pending: AtomicUsize,
}

impl ByHand {
    #[inline(always)]
    fn pair(&self) {
        self.pending.store(1, Relaxed);
        assert_eq!(self.word.compare_exchange(0, 1, Acquire, Relaxed), Ok(0));
        self.pending.store(0, Relaxed);
        compiler_fence(SeqCst);
        self.pending.store(1, Relaxed);
        assert_eq!(self.word.swap(0, Release), 1);
        self.pending.store(0, Relaxed);
    }
}

/// A process-shared semaphore of libc.
struct PosixSemaphore(UnsafeCell<libc::sem_t>);

impl PosixSemaphore {
    fn create(permits: u32) -> Result<&'static Self> {
        // SAFETY: zeros are a value of this C structure; `sem_init` makes it a semaphore.
        let this = peer(Self(UnsafeCell::new(unsafe { core::mem::zeroed() })))?;
        // SAFETY: the semaphore lies where it will stay, and nobody else knows of it yet.
        must(
            this.0
                .with_mut(|at| unsafe { libc::sem_init(at, 1, permits) }),
        );
        Ok(this)
    }

    #[inline(always)]
    fn pair(&self) {
        // SAFETY: `create` has initialized the semaphore.
        must(self.0.with_mut(|at| unsafe { libc::sem_wait(at) }));
        // SAFETY: as above.
        must(self.0.with_mut(|at| unsafe { libc::sem_post(at) }));
    }
}

/// Looks at what a libc function returned, as users do.
fn must(returned: libc::c_int) {
    assert_eq!(returned, 0, "{}", Errno::last());
}

/// A new object of this crate at the start of a memfd region that lives to the end of the process.
fn ours<T: InPlace>() -> Result<&'static T> {
    let region = Box::leak(Box::new(Region::memfd("uncontended", PAGE)?));
    Ok(region.create("object", ())?)
}

/// That value at the start of anonymous shared memory that lives to the end of the process.
fn peer<T>(value: T) -> Result<&'static T> {
    ensure!(size_of::<T>() <= PAGE && align_of::<T>() <= PAGE);
    let size = NonZeroUsize::MIN.saturating_add(PAGE - 1);
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping, at an address that the kernel chooses, touches no other.
    let at = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED)? }.cast::<T>();
    // SAFETY: `at` is the start of a page that is never unmapped and that nobody else knows of; a
    // `T` fits in it, as ensured above.
    unsafe {
        at.write(value);
        Ok(at.as_ref())
    }
}

/// An object, and a pair of operations on it that leaves it as it was.
struct Subject<'a, T, P> {
    name: String,
    object: &'a T,
    pair: P,
}

impl<'a, T, P: Fn(&T)> Subject<'a, T, P> {
    fn new(name: impl Into<String>, object: &'a T, pair: P) -> Self {
        let name = name.into();
        Self { name, object, pair }
    }

    /// Nanoseconds that a pair took, in one run of [`PAIRS`].
    #[inline(never)]
    fn nanoseconds(&self) -> f64 {
        // Opaque once, not at every pair: the compiler must not know what it points to, and a
        // detour of the address would be measured as a part of the pair.
        let object = black_box(self.object);
        let begin = Instant::now();
        for _ in 0..PAIRS {
            (self.pair)(object);
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(PAIRS)
    }
}

fn bench<T, P: Fn(&T)>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, object: &T, pair: P) {
    let object = black_box(object);
    group.bench_function(name, |bencher| bencher.iter(|| pair(object)));
}

/// Lets both take turns, and prints a line of the table.
fn compare<T, P: Fn(&T), U, Q: Fn(&U)>(
    ours: &Subject<'_, T, P>,
    peer: &Subject<'_, U, Q>,
    goal: Option<f64>,
) {
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Whoever is first may find the caches cold, so the first changes.
        if round % 2 == 0 {
            our_times.push(ours.nanoseconds());
            peer_times.push(peer.nanoseconds());
        } else {
            peer_times.push(peer.nanoseconds());
            our_times.push(ours.nanoseconds());
        }
    }
    let ratios = our_times.iter().zip(&peer_times);
    let ratios = sorted(ratios.map(|(ours, peer)| ours / peer).collect());
    let our_median = percentile(&sorted(our_times), 50);
    let peer_median = percentile(&sorted(peer_times), 50);
    let ratio = our_median / peer_median;
    println!(
        "{:<22} {:<23} {our_median:>8.2} {peer_median:>8.2} {ratio:>7.3}   {:.3}..{:.3}   {}",
        ours.name,
        peer.name,
        percentile(&ratios, 10),
        percentile(&ratios, 90),
        goal.map_or(String::new(), |goal| {
            let word = if ratio <= goal { "met" } else { "missed" };
            format!("at most {goal}: {word}")
        }),
    );
}

fn print_header() {
    println!("\n{ROUNDS} rounds of {PAIRS} pairs, in turns");
    println!(
        "{:<22} {:<23} {:>8} {:>8} {:>7}   {:<12}   goal",
        "ours", "peer", "ours/ns", "peer/ns", "ratio", "p10..p90"
    );
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}
