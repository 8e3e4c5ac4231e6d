//! Semaphores, and what is done with them.

use super::{exhibit, look};
use interlatch::check::FailureKind::{DataRace, Deadlock};
use interlatch::check::Model;
use interlatch::contract::{Guarded, Scenario};
use interlatch::platform::Ordering::{self, Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, futex};
use interlatch::sync::{Lock, RawMutex};
use interlatch::{InPlace, Semaphore};

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "post_that_looks_back",
            DataRace,
            post::<false>,
            post::<true>,
        ),
        exhibit(
            "swapped_orderings",
            DataRace,
            swapped::<false>,
            swapped::<true>,
        ),
        exhibit(
            "waits_with_the_lock",
            Deadlock,
            holds::<false>,
            holds::<true>,
        ),
    ]
    .concat()
}

/// A value, and a number of waiters in the same memory, which the last user frees.
struct Posted {
    value: AtomicU32,
    waiters: Guarded,
}

// SAFETY: a word and a number.
unsafe impl InPlace for Posted {
    fn initial() -> Self {
        Self {
            value: AtomicU32::new(0),
            waiters: Guarded::new(0),
        }
    }
}

impl Posted {
    fn acquire(&self) {
        while self.value.compare_exchange(1, 0, Acquire, Relaxed).is_err() {
            futex::wait(&self.value, 0, None);
        }
    }
}

/// `sem_post` of glibc (bug 12674) and of musl before 88c4e720 (2011): after the increment it looks
/// at the number of waiters, but by then the one that acquired may have freed the memory. Mended:
/// it looks before.
fn post<const MENDED: bool>() -> Scenario<Posted> {
    let post = |posted: &Posted| {
        let before = MENDED.then(|| posted.waiters.get());
        posted.value.fetch_add(1, Release);
        let _waiters = before.unwrap_or_else(|| posted.waiters.get());
        // The kernel looks at the address alone.
        futex::wake(&posted.value, 1);
    };
    let last_user = |posted: &Posted| {
        posted.acquire();
        // Whoever writes here stands for whoever gets the memory next.
        posted.waiters.set(99);
    };
    Scenario::new("post", vec![post, last_user])
}

/// Acquire where Release belongs and the other way round, which compiles, and works on a machine of
/// the x86 kind.
fn swapped<const MENDED: bool>() -> Scenario<Posted> {
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
    let writer = |posted: &Posted| write(posted, if MENDED { Release } else { Acquire });
    let reader = |posted: &Posted| read(posted, if MENDED { Acquire } else { Release });
    Scenario::new("swapped", vec![writer, reader])
}

struct Shop {
    lock: RawMutex,
    items: Semaphore,
    count: AtomicU32,
}

// SAFETY: a lock, a semaphore and a word.
unsafe impl InPlace for Shop {
    fn initial() -> Self {
        Self {
            lock: RawMutex::new(),
            items: Semaphore::empty(),
            count: AtomicU32::new(0),
        }
    }
}

/// Downey, "The Little Book of Semaphores", 4.1: the consumer waits for an item while it holds the
/// lock that the producer needs to bring one. Mended: the semaphore first, then the lock.
fn holds<const MENDED: bool>() -> Scenario<Shop> {
    let consume = |shop: &Shop| {
        if MENDED {
            shop.items.acquire().forget();
        }
        let _held = shop.lock.hold();
        if !MENDED {
            shop.items.acquire().forget();
        }
        assert_eq!(look(&shop.count), 1);
    };
    let produce = |shop: &Shop| {
        {
            let _held = shop.lock.hold();
            shop.count.fetch_add(1, Relaxed);
        }
        shop.items.release(1).expect("far from the maximum");
    };
    Scenario::new("holds", vec![consume, produce])
}
