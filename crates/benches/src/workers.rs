//! The workers of a subject: processes, or threads of one process. The workers sleep between their
//! rounds.
//!
//! The program has only one thread when it forks. To start a group of threads, the program forks
//! one process, and this process starts the threads.

use super::{cores, shared};
use anyhow::{Context, Result, bail, ensure};
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, AtomicU64};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::thread::futex::{self, Flags};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The maximum number of workers in a group.
const MAX: usize = 8;
/// The maximum duration of a round. A longer round is an error.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A special round number that tells the workers to end.
const END: u32 = u32::MAX;

/// The kind of a subject's workers: processes or threads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WorkerKind {
    Processes,
    Threads,
}

impl WorkerKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Threads => "threads",
        }
    }
}

/// The cores on which the workers of a group run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// The workers are distributed over all cores.
    Spread,
    /// All workers run on one core.
    OneCore,
    /// All workers run on one core without wake-up preemption (`SCHED_BATCH`). A worker runs until
    /// it sleeps or its time slice ends.
    OneCoreBatch,
}

/// The work of one worker in one round.
pub struct Round<'a> {
    /// The number of operations, for a round with a fixed number of operations.
    pub count: u64,
    stop: &'a AtomicU32,
}

impl Round<'_> {
    /// Returns whether the round is still running, for a round of a fixed duration.
    #[inline(always)]
    pub fn is_running(&self) -> bool {
        // Relaxed: the flag `stop` publishes no other data.
        self.stop.load(Relaxed) == 0
    }
}

/// The result of one worker in one round.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub operations: u64,
    /// How often this worker took over from another worker.
    pub handoffs: u64,
    /// The median duration of an operation in nanoseconds, if each operation is timed.
    pub p50: f64,
    pub p99: f64,
}

impl Tally {
    pub fn new(operations: u64) -> Self {
        Self {
            operations,
            ..Self::default()
        }
    }
}

