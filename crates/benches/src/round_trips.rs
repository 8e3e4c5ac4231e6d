//! Measures round trips between two parties that wait for each other.

use super::channel::Channel;
use super::{
    Padded, PosixSemaphore, PthreadCondvar, PthreadMutex, Round, Subject, SysVHandle, WorkerKind,
};
use super::{Tally, Worker, time_trips};
use anyhow::Result;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, UnsafeCell};
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::{Condvar, Mutex, Semaphore, ShmSafe};
use rustix::thread::futex::{self, Flags};

/// A way for two parties, 0 and 1, to wake each other.
pub trait Handoff: Sync + 'static {
    fn pass(&self, to: u32);
    fn wait(&self, own: u32);
}

/// Creates a subject in which party 0 starts and times each round trip, and party 1 answers.
pub fn signal_round_trips<T: Handoff>(name: &str, kind: WorkerKind, turns: &'static T) -> Subject {
    let first: Worker = Box::new(|| {
        Box::new(|round: &Round<'_>| {
            time_trips(round, || {
                turns.pass(1);
                turns.wait(0);
            })
        })
    });
    let second: Worker = Box::new(|| {
        Box::new(|round: &Round<'_>| {
            for _ in 0..round.count {
                turns.wait(1);
                turns.pass(0);
            }
            Tally::default()
        })
    });
    Subject::new(
        format!("{name}, {}", kind.name()),
        kind,
        vec![first, second],
    )
}

/// Creates a subject that sends a word over one channel and receives it back over another.
pub fn channel_round_trips<C: Channel<8>>(
    name: &str,
    kind: WorkerKind,
    channels: [&'static C; 2],
) -> Subject {
    let [there, back] = channels;
    let first: Worker = Box::new(|| {
        let (mut send, mut receive) = (there.sender(), back.receiver());
        Box::new(move |round: &Round<'_>| {
            time_trips(round, || {
                send(&[1; 8]);
                receive(&mut [0; 8]);
            })
        })
    });
    let second: Worker = Box::new(|| {
        let (mut send, mut receive) = (back.sender(), there.receiver());
        Box::new(move |round: &Round<'_>| {
            let mut item = [0; 8];
            for _ in 0..round.count {
                receive(&mut item);
                send(&item);
            }
            Tally::default()
        })
    });
    Subject::new(
        format!("{name}, {}", kind.name()),
        kind,
        vec![first, second],
    )
}

/// A word that holds the number of the active party. The other party waits on this word with the
/// kernel's futex.
#[derive(Default)]
pub struct RawFutex(Padded<AtomicU32>);

impl Handoff for RawFutex {
    fn pass(&self, to: u32) {
        self.0.0.store(to, Release);
        // The result is ignored, because the call fails only for unmapped memory.
        let _ = futex::wake(&self.0.0, Flags::empty(), 1);
    }

    fn wait(&self, own: u32) {
        loop {
            let turn = self.0.0.load(Acquire);
            if turn == own {
                return;
            }
            // The result of the wait is ignored, because the loop checks the word again.
            let _ = futex::wait(&self.0.0, Flags::empty(), turn, None);
        }
    }
}

/// A word that holds the number of the active party. Both parties poll this word.
#[derive(Default)]
pub struct SpinningWord(Padded<AtomicU32>);

impl Handoff for SpinningWord {
    fn pass(&self, to: u32) {
        self.0.0.store(to, Release);
    }

    fn wait(&self, own: u32) {
        while self.0.0.load(Acquire) != own {}
    }
}

/// Two words on separate cache lines, one for each party. Each party waits on its own word and sets
/// the other party's word.
///
/// The parties do the same work as with two semaphores, but without read-modify-write operations.
#[derive(Default)]
pub struct TwoCacheLines([Padded<AtomicU32>; 2]);

impl Handoff for TwoCacheLines {
    fn pass(&self, to: u32) {
        self.0[to as usize].0.store(1, Release);
    }

    fn wait(&self, own: u32) {
        let word = &self.0[own as usize].0;
        while word.load(Acquire) == 0 {}
        // Relaxed: the other party sets the word again only after its Acquire load in `wait` has
        // read the Release store of this party's next `pass`.
        word.store(0, Relaxed);
    }
}

