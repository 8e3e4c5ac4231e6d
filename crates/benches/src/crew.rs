//! The workers of a subject: processes, or the threads of one process, that sleep until it is their turn.
//!
//! The program that forks has one thread; a crew of threads is forked too, and starts its threads there.

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

/// Workers of one crew at most.
const MAX: usize = 8;
/// A crew that has not come back by then never will.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The number of the round that is none: workers go home.
const END: u32 = u32::MAX;

/// Where the workers of a subject live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Home {
    Processes,
    Threads,
}

impl Home {
    pub fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Threads => "threads",
        }
    }
}

/// On which cores the workers of a crew run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pins {
    /// One after the other on all.
    Spread,
    /// All on one.
    Together,
    /// All on one, which none takes from another as it wakes up (`SCHED_BATCH`): only the end of a time slice does.
    Undisturbed,
}

/// What a worker has to do in a round.
pub struct Round<'a> {
    /// So many operations, where they are counted.
    pub count: u64,
    stop: &'a AtomicU32,
}

impl Round<'_> {
    /// Whether the time is not over, where there is one.
    #[inline(always)]
    pub fn goes_on(&self) -> bool {
        // Relaxed: it stands for itself.
        self.stop.load(Relaxed) == 0
    }
}

/// What a worker has done in a round.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub operations: u64,
    /// How often it had what another one had before.
    pub handoffs: u64,
    /// Nanoseconds of an operation, where each is timed.
    pub p50: f64,
    pub p99: f64,
}

impl Tally {
    pub fn of(operations: u64) -> Self {
        Self {
            operations,
            ..Self::default()
        }
    }
}

