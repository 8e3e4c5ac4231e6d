//! The robust lock: what the next one hears when its holder is killed, and when it is not.

use super::actor::{hear, say};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::channel::{ChannelError, TryRecvError, TrySendError};
use interlatch::channel::{Slot, TurnSlot};
use interlatch::sync::{AcquireError, PairSlot, RobustLockError, RobustSemaphorePair};
use interlatch::{
    Buffer, Region, RegionError, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex,
    RobustSemaphore,
};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("a_killed_holder_is_told_of", a_killed_holder_is_told_of),
        Test::new(
            "a_killed_holder_wakes_who_waits",
            a_killed_holder_wakes_who_waits,
        ),
        Test::new(
            "a_second_death_is_told_of_too",
            a_second_death_is_told_of_too,
        ),
        Test::new(
            "a_holder_that_execs_counts_as_dead",
            a_holder_that_execs_counts_as_dead,
        ),
        Test::new(
            "a_holder_that_exits_counts_as_dead",
            a_holder_that_exits_counts_as_dead,
        ),
        Test::new(
            "an_exec_of_another_thread_is_not_told_of",
            an_exec_of_another_thread,
        ),
        Test::new(
            "an_inherited_guard_unlocks_nothing",
            an_inherited_guard_unlocks_nothing,
        ),
        Test::new(
            "an_inherited_handle_sends_nothing",
            an_inherited_handle_sends_nothing,
        ),
        Test::new(
            "who_is_refused_passes_its_wake_up_on",
            who_is_refused_passes_its_wake_up_on,
        ),
        Test::new(
            "a_leaked_guard_does_not_cut_the_list",
            a_leaked_guard_does_not_cut_the_list,
        ),
        Test::new(
            "a_stopped_holder_keeps_the_lock",
            a_stopped_holder_keeps_the_lock,
        ),
        Test::new(
            "a_thread_that_ends_is_told_of",
            a_thread_that_ends_is_told_of,
        ),
        Test::new("a_forked_child_holds_nothing", a_forked_child_holds_nothing),
        Test::new(
            "what_is_not_repaired_is_lost_for_all",
            what_is_not_repaired_is_lost_for_all,
        ),
        Test::new(
            "another_pid_namespace_is_refused",
            another_pid_namespace_is_refused,
        ),
        Test::new(
            "a_dead_holders_permits_come_back",
            a_dead_holders_permits_come_back,
        ),
        Test::new(
            "more_locks_than_the_kernel_can_tell_of",
            more_locks_than_can_be_told,
        ),
    ]
}

/// The most that a thread can hold, and one more.
const MANY: usize = 129;

fn region() -> Region {
    Region::memfd("deaths", 16 * 4096).expect("a region")
}

fn start(region: &Region, part: &str) -> Actor {
    Actor::start(region, &[format!("lock {part}")])
}

fn expect(actor: &mut Actor, word: &str) {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok(word));
}

fn is_told(lock: &RobustMutex<u64>) -> u64 {
    match lock.lock_timeout(TIMEOUT) {
        Err(RobustLockError::OwnerDied(found)) => *found.mark_consistent(),
        other => panic!("expected the news of a death, found {other:?}"),
    }
}

fn is_free(lock: &RobustMutex<u64>) {
    let locked = lock.lock_timeout(TIMEOUT);
    assert!(locked.is_ok(), "{locked:?}");
}

type Robust = RobustMonitorBuffer<u64, [Slot<u64>]>;

type RobustTurns = RobustBoundedBuffer<u64, [TurnSlot<u64>]>;

/// In an actor: a sender that the child of a fork inherits sends nothing.
fn inherited_handle<B: Buffer<Item = u64> + ?Sized>(buffer: &B) {
    let (sender, receiver) = match (buffer.sender(), buffer.receiver()) {
        (Ok(sender), Ok(receiver)) => (sender, receiver),
        _ => panic!("both are open"),
    };
    // SAFETY: this process has one thread, and the child only tries to send and to receive, and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            let cause = ChannelError::Inherited;
            let sent = sender.try_send(42) == Err(TrySendError::Failed(42, cause.clone()));
            let items: Vec<_> = receiver.iter().collect();
            let received = receiver.try_recv() == Err(TryRecvError::Failed(cause.clone()));
            drop((sender, receiver));
            let is_told = sent && received && items == [Err(cause)];
            std::process::exit(i32::from(!is_told));
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("the child is ours");
            assert_eq!(status, WaitStatus::Exited(child, 0), "nothing was sent");
            assert!(sender.try_send(7).is_ok() && receiver.try_recv() == Ok(7));
            say("both ends are open");
        }
    }
}

