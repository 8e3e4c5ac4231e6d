//! The robust lock: what a thread observes when it locks the mutex, with and without the death of
//! the previous owner.

use super::actor::{await_command, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::channel::{ChannelError, TryRecvError, TrySendError};
use interlatch::channel::{Slot, TurnSlot};
use interlatch::sync::{
    AcquireError, Acquired, PairSlot, RawRobustMutex, RobustLockError, RobustSemaphorePair, Timeout,
};
use interlatch::{
    Buffer, Region, RegionError, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex,
    RobustSemaphore, ShmSafe,
};
use interlatch_testing::process::assert_child_succeeds;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "next_locker_learns_of_owner_death",
            next_locker_learns_of_owner_death,
        ),
        Test::new("owner_death_wakes_waiter", owner_death_wakes_waiter),
        Test::new(
            "second_owner_death_is_reported",
            second_owner_death_is_reported,
        ),
        Test::new("exec_of_owner_is_owner_death", exec_of_owner_is_owner_death),
        Test::new("exit_of_owner_is_owner_death", exit_of_owner_is_owner_death),
        Test::new(
            "exec_of_other_thread_is_not_reported",
            exec_of_other_thread_is_not_reported,
        ),
        Test::new(
            "inherited_guard_unlocks_nothing",
            inherited_guard_unlocks_nothing,
        ),
        Test::new(
            "inherited_copies_release_nothing_of_the_child",
            inherited_copies_release_nothing_of_the_child,
        ),
        Test::new(
            "inherited_handle_sends_nothing",
            inherited_handle_sends_nothing,
        ),
        Test::new(
            "failed_waiter_passes_wake_up_on",
            failed_waiter_passes_wake_up_on,
        ),
        Test::new(
            "leaked_guard_does_not_cut_the_list",
            leaked_guard_does_not_cut_the_list,
        ),
        Test::new("stopped_owner_keeps_the_lock", stopped_owner_keeps_the_lock),
        Test::new("forked_child_owns_no_lock", forked_child_owns_no_lock),
        Test::new(
            "unrepaired_lock_is_unrecoverable",
            unrepaired_lock_is_unrecoverable,
        ),
        Test::new(
            "attach_from_other_pid_namespace_fails",
            attach_from_other_pid_namespace_fails,
        ),
        Test::new(
            "permits_return_after_owner_death",
            permits_return_after_owner_death,
        ),
        Test::new(
            "last_search_finds_what_a_dead_holder_had",
            last_search_finds_what_a_dead_holder_had,
        ),
        Test::new(
            "robust_list_limit_is_an_error",
            robust_list_limit_is_an_error,
        ),
    ]
}

/// One more than the number of locks that a thread can hold.
const MANY: usize = 129;

fn region() -> Region {
    Region::memfd("crashes", 16 * 4096).expect("a region")
}

fn start(region: &Region, role: &str) -> Actor {
    Actor::start(region, &[format!("lock {role}")])
}

fn expect(actor: &mut Actor, word: &str) {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok(word));
}

fn repair(lock: &RobustMutex<u64>) -> u64 {
    match lock.lock_timeout(TIMEOUT) {
        Err(RobustLockError::OwnerDied(found)) => *found.mark_consistent(),
        other => panic!("expected owner death, found {other:?}"),
    }
}

fn assert_clean(lock: &RobustMutex<u64>) {
    let locked = lock.lock_timeout(TIMEOUT);
    assert!(locked.is_ok(), "{locked:?}");
}

type Robust = RobustMonitorBuffer<u64, [Slot<u64>]>;

type RobustTurns = RobustBoundedBuffer<u64, [TurnSlot<u64>]>;

/// Checks in an actor that a forked child can neither send nor receive with an inherited handle.
fn inherited_handle<B: Buffer<Item = u64> + ?Sized>(buffer: &B) {
    let (sender, receiver) = match (buffer.sender(), buffer.receiver()) {
        (Ok(sender), Ok(receiver)) => (sender, receiver),
        _ => panic!("the buffer is open"),
    };
    // SAFETY: this process has one thread. The child only tries to send and receive, and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            let cause = ChannelError::Inherited;
            let sent = sender.try_send(42) == Err(TrySendError::Failed(42, cause.clone()));
            let items: Vec<_> = receiver.iter().collect();
            let received = receiver.try_recv() == Err(TryRecvError::Failed(cause.clone()));
            drop((sender, receiver));
            let repair = sent && received && items == [Err(cause)];
            std::process::exit(i32::from(!repair));
        }
        ForkResult::Parent { child } => {
            assert_child_succeeds(child, "the child sent nothing");
            assert!(sender.try_send(7).is_ok() && receiver.try_recv() == Ok(7));
            report("both sides are open");
        }
    }
}

