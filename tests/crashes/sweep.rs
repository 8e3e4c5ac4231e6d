//! Killed after each machine instruction: a child does one operation, is stepped through it one
//! instruction at a time, and is killed after the n-th, for every n from its entry to its return.
//! After each kill the survivors find nothing half-changed but with the news of it, and go on.
//!
//! That is a long way in a build without optimization, so such a build kills at every so many
//! instructions only, beginning at a random one, and does one operation of three; `ci/sweep` kills at each, and does
//! all. `INTERLATCH_STRIDE` and `INTERLATCH_SEED` set the first two, and `INTERLATCH_ONLY` is a part of the names of
//! those that are swept; with this or a stride, none is left out. `INTERLATCH_PART=1/2` sweeps the second half of the
//! operations, on the second core: `ci/sweep` starts a process for each core.

use super::actor::say;
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::sweep_long::{self, LongBounded};
use super::sweep_messages::{self, Queued};
use super::sweep_passing::{self, Linked, Meeting, Pipe};
use super::sweep_ring::{self, Ring};
use super::wakeups::stay_on_core;
use interlatch::channel::Unregistered;
use interlatch::channel::{RecvTimeoutError, SendTimeoutError, Slot, TurnSlot};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::{AtomicU32, AtomicU64};
use interlatch::sync::{
    AcquireError, PairSlot, RobustLockError, RobustLockResult, RobustMutexGuard,
    RobustSemaphorePair,
};
use interlatch::sync::{Acquired, LockError, RawRobustMutex, Timeout};
use interlatch::{
    Channel, Condvar, Mutex, Region, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex,
    RobustSemaphore, Semaphore, ShmSafe,
};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal::{SIGKILL, SIGSTOP, SIGTRAP};
use nix::sys::signal::raise;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fmt;
use std::iter::from_fn;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let name = "killed_after_each_instruction_it_leaves_the_living_well";
    vec![Test::new(name, sweep_all)]
}

/// What lies in the region.
#[repr(C)]
#[derive(ShmSafe)]
pub struct Objects {
    lock: RawRobustMutex,
    /// Their sum stays the same, but in the middle of a transfer.
    #[shm(initial = [AtomicU64::new(SUM), AtomicU64::new(0)])]
    accounts: [AtomicU64; 2],
    semaphore: Semaphore,
    changed: Condvar,
    #[shm(initial = Mutex::new(0))]
    tokens: Mutex<u64>,
    permits: RobustSemaphore<2>,
    pub bounded: Bounded,
    pub long: LongBounded,
    monitor: Monitor,
    pair: RobustSemaphorePair<[PairSlot; 2]>,
    pub messages: Queued,
    pub pipe: Pipe,
    pub ring: Ring,
    pub meeting: Meeting,
    pub chain: Linked,
    /// Of the queue that has segments with names, the name.
    pub queue: AtomicU64,
    arrived: Condvar,
    items: RobustMutex<u64>,
    /// Items that a sender knows to have been sent.
    pub sent: AtomicU64,
    /// The parent holds the lock.
    is_held: AtomicU32,
    /// The child has come to its end.
    pub is_over: AtomicU32,
}

const SUM: u64 = 1000;

/// Bytes of the region.
const SIZE: usize = size_of::<Objects>() + 64;

/// One operation, and what is checked when it was cut short.
pub struct Operation {
    /// What it is done to, where several have the same operations.
    pub on: &'static str,
    pub name: &'static str,
    /// In the parent, before.
    pub prepare: fn(&Objects),
    /// In the child: what is swept.
    pub perform: fn(&Objects),
    /// In the parent, once the child sleeps.
    pub forget_range: fn(&Objects),
    /// In a thread of the parent: somebody who waits for what the child does.
    pub beside: fn(&Objects),
    /// In the parent, after the kill: panics if something is wrong.
    pub check: fn(&Objects),
    /// It is killed before and after each system call only: what is swept makes many, and the way between them is
    /// long.
    pub by_calls: bool,
}

pub const NOTHING: Operation = Operation {
    on: "",
    name: "",
    prepare: |_| {},
    perform: |_| {},
    forget_range: |_| {},
    beside: |_| {},
    check: |_| {},
    by_calls: false,
};