/// In an actor: locks as many as it can.
fn hold_many(locks: &[RobustMutex<u64>]) {
    let mut held = Vec::new();
    for lock in locks {
        match lock.lock() {
            Ok(guard) => held.push(guard),
            Err(RobustLockError::Refused(why)) => say(&format!("{}: {why}", held.len())),
            Err(error) => panic!("{error}"),
        }
    }
    hear();
}

/// In an actor.
pub fn play(region: &Region, part: &str) {
    if part == "inherited handle" {
        inherited_handle::<Robust>(region.attach("monitor").expect("the buffer"));
        return inherited_handle::<RobustTurns>(
            region.attach("bounded").expect("the other buffer"),
        );
    }
    if part == "permits" {
        let semaphore: &RobustSemaphore<3> = region.attach("semaphore").expect("the semaphore");
        let _permits = [semaphore.acquire(), semaphore.acquire()];
        say("held");
        hear();
        return;
    }
    if part == "namespace" {
        return say(&from_another_namespace(region));
    }
    if part == "many" {
        return hold_many(region.attach("locks").expect("the locks"));
    }
    let lock: &RobustMutex<u64> = region.attach("lock").expect("the lock");
    match part {
        "repair" => {
            let Err(RobustLockError::OwnerDied(mut found)) = lock.lock() else {
                panic!("expected the news of a death");
            };
            *found += 1;
            say("repairing");
            hear();
        }
        "exec in a thread" => {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let _guard = lock.lock().expect("it is free");
                    say("held");
                    panic!("{}", std::process::Command::new("cat").exec());
                });
            });
        }
        "leak" => {
            let _guard = lock.lock().expect("it is free");
            let leaked = Box::new(RobustMutex::new(0));
            std::mem::forget(leaked.lock());
            drop(leaked);
            let mut replaced = RobustMutex::new(0);
            for value in 1..4 {
                std::mem::forget(replaced.lock());
                replaced = RobustMutex::new(value);
            }
            let other = Region::memfd("leak", 4096).expect("a region");
            let inside: &RobustMutex<u64> = other.create("inside", ()).expect("room");
            std::mem::forget(inside.lock());
            drop(other);
            say("held");
            hear();
        }
        "wait" => {
            say("waiting");
            let locked = lock.lock();
            say(match locked {
                Ok(_) => "clean",
                Err(RobustLockError::OwnerDied(_)) => "told",
                Err(RobustLockError::Unrecoverable) => "unrecoverable",
                Err(_) => "another error",
            });
        }
        _ => hold(lock, part),
    }
}

fn hold(lock: &RobustMutex<u64>, part: &str) {
    let mut guard = lock.lock().expect("it is free");
    *guard += 1;
    say("held");
    match part {
        "hold" => drop(hear()),
        "exit" => std::process::exit(0),
        "exec" => panic!("{}", std::process::Command::new("cat").exec()),
        "fork and lock" => {
            // SAFETY: this process has one thread, and the child only locks, drops guards and exits.
            match unsafe { fork() }.expect("a child") {
                ForkResult::Child => {
                    let own = lock.lock_timeout(TIMEOUT);
                    drop(guard);
                    let tried = lock.try_lock();
                    let is_held = own.is_ok() && matches!(tried, Err(RobustLockError::TimedOut));
                    std::process::exit(i32::from(!is_held));
                }
                ForkResult::Parent { child } => {
                    drop(guard);
                    let status = waitpid(child, None).expect("the child is ours");
                    assert_eq!(status, WaitStatus::Exited(child, 0), "the child held it");
                    say("released");
                }
            }
        }
        "fork" => {
            // SAFETY: this process has one thread, and the child only drops the guard and exits.
            match unsafe { fork() }.expect("a child") {
                ForkResult::Child => {
                    drop(guard);
                    let locked = lock.try_lock();
                    let is_held = matches!(locked, Err(RobustLockError::TimedOut));
                    std::process::exit(i32::from(!is_held));
                }
                ForkResult::Parent { child } => {
                    let status = waitpid(child, None).expect("the child is ours");
                    assert_eq!(status, WaitStatus::Exited(child, 0), "the lock stays held");
                    *guard += 1;
                    drop(guard);
                    say("released");
                }
            }
        }
        other => panic!("no holder does {other:?}"),
    }
}

fn a_killed_holder_is_told_of() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "hold");
    expect(&mut actor, "held");
    assert!(matches!(lock.try_lock(), Err(RobustLockError::TimedOut)));
    actor.signal(SIGKILL);
    assert_eq!(is_told(lock), 1, "what the dead one has written");
    is_free(lock);
}

