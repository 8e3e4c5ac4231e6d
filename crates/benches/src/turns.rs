//! Two who wait for each other, in turn: a round trip is there and back.

use super::channel::Channel;
use super::{
    Home, Padded, PosixSemaphore, PthreadCondvar, PthreadMutex, Round, Subject, SysVHandle,
};
use super::{Tally, Worker, trips};
use anyhow::Result;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, UnsafeCell};
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::{Condvar, Mutex, Semaphore, ShmSafe};
use rustix::thread::futex::{self, Flags};

/// What two parties, 0 and 1, wake each other with.
pub trait Turns: Sync + 'static {
    fn pass(&self, to: u32);
    fn wait(&self, own: u32);
}

/// Party 0 times each trip, party 1 answers.
pub fn volley<T: Turns>(name: &str, home: Home, turns: &'static T) -> Subject {
    let first: Worker = Box::new(|| {
        Box::new(|round: &Round<'_>| {
            trips(round, || {
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
        format!("{name}, {}", home.name()),
        home,
        vec![first, second],
    )
}

/// The same over two channels, a word there and one back.
pub fn letters<C: Channel<8>>(name: &str, home: Home, channels: [&'static C; 2]) -> Subject {
    let [there, back] = channels;
    let first: Worker = Box::new(|| {
        let (mut send, mut receive) = (there.sender(), back.receiver());
        Box::new(move |round: &Round<'_>| {
            trips(round, || {
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
        format!("{name}, {}", home.name()),
        home,
        vec![first, second],
    )
}

/// A word, and the futex of the kernel, with nothing around them: says whose turn it is.
#[derive(Default)]
pub struct RawFutex(Padded<AtomicU32>);

impl Turns for RawFutex {
    fn pass(&self, to: u32) {
        self.0.0.store(to, Release);
        // It fails for no word that is mapped.
        let _ = futex::wake(&self.0.0, Flags::empty(), 1);
    }

    fn wait(&self, own: u32) {
        loop {
            let turn = self.0.0.load(Acquire);
            if turn == own {
                return;
            }
            // Whatever it returns, the next look tells.
            let _ = futex::wait(&self.0.0, Flags::empty(), turn, None);
        }
    }
}

/// A word that both look at all the time.
#[derive(Default)]
pub struct Spinning(Padded<AtomicU32>);

impl Turns for Spinning {
    fn pass(&self, to: u32) {
        self.0.0.store(to, Release);
    }

    fn wait(&self, own: u32) {
        while self.0.0.load(Acquire) != own {}
    }
}

/// A word for each party, which the other one sets and it clears, on lines of their own: what two semaphores come
/// to without a single exchange.
#[derive(Default)]
pub struct TwoLines([Padded<AtomicU32>; 2]);

impl Turns for TwoLines {
    fn pass(&self, to: u32) {
        self.0[to as usize].0.store(1, Release);
    }

    fn wait(&self, own: u32) {
        let word = &self.0[own as usize].0;
        while word.load(Acquire) == 0 {}
        // Relaxed: the other one sets it again only after it has seen the Release of the next pass.
        word.store(0, Relaxed);
    }
}

/// A semaphore for each party, on lines of their own.
pub struct Semaphores(pub [&'static Semaphore; 2]);

impl Turns for Semaphores {
    fn pass(&self, to: u32) {
        self.0[to as usize].release(1).expect("it is taken in turn");
    }

    fn wait(&self, own: u32) {
        while !self.0[own as usize].acquire_with(Timeout::Infinite) {}
    }
}

pub struct PosixSemaphores(pub [&'static PosixSemaphore; 2]);

impl Turns for PosixSemaphores {
    fn pass(&self, to: u32) {
        self.0[to as usize].release();
    }

    fn wait(&self, own: u32) {
        self.0[own as usize].acquire();
    }
}

impl Turns for SysVHandle {
    fn pass(&self, to: u32) {
        self.change(to as u16, 1);
    }

    fn wait(&self, own: u32) {
        self.change(own as u16, -1);
    }
}

/// Whose turn it is, under a lock, and a condition variable.
pub struct Monitor {
    turn: &'static Mutex<u32>,
    changed: &'static Condvar,
}

impl Monitor {
    pub fn create() -> Result<Self> {
        Ok(Self {
            turn: super::ours(4096, ())?,
            changed: super::ours(4096, ())?,
        })
    }
}

impl Turns for Monitor {
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

impl Turns for StdMonitor {
    fn pass(&self, to: u32) {
        *self.turn.lock().expect("nobody panics here") = to;
        self.changed.notify_one();
    }

    fn wait(&self, own: u32) {
        let turn = self.turn.lock().expect("nobody panics here");
        let turn = self.changed.wait_while(turn, |turn| *turn != own);
        drop(turn.expect("nobody panics here"));
    }
}

#[derive(Default)]
pub struct ParkingLotMonitor {
    turn: parking_lot::Mutex<u32>,
    changed: parking_lot::Condvar,
}

impl Turns for ParkingLotMonitor {
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

// SAFETY: the cell is touched only under the mutex.
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

impl Turns for PthreadMonitor {
    fn pass(&self, to: u32) {
        self.mutex.lock();
        // SAFETY: under the mutex.
        self.turn.with_mut(|turn| unsafe { *turn = to });
        self.mutex.unlock();
        self.changed.notify_one();
    }

    fn wait(&self, own: u32) {
        self.mutex.lock();
        // SAFETY: under the mutex.
        while self.turn.with(|turn| unsafe { *turn }) != own {
            self.changed.wait(self.mutex);
        }
        self.mutex.unlock();
    }
}

/// Two objects of a type, on pages of their own.
pub fn two<T: ShmSafe>() -> Result<[&'static T; 2]> {
    Ok([super::ours(4096, ())?, super::ours(4096, ())?])
}
