//! Kills a process after each machine instruction of each operation.
//!
//! A child performs one operation. The parent steps it one instruction at a time and kills it after
//! the n-th instruction, for every n from the entry of the operation to its return. After each kill
//! the surviving processes find an unchanged object, a completed operation or a reported owner
//! death, and they continue.
//!
//! An unoptimized build has many more instructions. Its sweep therefore kills only at intervals of
//! thousands of instructions, starting at a random instruction, and covers one operation in three.
//! `ci/sweep` kills at each instruction of all operations. These environment variables control the
//! sweep:
//!
//! - `INTERLATCH_STRIDE` sets the number of instructions between two kills.
//! - `INTERLATCH_SEED` sets the first instruction.
//! - `INTERLATCH_ONLY` selects operations by a substring of their names. If this variable or
//!   `INTERLATCH_STRIDE` is set, no selected operation is left out.
//! - `INTERLATCH_PART=1/2` sweeps the second half of the operations on the second core. `ci/sweep`
//!   starts a process for each core.

mod buffers;
mod long;
mod messages;
mod passing;
mod ring;
mod stepping;
mod sync;
mod watchdog;

use super::actor::report;
use super::harness::Test;
use super::random::{env_number, seed};
use super::wakeups::stay_on_core;
use interlatch::channel::{Slot, TurnSlot};
use interlatch::platform::{AtomicU32, AtomicU64};
use interlatch::sync::{PairSlot, RawRobustMutex, RobustSemaphorePair};
use interlatch::{
    Condvar, Mutex, Region, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, RobustSemaphore,
    Semaphore, ShmSafe,
};
pub use long::LongBounded;
use messages::Queue;
use nix::sys::ptrace;
use nix::sys::signal::Signal::SIGSTOP;
use nix::sys::signal::raise;
use passing::{Pipe, SegmentPool, U64Rendezvous};
use ring::Ring;
use std::time::Duration;
pub use stepping::reason_to_skip;
use stepping::{Kill, Outcome, kill};
use watchdog::Watchdog;

pub fn tests() -> Vec<Test> {
    let name = "process_killed_after_each_instruction_harms_no_survivor";
    vec![Test::new(name, sweep_all)]
}

/// The objects in the region.
#[repr(C)]
#[derive(ShmSafe)]
pub struct Objects {
    lock: RawRobustMutex,
    /// The accounts, which `lock` protects. Their sum is constant, except during a transfer.
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
    pub messages: Queue,
    pub pipe: Pipe,
    pub ring: Ring,
    pub meeting: U64Rendezvous,
    pub chain: SegmentPool,
    /// The number in the name of the unbounded buffer.
    pub queue: AtomicU64,
    arrived: Condvar,
    items: RobustMutex<u64>,
    /// The number of items that a sender has sent and counted.
    pub sent: AtomicU64,
    /// 1 while the parent holds `lock`.
    is_held: AtomicU32,
    /// 1 after the child was killed.
    pub is_over: AtomicU32,
}

const SUM: u64 = 1000;

/// Size of the region in bytes.
const SIZE: usize = size_of::<Objects>() + 64;

/// An operation, and the check that runs after its interruption.
pub struct Operation {
    /// The type of the object, which is the prefix of the operation's name.
    pub object: &'static str,
    pub name: &'static str,
    /// Runs in the parent before the child starts.
    pub prepare: fn(&Objects),
    /// Runs in the child. This is the operation that is swept.
    pub perform: fn(&Objects),
    /// Runs in the parent when the child sleeps, and wakes the child.
    pub unblock: fn(&Objects),
    /// Runs in a thread of the parent at the same time as the child, and waits for the child's
    /// effects.
    pub peer: fn(&Objects),
    /// Runs in the parent after the kill, and panics if an object is damaged.
    pub check: fn(&Objects),
    /// Whether the child is killed only before and after each system call. The flag is set for
    /// operations that make many system calls with many instructions between the calls.
    pub at_system_calls: bool,
}

pub const NO_OPERATION: Operation = Operation {
    object: "",
    name: "",
    prepare: |_| {},
    perform: |_| {},
    unblock: |_| {},
    peer: |_| {},
    check: |_| {},
    at_system_calls: false,
};

/// Returns all operations that are swept.
fn operations() -> Vec<Operation> {
    let mut all = Vec::from(sync::OPERATIONS);
    all.extend(buffers::operations::<Bounded>());
    all.extend(long::operations());
    all.extend(buffers::operations::<Monitor>());
    all.extend(messages::operations());
    all.extend(passing::operations());
    all.extend(ring::operations());
    all
}

