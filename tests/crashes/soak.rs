//! Random operations on robust locks, while one process after the other is killed at a random
//! moment and replaced: nothing is lost, nothing counted twice.
//!
//! Two seconds here; `INTERLATCH_SOAK` sets the seconds, `INTERLATCH_SEED` repeats the choices (not the
//! moments at which the kernel carries them out).

use super::actor::say;
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
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
    vec![Test::new(
        "nothing_is_lost_however_often_somebody_is_killed",
        soak,
    )]
}

pub const WORKERS: usize = 4;
const LEDGERS: usize = 3;
const PERMITS: usize = 2;

/// What the workers share.
#[repr(C)]
#[derive(ShmSafe)]
struct Shared {
    ledgers: [Ledger; LEDGERS],
    /// Of which a worker has one now and then, while it makes its entries.
    permits: RobustSemaphore<PERMITS>,
    /// How many entries each worker knows that it has made, in each ledger.
    known: [[AtomicU64; LEDGERS]; WORKERS],
}

/// Behind the lock, the total is the sum of the entries, but in the middle of making one.
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

    /// Locks, and repairs what the dead have left. False, if timeout ran out.
    fn lock(&self, timeout: Timeout) -> bool {
        match self.lock.lock_with(timeout) {
            Ok(Acquired::Clean) => {
                let (total, sum) = (self.total.load(Relaxed), self.sum());
                assert_eq!(total, sum, "half an entry, and no news of a death");
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
        // SAFETY: every caller has locked.
        unsafe { self.lock.unlock() };
    }

    fn enter(&self, worker: usize) {
        let add = |word: &AtomicU64| word.store(word.load(Relaxed) + 1, Relaxed);
        add(&self.entries[worker]);
        add(&self.total);
    }
}

/// None, a little, or as much as it takes.
pub fn some_patience(random: &mut fastrand::Rng) -> Timeout {
    match random.u8(..4) {
        0 => Timeout::NonBlocking,
        1 => Timeout::after(Duration::from_micros(random.u64(..200))),
        _ => Timeout::Infinite,
    }
}

/// In an actor: makes entries until it is killed.
pub fn play(region: &Region, part: &str) {
    let (worker, mut random) = worker(part);
    let shared: &Shared = region.attach("shared").expect("what is shared");
    say("ready");
    loop {
        let timeout = some_patience(&mut random);
        let permit = random.bool().then(|| shared.permits.acquire_with(timeout));
        // Several at once are locked in their order.
        let mut held = [false; LEDGERS];
        for (ledger, held) in shared.ledgers.iter().zip(&mut held) {
            *held = random.bool() && ledger.lock(timeout);
        }
        let held: Vec<usize> = (0..LEDGERS).filter(|number| held[*number]).collect();
        held.iter()
            .for_each(|number| shared.ledgers[*number].enter(worker));
        for number in held {
            shared.ledgers[number].unlock();
            // Only now it knows. Release pairs with the Acquire of the parent.
            shared.known[worker][number].fetch_add(1, Release);
        }
        drop(permit);
    }
}

fn soak() {
    in_peace(|| {
        let region = Region::memfd("soak", 4096).expect("a region");
        let shared: &Shared = region.create("shared", ()).expect("room");
        let deaths = kill_for("soak", &region);
        let (mut entries, mut repairs) = (0, 0);
        for (number, ledger) in shared.ledgers.iter().enumerate() {
            assert!(
                ledger.lock(Timeout::after(TIMEOUT)),
                "ledger {number} can be locked"
            );
            for (worker, deaths) in deaths.iter().enumerate() {
                let made = ledger.entries[worker].load(Relaxed);
                let known = shared.known[worker][number].load(Acquire);
                // Each death may come between an entry and the knowledge of it.
                let most = known + deaths;
                assert!(
                    known <= made && made <= most,
                    "{known} known, {made} made, at most {most}"
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
        assert!(entries > 0 && kills > 0, "something happened");
    });
}

/// Runs a soak, after which no descriptor and no child is left.
pub fn in_peace(soak: impl FnOnce()) {
    let before = descriptors();
    soak();
    assert_eq!(descriptors(), before, "no descriptor is left");
    assert_eq!(
        waitpid(None::<Pid>, None),
        Err(Errno::ECHILD),
        "no child is left"
    );
}

/// Lets the workers of this name work, and kills one after the other. Returns how often each has died.
pub fn kill_for(name: &str, region: &Region) -> [u64; WORKERS] {
    let seconds = number("INTERLATCH_SOAK").unwrap_or(2);
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{seconds} s, {WORKERS} workers, INTERLATCH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
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
        assert!(!ended, "worker {worker} has found something wrong");
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

/// The number of a worker, and its random choices.
pub fn worker(part: &str) -> (usize, fastrand::Rng) {
    let (worker, seed) = part.split_once(' ').expect("a worker and its seed");
    let seed = seed.parse().expect("a number");
    let worker = worker.parse().expect("a number");
    (worker, fastrand::Rng::with_seed(seed))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("this process")
        .count()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
