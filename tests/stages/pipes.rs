//! Runs the scenarios of primitives built from semaphores in pipes, with threads and with
//! processes. The region holds only the indexes of the semaphores. Each process has the pipes as
//! descriptors.

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

/// The number of rounds of each scenario. Each round has its own pipes.
const ROUNDS: usize = 10;

/// The semaphores of this process, by index.
static TABLE: Mutex<Vec<Arc<PipeSemaphore>>> = Mutex::new(Vec::new());

fn with_table<R>(access: impl FnOnce(&mut Vec<Arc<PipeSemaphore>>) -> R) -> R {
    access(&mut TABLE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A semaphore in a pipe, which each process finds by its index.
#[repr(C)]
#[derive(Debug, ShmType)]
struct IndexedSemaphore(u64);

// SAFETY: the type is a number that is never written through a shared reference.
unsafe impl ShmSafe for IndexedSemaphore {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::with_permits(0)) }
    }
}

impl IndexedSemaphore {
    fn semaphore(&self) -> Arc<PipeSemaphore> {
        with_table(|table| table[self.0 as usize].clone())
    }
}

impl Factory for IndexedSemaphore {
    fn create() -> Self {
        Self::with_permits(0)
    }
}

impl SemaphoreFactory for IndexedSemaphore {
    fn with_permits(permits: u32) -> Self {
        let semaphore = PipeSemaphore::new(permits).expect("descriptors are available");
        with_table(|table| {
            table.push(Arc::new(semaphore));
            Self(table.len() as u64 - 1)
        })
    }
}

impl RawSemaphore for IndexedSemaphore {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        self.semaphore().acquire_with(timeout)
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        self.semaphore().release(count)
    }
}

// SAFETY: every operation is forwarded to the semaphore with this index, which is trusted.
unsafe impl TrustedSemaphore for IndexedSemaphore {}

/// Returns a test for each scenario, with threads and with processes.
pub fn tests() -> Vec<Test> {
    let mut names = Names(Vec::new());
    process_local::all::<IndexedSemaphore>(&mut names);
    let mut tests = Vec::new();
    for (index, name) in names.0.into_iter().enumerate() {
        tests.push(Test::alone(format!("threads::pipes::{name}"), move || {
            process_local::all::<IndexedSemaphore>(&mut Only::new(index, Threads));
        }));
        tests.push(Test::alone(
            format!("processes::pipes::{name}"),
            move || {
                process_local::all::<IndexedSemaphore>(&mut Only::new(index, Processes { index }));
            },
        ));
    }
    tests
}

struct Threads;

impl Stage for Threads {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        // The scenario is leaked, because a hanging thread may outlive the test and still use the
        // scenario.
        let scenario = &*Box::leak(Box::new(scenario));
        for _ in 0..ROUNDS {
            let round: &Round<S> = Round::new_leaked();
            let (report, reports) = mpsc::channel();
            for participant in 0..scenario.participants.len() {
                let report = report.clone();
                std::thread::spawn(move || {
                    let run = || round.run_participant(scenario, participant);
                    let _ = report.send(catch_unwind(AssertUnwindSafe(run)).is_ok());
                });
            }
            for _ in 0..scenario.participants.len() {
                let run_result = reports.recv_timeout(TIMEOUT);
                assert_eq!(
                    run_result,
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

/// Runs the participants in separate processes. `index` is the index of the scenario.
struct Processes {
    index: usize,
}

impl Stage for Processes {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        for _ in 0..ROUNDS {
            let region = Region::memfd("pipes", size_of::<Round<S>>() * 2)
                .expect("the region can be created");
            let round: &Round<S> = region.create("round", ()).expect("the region has room");
            let pipes = with_table(|table| make_inheritable(table));
            let start = |participant: usize| {
                let words = [&self.index.to_string(), &participant.to_string(), &pipes];
                let words = ["pipes".into()].into_iter().chain(words.map(String::clone));
                Actor::start(&region, &words.collect::<Vec<_>>())
            };
            let actors: Vec<Actor> = (0..scenario.participants.len()).map(start).collect();
            let deadline = Instant::now() + TIMEOUT;
            for (participant, mut actor) in actors.into_iter().enumerate() {
                let ended = actor.reply(deadline).and_then(|_| actor.end(deadline));
                if let Err(problem) = ended {
                    panic!("participant {participant} of {}: {problem}", scenario.name);
                }
            }
            round.verify(&scenario);
            with_table(Vec::clear);
        }
    }
}

/// Makes the pipes inheritable and returns their descriptor numbers.
fn make_inheritable(table: &[Arc<PipeSemaphore>]) -> String {
    let number = |descriptor: BorrowedFd<'_>| {
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty())).expect("the descriptor is open");
        descriptor.as_raw_fd().to_string()
    };
    let pipes = table.iter().map(|semaphore| {
        let (reader, writer) = semaphore.ends();
        format!("{},{}", number(reader), number(writer))
    });
    pipes.collect::<Vec<_>>().join(" ")
}

fn adopt_pipes(pipes: &str) {
    // SAFETY: the driver has left the descriptors open for this process.
    let end = |number: &str| unsafe {
        BorrowedFd::borrow_raw(number.parse::<RawFd>().expect("a number"))
    };
    for pipe in pipes.split_whitespace() {
        let (reader, writer) = pipe.split_once(',').expect("two descriptors");
        let reader = Reader::reopen(end(reader)).expect("a pipe");
        let writer = Writer::reopen(end(writer)).expect("a pipe");
        with_table(|table| table.push(Arc::new(PipeSemaphore::from_ends(reader, writer))));
    }
}

/// Runs one participant of one scenario in an actor.
pub fn run_actor(descriptor: &str, index: usize, participant: usize, pipes: &str) -> bool {
    adopt_pipes(pipes);
    let region = inherited(descriptor);
    let passed = Cell::new(false);
    let stage = ParticipantStage {
        region: &region,
        participant,
        passed: &passed,
    };
    process_local::all::<IndexedSemaphore>(&mut Only::new(index, stage));
    println!("{}", if passed.get() { "passed" } else { "failed" });
    passed.get()
}

struct ParticipantStage<'a> {
    region: &'a Region,
    participant: usize,
    passed: &'a Cell<bool>,
}

impl Stage for ParticipantStage<'_> {
    fn run<S: ShmSafe + 'static>(&mut self, scenario: Scenario<S>) {
        let run_result = catch_unwind(AssertUnwindSafe(|| {
            let round: &Round<S> = self.region.attach("round").expect("the driver creates it");
            round.run_participant(&scenario, self.participant);
        }));
        self.passed.set(run_result.is_ok());
    }
}