pub type Bounded = RobustBoundedBuffer<u64, [TurnSlot<u64>; 2]>;

type Monitor = RobustMonitorBuffer<u64, [Slot<u64>; 2]>;

/// Performs one operation in a child process. The child stops before and after the operation.
pub fn run(region: &Region, role: &str) {
    let index: usize = role.parse().expect("the index of an operation");
    let objects: &Objects = region.attach("objects").expect("the objects");
    interlatch::sync::set_recheck_interval(Duration::MAX);
    // Spinning is disabled, because a spin loop executes thousands of instructions that change
    // nothing.
    interlatch::sync::set_spinning(false);
    let perform = operations()[index].perform;
    // One-time initialization runs before the sweep.
    let warm = Objects::new_leaked();
    sync::warm(warm);
    buffers::warm(warm);
    passing::warm(warm);
    ring::warm(warm);
    ptrace::traceme().expect("the parent may trace");
    report("ready");
    raise(SIGSTOP).expect("a signal to itself");
    perform(objects);
    raise(SIGSTOP).expect("a signal to itself");
    unreachable!("the parent kills this process at the stop");
}

fn sweep_all() {
    // The sweep runs on a new thread, because the thread stays pinned. On one core, switches
    // between the thread and the child are fast.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stay_on_core(shard().0);
            // Most wake-ups that are lost with a dead child are recovered only by a recheck.
            let interval = interlatch::sync::recheck_interval();
            interlatch::sync::set_recheck_interval(Duration::from_millis(2));
            let watchdog = Watchdog::start();
            sweep_each();
            drop(watchdog);
            interlatch::sync::set_recheck_interval(interval);
        });
    });
}

/// By default, an unoptimized build sweeps one in this many operations, because stepping through
/// all operations takes half a minute.
const SAMPLE: usize = 3;

fn sweep_each() {
    if let Some(reason) = reason_to_skip() {
        println!("skipped: {reason}");
        return;
    }
    let default = if cfg!(debug_assertions) { 19_997 } else { 1 };
    let stride = env_number("INTERLATCH_STRIDE").map_or(default, |stride| stride.max(1) as usize);
    println!("a kill every {stride} instructions or few system calls");
    let seed = seed() as usize;
    let only = std::env::var("INTERLATCH_ONLY").ok();
    let is_sample =
        cfg!(debug_assertions) && only.is_none() && env_number("INTERLATCH_STRIDE").is_none();
    let every = if is_sample { SAMPLE } else { 1 };
    if is_sample {
        println!("one operation of {SAMPLE}");
    }
    let (shard, shards) = shard();
    println!("| operation | instructions, or stops at system calls | kills | intact |");
    println!("|---|---|---|---|");
    let is_wanted = |index: usize, operation: &Operation| {
        let name = format!("{}{}", operation.object, operation.name);
        let is_ours = index % shards == shard;
        is_ours && index % every == seed % every && name.contains(only.as_deref().unwrap_or(""))
    };
    let all = operations();
    let wanted = all.iter().enumerate();
    for (index, operation) in wanted.filter(|(index, operation)| is_wanted(*index, operation)) {
        let stride = if operation.at_system_calls {
            stride.min(29)
        } else {
            stride
        };
        let (mut kills, mut after) = (0, seed % stride);
        let instructions = loop {
            let end = kill(index, operation, Kill::After(after));
            kills += 1;
            if let Outcome::Done(instructions) = end {
                break instructions;
            }
            after += stride;
        };
        kills += 1;
        let asleep = kill(index, operation, Kill::Asleep) == Outcome::Killed;
        let asleep = if asleep { ", also while asleep" } else { "" };
        println!(
            "| {}{} | {instructions} | {kills}{asleep} | all |",
            operation.object, operation.name
        );
        assert!(
            instructions > 20,
            "an operation has more than 20 instructions"
        );
    }
}

/// Returns the index of the shard of operations to sweep, and the number of shards.
fn shard() -> (usize, usize) {
    let text = std::env::var("INTERLATCH_PART").unwrap_or("0/1".into());
    let numbers = text
        .split_once('/')
        .and_then(|(shard, shards)| Some((shard.parse().ok()?, shards.parse().ok()?)));
    let (shard, shards): (usize, usize) = numbers.expect("INTERLATCH_PART=PART/PARTS");
    assert!(
        shard < shards,
        "INTERLATCH_PART={text}: expected less than {shards}"
    );
    (shard, shards)
}