/// Two semaphores on separate pages, one for each party.
pub struct Semaphores(pub [&'static Semaphore; 2]);

impl Handoff for Semaphores {
    fn pass(&self, to: u32) {
        self.0[to as usize]
            .release(1)
            .expect("the permit is acquired in turn");
    }

    fn wait(&self, own: u32) {
        while !self.0[own as usize].acquire_with(Timeout::Infinite) {}
    }
}

pub struct PosixSemaphores(pub [&'static PosixSemaphore; 2]);

impl Handoff for PosixSemaphores {
    fn pass(&self, to: u32) {
        self.0[to as usize].release();
    }

    fn wait(&self, own: u32) {
        self.0[own as usize].acquire();
    }
}

impl Handoff for SysVHandle {
    fn pass(&self, to: u32) {
        self.change(to as u16, 1);
    }

    fn wait(&self, own: u32) {
        self.change(own as u16, -1);
    }
}

/// The number of the active party. A lock with a condition variable protects this number.
pub struct Monitor {
    turn: &'static Mutex<u32>,
    changed: &'static Condvar,
}

impl Monitor {
    pub fn create() -> Result<Self> {
        Ok(Self {
            turn: super::create_in_region(4096, ())?,
            changed: super::create_in_region(4096, ())?,
        })
    }
}

impl Handoff for Monitor {
    fn pass(&self, to: u32) {
        *self.turn.lock() = to;
        self.changed.notify_one();
    }

    fn wait(&self, own: u32) {
        let mut turn = self.turn.lock();
        self.changed.wait_while(&mut turn, |turn| *turn != own);
    }
}

#[derive(Default)]
pub struct StdMonitor {
    turn: std::sync::Mutex<u32>,
    changed: std::sync::Condvar,
}

impl Handoff for StdMonitor {
    fn pass(&self, to: u32) {
        *self.turn.lock().expect("no holder panicked") = to;
        self.changed.notify_one();
    }

    fn wait(&self, own: u32) {
        let turn = self.turn.lock().expect("no holder panicked");
        let turn = self.changed.wait_while(turn, |turn| *turn != own);
        drop(turn.expect("no holder panicked"));
    }
}

#[derive(Default)]
pub struct ParkingLotMonitor {
    turn: parking_lot::Mutex<u32>,
    changed: parking_lot::Condvar,
}

impl Handoff for ParkingLotMonitor {
    fn pass(&self, to: u32) {
        *self.turn.lock() = to;
        self.changed.notify_one();
    }

    fn wait(&self, own: u32) {
        let mut turn = self.turn.lock();
        self.changed.wait_while(&mut turn, |turn| *turn != own);
    }
}

pub struct PthreadMonitor {
    mutex: &'static PthreadMutex,
    changed: &'static PthreadCondvar,
    turn: &'static UnsafeCell<u32>,
}

// SAFETY: `turn` is accessed only while `mutex` is held.
unsafe impl Sync for PthreadMonitor {}

impl PthreadMonitor {
    pub fn create() -> Result<Self> {
        Ok(Self {
            mutex: PthreadMutex::plain()?,
            changed: PthreadCondvar::create()?,
            turn: super::shared(UnsafeCell::new(0))?,
        })
    }
}

impl Handoff for PthreadMonitor {
    fn pass(&self, to: u32) {
        self.mutex.lock();
        // SAFETY: this thread holds the mutex.
        self.turn.with_mut(|turn| unsafe { *turn = to });
        self.mutex.unlock();
        self.changed.notify_one();
    }

    fn wait(&self, own: u32) {
        self.mutex.lock();
        // SAFETY: this thread holds the mutex.
        while self.turn.with(|turn| unsafe { *turn }) != own {
            self.changed.wait(self.mutex);
        }
        self.mutex.unlock();
    }
}

/// Creates two objects of the same type on separate pages.
pub fn pair_of_objects<T: ShmSafe>() -> Result<[&'static T; 2]> {
    Ok([
        super::create_in_region(4096, ())?,
        super::create_in_region(4096, ())?,
    ])
}
