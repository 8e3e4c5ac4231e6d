//! Bugs in semaphores and in their use.

use super::{bounded, exhibit, load_latest};
use interlatch::platform::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, futex};
use interlatch::sync::RawMutex;
use interlatch::{Semaphore, ShmSafe};
use interlatch_check::FailureKind::{DataRace, Deadlock};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "post_accesses_freed_semaphore",
            DataRace,
            post::<false>,
            post::<true>,
        ),
        exhibit(
            "acquire_and_release_swapped",
            DataRace,
            swapped::<false>,
            swapped::<true>,
        ),
        exhibit(
            "wait_while_holding_lock",
            Deadlock,
            wait_in_lock::<false>,
            wait_in_lock::<true>,
        ),
        bounded(exhibit(
            "post_with_stale_waiter_count",
            Deadlock,
            stale_count::<false>,
            stale_count::<true>,
        )),
        bounded(exhibit(
            "post_interrupted_before_wake",
            Deadlock,
            interrupted::<false>,
            interrupted::<true>,
        )),
    ]
    .concat()
}

/// A value and a number of waiters in the same memory, which the last user frees.
#[repr(C)]
#[derive(ShmSafe)]
struct Posted {
    value: AtomicU32,
    waiters: RaceCell,
}

impl Posted {
    fn acquire(&self) {
        while self.value.compare_exchange(1, 0, Acquire, Relaxed).is_err() {
            futex::wait(&self.value, 0, None);
        }
    }
}

/// `sem_post` of glibc (bug 12674) and of musl before 88c4e720 (2011): after the increment,
/// `sem_post` reads the number of waiters, but a process that acquired the permit may have freed
/// the memory.
///
/// Fix: `sem_post` reads the number of waiters before the increment.
fn post<const FIXED: bool>() -> Scenario<Posted> {
    let post = |posted: &Posted| {
        let before = FIXED.then(|| posted.waiters.get());
        posted.value.fetch_add(1, Release);
        let _waiters = before.unwrap_or_else(|| posted.waiters.get());
        // The wake call passes only the address of the word, and does not read the memory.
        futex::wake(&posted.value, 1);
    };
    let last_user = |posted: &Posted| {
        posted.acquire();
        // This write stands for any later use of the freed memory.
        posted.waiters.set(99);
    };
    Scenario::new("post", vec![post, last_user])
}

/// A semaphore in which Acquire and Release are exchanged. The code compiles, and it works on x86
/// processors.
fn swapped<const FIXED: bool>() -> Scenario<Posted> {
    fn write(posted: &Posted, release: Ordering) {
        posted.waiters.set(7);
        posted.value.fetch_add(1, release);
        futex::wake(&posted.value, 1);
    }
    fn read(posted: &Posted, acquire: Ordering) {
        while posted
            .value
            .compare_exchange(1, 0, acquire, Relaxed)
            .is_err()
        {
            futex::wait(&posted.value, 0, None);
        }
        assert_eq!(posted.waiters.get(), 7);
    }
    let writer = |posted: &Posted| write(posted, if FIXED { Release } else { Acquire });
    let reader = |posted: &Posted| read(posted, if FIXED { Acquire } else { Release });
    Scenario::new("swapped", vec![writer, reader])
}

#[repr(C)]
#[derive(ShmSafe)]
struct Shop {
    lock: RawMutex,
    items: Semaphore,
    count: AtomicU32,
}

/// A consumer that waits for an item while it holds the lock that the producer needs (Downey, "The
/// Little Book of Semaphores", 4.1).
///
/// Fix: the consumer waits for the semaphore first, and then acquires the lock.
fn wait_in_lock<const FIXED: bool>() -> Scenario<Shop> {
    let consume = |shop: &Shop| {
        if FIXED {
            shop.items.acquire().forget();
        }
        let _guard = shop.lock.lock();
        if !FIXED {
            shop.items.acquire().forget();
        }
        assert_eq!(load_latest(&shop.count), 1);
    };
    let produce = |shop: &Shop| {
        {
            let _guard = shop.lock.lock();
            shop.count.fetch_add(1, Relaxed);
        }
        shop.items.release(1).expect("far from the maximum");
    };
    Scenario::new("wait_in_lock", vec![consume, produce])
}

