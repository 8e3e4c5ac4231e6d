//! Random operations on robust locks while processes are killed at random moments and replaced: no
//! ledger entry is lost or counted twice.
//!
//! The soak takes two seconds, or the number of seconds in `INTERLATCH_SOAK`. `INTERLATCH_SEED`
//! repeats the random choices, but not the kernel's scheduling.

use super::actor::report;
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::random::{env_number, seed};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::sync::{Acquired, LockError, RawRobustMutex, Timeout};
use interlatch::{Region, RobustSemaphore, ShmSafe};
use nix::errno::Errno;
use nix::sys::signal::Signal::SIGKILL;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::array::from_fn;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![Test::alone(
        "no_entry_is_lost_while_workers_are_killed",
        no_entry_is_lost_while_workers_are_killed,
    )]
}

pub const WORKERS: usize = 4;
const LEDGERS: usize = 3;
const PERMITS: usize = 2;

/// The objects that the workers share.
#[repr(C)]
#[derive(ShmSafe)]
struct Shared {
    ledgers: [Ledger; LEDGERS],
    /// The permits that a worker holds during some of its entries.
    permits: RobustSemaphore<PERMITS>,
    /// The number of completed entries of each worker in each ledger. A worker increments the
    /// number after each entry.
    known: [[AtomicU64; LEDGERS]; WORKERS],
}

/// A ledger. While `lock` is unlocked, `total` is the sum of `entries`.
#[repr(C)]
#[derive(ShmSafe)]
struct Ledger {
    lock: RawRobustMutex,
    total: AtomicU64,
    entries: [AtomicU64; WORKERS],
    repairs: AtomicU64,
}

impl Ledger {
    fn sum(&self) -> u64 {
        self.entries
            .iter()
            .map(|entries| entries.load(Relaxed))
            .sum()
    }