/// Locks as many locks as possible in an actor.
fn lock_many(locks: &[RobustMutex<u64>]) {
    let mut guards = Vec::new();
    for lock in locks {
        match lock.lock() {
            Ok(guard) => guards.push(guard),
            Err(RobustLockError::RobustList(error)) => {
                report(&format!("{}: {error}", guards.len()))
            }
            Err(error) => panic!("{error}"),
        }
    }
    await_command();
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    if role == "inherited handle" {
        inherited_handle::<Robust>(region.attach("monitor").expect("the buffer"));
        return inherited_handle::<RobustTurns>(
            region.attach("bounded").expect("the bounded buffer"),
        );
    }
    if role == "permits" {
        let semaphore: &RobustSemaphore<3> = region.attach("semaphore").expect("the semaphore");
        let _permits = [semaphore.acquire(), semaphore.acquire()];
        report("locked");
        await_command();
        return;
    }
    if role == "permit and turn" {
        let semaphore: &RobustSemaphore<1> = region.attach("semaphore").expect("the semaphore");
        let pair: &OnePair = region.attach("pair").expect("the pair");
        let _held = (semaphore.acquire(), pair.write());
        report("locked");
        await_command();
        return;
    }
    if role == "fork and hold" {
        return fork_and_hold(region);
    }
    if role == "namespace" {
        return report(&from_another_namespace(region));
    }
    if role == "many" {
        return lock_many(region.attach("locks").expect("the locks"));
    }
    let lock: &RobustMutex<u64> = region.attach("lock").expect("the lock");
    match role {
        "repair" => {
            let Err(RobustLockError::OwnerDied(mut found)) = lock.lock() else {
                panic!("expected owner death");
            };
            *found += 1;
            report("repairing");
            await_command();
        }
        "exec in a thread" => {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let _guard = lock.lock().expect("the lock is free");
                    report("locked");
                    panic!("{}", std::process::Command::new("cat").exec());
                });
            });
        }
        "leak" => {
            let _guard = lock.lock().expect("the lock is free");
            for value in 0..4 {
                std::mem::forget(RobustMutex::new(value).leak().lock());
            }
            let other = Region::memfd("leak", 4096).expect("a region");
            let inside: &RobustMutex<u64> =
                other.create("inside", ()).expect("the region has room");
            std::mem::forget(inside.lock());
            drop(other);
            report("locked");
            await_command();
        }
        "wait" => {
            report("waiting");
            let locked = lock.lock();
            report(match locked {
                Ok(_) => "clean",
                Err(RobustLockError::OwnerDied(_)) => "owner died",
                Err(RobustLockError::Unrecoverable) => "unrecoverable",
                Err(_) => "another error",
            });
        }
        _ => hold_and_act(lock, role),
    }
}

type OnePair = RobustSemaphorePair<[PairSlot; 1]>;

/// Forks a child that acquires the things of its parent and then drops its copies of them.
fn fork_and_hold(region: &Region) {
    let semaphore: &RobustSemaphore<1> = region.attach("semaphore").expect("the semaphore");
    let pair: &OnePair = region.attach("pair").expect("the pair");
    let lock: &RobustMutex<u64> = region.attach("lock").expect("the lock");
    let permit = semaphore.acquire().expect("a free permit");
    let turn = pair.write().expect("a free slot");
    let Err(RobustLockError::OwnerDied(found)) = lock.lock() else {
        panic!("expected owner death");
    };
    let raw: &RawRobustMutex = region.attach("raw").expect("the raw lock");
    assert_eq!(raw.lock_with(Timeout::NonBlocking), Ok(Acquired::Clean));
    // SAFETY: this process has one thread. The child only locks, drops copies and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            // SAFETY: the child does not hold the lock, so the call does nothing.
            unsafe { raw.unlock() };
            let own = (
                semaphore.acquire_timeout(TIMEOUT),
                pair.write_timeout(TIMEOUT),
                lock.lock_timeout(TIMEOUT),
            );
            drop((permit, turn, found));
            let is_held = own.0.is_ok() && semaphore.try_acquire().is_err();
            let has_turn = own.1.is_ok() && pair.try_write().is_err() && pair.try_read().is_err();
            let tried = lock.try_lock();
            let is_locked = own.2.is_ok() && matches!(tried, Err(RobustLockError::TimedOut));
            let all = is_held && has_turn && is_locked && raw.is_locked();
            std::process::exit(i32::from(!all));
        }
        ForkResult::Parent { child } => {
            drop((permit, turn, found.mark_consistent()));
            assert_child_succeeds(child, "the child keeps what it has acquired");
            // SAFETY: this thread locked `raw` above.
            unsafe { raw.unlock() };
            report("released");
        }
    }
}