const OPERATIONS: [Operation; 15] = [
    Operation {
        name: "robust lock, transfer, unlock",
        perform: transfer,
        check: is_consistent,
        ..NOTHING
    },
    Operation {
        name: "the same of a lock that is held",
        prepare: hold,
        perform: transfer,
        forget_range: unhold,
        check: |objects| {
            unhold(objects);
            is_consistent(objects);
        },
        ..NOTHING
    },
    Operation {
        name: "the same while somebody waits",
        perform: transfer,
        beside: |objects| {
            while !objects.lock.is_locked() && objects.is_over.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            is_consistent(objects);
        },
        check: is_consistent,
        ..NOTHING
    },
    Operation {
        name: "the same after a death",
        prepare: die_as_holder,
        perform: transfer,
        check: is_consistent,
        ..NOTHING
    },
    Operation {
        name: "semaphore acquire",
        prepare: release,
        perform: |objects| objects.semaphore.acquire().forget(),
        check: |objects| counts(objects, 0..=1),
        ..NOTHING
    },
    Operation {
        name: "semaphore acquire that waits",
        perform: |objects| objects.semaphore.acquire().forget(),
        forget_range: release,
        check: |objects| counts(objects, 0..=1),
        ..NOTHING
    },
    Operation {
        name: "semaphore release",
        perform: release,
        check: |objects| counts(objects, 0..=1),
        ..NOTHING
    },
    Operation {
        name: "semaphore release to one that waits",
        perform: release,
        beside: |objects| {
            // It may have to wait for the check, if the child dies before it has released.
            let permit = objects.semaphore.acquire_timeout(TIMEOUT);
            permit
                .expect("a permit is released by the child or by the check")
                .forget();
        },
        check: release,
        ..NOTHING
    },
    Operation {
        name: "recoverable acquire, release",
        perform: visit,
        check: all_are_back,
        ..NOTHING
    },
    Operation {
        name: "the same while others wait",
        perform: visit,
        beside: |objects| (0..3).for_each(|_| visit(objects)),
        check: all_are_back,
        ..NOTHING
    },
    Operation {
        name: "recoverable pair: write, finish",
        perform: |objects| turn(objects.pair.write()).finish().expect("room"),
        check: has_its_slots,
        ..NOTHING
    },
    Operation {
        name: "recoverable pair: read, finish",
        prepare: |objects| turn(objects.pair.write()).finish().expect("room"),
        perform: |objects| turn(objects.pair.read()).finish().expect("room"),
        check: has_its_slots,
        ..NOTHING
    },
    Operation {
        name: "recoverable pair: a turn given back",
        perform: |objects| drop(turn(objects.pair.write())),
        check: has_its_slots,
        ..NOTHING
    },
    Operation {
        name: "condvar wait on a robust lock",
        perform: take,
        // One for the child, and one for who waits beside it.
        forget_range: |objects| (0..2).for_each(|_| put(objects)),
        beside: take,
        check: put,
        ..NOTHING
    },
    Operation {
        name: "condvar notify_one, notify_all",
        perform: |objects| {
            objects.changed.notify_one();
            objects.changed.notify_all();
        },
        beside: |objects| {
            let mut tokens = objects.tokens.lock();
            let waited = objects
                .changed
                .wait_timeout_while(&mut tokens, TIMEOUT, |tokens| *tokens == 0);
            assert!(!waited.timed_out(), "the check notifies");
        },
        check: |objects| {
            *objects.tokens.lock() += 1;
            objects.changed.notify_all();
        },
        ..NOTHING
    },
];

/// All of them.
fn operations() -> Vec<Operation> {
    let mut all = Vec::from(OPERATIONS);
    all.extend(operations_on::<Bounded>());
    all.extend(sweep_long::operations());
    all.extend(operations_on::<Monitor>());
    all.extend(sweep_messages::operations());
    all.extend(sweep_passing::operations());
    all.extend(sweep_ring::operations());
    all
}

pub type Bounded = RobustBoundedBuffer<u64, [TurnSlot<u64>; 2]>;

type Monitor = RobustMonitorBuffer<u64, [Slot<u64>; 2]>;

/// One of the buffers.
trait Swept: Unregistered<Item = u64> + Sized {
    const NAME: &'static str;

    fn of(objects: &Objects) -> &Self;
}

impl Swept for Bounded {
    const NAME: &'static str = "robust bounded buffer: ";

    fn of(objects: &Objects) -> &Self {
        &objects.bounded
    }
}

impl Swept for Monitor {
    const NAME: &'static str = "robust monitor buffer: ";