fn a_killed_holder_wakes_who_waits() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    // Whoever is not woken by the kernel would sleep until then.
    interlatch::sync::set_recheck_interval(Duration::MAX);
    std::thread::scope(|scope| {
        let mut holder = start(&region, "hold");
        expect(&mut holder, "held");
        let waiter = scope.spawn(|| is_told(lock));
        let deadline = Instant::now() + TIMEOUT;
        while !is_marked(lock) {
            assert!(Instant::now() < deadline, "nobody waits");
            std::thread::yield_now();
        }
        holder.signal(SIGKILL);
        assert_eq!(waiter.join().expect("it is told"), 1);
    });
    interlatch::sync::set_recheck_interval(Duration::from_millis(100));
}

/// Whether somebody is said to wait: the first word of the lock.
fn is_marked(lock: &RobustMutex<u64>) -> bool {
    // SAFETY: the lock begins with an atomic word, as its documentation of the layout says.
    let word =
        unsafe { interlatch::platform::AtomicU32::from_ptr((&raw const *lock).cast_mut().cast()) };
    word.load(interlatch::platform::Ordering::Relaxed) >> 31 == 1
}

fn a_second_death_is_told_of_too() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut first = start(&region, "hold");
    expect(&mut first, "held");
    first.signal(SIGKILL);
    drop(first);
    let mut second = start(&region, "repair");
    expect(&mut second, "repairing");
    second.signal(SIGKILL);
    assert_eq!(is_told(lock), 2);
    is_free(lock);
}

fn a_holder_that_execs_counts_as_dead() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "exec");
    expect(&mut actor, "held");
    assert_eq!(is_told(lock), 1);
    // It lives on as another program, which says what it hears.
    actor.tell("alive");
    expect(&mut actor, "alive");
}

fn a_holder_that_exits_counts_as_dead() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let actor = start(&region, "exit");
    actor.end(Instant::now() + TIMEOUT).expect("it ends well");
    assert_eq!(is_told(lock), 1);
}

fn a_stopped_holder_keeps_the_lock() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "hold");
    expect(&mut actor, "held");
    actor.signal(SIGSTOP);
    let locked = lock.lock_timeout(Duration::from_millis(300));
    assert!(
        matches!(locked, Err(RobustLockError::TimedOut)),
        "{locked:?}"
    );
    actor.signal(SIGCONT);
    actor.tell("go on");
    actor.end(Instant::now() + TIMEOUT).expect("it ends well");
    is_free(lock);
}

fn a_thread_that_ends_is_told_of() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(lock.lock().expect("it is free")));
    });
    assert_eq!(is_told(lock), 0);
}

fn a_forked_child_holds_nothing() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "fork");
    expect(&mut actor, "held");
    expect(&mut actor, "released");
    let value = lock.lock_timeout(TIMEOUT).map(|guard| *guard);
    assert!(matches!(value, Ok(2)), "{value:?}");
}

fn what_is_not_repaired_is_lost_for_all() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut holder = start(&region, "hold");
    expect(&mut holder, "held");
    let mut waiters = [start(&region, "wait"), start(&region, "wait")];
    waiters
        .iter_mut()
        .for_each(|waiter| expect(waiter, "waiting"));
    holder.signal(SIGKILL);
    let deadline = Instant::now() + TIMEOUT;
    let mut heard = waiters
        .each_mut()
        .map(|waiter| waiter.reply(deadline).expect("a word"));
    heard.sort();
    // The one that is told drops the guard.
    assert_eq!(heard, ["told", "unrecoverable"]);
    assert!(matches!(lock.lock(), Err(RobustLockError::Unrecoverable)));
    assert!(matches!(
        lock.try_lock(),
        Err(RobustLockError::Unrecoverable)
    ));
}

fn more_locks_than_can_be_told() {
    let region = region();
    let locks: &[RobustMutex<u64>] = region.create("locks", MANY).expect("room");
    let mut actor = start(&region, "many");
    expect(
        &mut actor,
        "128: this thread already holds 128 robust locks, the maximum; release one first",
    );
    actor.signal(SIGKILL);
    locks[..MANY - 1].iter().for_each(|lock| {
        is_told(lock);
    });
    is_free(&locks[MANY - 1]);
}