fn hold_and_act(lock: &RobustMutex<u64>, role: &str) {
    let mut guard = lock.lock().expect("the lock is free");
    *guard += 1;
    report("locked");
    match role {
        "hold" => drop(await_command()),
        "exit" => std::process::exit(0),
        "exec" => panic!("{}", std::process::Command::new("cat").exec()),
        "fork and lock" => {
            // SAFETY: this process has one thread. The child only locks, drops guards and exits.
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
                    assert_child_succeeds(child, "the child holds its lock");
                    report("released");
                }
            }
        }
        "fork" => {
            // SAFETY: this process has one thread. The child only drops the guard and exits.
            match unsafe { fork() }.expect("a child") {
                ForkResult::Child => {
                    drop(guard);
                    let locked = lock.try_lock();
                    let is_held = matches!(locked, Err(RobustLockError::TimedOut));
                    std::process::exit(i32::from(!is_held));
                }
                ForkResult::Parent { child } => {
                    assert_child_succeeds(child, "the lock stays locked");
                    *guard += 1;
                    drop(guard);
                    report("released");
                }
            }
        }
        other => panic!("unknown role {other:?}"),
    }
}

fn next_locker_learns_of_owner_death() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "hold");
    expect(&mut actor, "locked");
    assert!(matches!(lock.try_lock(), Err(RobustLockError::TimedOut)));
    actor.signal(SIGKILL);
    assert_eq!(repair(lock), 1, "the value written by the dead owner");
    assert_clean(lock);
}

fn owner_death_wakes_waiter() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    // The recheck interval is infinite: if the kernel does not wake the waiter, the waiter sleeps
    // forever.
    interlatch::sync::set_recheck_interval(Duration::MAX);
    std::thread::scope(|scope| {
        let mut holder = start(&region, "hold");
        expect(&mut holder, "locked");
        let waiter = scope.spawn(|| repair(lock));
        let deadline = Instant::now() + TIMEOUT;
        while !has_waiters_bit(lock) {
            assert!(Instant::now() < deadline, "no thread waits for the lock");
            std::thread::yield_now();
        }
        holder.signal(SIGKILL);
        assert_eq!(waiter.join().expect("the waiter does not panic"), 1);
    });
    interlatch::sync::set_recheck_interval(Duration::from_millis(100));
}

/// Returns whether the waiters bit is set in the lock word.
fn has_waiters_bit(lock: &RobustMutex<u64>) -> bool {
    // SAFETY: the documented layout of the lock begins with an atomic word.
    let word =
        unsafe { interlatch::platform::AtomicU32::from_ptr((&raw const *lock).cast_mut().cast()) };
    word.load(interlatch::platform::Ordering::Relaxed) >> 31 == 1
}

fn second_owner_death_is_reported() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut first = start(&region, "hold");
    expect(&mut first, "locked");
    first.signal(SIGKILL);
    drop(first);
    let mut second = start(&region, "repair");
    expect(&mut second, "repairing");
    second.signal(SIGKILL);
    assert_eq!(repair(lock), 2);
    assert_clean(lock);
}

fn exec_of_owner_is_owner_death() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "exec");
    expect(&mut actor, "locked");
    assert_eq!(repair(lock), 1);
    // After `exec`, the process runs the program `cat`, which prints its input.
    actor.tell("alive");
    expect(&mut actor, "alive");
}

fn exit_of_owner_is_owner_death() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let actor = start(&region, "exit");
    actor
        .end(Instant::now() + TIMEOUT)
        .expect("the actor succeeds");
    assert_eq!(repair(lock), 1);
}

fn stopped_owner_keeps_the_lock() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "hold");
    expect(&mut actor, "locked");
    actor.signal(SIGSTOP);
    let locked = lock.lock_timeout(Duration::from_millis(300));
    assert!(
        matches!(locked, Err(RobustLockError::TimedOut)),
        "{locked:?}"
    );
    actor.signal(SIGCONT);
    actor.tell("continue");
    actor
        .end(Instant::now() + TIMEOUT)
        .expect("the actor succeeds");
    assert_clean(lock);
}

fn forked_child_owns_no_lock() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "fork");
    expect(&mut actor, "locked");
    expect(&mut actor, "released");
    let value = lock.lock_timeout(TIMEOUT).map(|guard| *guard);
    assert!(matches!(value, Ok(2)), "{value:?}");
}

