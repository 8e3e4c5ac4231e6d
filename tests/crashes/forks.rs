//! Robust locks in processes that came into being in other ways than `exec`.

use super::actor::{await_command, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::platform::robust::RobustListError::OtherPidNamespace;
use interlatch::sync::RobustLockError;
use interlatch::{Region, RegionError, RobustMutex};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::mem::forget;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "death_of_child_is_reported_whatever_created_it",
            death_of_child_is_reported_whatever_created_it,
        ),
        Test::new(
            "child_cannot_unlock_whatever_created_it",
            child_cannot_unlock_whatever_created_it,
        ),
        Test::new(
            "exec_of_one_thread_reports_the_locks_of_the_others",
            exec_of_one_thread_reports_the_locks_of_the_others,
        ),
        Test::new(
            "child_in_other_pid_namespace_cannot_lock",
            child_in_other_pid_namespace_cannot_lock,
        ),
        Test::new(
            "child_in_other_pid_namespace_without_region_can_lock",
            child_in_other_pid_namespace_without_region_can_lock,
        ),
    ]
}

unsafe extern "C" {
    fn _Fork() -> libc::pid_t;
}

/// Creates a child that has a copy of this process's memory.
type Create = fn() -> libc::pid_t;

/// The ways to create such a child.
const WAYS: [(&str, Create); 3] = [
    // SAFETY: the actor has one thread.
    ("fork", || unsafe { libc::fork() }),
    // SAFETY: the actor has one thread.
    ("_Fork", || unsafe { _Fork() }),
    ("clone", || {
        // SAFETY: without `CLONE_VM`, the child has a copy of the memory, as after a fork.
        unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t }
    }),
];

fn region() -> Region {
    Region::memfd("forks", 16 * 4096).expect("a region")
}

fn start(region: &Region, role: &str) -> Actor {
    Actor::start(region, &[format!("forks {role}")])
}

fn expect(actor: &mut Actor, word: &str) {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok(word));
}

/// Runs `body` in a child, which exits with 0 if the body returns true. Returns whether it did.
fn in_child(create: Create, body: impl FnOnce() -> bool) -> bool {
    match create() {
        0 => {
            let code = i32::from(!body());
            // SAFETY: the call ends the process without the destructors of its parent.
            unsafe { libc::_exit(code) }
        }
        child => {
            let child = Pid::from_raw(child);
            waitpid(child, None) == Ok(WaitStatus::Exited(child, 0))
        }
    }
}

/// Holds a lock in each of three threads. The third thread calls `exec`.
fn exec_beside_holders(locks: &[RobustMutex<u64>; 3]) {
    let _main = locks[0].lock().expect("the lock is free");
    let (report_held, is_held) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _guard = locks[1].lock().expect("the lock is free");
            report_held.send(()).expect("the main thread receives");
            std::thread::park();
        });
        is_held.recv().expect("the second thread locks");
        scope.spawn(|| {
            let _guard = locks[2].lock().expect("the lock is free");
            panic!("{}", std::process::Command::new("cat").exec());
        });
    });
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    let locks: &[RobustMutex<u64>; 3] = region.attach("locks").expect("the locks");
    match role.split_once(' ') {
        Some(("die", way)) => {
            // This thread is registered before the fork, and holds the other locks meanwhile.
            let _guards = [1, 2].map(|index: usize| locks[index].lock().expect("free"));
            let create = way_to(way);
            let is_dead = in_child(create, || {
                forget(locks[0].lock());
                true
            });
            report(if is_dead {
                "child died"
            } else {
                "child failed"
            });
            await_command();
        }
        Some(("unlock", way)) => {
            let mut guard = Some(locks[0].lock().expect("free"));
            let is_unharmed = in_child(way_to(way), || {
                drop(guard.take());
                matches!(locks[0].try_lock(), Err(RobustLockError::TimedOut))
                    && locks[1].lock().is_ok()
            });
            let is_held = matches!(locks[0].try_lock(), Err(RobustLockError::TimedOut));
            drop(guard);
            let is_free = locks[0].try_lock().is_ok();
            report(&format!("{is_unharmed} {is_held} {is_free}"));
        }
        Some(("exec", _)) => exec_beside_holders(locks),
        Some(("namespace", "inherited")) => report(&in_namespace(|| {
            let own = Region::memfd("own", 4096).expect("a region");
            let created = own.create::<RobustMutex<u64>>("own", ());
            matches!(created, Err(RegionError::RobustList(OtherPidNamespace)))
                && matches!(
                    locks[0].lock(),
                    Err(RobustLockError::RobustList(OtherPidNamespace))
                )
        })),
        Some(("namespace", "dropped")) => report(&in_namespace(|| {
            // SAFETY: this process uses neither the region nor its objects again, and exits without
            // destructors.
            drop(unsafe { std::ptr::read(region) });
            let own = Region::memfd("own", 4096).expect("a region");
            let lock: &RobustMutex<u64> = own.create("own", ()).expect("a lock");
            lock.lock().is_ok()
        })),
        _ => panic!("unknown role {role:?}"),
    }
}