    fn of(objects: &Objects) -> &Self {
        &objects.monitor
    }
}

fn operations_on<B: Swept>() -> [Operation; 6] {
    [
        Operation {
            name: "send",
            perform: |objects| put_in(B::of(objects), 1),
            check: |objects| holds_one_of(B::of(objects), &[&[], &[1]]),
            on: B::NAME,
            ..NOTHING
        },
        Operation {
            name: "recv",
            prepare: |objects| put_in(B::of(objects), 1),
            perform: |objects| take_out(B::of(objects)),
            check: |objects| holds_one_of(B::of(objects), &[&[], &[1]]),
            on: B::NAME,
            ..NOTHING
        },
        Operation {
            name: "send that waits",
            prepare: |objects| {
                put_in(B::of(objects), 1);
                put_in(B::of(objects), 2);
            },
            perform: |objects| put_in(B::of(objects), 3),
            forget_range: |objects| take_out(B::of(objects)),
            check: |objects| holds_one_of(B::of(objects), &[&[1, 2], &[2], &[2, 3]]),
            on: B::NAME,
            ..NOTHING
        },
        Operation {
            name: "recv that waits",
            perform: |objects| take_out(B::of(objects)),
            forget_range: |objects| put_in(B::of(objects), 1),
            check: |objects| holds_one_of(B::of(objects), &[&[], &[1]]),
            on: B::NAME,
            ..NOTHING
        },
        Operation {
            name: "sender, three sends",
            perform: |objects| send_three(objects, B::of(objects)),
            beside: |objects| receive_in_order(objects, B::of(objects)),
            // Should the child have died before it came, the stream begins and ends here.
            check: |objects| drop(B::of(objects).sender()),
            on: B::NAME,
            ..NOTHING
        },
        Operation {
            name: "receiver, to the end",
            perform: |objects| receive_in_order(objects, B::of(objects)),
            beside: |objects| send_three(objects, B::of(objects)),
            check: |objects| drop(B::of(objects).receiver()),
            on: B::NAME,
            ..NOTHING
        },
    ]
}

fn release(objects: &Objects) {
    objects.semaphore.release(1).expect("room");
}

/// The permits are as many as can be, and the semaphore works.
fn counts(objects: &Objects, permits: RangeInclusive<u32>) {
    let found = objects.semaphore.permits();
    assert!(permits.contains(&found), "{found} permits");
    for _ in 0..found {
        objects
            .semaphore
            .try_acquire()
            .expect("it is there")
            .forget();
    }
    release(objects);
    let permit = objects.semaphore.acquire_timeout(TIMEOUT);
    permit.expect("it was just released").forget();
}

/// A number that one instruction changes is never half-changed.
fn repaired<'a>(locked: RobustLockResult<'a, u64>) -> RobustMutexGuard<'a, u64> {
    locked
        .or_else(RobustLockError::mark_consistent)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn take(objects: &Objects) {
    let timeout = Timeout::after(TIMEOUT);
    let mut items = repaired(objects.items.lock_with(timeout));
    while *items == 0 {
        let (locked, is_in_time) = objects.arrived.wait_robust(items, timeout);
        items = repaired(locked);
        assert!(is_in_time || *items > 0, "there are enough items");
    }
    *items -= 1;
}

fn put(objects: &Objects) {
    *repaired(objects.items.lock_with(Timeout::after(TIMEOUT))) += 1;
    objects.arrived.notify_one();
}

/// With one place less than items. If the receivers have gone, so be it.
fn send_three(objects: &Objects, buffer: &impl Unregistered<Item = u64>) {
    if let Ok(sender) = buffer.sender() {
        for item in 1..=3 {
            match sender.send_timeout(item, TIMEOUT) {
                Ok(()) => objects.sent.store(item, Relaxed),
                Err(SendTimeoutError::Disconnected(_)) => return,
                Err(error) => panic!("{item} is not taken: {error}"),
            }
        }
    }
}

/// To the end of the stream: then the senders have gone, and everything that they have sent is here.
fn receive_in_order(objects: &Objects, buffer: &impl Unregistered<Item = u64>) {
    if let Ok(receiver) = buffer.receiver() {
        all_in_order(objects, || receiver.recv_timeout(TIMEOUT));
    }
}

