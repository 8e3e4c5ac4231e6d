//! Sleepers whose words change without a wake-up, as after the death of the process that changed
//! them, and sleepers whose words do not change.
//!
//! An actor sleeps. The test changes a word and wakes no sleeper, so only a recheck ends the sleep.

use super::actor::{await_command, find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT, assert_child_succeeds};
use interlatch::Channel;
use interlatch::platform::futex::{self, WatchedWord};
use interlatch::platform::{AtomicU32, AtomicU64, Ordering::Relaxed, Wake};
use interlatch::sync::{Deadline, Static};
use interlatch::{Condvar, Mutex, Region, RingBuffer, RobustMutex, Semaphore};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{ForkResult, Pid, Uid, fork, gettid, setresuid};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let sees = |role: &'static str| {
        let name = format!("change_without_a_wake_up_is_seen_by_{role}");
        Test::new(name, move || change_is_seen(role))
    };
    vec![
        Test::new("idle_sleepers_do_not_wake_at_rechecks", sleepers_stay_idle),
        sees("sleeper"),
        sees("sleeper_with_a_deadline"),
        sees("sleeper_that_watches_another_word"),
        sees("sleeper_after_a_pause"),
        sees("sleeper_with_a_shorter_interval"),
        sees("sleeper_beside_unmapped_words"),
        sees("sleeper_in_a_forked_child"),
        sees("sleeper_without_a_watcher"),
    ]
}

/// The words in the region.
#[derive(Clone, Copy)]
struct Words<'a> {
    word: &'a AtomicU32,
    other: &'a AtomicU64,
}

fn words(region: &Region) -> Words<'_> {
    Words {
        word: find(region, "word"),
        other: find(region, "other"),
    }
}

/// Runs in the actor.
pub fn run(region: &Region, role: &str) {
    interlatch::sync::set_recheck_interval(SHORT);
    let Words { word, other } = words(region);
    let sleep = |deadline| {
        while word.load(Relaxed) == 0 {
            let wake = futex::wait(word, 0, deadline);
            assert_ne!(wake, Wake::TimedOut, "the change is not seen");
        }
        report("seen");
    };
    match role {
        "idle" => sleep_idly(),
        "sleeper" => sleep(None),
        "sleeper_with_a_deadline" => sleep(Some(Deadline::after(2 * TIMEOUT))),
        "sleeper_that_watches_another_word" => {
            while other.load(Relaxed) == 0 {
                let others = [WatchedWord::low_half(other, 0)];
                futex::wait_watching(word, 0, None, &others);
            }
            report("seen");
        }
        "sleeper_after_a_pause" => {
            sleep_briefly();
            report("ready");
            await_command();
            sleep(None);
        }
        "sleeper_with_a_shorter_interval" => {
            interlatch::sync::set_recheck_interval(Duration::from_secs(3600));
            let private = AtomicU32::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| futex::wait(&private, 0, None));
                sleep_briefly();
                interlatch::sync::set_recheck_interval(SHORT);
                report("ready");
                sleep(None);
                // The scope ends with the process.
                std::process::exit(0);
            });
        }
        "sleeper_beside_unmapped_words" => {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    loop {
                        let region = Region::memfd("unmapped", 4096).expect("a region");
                        let word: &AtomicU32 = find(&region, "word");
                        futex::wait(word, 0, Some(Deadline::after(Duration::from_micros(200))));
                    }
                });
                sleep(None);
                std::process::exit(0);
            });
        }
        "sleeper_in_a_forked_child" => {
            // The parent has a watcher, which the child does not inherit.
            sleep_briefly();
            // SAFETY: the other thread of this process, the watcher, holds no lock.
            match unsafe { fork() }.expect("a child starts") {
                ForkResult::Child => {
                    sleep(None);
                    std::process::exit(0);
                }
                ForkResult::Parent { child } => {
                    wait_until_asleep(child);
                    word.store(1, Relaxed);
                    assert_child_succeeds(child, "the child sees it");
                }
            }
        }
        "sleeper_without_a_watcher" => {
            forbid_threads();
            sleep(None);
        }
        other => panic!("unknown role {other:?}"),
    }
}

/// The recheck interval of the actors.
const SHORT: Duration = Duration::from_millis(5);

/// Sleeps once, so that the process has a watcher.
fn sleep_briefly() {
    let private = AtomicU32::new(0);
    futex::wait(&private, 0, Some(Deadline::after(SHORT)));
}

/// Makes the creation of threads fail in this process.
fn forbid_threads() {
    if Uid::effective().is_root() {
        // The limit does not apply to root.
        let nobody = Uid::from_raw(65534);
        setresuid(nobody, nobody, nobody).expect("root may become another user");
    }
    setrlimit(Resource::RLIMIT_NPROC, 0, 0).expect("a lower limit is allowed");
    let started = std::thread::Builder::new().spawn(|| ());
    assert!(started.is_err(), "threads cannot be created");
}