/// What a worker does in each round.
pub type Body = Box<dyn FnMut(&Round<'_>) -> Tally>;
/// Called once in the worker, before the first round: it may make handles of its own.
pub type Worker = Box<dyn FnOnce() -> Body + Send>;

/// Something that can do the work.
pub struct Subject {
    pub name: String,
    home: Home,
    workers: Vec<Worker>,
}

impl Subject {
    pub fn new(name: impl Into<String>, home: Home, workers: Vec<Worker>) -> Self {
        let name = name.into();
        Self {
            name,
            home,
            workers,
        }
    }

    /// Workers who all do the same.
    pub fn alike<F>(name: impl Into<String>, home: Home, count: usize, body: F) -> Self
    where
        F: FnMut(usize, &Round<'_>) -> Tally + Clone + Send + 'static,
    {
        let worker = |number| -> Worker {
            let mut body = body.clone();
            Box::new(move || Box::new(move |round: &Round<'_>| body(number, round)))
        };
        Self::new(name, home, (0..count).map(worker).collect())
    }
}

/// Alone on its cache line, and on the one that is fetched with it.
#[derive(Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

/// What a worker leaves of a round.
#[derive(Default)]
struct Slot {
    operations: AtomicU64,
    handoffs: AtomicU64,
    p50: AtomicU64,
    p99: AtomicU64,
    begin: AtomicU64,
    end: AtomicU64,
}

/// What a crew and its master share.
#[derive(Default)]
struct Board {
    /// Changes when a round begins. Whoever sees that with Acquire sees what was written before.
    round: Padded<AtomicU32>,
    count: AtomicU64,
    stop: Padded<AtomicU32>,
    /// How many are ready, or have done the round. Released by each, acquired by the master.
    done: Padded<AtomicU32>,
    slots: [Padded<Slot>; MAX],
}

/// What a crew has done in a round.
pub struct Report {
    /// From the first worker's begin to the last one's end.
    pub seconds: f64,
    pub tallies: Vec<Tally>,
}

/// The workers of a subject, alive.
pub struct Crew {
    pub name: String,
    board: &'static Board,
    workers: usize,
    children: Vec<Pid>,
}

impl Crew {
    /// Starts them, and waits until each is ready.
    pub fn start(subject: Subject, pins: Pins) -> Result<Self> {
        let board: &Board = shared(Board::default())?;
        let workers = subject.workers.len();
        ensure!(workers <= MAX, "{workers} workers are too many");
        let mut crew = Self {
            name: subject.name,
            board,
            workers,
            children: Vec::new(),
        };
        let mut numbered: Vec<_> = subject.workers.into_iter().enumerate().collect();
        match subject.home {
            Home::Processes => {
                for (number, worker) in numbered {
                    crew.fork(|| serve(board, number, pins, worker))?;
                }
            }
            Home::Threads => crew.fork(move || {
                std::thread::scope(|scope| {
                    for (number, worker) in numbered.drain(..) {
                        scope.spawn(move || or_die(|| serve(board, number, pins, worker)));
                    }
                });
            })?,
        }
        crew.wait()?;
        Ok(crew)
    }

    fn fork(&mut self, work: impl FnOnce()) -> Result<()> {
        let parent = Pid::this();
        // SAFETY: this program has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => self.children.push(child),
            ForkResult::Child => {
                or_die(|| {
                    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("a valid signal");
                    assert_eq!(Pid::parent(), parent, "the parent has gone");
                    work();
                });
                exit(0);
            }
        }
        Ok(())
    }

    /// A round of that many operations each.
    pub fn count(&mut self, count: u64) -> Result<Report> {
        self.begin(count);
        self.wait()?;
        Ok(self.report())
    }

    /// A round of that time.
    pub fn time(&mut self, time: Duration) -> Result<Report> {
        self.begin(0);
        std::thread::sleep(time);
        self.board.stop.0.store(1, Relaxed);
        self.wait()?;
        Ok(self.report())
    }

    fn begin(&self, count: u64) {
        // Relaxed: all of this is published by the number of the round.
        self.board.count.store(count, Relaxed);
        self.board.stop.0.store(0, Relaxed);
        self.board.done.0.store(0, Relaxed);
        self.board.round.0.fetch_add(1, Release);
        wake(&self.board.round.0);
    }

    /// Until all workers are done.
    fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        let done = &self.board.done.0;
        loop {
            let now = done.load(Acquire);
            if now as usize == self.workers {
                return Ok(());
            }
            let moment = rustix::time::Timespec {
                tv_sec: 0,
                tv_nsec: 50_000_000,
            };
            // Whatever it returns, the next look tells.
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
                bail!("{}: {now} of {} workers came back", self.name, self.workers);
            }
        }
    }

    fn report(&self) -> Report {
        // Relaxed: the workers have released all of this, and `wait` has acquired it.
        let slots = || self.board.slots[..self.workers].iter().map(|slot| &slot.0);
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

    /// Workers who wait for their turn go home by themselves; the others are ended.
    fn end(&mut self, kindly: bool) -> Result<()> {
        self.board.round.0.store(END, Release);
        wake(&self.board.round.0);
        for child in self.children.drain(..) {
            if !kindly {
                kill(child, Signal::SIGKILL).context("ending a worker")?;
            }
            waitpid(child, None).context("waiting for a worker")?;
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let is_idle = self.board.done.0.load(Acquire) as usize == self.workers;
        let name = &self.name.clone();
        if let Err(error) = self.end(is_idle) {
            eprintln!("{name}: {error:#}");
        }
    }
}

/// The life of a worker.
fn serve(board: &Board, number: usize, pins: Pins, worker: Worker) {
    pin(match pins {
        Pins::Spread => number % cores(),
        Pins::Together | Pins::Undisturbed => 0,
    });
    if pins == Pins::Undisturbed {
        let no_priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameter is read only.
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
        // Release: what this round left is there for the master, who acquires.
        board.done.0.fetch_add(1, AcqRel);
        wake(&board.done.0);
        last = next_round(board, last);
        if last == END {
            return;
        }
        let round = Round {
            count: board.count.load(Relaxed),
            stop: &board.stop.0,
        };
        let begin = now();
        let tally = body(&round);
        let slot = &board.slots[number].0;
        slot.end.store(now(), Relaxed);
        slot.begin.store(begin, Relaxed);
        slot.operations.store(tally.operations, Relaxed);
        slot.handoffs.store(tally.handoffs, Relaxed);
        slot.p50.store(tally.p50.to_bits(), Relaxed);
        slot.p99.store(tally.p99.to_bits(), Relaxed);
    }
}

fn next_round(board: &Board, last: u32) -> u32 {
    loop {
        let round = board.round.0.load(Acquire);
        if round != last {
            return round;
        }
        // Whatever it returns, the next look tells.
        let _ = futex::wait(&board.round.0, Flags::empty(), last, None);
    }
}

fn wake(word: &AtomicU32) {
    // It fails for no word that is mapped.
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}

/// Keeps this thread on that core: otherwise the kernel might keep two that should run at once on one. Where
/// that is not permitted it stays where it is.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    if set.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// One clock for all processes.
fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

/// A panic in a child must not unwind into what the parent was doing.
fn or_die(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        exit(101);
    }
}

fn exit(status: i32) -> ! {
    // SAFETY: it ends this process, and runs nothing of the parent's.
    unsafe { libc::_exit(status) }
}