/// All that comes, to the end of the stream, is in order, and everything that was sent.
pub fn all_in_order(objects: &Objects, mut receive: impl FnMut() -> Result<u64, RecvTimeoutError>) {
    let mut next = 1;
    loop {
        match receive() {
            Ok(item) => assert_eq!(item, next, "in order, each once, nothing torn"),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(error) => panic!("the stream does not end: {error}"),
        }
        next += 1;
    }
    let sent = objects.sent.load(Relaxed);
    assert!(next > sent, "{sent} were sent, and {} received", next - 1);
}

/// An item that is made of a number.
pub trait Item: From<u64> + Copy + PartialEq + fmt::Debug {}

impl<T: From<u64> + Copy + PartialEq + fmt::Debug> Item for T {}

/// These functions have no handle: nobody hears of an end.
pub fn put_in(buffer: &impl Unregistered<Item: Item>, item: u64) {
    let sent = buffer.send_unregistered(item.into(), Timeout::after(TIMEOUT));
    sent.expect("there is room");
}

pub fn take_out(buffer: &impl Unregistered<Item: Item>) {
    let received = buffer.recv_unregistered(Timeout::after(TIMEOUT));
    assert_eq!(received, Ok(1.into()), "the oldest");
}

/// The items are one of these lists, and the places as many as ever.
pub fn holds_one_of<T: Item>(buffer: &impl Unregistered<Item = T>, lists: &[&[u64]]) {
    let drain =
        || from_fn(|| buffer.recv_unregistered(Timeout::NonBlocking).ok()).collect::<Vec<_>>();
    let items = |numbers: &[u64]| numbers.iter().map(|&number| T::from(number)).collect();
    let lists: Vec<Vec<T>> = lists.iter().map(|list| items(list)).collect();
    let found = drain();
    assert!(lists.contains(&found), "{found:?} is none of {lists:?}");
    let all: Vec<T> = (1..=buffer.capacity() as u64).map(T::from).collect();
    for item in &all {
        let sent = buffer.send_unregistered(*item, Timeout::NonBlocking);
        sent.expect("no place is lost");
    }
    assert!(
        buffer
            .send_unregistered(0.into(), Timeout::NonBlocking)
            .is_err(),
        "it is full"
    );
    assert_eq!(drain(), all);
}

fn turn<T>(turn: Result<T, AcquireError>) -> T {
    turn.unwrap_or_else(|error| panic!("{error}"))
}

/// Each of the two slots is there for one side or the other.
fn has_its_slots(objects: &Objects) {
    let readers = [(); 2].map(|()| objects.pair.try_read());
    let writers = [(); 2].map(|()| objects.pair.try_write());
    let there = readers.iter().chain(&writers).flatten().count();
    assert_eq!(there, 2, "slots");
}

fn visit(objects: &Objects) {
    let permit = objects.permits.acquire_timeout(TIMEOUT);
    assert!(permit.is_ok(), "{permit:?}");
}

fn all_are_back(objects: &Objects) {
    let permits = [(); 2].map(|()| objects.permits.acquire_timeout(TIMEOUT));
    assert!(permits.iter().all(Result::is_ok), "{permits:?}");
}

/// Locks, and repairs what the dead have left.
fn lock(objects: &Objects) -> Result<(), LockError> {
    let [from, to] = &objects.accounts;
    match objects.lock.lock_with(Timeout::after(TIMEOUT))? {
        Acquired::Clean => {
            let sum = from.load(Relaxed) + to.load(Relaxed);
            assert_eq!(sum, SUM, "half a transfer, and no news of a death");
        }
        Acquired::OwnerDied => to.store(SUM - from.load(Relaxed), Relaxed),
    }
    Ok(())
}

fn unlock(objects: &Objects) {
    // SAFETY: every caller has locked.
    unsafe { objects.lock.unlock() };
}

fn transfer(objects: &Objects) {
    lock(objects).expect("it is let go");
    let [from, to] = &objects.accounts;
    from.store(from.load(Relaxed) - 1, Relaxed);
    to.store(to.load(Relaxed) + 1, Relaxed);
    unlock(objects);
}

fn is_consistent(objects: &Objects) {
    lock(objects).unwrap_or_else(|error| panic!("{error}"));
    unlock(objects);
    let again = objects.lock.lock_with(Timeout::after(TIMEOUT));
    assert_eq!(again, Ok(Acquired::Clean), "it was repaired");
    unlock(objects);
}

fn hold(objects: &Objects) {
    lock(objects).expect("it is free");
    objects.is_held.store(1, Relaxed);
}