fn way_to(name: &str) -> Create {
    let way = WAYS.iter().find(|(way, _)| *way == name);
    way.expect("a known way").1
}

/// Runs `body` in a child in a new pid namespace. Returns what happened.
fn in_namespace(body: impl FnOnce() -> bool) -> String {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        return format!("skipped: PID namespaces are not available here: {error}");
    }
    in_child(way_to("fork"), body).to_string()
}

fn locks(region: &Region) -> &[RobustMutex<u64>; 3] {
    region.create("locks", ()).expect("the region has room")
}

fn death_of_child_is_reported_whatever_created_it() {
    for (way, _) in WAYS {
        let region = region();
        let locks = locks(&region);
        let mut actor = start(&region, &format!("die {way}"));
        expect(&mut actor, "child died");
        match locks[0].lock_timeout(TIMEOUT) {
            Err(RobustLockError::OwnerDied(found)) => drop(found.mark_consistent()),
            other => panic!("{way}: expected owner death, found {other:?}"),
        }
        for held in &locks[1..] {
            let tried = held.lock_timeout(Duration::from_millis(1));
            assert!(
                matches!(tried, Err(RobustLockError::TimedOut)),
                "{way}: the parent holds the lock: {tried:?}"
            );
        }
    }
}

fn child_cannot_unlock_whatever_created_it() {
    for (way, _) in WAYS {
        let region = region();
        locks(&region);
        let mut actor = start(&region, &format!("unlock {way}"));
        expect(&mut actor, "true true true");
    }
}

/// The kernel gives the thread that calls `exec` another id before it visits the thread's list. So
/// only the locks of that thread stay locked.
fn exec_of_one_thread_reports_the_locks_of_the_others() {
    let region = region();
    let locks = locks(&region);
    let mut actor = start(&region, "exec thread");
    // After `exec`, the process runs the program `cat`, which prints its input.
    actor.tell("alive");
    expect(&mut actor, "alive");
    for lock in &locks[..2] {
        match lock.lock_timeout(TIMEOUT) {
            Err(RobustLockError::OwnerDied(found)) => drop(found.mark_consistent()),
            other => panic!("expected owner death, found {other:?}"),
        }
    }
    let locked = locks[2].try_lock();
    assert!(
        matches!(locked, Err(RobustLockError::TimedOut)),
        "{locked:?}"
    );
}

fn child_in_other_pid_namespace_cannot_lock() {
    namespace_child_succeeds("inherited");
}

fn child_in_other_pid_namespace_without_region_can_lock() {
    namespace_child_succeeds("dropped");
}

fn namespace_child_succeeds(role: &str) {
    let region = region();
    locks(&region);
    let mut actor = start(&region, &format!("namespace {role}"));
    let reply = actor.reply(Instant::now() + TIMEOUT).expect("a reply");
    if reply.starts_with("skipped") {
        return println!("{reply}");
    }
    assert_eq!(reply, "true");
}