/// musl's semaphore. The highest bit of the value says that a process may be asleep. A second word
/// counts the waiters.
#[repr(C)]
#[derive(ShmSafe)]
struct Musl {
    value: AtomicU32,
    waiters: AtomicU32,
    /// Whether a waiter has acquired a permit.
    done: AtomicU32,
}

/// The bit of the value which says that a process may be asleep.
const SLEEPERS: u32 = 1 << 31;

/// The versions of musl's `sem_post`.
#[derive(Clone, Copy, PartialEq)]
enum Version {
    /// Every post clears the bit which says that a process may be asleep.
    Before,
    /// Since 159d1f6c (2022): the bit stays set while several processes wait. The post that clears
    /// the bit wakes all waiters.
    Sticky,
    /// Since 882aedf6 (2024): a post wakes a counted waiter even if the bit is not set.
    Current,
}

impl Musl {
    fn wait(&self) {
        while !self.try_acquire() {
            self.waiters.fetch_add(1, AcqRel);
            let _ = self.value.compare_exchange(0, SLEEPERS, AcqRel, Relaxed);
            futex::wait(&self.value, SLEEPERS, None);
            self.waiters.fetch_sub(1, AcqRel);
        }
    }

    fn try_acquire(&self) -> bool {
        let mut value = load_latest(&self.value);
        while value & !SLEEPERS > 0 {
            match self
                .value
                .compare_exchange(value, value - 1, AcqRel, Acquire)
            {
                Ok(_) => return true,
                Err(found) => value = found,
            }
        }
        false
    }

    fn post(&self, version: Version, handle_signal: impl FnOnce()) {
        let (value, waiters) = loop {
            let (value, waiters) = (load_latest(&self.value), load_latest(&self.waiters));
            let is_kept = version != Version::Before && waiters > 1;
            let rest = if is_kept { value } else { value & !SLEEPERS };
            let added = self
                .value
                .compare_exchange(value, rest + 1, AcqRel, Relaxed);
            if added.is_ok() {
                break (value, waiters);
            }
        };
        handle_signal();
        let is_counted = version != Version::Sticky && waiters > 0;
        if value & SLEEPERS != 0 || is_counted {
            let is_one = version == Version::Before || waiters > 1;
            futex::wake(&self.value, if is_one { 1 } else { u32::MAX });
        }
    }
}

/// musl before 159d1f6c (2022): a post reads the value and the number of waiters, and both are 0.
/// Then two processes begin to wait, and another post wakes one of them. The woken process acquires
/// the permit, so the value is 0 again. The exchange of the first post succeeds, and the first post
/// wakes no process.
///
/// Fix: the bit stays set while several processes wait, so the value differs and the exchange
/// fails.
fn stale_count<const FIXED: bool>() -> Scenario<Musl> {
    let wait = |musl: &Musl| musl.wait();
    let post = |musl: &Musl| {
        let version = if FIXED {
            Version::Current
        } else {
            Version::Before
        };
        musl.post(version, || ());
    };
    Scenario::new("stale_count", vec![wait, wait, post, post]).choices(8)
}

/// musl before 882aedf6 (2024): a post clears the bit, and a signal interrupts this post before its
/// wake call. The signal handler may run for an arbitrary time. In this model, the handler returns
/// only after the waiter has acquired a permit. Another post reads a cleared bit and wakes no
/// process.
///
/// Fix: the other post also reads the number of waiters, so it wakes the waiter.
fn interrupted<const FIXED: bool>() -> Scenario<Musl> {
    const WRITTEN: [Version; 2] = [Version::Sticky, Version::Current];
    let wait = |musl: &Musl| {
        musl.wait();
        musl.done.swap(1, AcqRel);
        futex::wake(&musl.done, 1);
    };
    let interrupted = |musl: &Musl| {
        let handler = || {
            while load_latest(&musl.done) == 0 {
                futex::wait(&musl.done, 0, None);
            }
        };
        musl.post(WRITTEN[usize::from(FIXED)], handler);
    };
    let post = |musl: &Musl| musl.post(WRITTEN[usize::from(FIXED)], || ());
    Scenario::new("interrupted", vec![wait, interrupted, post]).choices(4)
}