fn unhold(objects: &Objects) {
    if objects.is_held.swap(0, Relaxed) == 1 {
        unlock(objects);
    }
}

fn die_as_holder(objects: &Objects) {
    let holder = || {
        lock(objects).expect("it is free");
        objects.accounts[0].fetch_sub(1, Relaxed);
    };
    std::thread::scope(|scope| {
        scope.spawn(holder);
    });
}

/// In an actor: performs an operation, between two stops.
pub fn play(region: &Region, part: &str) {
    let number: usize = part.parse().expect("a number");
    let objects: &Objects = region.attach("objects").expect("the objects");
    interlatch::sync::set_recheck_interval(Duration::MAX);
    // Thousands of looks at one word, after each of which nothing is changed.
    interlatch::sync::set_spinning(false);
    let perform = operations()[number].perform;
    // What happens the first time only is not swept.
    let warm = Objects::initial();
    transfer(&warm);
    visit(&warm);
    has_its_slots(&warm);
    holds_one_of(&warm.bounded, &[&[]]);
    holds_one_of(&warm.long, &[&[]]);
    holds_one_of(&warm.monitor, &[&[]]);
    let ends = [warm.bounded.sender().is_ok(), warm.monitor.sender().is_ok()];
    assert_eq!(ends, [true; 2]);
    put(&warm);
    take(&warm);
    release(&warm);
    sweep_passing::warm(&warm);
    sweep_ring::warm(&warm);
    warm.semaphore.acquire().forget();
    ptrace::traceme().expect("the parent may trace");
    say("ready");
    raise(SIGSTOP).expect("a signal to itself");
    perform(objects);
    raise(SIGSTOP).expect("a signal to itself");
    unreachable!("it is killed here at the latest");
}

/// When the child is killed.
#[derive(Clone, Copy, PartialEq)]
enum Kill {
    After(usize),
    Asleep,
}

/// How far the child got.
#[derive(PartialEq)]
enum End {
    Killed,
    /// It has done all, with so many instructions.
    Done(usize),
}

fn sweep_all() {
    // A thread of its own, since it stays on its core: there it changes places with the child fast.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stay_on_core(part().0);
            // The living would find most of what was lost with the dead only then, each time.
            let interval = interlatch::sync::recheck_interval();
            interlatch::sync::set_recheck_interval(Duration::from_millis(2));
            sweep_each();
            interlatch::sync::set_recheck_interval(interval);
        });
    });
}

/// Of so many operations a build without optimization does one, unless more is asked for: to step through all of
/// them once takes half a minute.
const SAMPLE: usize = 3;

fn sweep_each() {
    if let Some(reason) = why_not() {
        println!("skipped: {reason}");
        return;
    }
    let default = if cfg!(debug_assertions) { 19_997 } else { 1 };
    let stride = number("INTERLATCH_STRIDE").unwrap_or(default).max(1);
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::usize(..));
    println!("every {stride} instructions, or few system calls, INTERLATCH_SEED={seed}");
    let only = std::env::var("INTERLATCH_ONLY").ok();
    let is_sample =
        cfg!(debug_assertions) && only.is_none() && number("INTERLATCH_STRIDE").is_none();
    let every = if is_sample { SAMPLE } else { 1 };
    if is_sample {
        println!("one operation of {SAMPLE}");
    }
    let (part, parts) = part();
    println!("| operation | instructions, or stops at system calls | kills | survivors well |");
    println!("|---|---|---|---|");
    let is_wanted = |index: usize, operation: &Operation| {
        let name = format!("{}{}", operation.on, operation.name);
        let is_ours = index % parts == part;
        is_ours && index % every == seed % every && name.contains(only.as_deref().unwrap_or(""))
    };
    let all = operations();
    let wanted = all.iter().enumerate();
    for (index, operation) in wanted.filter(|(index, operation)| is_wanted(*index, operation)) {
        let stride = if operation.by_calls {
            stride.min(29)
        } else {
            stride
        };
        let (mut kills, mut after) = (0, seed % stride);
        let instructions = loop {
            let end = kill(index, operation, Kill::After(after));
            kills += 1;
            if let End::Done(instructions) = end {
                break instructions;
            }
            after += stride;
        };
        kills += 1;
        let asleep = kill(index, operation, Kill::Asleep) == End::Killed;
        let asleep = if asleep { ", also asleep" } else { "" };
        println!(
            "| {}{} | {instructions} | {kills}{asleep} | all |",
            operation.on, operation.name
        );
        assert!(instructions > 20, "an operation has more instructions");
    }
}