fn start(region: &Region, role: &str) -> Actor {
    Actor::start(region, &[format!("rechecks {role}")])
}

fn expect(actor: &mut Actor, line: &str) {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok(line));
}

fn region() -> Region {
    Region::memfd("rechecks", 4096).expect("a region")
}

fn change_is_seen(role: &str) {
    let region = region();
    let Words { word, other } = words(&region);
    let mut actor = start(&region, role);
    match role {
        "sleeper_after_a_pause" => {
            expect(&mut actor, "ready");
            actor.tell("sleep");
        }
        "sleeper_with_a_shorter_interval" => expect(&mut actor, "ready"),
        _ => {}
    }
    // There is no wake-up, as after the death of the process that changes the word.
    let asleep = || actor.wait_until_asleep(Instant::now() + TIMEOUT);
    match role {
        // The actor changes the word of its child.
        "sleeper_in_a_forked_child" => {}
        "sleeper_that_watches_another_word" => {
            asleep();
            other.store(1, Relaxed);
        }
        _ => {
            asleep();
            word.store(1, Relaxed);
        }
    }
    expect(&mut actor, "seen");
}

fn sleepers_stay_idle() {
    let region = region();
    let reply = start(&region, "idle").reply(Instant::now() + TIMEOUT);
    let reply = reply.expect("the actor reports");
    let wakes: u64 = reply.parse().expect("a number");
    assert!(
        wakes <= ROUNDS,
        "{SLEEPERS} idle sleepers woke {wakes} times in {ROUNDS} recheck intervals"
    );
}

/// The number of idle sleepers: at a mutex, a robust mutex, a semaphore, a condition variable, and
/// rings.
const SLEEPERS: usize = 1000;

/// The number of recheck intervals during which the wake-ups of the sleepers are counted.
const ROUNDS: u64 = 20;

/// Runs in an actor: reports how often idle sleepers wake during some recheck intervals.
fn sleep_idly() {
    static MUTEX: Mutex<()> = Mutex::new(());
    static ROBUST: Static<RobustMutex<()>> = RobustMutex::new(());
    static SEMAPHORE: Semaphore = Semaphore::empty();
    static CHANGED: Condvar = Condvar::new();
    static CONDITION: Mutex<()> = Mutex::new(());
    interlatch::sync::set_spinning(false);
    // If all sleepers wake at each interval, this interval leaves time for the other threads.
    interlatch::sync::set_recheck_interval(10 * SHORT);
    let _locked = (MUTEX.lock(), ROBUST.get().lock().expect("the lock is free"));
    let kinds: [fn(); 5] = [
        || drop(MUTEX.lock()),
        || drop(ROBUST.get().lock()),
        || SEMAPHORE.acquire().forget(),
        || CHANGED.wait(&mut CONDITION.lock()),
        || {
            let ring = RingBuffer::<u64, _>::with_capacity(2)
                .expect("memory")
                .leak();
            let _sender = ring.sender().expect("the ring is new");
            let _ = ring.receiver().expect("the ring is new").recv();
        },
    ];
    let (started, threads) = mpsc::channel();
    for sleep in kinds.into_iter().cycle().take(SLEEPERS) {
        let started = started.clone();
        let sleeper = move || {
            started.send(gettid()).expect("the main thread receives");
            sleep();
        };
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        thread.spawn(sleeper).expect("a thread starts");
    }
    let threads: Vec<_> = threads.iter().take(SLEEPERS).collect();
    threads.iter().for_each(|thread| wait_until_asleep(*thread));
    let all_switches = || threads.iter().map(|thread| switches(*thread)).sum::<u64>();
    pass_recheck_intervals();
    let before = all_switches();
    pass_recheck_intervals();
    report(&(all_switches() - before).to_string());
    // The sleepers end with the process.
    std::process::exit(0);
}

/// Sleeps during a number of recheck intervals.
fn pass_recheck_intervals() {
    let private = AtomicU32::new(0);
    for _ in 0..ROUNDS {
        assert_eq!(futex::wait_or_recheck(&private, 0, None), Wake::Recheck);
    }
}

/// Waits until a thread sleeps on a futex.
fn wait_until_asleep(thread: Pid) {
    let deadline = Instant::now() + TIMEOUT;
    let call = || std::fs::read_to_string(format!("/proc/{thread}/syscall"));
    let futex = format!("{} ", libc::SYS_futex);
    while !call().is_ok_and(|call| call.starts_with(&futex)) {
        assert!(Instant::now() < deadline, "the thread does not sleep");
        std::thread::yield_now();
    }
}

/// Returns how often a thread of this process has gone to sleep.
fn switches(thread: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    let status = status.expect("the thread runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let number = line.and_then(|number| number.trim().parse().ok());
    number.expect("the kernel counts switches")
}
