//! Semaphores, and what is done with them.

use super::{exhibit, look, swept};
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
        swept(exhibit(
            "post_with_an_old_count",
            Deadlock,
            old_count::<false>,
            old_count::<true>,
        )),
        swept(exhibit(
            "post_interrupted_before_its_wake",
            Deadlock,
            interrupted::<false>,
            interrupted::<true>,
        )),
    ]
    .concat()
}

/// A value, and a number of waiters in the same memory, which the last user frees.
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

#[repr(C)]
#[derive(ShmSafe)]
struct Shop {
    lock: RawMutex,
    items: Semaphore,
    count: AtomicU32,
}

/// Downey, "The Little Book of Semaphores", 4.1: the consumer waits for an item while it holds the
/// lock that the producer needs to bring one. Mended: the semaphore first, then the lock.
fn holds<const MENDED: bool>() -> Scenario<Shop> {
    let consume = |shop: &Shop| {
        if MENDED {
            shop.items.acquire().forget();
        }
        let _held = shop.lock.lock();
        if !MENDED {
            shop.items.acquire().forget();
        }
        assert_eq!(look(&shop.count), 1);
    };
    let produce = |shop: &Shop| {
        {
            let _held = shop.lock.lock();
            shop.count.fetch_add(1, Relaxed);
        }
        shop.items.release(1).expect("far from the maximum");
    };
    Scenario::new("holds", vec![consume, produce])
}

/// musl's semaphore: a value whose highest bit says that somebody may sleep, and the number of waiters.
#[repr(C)]
#[derive(ShmSafe)]
struct Musl {
    value: AtomicU32,
    waiters: AtomicU32,
    /// Whether a waiter has got through.
    done: AtomicU32,
}

const SLEEPERS: u32 = 1 << 31;

/// How its post was written, one after the other.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    /// The bit goes as soon as there is something to take.
    Before,
    /// Since 159d1f6c (2022) it stays while several wait, and going it wakes all.
    Sticky,
    /// Since 882aedf6 (2024) a waiter that was counted is woken also without the bit.
    Now,
}

impl Musl {
    fn wait(&self) {
        while !self.take() {
            self.waiters.fetch_add(1, AcqRel);
            let _ = self.value.compare_exchange(0, SLEEPERS, AcqRel, Relaxed);
            futex::wait(&self.value, SLEEPERS, None);
            self.waiters.fetch_sub(1, AcqRel);
        }
    }

    fn take(&self) -> bool {
        let mut value = look(&self.value);
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

    fn post(&self, written: Written, handle_signal: impl FnOnce()) {
        let (value, waiters) = loop {
            let (value, waiters) = (look(&self.value), look(&self.waiters));
            let is_kept = written != Written::Before && waiters > 1;
            let rest = if is_kept { value } else { value & !SLEEPERS };
            let added = self
                .value
                .compare_exchange(value, rest + 1, AcqRel, Relaxed);
            if added.is_ok() {
                break (value, waiters);
            }
        };
        handle_signal();
        let is_counted = written != Written::Sticky && waiters > 0;
        if value & SLEEPERS != 0 || is_counted {
            let is_one = written == Written::Before || waiters > 1;
            futex::wake(&self.value, if is_one { 1 } else { u32::MAX });
        }
    }
}

/// musl before 159d1f6c (2022): a post looks at value and waiters, and both were 0; then two begin to
/// wait, another post wakes one of them, which takes, and the value is 0 again, as it was. The first
/// post goes on, and wakes nobody. Mended: the bit stays, so the value is another one.
fn old_count<const MENDED: bool>() -> Scenario<Musl> {
    let wait = |musl: &Musl| musl.wait();
    let post = |musl: &Musl| {
        let written = if MENDED {
            Written::Now
        } else {
            Written::Before
        };
        musl.post(written, || ());
    };
    Scenario::new("old_count", vec![wait, wait, post, post]).choices(8)
}

/// musl before 882aedf6 (2024): a post takes the bit away and then, before it wakes, is interrupted by a
/// signal, whose handler stays for as long as it likes: here until the waiter has got through. Another
/// post sees no bit and wakes nobody. Mended: it sees that somebody waits.
fn interrupted<const MENDED: bool>() -> Scenario<Musl> {
    const WRITTEN: [Written; 2] = [Written::Sticky, Written::Now];
    let wait = |musl: &Musl| {
        musl.wait();
        musl.done.swap(1, AcqRel);
        futex::wake(&musl.done, 1);
    };
    let interrupted = |musl: &Musl| {
        let handler = || {
            while look(&musl.done) == 0 {
                futex::wait(&musl.done, 0, None);
            }
        };
        musl.post(WRITTEN[usize::from(MENDED)], handler);
    };
    let post = |musl: &Musl| musl.post(WRITTEN[usize::from(MENDED)], || ());
    Scenario::new("interrupted", vec![wait, interrupted, post]).choices(4)
}