/// Which part of the operations is swept, and of how many parts.
fn part() -> (usize, usize) {
    let text = std::env::var("INTERLATCH_PART").unwrap_or("0/1".into());
    let numbers = text
        .split_once('/')
        .and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    let (part, parts): (usize, usize) = numbers.expect("INTERLATCH_PART=PART/PARTS");
    assert!(
        part < parts,
        "INTERLATCH_PART={text}: expected less than {parts}"
    );
    (part, parts)
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Why nothing can be stepped here, if it cannot.
fn why_not() -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("instructions are stepped on x86-64 only".into());
    }
    let region = Region::memfd("sweep", SIZE).expect("a region");
    let _: &Objects = region.create("objects", ()).expect("room");
    let mut actor = Actor::start(&region, &["sweep 0".into()]);
    match actor.reply(Instant::now() + TIMEOUT) {
        Ok(_) => None,
        Err(error) => Some(format!("the kernel lets nobody trace here: {error}")),
    }
}

/// Runs the operation in a new child up to the kill, and checks.
fn kill(index: usize, operation: &Operation, kill: Kill) -> End {
    let region = Region::memfd("sweep", SIZE).expect("a region");
    let objects: &Objects = region.create("objects", ()).expect("room");
    (operation.prepare)(objects);
    let mut actor = Actor::start(&region, &[format!("sweep {index}")]);
    assert_eq!(
        actor.reply(Instant::now() + TIMEOUT).as_deref(),
        Ok("ready")
    );
    std::thread::scope(|scope| {
        scope.spawn(|| (operation.beside)(objects));
        let end = step(&actor, operation, kill, || {
            (operation.forget_range)(objects)
        });
        actor.signal(SIGKILL);
        drop(actor);
        objects.is_over.store(1, Relaxed);
        (operation.check)(objects);
        end
    })
}

/// Steps the child until it is to be killed.
fn step(actor: &Actor, operation: &Operation, kill: Kill, forget_range: impl Fn()) -> End {
    let pid = actor.pid();
    assert_eq!(waitpid(pid, None), Ok(WaitStatus::Stopped(pid, SIGSTOP)));
    for instructions in 0.. {
        if kill == Kill::After(instructions) {
            return End::Killed;
        }
        let may_sleep = operation.by_calls || is_at_a_system_call(pid);
        let go_on = match operation.by_calls {
            true => ptrace::syscall(pid, None),
            false => ptrace::step(pid, None),
        };
        go_on.expect("the child is stopped");
        let stopped = match may_sleep {
            false => waitpid(pid, None).expect("the child is ours"),
            true => match next_stop(actor, kill, &forget_range) {
                Some(stopped) => stopped,
                None => return End::Killed,
            },
        };
        match stopped {
            WaitStatus::Stopped(_, SIGTRAP) => {}
            WaitStatus::Stopped(_, SIGSTOP) => return End::Done(instructions),
            other => panic!("after {instructions} instructions: {other:?}"),
        }
    }
    unreachable!("there is an end to it")
}

/// Whether the next instruction of the child is `syscall`.
fn is_at_a_system_call(pid: Pid) -> bool {
    const SYSCALL: i64 = 0x050f;
    let place = ptrace::getregs(pid).expect("the child is stopped").rip;
    let bytes = ptrace::read(pid, place as ptrace::AddressType);
    bytes.expect("it runs there") & 0xffff == SYSCALL
}

/// The next stop of the child, which is let go if it sleeps; none, if it is to be killed then.
fn next_stop(actor: &Actor, kill: Kill, forget_range: &impl Fn()) -> Option<WaitStatus> {
    let begin = Instant::now();
    let mut is_let_go = false;
    loop {
        match waitpid(actor.pid(), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
            Ok(status) => return Some(status),
            Err(error) => panic!("waitpid: {error}"),
        }
        let waited = begin.elapsed();
        assert!(
            waited < TIMEOUT,
            "it does not go on: {}",
            actor.kernel_state()
        );
        let sleeps = waited > Duration::from_millis(1) && actor.sleeps_on_futex() == Some(true);
        if sleeps && kill == Kill::Asleep {
            return None;
        }
        if sleeps && !is_let_go {
            forget_range();
            is_let_go = true;
        }
        std::thread::yield_now();
    }
}