/// Two threads wait for a turn. The first one is told of it, but holds so many locks that it cannot take
/// it; the second one gets it, although nobody looks again by itself.
fn who_is_refused_passes_its_wake_up_on() {
    let locks: [RobustMutex<u64>; MANY - 2] = [const { RobustMutex::new(0) }; MANY - 2];
    let pair = RobustSemaphorePair::new([PairSlot::new()]);
    let turn = pair.write().expect("it is free");
    interlatch::sync::set_recheck_interval(Duration::MAX);
    let (tell, told) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| {
            let held: Vec<_> = locks
                .iter()
                .map(|lock| lock.lock().expect("free"))
                .collect();
            tell.send(nix::unistd::gettid()).expect("the test waits");
            let refused = pair.write_timeout(TIMEOUT).err();
            drop(held);
            refused
        });
        until_asleep(told.recv().expect("it comes"));
        let served = scope.spawn(|| {
            tell.send(nix::unistd::gettid()).expect("the test waits");
            let served = pair.write().err();
            done.send(()).expect("the test waits");
            served
        });
        until_asleep(told.recv().expect("it comes"));
        drop(turn);
        let in_time = is_done.recv_timeout(TIMEOUT);
        // This wakes it, if nobody else has.
        drop(pair.try_write());
        assert!(in_time.is_ok(), "nobody told the second one");
        let refused = refused.join().expect("no panic");
        assert!(
            matches!(refused, Some(AcquireError::Refused(_))),
            "{refused:?}"
        );
        assert_eq!(served.join().expect("no panic"), None);
    });
    interlatch::sync::set_recheck_interval(Duration::from_millis(100));
}

/// Waits until a thread of this process sleeps on a futex.
fn until_asleep(thread: Pid) {
    let deadline = Instant::now() + TIMEOUT;
    let call = || std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
    let futex = format!("{} ", libc::SYS_futex);
    while !call().is_ok_and(|call| call.starts_with(&futex)) {
        assert!(Instant::now() < deadline, "it does not wait");
        std::thread::yield_now();
    }
}

fn a_dead_holders_permits_come_back() {
    let region = region();
    let semaphore: &RobustSemaphore<3> = region.create("semaphore", ()).expect("a semaphore");
    let mut actor = start(&region, "permits");
    expect(&mut actor, "held");
    let last = semaphore.try_acquire().expect("one is left");
    assert!(!last.is_owner_died() && semaphore.held() == 3);
    assert!(semaphore.try_acquire().is_err());
    std::thread::scope(|scope| {
        // This one sleeps already, or will: it looks again.
        let waiter = scope.spawn(|| {
            let permit = semaphore.acquire_timeout(TIMEOUT).expect("it comes back");
            assert!(permit.is_owner_died());
        });
        std::thread::yield_now();
        actor.signal(SIGKILL);
        drop(actor);
        waiter.join().expect("it gets a permit");
    });
    let others = [semaphore.try_acquire(), semaphore.try_acquire()];
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    drop((last, others));
    assert_eq!(semaphore.held(), 0);
}

/// In an actor: what a child of it in another pid namespace hears when it attaches.
fn from_another_namespace(region: &Region) -> String {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        return format!("skipped: no pid namespace can be made here: {error}");
    }
    let descriptor = region.descriptor().expect("a memfd");
    let copy = descriptor.try_clone_to_owned().expect("a descriptor");
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            let refused = Region::from_descriptor(copy).map(|_| ());
            if let Err(RegionError::Namespace {
                created_in,
                this_process,
            }) = &refused
            {
                std::process::exit(i32::from(created_in == this_process));
            }
            eprintln!("{refused:?}");
            std::process::exit(2);
        }
        ForkResult::Parent { child } => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => "refused".into(),
            other => format!("{other:?}"),
        },
    }
}

fn another_pid_namespace_is_refused() {
    let region = region();
    let mut actor = start(&region, "namespace");
    let reply = actor.reply(Instant::now() + TIMEOUT).expect("a word");
    if reply.starts_with("skipped") {
        return println!("{reply}");
    }
    assert_eq!(reply, "refused");
}

/// A limit of the kernel: the thread has another id by the time when it looks. libc's are lost too.
fn an_exec_of_another_thread() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "exec in a thread");
    expect(&mut actor, "held");
    actor.tell("alive");
    expect(&mut actor, "alive");
    let locked = lock.try_lock();
    assert!(
        matches!(locked, Err(RobustLockError::TimedOut)),
        "{locked:?}"
    );
}

fn an_inherited_guard_unlocks_nothing() {
    let region = region();
    let _: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "fork and lock");
    expect(&mut actor, "held");
    expect(&mut actor, "released");
}

fn a_leaked_guard_does_not_cut_the_list() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "leak");
    expect(&mut actor, "held");
    actor.signal(SIGKILL);
    assert_eq!(is_told(lock), 0);
}

fn an_inherited_handle_sends_nothing() {
    let region = region();
    let _: &Robust = region.create("monitor", 2).expect("a buffer");
    let _: &RobustTurns = region.create("bounded", 2).expect("a buffer");
    let mut actor = start(&region, "inherited handle");
    expect(&mut actor, "both ends are open");
    expect(&mut actor, "both ends are open");
}
