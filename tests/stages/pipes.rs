//! The stages of threads and of processes once more, for what is made of semaphores in pipes: the semaphores
//! are not in the region, which has their numbers only. Each process has the pipes as descriptors.

use super::harness::Test;
use super::process::{Actor, TIMEOUT, inherited};
use super::stage::{Names, Only, Round};
use interlatch::platform::pipe::{Reader, Writer};
use interlatch::region::ShmType;
use interlatch::sync::PermitOverflow;
use interlatch::sync::{PipeSemaphore, RawSemaphore, Timeout, TrustedSemaphore};
use interlatch::{Region, ShmSafe};
use interlatch_check::{Scenario, Stage};
use interlatch_contract::process_local::{self, Factory, SemaphoreFactory};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

/// Each has pipes of its own.
const ROUNDS: usize = 10;

/// The semaphores of this process, by their numbers.
static TABLE: Mutex<Vec<Arc<PipeSemaphore>>> = Mutex::new(Vec::new());

fn with_table<R>(access: impl FnOnce(&mut Vec<Arc<PipeSemaphore>>) -> R) -> R {
    access(&mut TABLE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A semaphore in a pipe that each process finds by its number.
#[repr(C)]
#[derive(Debug, ShmType)]
struct Numbered(u64);

// SAFETY: a number, that nobody writes through a shared reference.
unsafe impl ShmSafe for Numbered {
    fn initial() -> Self {
        Self::with_permits(0)
    }
}

impl Numbered {
    fn semaphore(&self) -> Arc<PipeSemaphore> {
        with_table(|table| table[self.0 as usize].clone())
    }
}

impl Factory for Numbered {
    fn create() -> Self {
        Self::with_permits(0)
    }
}

impl SemaphoreFactory for Numbered {
    fn with_permits(permits: u32) -> Self {
        let semaphore = PipeSemaphore::new(permits).expect("there are descriptors");
        with_table(|table| {
            table.push(Arc::new(semaphore));
            Self(table.len() as u64 - 1)
        })
    }
}

impl RawSemaphore for Numbered {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        self.semaphore().acquire_with(timeout)
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        self.semaphore().release(count)
    }
}

// SAFETY: it is the semaphore of that number.
unsafe impl TrustedSemaphore for Numbered {}

/// A test for each scenario on each of the two stages.
pub fn tests() -> Vec<Test> {
    let mut names = Names(Vec::new());
    process_local::all::<Numbered>(&mut names);
    let mut tests = Vec::new();
    for (index, name) in names.0.into_iter().enumerate() {
        tests.push(Test::new(format!("threads::pipes::{name}"), move || {
            process_local::all::<Numbered>(&mut Only::new(index, Threads));
        }));
        tests.push(Test::new(format!("processes::pipes::{name}"), move || {
            process_local::all::<Numbered>(&mut Only::new(index, Processes { index }));
        }));
    }
    tests
}

struct Threads;

impl Stage for Threads {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        // Leaked, since a thread that never ends cannot be joined, and may not outlive them.
        let scenario = &*Box::leak(Box::new(scenario));
        for _ in 0..ROUNDS {
            let round: &Round<S> = Box::leak(Box::new(Round::initial()));
            let (report, reports) = mpsc::channel();
            for part in 0..scenario.participants.len() {
                let report = report.clone();
                std::thread::spawn(move || {
                    let play = || round.play(scenario, part);
                    let _ = report.send(catch_unwind(AssertUnwindSafe(play)).is_ok());
                });
            }
            for _ in 0..scenario.participants.len() {
                let played = reports.recv_timeout(TIMEOUT);
                assert_eq!(
                    played,
                    Ok(true),
                    "a participant of {} failed",
                    scenario.name
                );
            }
            round.verify(scenario);
            with_table(Vec::clear);
        }
    }
}

/// Runs the participants as processes; `index` is the number of the scenario.
struct Processes {
    index: usize,
}

impl Stage for Processes {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        for _ in 0..ROUNDS {
            let region = Region::memfd("pipes", size_of::<Round<S>>() * 2).expect("room");
            let round: &Round<S> = region.create("round", ()).expect("room");
            let pipes = with_table(|table| let_children_have(table));
            let start = |part: usize| {
                let words = [&self.index.to_string(), &part.to_string(), &pipes];
                let words = ["pipes".into()].into_iter().chain(words.map(String::clone));
                Actor::start(&region, &words.collect::<Vec<_>>())
            };
            let actors: Vec<Actor> = (0..scenario.participants.len()).map(start).collect();
            let deadline = Instant::now() + TIMEOUT;
            for (part, mut actor) in actors.into_iter().enumerate() {
                let ended = actor.reply(deadline).and_then(|_| actor.end(deadline));
                if let Err(problem) = ended {
                    panic!("participant {part} of {}: {problem}", scenario.name);
                }
            }
            round.verify(&scenario);
            with_table(Vec::clear);
        }
    }
}

/// Lets children inherit all of them, and says under which numbers.
fn let_children_have(table: &[Arc<PipeSemaphore>]) -> String {
    let number = |descriptor: BorrowedFd<'_>| {
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty())).expect("it is open");
        descriptor.as_raw_fd().to_string()
    };
    let pipes = table.iter().map(|semaphore| {
        let (reader, writer) = semaphore.ends();
        format!("{},{}", number(reader), number(writer))
    });
    pipes.collect::<Vec<_>>().join(" ")
}

fn take_over(pipes: &str) {
    // SAFETY: the driver has left them open for this process.
    let end = |number: &str| unsafe {
        BorrowedFd::borrow_raw(number.parse::<RawFd>().expect("a number"))
    };
    for pipe in pipes.split_whitespace() {
        let (reader, writer) = pipe.split_once(',').expect("two");
        let reader = Reader::reopen(end(reader)).expect("a pipe");
        let writer = Writer::reopen(end(writer)).expect("a pipe");
        with_table(|table| table.push(Arc::new(PipeSemaphore::from_ends(reader, writer))));
    }
}

/// In an actor: plays one participant of one scenario.
pub fn play(descriptor: &str, index: usize, part: usize, pipes: &str) -> bool {
    take_over(pipes);
    let region = inherited(descriptor);
    let passed = Cell::new(false);
    let stage = Part {
        region: &region,
        part,
        passed: &passed,
    };
    process_local::all::<Numbered>(&mut Only::new(index, stage));
    println!("{}", if passed.get() { "passed" } else { "failed" });
    passed.get()
}

struct Part<'a> {
    region: &'a Region,
    part: usize,
    passed: &'a Cell<bool>,
}

impl Stage for Part<'_> {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let played = catch_unwind(AssertUnwindSafe(|| {
            let round: &Round<S> = self.region.attach("round").expect("the driver creates it");
            round.play(&scenario, self.part);
        }));
        self.passed.set(played.is_ok());
    }
}