/// The function that a worker runs in each round.
pub type Body = Box<dyn FnMut(&Round<'_>) -> Tally>;
/// A function that creates a worker's own handles and returns the function of its rounds. The
/// worker calls it once, before the first round.
pub type Worker = Box<dyn FnOnce() -> Body + Send>;

/// One implementation that a benchmark measures.
pub struct Subject {
    pub name: String,
    kind: WorkerKind,
    workers: Vec<Worker>,
}

impl Subject {
    pub fn new(name: impl Into<String>, kind: WorkerKind, workers: Vec<Worker>) -> Self {
        let name = name.into();
        Self {
            name,
            kind,
            workers,
        }
    }

    /// Creates a subject in which every worker runs the same function.
    pub fn uniform<F>(name: impl Into<String>, kind: WorkerKind, count: usize, body: F) -> Self
    where
        F: FnMut(usize, &Round<'_>) -> Tally + Clone + Send + 'static,
    {
        let worker = |number| -> Worker {
            let mut body = body.clone();
            Box::new(move || Box::new(move |round: &Round<'_>| body(number, round)))
        };
        Self::new(name, kind, (0..count).map(worker).collect())
    }
}

/// A value that shares no cache line with another value. The value also occupies the adjacent line,
/// because the CPU prefetches both lines together.
#[derive(Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

/// The results of one worker in the current round.
#[derive(Default)]
struct Slot {
    operations: AtomicU64,
    handoffs: AtomicU64,
    p50: AtomicU64,
    p99: AtomicU64,
    begin: AtomicU64,
    end: AtomicU64,
}

/// The memory that a group of workers shares with the benchmark program.
#[derive(Default)]
struct SharedState {
    /// The number of the current round. The program writes this number with Release, and the
    /// workers load it with Acquire. A worker that loads a new number therefore sees all earlier
    /// writes of the program.
    round: Padded<AtomicU32>,
    count: AtomicU64,
    stop: Padded<AtomicU32>,
    /// The number of workers that are ready or that have finished the round. Workers increment this
    /// number with Release, and the program loads it with Acquire.
    done: Padded<AtomicU32>,
    slots: [Padded<Slot>; MAX],
}

/// The result of a group of workers in one round.
pub struct Report {
    /// The time in seconds from the start of the first worker to the end of the last worker.
    pub seconds: f64,
    pub tallies: Vec<Tally>,
}

/// The running workers of one subject.
pub struct WorkerGroup {
    pub name: String,
    state: &'static SharedState,
    workers: usize,
    children: Vec<Pid>,
}

impl WorkerGroup {
    /// Starts the workers of a subject and waits until every worker is ready.
    pub fn start(subject: Subject, affinity: Affinity) -> Result<Self> {
        let state: &SharedState = shared(SharedState::default())?;
        let workers = subject.workers.len();
        ensure!(workers <= MAX, "{workers} workers are too many");
        let mut group = Self {
            name: subject.name,
            state,
            workers,
            children: Vec::new(),
        };
        let mut numbered: Vec<_> = subject.workers.into_iter().enumerate().collect();
        match subject.kind {
            WorkerKind::Processes => {
                for (number, worker) in numbered {
                    group.fork(|| serve(state, number, affinity, worker))?;
                }
            }
            WorkerKind::Threads => group.fork(move || {
                std::thread::scope(|scope| {
                    for (number, worker) in numbered.drain(..) {
                        scope.spawn(move || {
                            exit_on_panic(|| serve(state, number, affinity, worker))
                        });
                    }
                });
            })?,
        }
        group.wait()?;
        Ok(group)
    }

    fn fork(&mut self, work: impl FnOnce()) -> Result<()> {
        let parent = Pid::this();
        // SAFETY: this program has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => self.children.push(child),
            ForkResult::Child => {
                exit_on_panic(|| {
                    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("a valid signal");
                    assert_eq!(Pid::parent(), parent, "the parent has died");
                    work();
                });
                exit(0);
            }
        }
        Ok(())
    }

    /// Runs a round in which each worker does this number of operations.
    pub fn count(&mut self, count: u64) -> Result<Report> {
        self.begin(count);
        self.wait()?;
        Ok(self.report())
    }

    /// Runs a round that lasts this long.
    pub fn time(&mut self, time: Duration) -> Result<Report> {
        self.begin(0);
        std::thread::sleep(time);
        self.state.stop.0.store(1, Relaxed);
        self.wait()?;
        Ok(self.report())
    }

    fn begin(&self, count: u64) {
        // Relaxed: the Release increment of the round number publishes the three values stored
        // here.
        self.state.count.store(count, Relaxed);
        self.state.stop.0.store(0, Relaxed);
        self.state.done.0.store(0, Relaxed);
        self.state.round.0.fetch_add(1, Release);
        wake(&self.state.round.0);
    }

    /// Waits until all workers have finished the round.
    fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        let done = &self.state.done.0;
        loop {
            let now = done.load(Acquire);
            if now as usize == self.workers {
                return Ok(());
            }
            let moment = rustix::time::Timespec {
                tv_sec: 0,
                tv_nsec: 50_000_000,
            };
            // The result is ignored, because the loop checks the word again.
            let _ = futex::wait(done, Flags::empty(), now, Some(&moment));
            for child in &self.children {
                let status = waitpid(*child, Some(WaitPidFlag::WNOHANG))?;
                if status != WaitStatus::StillAlive {
                    let child = *child;
                    self.children.retain(|other| *other != child);
                    bail!("{}: a worker has ended: {status:?}", self.name);
                }
            }
            if begin.elapsed() > TIMEOUT {
                bail!(
                    "{}: {now} of {} workers are done after {TIMEOUT:?}",
                    self.name,
                    self.workers
                );
            }
        }
    }

    fn report(&self) -> Report {
        // Relaxed: the Acquire load in `wait` pairs with the Release increments by the workers. So
        // the values that the workers wrote are visible.
        let slots = || self.state.slots[..self.workers].iter().map(|slot| &slot.0);
        let begin = slots().map(|slot| slot.begin.load(Relaxed)).min();
        let end = slots().map(|slot| slot.end.load(Relaxed)).max();
        let nanoseconds = end.unwrap_or(0).saturating_sub(begin.unwrap_or(0)).max(1);
        let tally = |slot: &Slot| Tally {
            operations: slot.operations.load(Relaxed),
            handoffs: slot.handoffs.load(Relaxed),
            p50: f64::from_bits(slot.p50.load(Relaxed)),
            p99: f64::from_bits(slot.p99.load(Relaxed)),
        };
        Report {
            seconds: nanoseconds as f64 / 1e9,
            tallies: slots().map(tally).collect(),
        }
    }

    /// Ends idle workers with a special round number. Ends other workers with SIGKILL.
    fn end(&mut self, kindly: bool) -> Result<()> {
        self.state.round.0.store(END, Release);
        wake(&self.state.round.0);
        for child in self.children.drain(..) {
            if !kindly {
                kill(child, Signal::SIGKILL).context("ending a worker")?;
            }
            waitpid(child, None).context("waiting for a worker")?;
        }
        Ok(())
    }
}

impl Drop for WorkerGroup {
    fn drop(&mut self) {
        let is_idle = self.state.done.0.load(Acquire) as usize == self.workers;
        let name = &self.name.clone();
        if let Err(error) = self.end(is_idle) {
            eprintln!("{name}: {error:#}");
        }
    }
}

/// Runs a worker's rounds until the program ends the worker.
fn serve(state: &SharedState, number: usize, affinity: Affinity, worker: Worker) {
    pin(match affinity {
        Affinity::Spread => number % cores(),
        Affinity::OneCore | Affinity::OneCoreBatch => 0,
    });
    if affinity == Affinity::OneCoreBatch {
        let no_priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: the call only reads the parameter.
        let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const no_priority) };
        assert_eq!(
            set,
            0,
            "no SCHED_BATCH: {}",
            std::io::Error::last_os_error()
        );
    }
    let mut body = worker();
    let mut last = 0;
    loop {
        // The Release part of AcqRel publishes the results of this round. It pairs with the Acquire
        // load in `wait`.
        state.done.0.fetch_add(1, AcqRel);
        wake(&state.done.0);
        last = next_round(state, last);
        if last == END {
            return;
        }
        let round = Round {
            count: state.count.load(Relaxed),
            stop: &state.stop.0,
        };
        let begin = now();
        let tally = body(&round);
        let slot = &state.slots[number].0;
        slot.end.store(now(), Relaxed);
        slot.begin.store(begin, Relaxed);
        slot.operations.store(tally.operations, Relaxed);
        slot.handoffs.store(tally.handoffs, Relaxed);
        slot.p50.store(tally.p50.to_bits(), Relaxed);
        slot.p99.store(tally.p99.to_bits(), Relaxed);
    }
}

fn next_round(state: &SharedState, last: u32) -> u32 {
    loop {
        let round = state.round.0.load(Acquire);
        if round != last {
            return round;
        }
        // The result is ignored, because the loop checks the word again.
        let _ = futex::wait(&state.round.0, Flags::empty(), last, None);
    }
}

fn wake(word: &AtomicU32) {
    // The result is ignored, because the call fails only for unmapped memory.
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}

/// Pins this thread to a core, if the kernel permits it.
///
/// Without pinning, the kernel may run two workers on the same core, although the benchmark needs
/// them to run in parallel.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    if set.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Returns the current time in nanoseconds. All processes share the same clock.
fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

/// Runs `work`, and exits if `work` panics. The panic must not unwind into the parent's code.
fn exit_on_panic(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        exit(101);
    }
}

fn exit(status: i32) -> ! {
    // SAFETY: the call ends this process and runs no code that belongs to the parent.
    unsafe { libc::_exit(status) }
}