    /// Locks the ledger, and repairs the ledger after owner death. Returns false on a timeout.
    fn lock(&self, timeout: Timeout) -> bool {
        match self.lock.lock_with(timeout) {
            Ok(Acquired::Clean) => {
                let (total, sum) = (self.total.load(Relaxed), self.sum());
                assert_eq!(
                    total, sum,
                    "an incomplete entry without a reported owner death"
                );
                true
            }
            Ok(Acquired::OwnerDied) => {
                self.total.store(self.sum(), Relaxed);
                self.repairs.store(self.repairs.load(Relaxed) + 1, Relaxed);
                true
            }
            Err(LockError::TimedOut) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn unlock(&self) {
        // SAFETY: every caller holds `lock`.
        unsafe { self.lock.unlock() };
    }

    fn add_entry(&self, worker: usize) {
        let add = |word: &AtomicU64| word.store(word.load(Relaxed) + 1, Relaxed);
        add(&self.entries[worker]);
        add(&self.total);
    }
}

/// Returns a non-blocking, a short or an infinite timeout.
pub fn random_timeout(random: &mut fastrand::Rng) -> Timeout {
    match random.u8(..4) {
        0 => Timeout::NonBlocking,
        1 => Timeout::after(Duration::from_micros(random.u64(..200))),
        _ => Timeout::Infinite,
    }
}

/// Adds ledger entries in an actor until the actor is killed.
pub fn run(region: &Region, role: &str) {
    let (worker, mut random) = worker(role);
    let shared: &Shared = region.attach("shared").expect("the shared objects");
    report("ready");
    loop {
        let timeout = random_timeout(&mut random);
        let permit = random.bool().then(|| shared.permits.acquire_with(timeout));
        // All workers lock ledgers in the same order, so they cannot deadlock.
        let mut locked = [false; LEDGERS];
        for (ledger, locked) in shared.ledgers.iter().zip(&mut locked) {
            *locked = random.bool() && ledger.lock(timeout);
        }
        let locked: Vec<usize> = (0..LEDGERS).filter(|number| locked[*number]).collect();
        locked
            .iter()
            .for_each(|number| shared.ledgers[*number].add_entry(worker));
        for number in locked {
            shared.ledgers[number].unlock();
            // Release: the increment of the count pairs with the parent's Acquire load.
            shared.known[worker][number].fetch_add(1, Release);
        }
        drop(permit);
    }
}

fn no_entry_is_lost_while_workers_are_killed() {
    without_leaks(|| {
        let region = Region::memfd("soak", 4096).expect("a region");
        let shared: &Shared = region.create("shared", ()).expect("the region has room");
        let deaths = run_and_kill("soak", &region);
        let (mut entries, mut repairs) = (0, 0);
        for (number, ledger) in shared.ledgers.iter().enumerate() {
            assert!(
                ledger.lock(Timeout::after(TIMEOUT)),
                "ledger {number} can be locked"
            );
            for (worker, deaths) in deaths.iter().enumerate() {
                let made = ledger.entries[worker].load(Relaxed);
                let known = shared.known[worker][number].load(Acquire);
                // Each worker may die between an entry and the increment of its count.
                let max = known + deaths;
                assert!(
                    known <= made && made <= max,
                    "{known} known, {made} made, at most {max}"
                );
            }
            entries += ledger.sum();
            repairs += ledger.repairs.load(Relaxed);
            ledger.unlock();
        }
        let permits = [(); PERMITS].map(|()| shared.permits.acquire_timeout(TIMEOUT));
        assert!(
            permits.iter().all(Result::is_ok),
            "all permits are back: {permits:?}"
        );
        let kills: u64 = deaths.iter().sum();
        println!("{kills} kills, {entries} entries, {repairs} repairs, none lost, none twice");
        assert!(
            entries > 0 && kills > 0,
            "workers made entries and were killed"
        );
    });
}

/// Runs a soak, and checks that it leaks neither a descriptor nor a child process.
pub fn without_leaks(soak: impl FnOnce()) {
    let before = descriptors();
    soak();
    assert_eq!(descriptors(), before, "no descriptor is left");
    assert_eq!(
        waitpid(None::<Pid>, None),
        Err(Errno::ECHILD),
        "no child is left"
    );
}

/// Runs workers of this role and kills them one after the other. Returns the number of deaths of
/// each worker.
pub fn run_and_kill(name: &str, region: &Region) -> [u64; WORKERS] {
    let seconds = env_number("INTERLATCH_SOAK").unwrap_or(2);
    println!("{seconds} s, {WORKERS} workers");
    let mut random = fastrand::Rng::with_seed(seed());
    let start = |worker: usize, seed: u64| {
        let mut actor = Actor::start(region, &[format!("{name} {worker} {seed}")]);
        let reply = actor.reply(Instant::now() + TIMEOUT);
        assert_eq!(reply.as_deref(), Ok("ready"));
        actor
    };
    let mut workers: [Actor; WORKERS] = from_fn(|worker| start(worker, random.u64(..)));
    let mut deaths = [0; WORKERS];
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let moment = Instant::now() + Duration::from_micros(random.u64(..4_000));
        while Instant::now() < moment {
            std::thread::yield_now();
        }
        let worker = random.usize(..WORKERS);
        let ended = workers[worker].has_ended();
        assert!(!ended, "worker {worker} has failed");
        workers[worker].signal(SIGKILL);
        workers[worker] = start(worker, random.u64(..));
        deaths[worker] += 1;
    }
    for (worker, deaths) in workers.iter().zip(&mut deaths) {
        worker.signal(SIGKILL);
        *deaths += 1;
    }
    drop(workers);
    deaths
}

/// Parses the number of a worker and the seed of its random choices.
pub fn worker(role: &str) -> (usize, fastrand::Rng) {
    let (worker, seed) = role.split_once(' ').expect("a worker and its seed");
    let seed = seed.parse().expect("a number");
    let worker = worker.parse().expect("a number");
    (worker, fastrand::Rng::with_seed(seed))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("this process")
        .count()
}