fn unrepaired_lock_is_unrecoverable() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut holder = start(&region, "hold");
    expect(&mut holder, "locked");
    let mut waiters = [start(&region, "wait"), start(&region, "wait")];
    waiters
        .iter_mut()
        .for_each(|waiter| expect(waiter, "waiting"));
    holder.signal(SIGKILL);
    let deadline = Instant::now() + TIMEOUT;
    let mut replies = waiters
        .each_mut()
        .map(|waiter| waiter.reply(deadline).expect("a reply"));
    replies.sort();
    // One waiter observes the owner death and drops the guard without a repair.
    assert_eq!(replies, ["owner died", "unrecoverable"]);
    assert!(matches!(lock.lock(), Err(RobustLockError::Unrecoverable)));
    assert!(matches!(
        lock.try_lock(),
        Err(RobustLockError::Unrecoverable)
    ));
}

fn robust_list_limit_is_an_error() {
    let region = region();
    let locks: &[RobustMutex<u64>] = region.create("locks", MANY).expect("the region has room");
    let mut actor = start(&region, "many");
    expect(
        &mut actor,
        "128: this thread already holds 128 robust locks, the maximum; release one first",
    );
    actor.signal(SIGKILL);
    locks[..MANY - 1].iter().for_each(|lock| {
        repair(lock);
    });
    assert_clean(&locks[MANY - 1]);
}

/// Two threads wait for the right to write. The first waiter is woken, but it already holds the
/// maximum number of robust locks, so it fails. The wake-up must pass to the second waiter, which
/// must then succeed without a recheck.
fn failed_waiter_passes_wake_up_on() {
    let locks = <[RobustMutex<u64>; MANY - 2]>::new_leaked();
    let pair = RobustSemaphorePair::<[PairSlot; 1]>::new().leak();
    let turn = pair.write().expect("the lock is free");
    interlatch::sync::set_recheck_interval(Duration::MAX);
    let (thread_sender, threads) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let failed = scope.spawn(|| {
            let guards: Vec<_> = locks
                .iter()
                .map(|lock| lock.lock().expect("free"))
                .collect();
            thread_sender
                .send(nix::unistd::gettid())
                .expect("the test receives");
            let failed = pair.write_timeout(TIMEOUT).err();
            drop(guards);
            failed
        });
        wait_until_asleep(threads.recv().expect("the thread starts"));
        let succeeded = scope.spawn(|| {
            thread_sender
                .send(nix::unistd::gettid())
                .expect("the test receives");
            let succeeded = pair.write().err();
            done.send(()).expect("the test receives");
            succeeded
        });
        wait_until_asleep(threads.recv().expect("the thread starts"));
        drop(turn);
        let in_time = is_done.recv_timeout(TIMEOUT);
        // This call wakes the second waiter if its wake-up was lost, so that the test ends.
        drop(pair.try_write());
        assert!(in_time.is_ok(), "the second waiter was not woken");
        let failed = failed.join().expect("no panic");
        assert!(
            matches!(failed, Some(AcquireError::RobustList(_))),
            "{failed:?}"
        );
        assert_eq!(succeeded.join().expect("no panic"), None);
    });
    interlatch::sync::set_recheck_interval(Duration::from_millis(100));
}

/// Waits until a thread of this process sleeps on a futex.
fn wait_until_asleep(thread: Pid) {
    let deadline = Instant::now() + TIMEOUT;
    let call = || std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
    let futex = format!("{} ", libc::SYS_futex);
    while !call().is_ok_and(|call| call.starts_with(&futex)) {
        assert!(Instant::now() < deadline, "the thread does not sleep");
        std::thread::yield_now();
    }
}

fn permits_return_after_owner_death() {
    let region = region();
    let semaphore: &RobustSemaphore<3> = region.create("semaphore", ()).expect("a semaphore");
    let mut actor = start(&region, "permits");
    expect(&mut actor, "locked");
    let last = semaphore.try_acquire().expect("one permit is left");
    assert!(!last.is_owner_died() && semaphore.held() == 3);
    assert!(semaphore.try_acquire().is_err());
    std::thread::scope(|scope| {
        // The death of the holder wakes no waiter. The waiter finds the permit when it rechecks.
        let waiter = scope.spawn(|| {
            let permit = semaphore
                .acquire_timeout(TIMEOUT)
                .expect("the permit of the dead owner");
            assert!(permit.is_owner_died());
        });
        std::thread::yield_now();
        actor.signal(SIGKILL);
        drop(actor);
        waiter.join().expect("the waiter gets a permit");
    });
    let others = [semaphore.try_acquire(), semaphore.try_acquire()];
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    drop((last, others));
    assert_eq!(semaphore.held(), 0);
}

