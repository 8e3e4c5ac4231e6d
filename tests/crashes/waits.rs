//! Waits on a condition variable beside rechecks and signals, neither of which is a notification.
//!
//! An actor waits. Its recheck interval is the shortest, and a timer sends it a signal every
//! millisecond, so each wait of the tests is disturbed many times.

use super::actor::{find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::sync::{RobustLockError, Timeout};
use interlatch::{Condvar, Mutex, Region, RobustMutex};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let ends = |role: &'static str| {
        let name = format!("loop_of_timed_waits_ends_at_its_first_timeout_with_{role}");
        Test::new(name, move || loop_ends(role))
    };
    let sees = |role: &'static str| {
        let name = format!("change_without_a_notification_is_seen_by_{role}");
        Test::new(name, move || change_is_seen(role))
    };
    vec![
        ends("wait_timeout"),
        ends("wait_until"),
        ends("wait_robust"),
        Test::new("wait_returns_only_after_a_notification", wait_returns_once),
        sees("wait_while"),
        sees("wait_timeout_while"),
        sees("wait_robust_without_a_timeout"),
    ]
}

/// The objects in the region.
struct Objects<'a> {
    ready: &'a Mutex<u32>,
    robust: &'a RobustMutex<u32>,
    changed: &'a Condvar,
}

fn objects(region: &Region) -> Objects<'_> {
    Objects {
        ready: find(region, "ready"),
        robust: find(region, "robust"),
        changed: find(region, "changed"),
    }
}

/// Runs in the actor.
pub fn run(region: &Region, role: &str) {
    let objects = objects(region);
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    send_signals_to_itself();
    let Objects {
        ready,
        robust,
        changed,
    } = objects;
    match role {
        "wait_timeout" => report_rounds(|| {
            let mut guard = ready.lock();
            changed.wait_timeout(&mut guard, SHORT).timed_out()
        }),
        "wait_until" => report_rounds(|| {
            let mut guard = ready.lock();
            let end = Instant::now() + SHORT;
            changed.wait_until(&mut guard, end).timed_out()
        }),
        "wait_robust" => report_rounds(|| {
            let guard = robust.lock().expect("no owner dies");
            let (locked, is_notified) = changed.wait_robust(guard, Timeout::after(SHORT));
            drop(locked.expect("no owner dies"));
            !is_notified
        }),
        "wait" => {
            let mut guard = ready.lock();
            changed.wait(&mut guard);
            report(if *guard == 1 { "notified" } else { "too early" });
        }
        "wait_while" => {
            let mut guard = ready.lock();
            changed.wait_while(&mut guard, |ready| *ready == 0);
            report("seen");
        }
        "wait_timeout_while" => {
            let mut guard = ready.lock();
            let waited = changed.wait_timeout_while(&mut guard, 2 * TIMEOUT, |ready| *ready == 0);
            assert!(!waited.timed_out(), "the change is not seen");
            report("seen");
        }
        "wait_robust_without_a_timeout" => {
            let mut guard = robust.lock().expect("no owner dies");
            while *guard == 0 {
                let (locked, _) = changed.wait_robust(guard, Timeout::Infinite);
                guard = locked
                    .or_else(RobustLockError::mark_consistent)
                    .expect("the lock is intact");
            }
            report("seen");
        }
        other => panic!("unknown role {other:?}"),
    }
}

/// The timeout of a wait without a notification: many recheck intervals.
const SHORT: Duration = Duration::from_millis(50);

/// Waits in a loop until a wait times out, and reports the number of waits.
fn report_rounds(mut wait_until_timeout: impl FnMut() -> bool) {
    let rounds = (1..=100).find(|_| wait_until_timeout());
    report(&format!("{rounds:?}"));
}

/// Lets a timer send a signal to this process every millisecond, with a handler that does nothing.
fn send_signals_to_itself() {
    extern "C" fn ignore(_: i32) {}
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the action is valid, its handler does nothing, and both pointers are valid.
    let failed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(i32) as usize;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut())
            | libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut())
    };
    assert_eq!(failed, 0, "the signals are set up");
}

fn start(region: &Region, role: &str) -> Actor {
    Actor::start(region, &[format!("waits {role}")])
}

fn expect(actor: &mut Actor, line: &str) {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok(line));
}

fn region() -> Region {
    Region::memfd("waits", 4096).expect("a region")
}

fn loop_ends(role: &str) {
    let region = region();
    objects(&region);
    expect(&mut start(&region, role), "Some(1)");
}

fn wait_returns_once() {
    let region = region();
    let Objects { ready, changed, .. } = objects(&region);
    let mut actor = start(&region, "wait");
    sleep_and_wake_often(&actor);
    *ready.lock() = 1;
    changed.notify_one();
    expect(&mut actor, "notified");
}

fn change_is_seen(role: &str) {
    let region = region();
    let Objects { ready, robust, .. } = objects(&region);
    let mut actor = start(&region, role);
    sleep_and_wake_often(&actor);
    *ready.lock() = 1;
    *robust.lock().expect("no owner dies") = 1;
    // There is no notification, as after the death of a notifier.
    expect(&mut actor, "seen");
}

/// Waits until the actor sleeps on a futex and the kernel has woken it several times.
fn sleep_and_wake_often(actor: &Actor) {
    let deadline = Instant::now() + TIMEOUT;
    actor.wait_until_asleep(deadline);
    let before = switches(actor);
    while switches(actor) < before + 10 {
        assert!(
            Instant::now() < deadline,
            "the actor does not recheck: {}",
            actor.kernel_state()
        );
        std::thread::yield_now();
    }
}

/// Returns how often the actor has gone to sleep.
fn switches(actor: &Actor) -> u64 {
    let path = format!("/proc/{}/status", actor.pid());
    let status = std::fs::read_to_string(path).expect("the actor runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let number = line.and_then(|number| number.trim().parse().ok());
    number.expect("the kernel counts switches")
}