/// A waiter that rechecks only at its timeout gets a permit or a turn whose holder died before.
fn last_search_finds_what_a_dead_holder_had() {
    const WAIT: Duration = Duration::from_secs(2);
    let region = region();
    let semaphore: &RobustSemaphore<1> = region.create("semaphore", ()).expect("a semaphore");
    let pair: &OnePair = region.create("pair", ()).expect("a pair");
    let mut actor = start(&region, "permit and turn");
    expect(&mut actor, "locked");
    interlatch::sync::set_recheck_interval(Duration::MAX);
    let (thread_sender, threads) = std::sync::mpsc::channel();
    let start_waiting = || {
        let thread = nix::unistd::gettid();
        thread_sender.send(thread).expect("the test receives");
    };
    std::thread::scope(|scope| {
        let permit = scope.spawn(|| {
            start_waiting();
            semaphore.acquire_timeout(WAIT).map(|it| it.is_owner_died())
        });
        let turn = scope.spawn(|| {
            start_waiting();
            pair.write_timeout(WAIT).map(|it| it.is_owner_died())
        });
        (0..2).for_each(|_| wait_until_asleep(threads.recv().expect("the thread starts")));
        actor.signal(SIGKILL);
        drop(actor);
        assert_eq!(permit.join().expect("no panic"), Ok(true));
        assert_eq!(turn.join().expect("no panic"), Ok(true));
    });
    interlatch::sync::set_recheck_interval(Duration::from_millis(100));
}

/// Runs in an actor: forks a child into another PID namespace, and returns the error that the child
/// gets when it attaches to the region.
fn from_another_namespace(region: &Region) -> String {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        return format!("skipped: PID namespaces are not available here: {error}");
    }
    let descriptor = region.descriptor().expect("a memfd");
    let copy = descriptor.try_clone_to_owned().expect("a descriptor");
    // SAFETY: this process has one thread. The child only attaches to the region and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            let failed = Region::from_descriptor(copy).map(|_| ());
            if let Err(RegionError::Namespace {
                created_in,
                this_process,
            }) = &failed
            {
                std::process::exit(i32::from(created_in == this_process));
            }
            eprintln!("{failed:?}");
            std::process::exit(2);
        }
        ForkResult::Parent { child } => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => "attach failed".into(),
            other => format!("{other:?}"),
        },
    }
}

fn attach_from_other_pid_namespace_fails() {
    let region = region();
    let mut actor = start(&region, "namespace");
    let reply = actor.reply(Instant::now() + TIMEOUT).expect("a reply");
    if reply.starts_with("skipped") {
        return println!("{reply}");
    }
    assert_eq!(reply, "attach failed");
}

/// Documents a limit of the kernel: when another thread calls `exec`, the kernel changes that
/// thread's ID before it walks the thread's robust list. The deaths of owners of libc's robust
/// mutexes are lost in the same way.
fn exec_of_other_thread_is_not_reported() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "exec in a thread");
    expect(&mut actor, "locked");
    actor.tell("alive");
    expect(&mut actor, "alive");
    let locked = lock.try_lock();
    assert!(
        matches!(locked, Err(RobustLockError::TimedOut)),
        "{locked:?}"
    );
}

fn inherited_guard_unlocks_nothing() {
    let region = region();
    let _: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "fork and lock");
    expect(&mut actor, "locked");
    expect(&mut actor, "released");
}

fn inherited_copies_release_nothing_of_the_child() {
    let region = region();
    let _: &RobustSemaphore<1> = region.create("semaphore", ()).expect("a semaphore");
    let _: &OnePair = region.create("pair", ()).expect("a pair");
    let _: &RawRobustMutex = region.create("raw", ()).expect("a raw lock");
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let panics = std::panic::AssertUnwindSafe(|| {
        let _guard = lock.lock();
        std::panic::resume_unwind(Box::new("a panic of the holder"));
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    expect(&mut start(&region, "fork and hold"), "released");
}

fn leaked_guard_does_not_cut_the_list() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "leak");
    expect(&mut actor, "locked");
    actor.signal(SIGKILL);
    assert_eq!(repair(lock), 0);
}

fn inherited_handle_sends_nothing() {
    let region = region();
    let _: &Robust = region.create("monitor", 2).expect("a buffer");
    let _: &RobustTurns = region.create("bounded", 2).expect("a buffer");
    let mut actor = start(&region, "inherited handle");
    expect(&mut actor, "both sides are open");
    expect(&mut actor, "both sides are open");
}
