//! Robust locks that did not survive a death.
//!
//! They share a simple lock: the word keeps `WAITERS` from the first sleeper on for ever, so every later
//! unlock wakes somebody, and nothing is left to sleepers that look again by themselves. glibc's and
//! musl's take the bit away where they can; each bug here is one step of theirs.

use super::{exhibit, swept};
use interlatch::ShmSafe;
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::robust::{OWNER, OWNER_DIED, Owner, RobustWord, WAITERS, as_owner};
use interlatch::platform::{AtomicU32, futex};
use interlatch::region::{ShmType, TypeInfo};
use interlatch::sync::{LockError, RobustLock, Taken, Timeout};
use interlatch_check::FailureKind::{Deadlock, LimitHit, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use interlatch_contract::robust_lock::survives_a_death;

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "lock_taken_unannounced",
            Deadlock,
            by_two::<LOCKS_UNANNOUNCED>,
            by_two::<MENDED>,
        ),
        exhibit(
            "lock_left_unannounced",
            Deadlock,
            by_two::<UNLOCKS_UNANNOUNCED>,
            by_two::<MENDED>,
        ),
        swept(exhibit(
            "waiters_forgotten_on_recovery",
            Deadlock,
            by_three::<FORGETS_ON_RECOVERY>,
            by_three::<MENDED>,
        )),
        exhibit(
            "waiters_without_an_owner",
            Deadlock,
            by_two::<LEAVES_IN_TWO_STEPS>,
            by_two::<MENDED>,
        ),
        exhibit(
            "exchange_that_does_not_look_again",
            LimitHit,
            by_two::<DOES_NOT_LOOK_AGAIN>,
            by_two::<MENDED>,
        ),
        swept(exhibit(
            "waiters_known_to_the_living_only",
            Deadlock,
            by_three_dying_second::<COUNTS_WAITERS>,
            by_three_dying_second::<MENDED>,
        )),
        exhibit(
            "owner_bits_expected_of_the_dead",
            Deadlock,
            by_two::<EXPECTS_OWNER_BITS>,
            by_two::<MENDED>,
        ),
        exhibit(
            "memory_reused_while_unlocking",
            WrongResult,
            reused::<false>,
            reused::<true>,
        ),
        exhibit(
            "place_reserved_and_never_filled",
            Deadlock,
            queue::<false>,
            queue::<true>,
        ),
    ]
    .concat()
}

/// As it should be.
const MENDED: u8 = 0;
/// A lock is taken without saying so before: who dies between the exchange and the list is never
/// found, and the word names it for ever.
const LOCKS_UNANNOUNCED: u8 = 1;
/// The same on the way out: who dies between the list and the exchange.
const UNLOCKS_UNANNOUNCED: u8 = 2;
/// glibc bug 20973 (mended in 2.25): who recovers the lock of a dead owner takes it without the bit
/// that others wait.
const FORGETS_ON_RECOVERY: u8 = 3;
/// glibc bug 20985 (mended in 2.25): unlocking leaves `WAITERS` and no owner for a moment, which
/// lockers do not know as free; who dies in that moment leaves it so for ever.
const LEAVES_IN_TWO_STEPS: u8 = 4;
/// glibc bug 21778: the exchange that fails does not bring the newer value, so a locker
/// tries the old one for ever.
const DOES_NOT_LOOK_AGAIN: u8 = 5;
/// musl before 4220d298: the number of waiters is kept beside the word, and the bit is set only
/// by newcomers. The kernel knows the bit alone.
const COUNTS_WAITERS: u8 = 6;
/// musl before 384d103d, which followed the kernel's documentation: it says that the bit
/// `OWNER_DIED` is set, and what happens is that it replaces the owner.
const EXPECTS_OWNER_BITS: u8 = 7;

struct Flawed<const FLAW: u8> {
    robust: RobustWord,
    waiting: AtomicU32,
}

// SAFETY: words without a pointer that anybody follows.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    fn initial() -> Self {
        Self {
            robust: RobustWord::new(0),
            waiting: AtomicU32::new(0),
        }
    }
}

impl<const FLAW: u8> ShmType for Flawed<FLAW> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Flawed");
}

impl<const FLAW: u8> Flawed<FLAW> {
    fn word(&self) -> &AtomicU32 {
        self.robust.word()
    }

    fn is_free(word: u32) -> bool {
        match FLAW {
            LEAVES_IN_TWO_STEPS => word == 0 || word & OWNER_DIED != 0,
            EXPECTS_OWNER_BITS => word == 0 || word & OWNER_DIED != 0 && word & OWNER != 0,
            _ => word & OWNER == 0,
        }
    }

    /// The word of this owner, who has found the lock free as `found`.
    fn mine(&self, me: &Owner, found: u32) -> u32 {
        match FLAW {
            FORGETS_ON_RECOVERY if found & OWNER_DIED != 0 => me.id(),
            COUNTS_WAITERS => me.id(),
            _ => me.id() | (found & WAITERS),
        }
    }

    fn take(&self, me: &Owner) -> Taken {
        let word = self.word();
        let mut found = 0;
        loop {
            if Self::is_free(found) {
                match word.compare_exchange(found, self.mine(me, found), Acquire, Relaxed) {
                    Ok(_) if found & OWNER_DIED != 0 => return Taken::OwnerDied,
                    Ok(_) => return Taken::Clean,
                    Err(newer) => found = newer,
                }
                continue;
            }
            match word.compare_exchange(found, found | WAITERS, Relaxed, Relaxed) {
                Ok(_) => {
                    self.waiting.fetch_add(1, Relaxed);
                    futex::wait(word, found | WAITERS, None);
                    self.waiting.fetch_sub(1, Relaxed);
                    found = word.fetch_or(0, Relaxed);
                }
                Err(_) if FLAW == DOES_NOT_LOOK_AGAIN => {}
                Err(newer) => found = newer,
            }
        }
    }

    fn leave(&self) {
        let word = self.word();
        match FLAW {
            LEAVES_IN_TWO_STEPS => {
                if word.fetch_and(WAITERS, Release) & WAITERS != 0 {
                    word.swap(0, Release);
                    futex::wake(word, 1);
                }
            }
            COUNTS_WAITERS => {
                let others = self.waiting.fetch_add(0, Relaxed);
                if word.swap(0, Release) & WAITERS != 0 || others > 0 {
                    futex::wake(word, 1);
                }
            }
            _ => {
                if word.fetch_and(WAITERS, Release) & WAITERS != 0 {
                    futex::wake(word, 1);
                }
            }
        }
    }
}

// SAFETY: the promise of a robust lock is what the scenarios check of it, and find broken.
unsafe impl<const FLAW: u8> RobustLock for Flawed<FLAW> {
    fn lock_with(&self, _: Timeout) -> Result<Taken, LockError> {
        as_owner(|me| {
            me.make_room()?;
            if FLAW != LOCKS_UNANNOUNCED {
                me.set_pending(&self.robust);
            }
            let taken = self.take(me);
            me.link(&self.robust);
            me.clear_pending();
            Ok(taken)
        })
    }

    unsafe fn unlock(&self) {
        as_owner(|me| {
            if FLAW != UNLOCKS_UNANNOUNCED {
                me.set_pending(&self.robust);
            }
            me.unlink(&self.robust);
            self.leave();
            me.clear_pending();
        });
    }

    unsafe fn mark_unrecoverable(&self) {
        unreachable!("these scenarios repair");
    }
}

type Accounts<const FLAW: u8> = interlatch_contract::robust_lock::Accounts<Flawed<FLAW>>;

fn by_two<const FLAW: u8>() -> Scenario<Accounts<FLAW>> {
    survives_a_death(2).without_rechecks()
}

fn by_three<const FLAW: u8>() -> Scenario<Accounts<FLAW>> {
    survives_a_death(3).without_rechecks()
}

/// The victim is not the first to hold the lock.
fn by_three_dying_second<const FLAW: u8>() -> Scenario<Accounts<FLAW>> {
    Scenario {
        victims: vec![1],
        ..survives_a_death(3).without_rechecks()
    }
}

/// Memory that is a lock first, and a number later.
struct Reused {
    robust: RobustWord,
    is_out: AtomicU32,
    number: RaceCell,
}

// SAFETY: words and a number, without a pointer that anybody follows.
unsafe impl ShmSafe for Reused {
    fn initial() -> Self {
        Self {
            robust: RobustWord::new(1 | WAITERS),
            is_out: AtomicU32::new(0),
            number: RaceCell::new(0),
        }
    }
}

impl ShmType for Reused {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Reused");
}

/// glibc bug 14485 (musl has mended its own in da8d0fc4): a thread unlocks, and is killed
/// before it has withdrawn its announcement. Meanwhile another one, who got the lock, has found that
/// nobody needs it any more, and keeps something else in its memory. If that happens to be the id of
/// the dead, the kernel changes it.
///
/// Mended: the memory is used for something else only when everybody is out, announcement and all.
fn reused<const MENDED: bool>() -> Scenario<Reused> {
    let unlock = |shared: &Reused| {
        as_owner(|me| {
            me.set_pending(&shared.robust);
            shared.robust.word().swap(0, Release);
            me.clear_pending();
        });
        shared.is_out.swap(1, Release);
    };
    let reuse = |shared: &Reused| {
        let is_free = shared.robust.word().fetch_or(0, Acquire) == 0;
        let is_out = shared.is_out.fetch_or(0, Acquire) == 1;
        if is_free && (is_out || !MENDED) {
            // The id of process 0, by chance.
            shared.robust.word().swap(1, AcqRel);
            shared.number.set(1);
        }
    };
    Scenario::new("reused", vec![unlock, reuse])
        .verify(|shared| {
            let found = shared.robust.word().load(Relaxed);
            let is_number = shared.number.get() == 1;
            assert!(
                !is_number || found == 1,
                "the kernel wrote {found:#x} over a number"
            );
        })
        .victims(&[0])
}

/// A queue of two places.
#[repr(C)]
#[derive(ShmSafe)]
struct Queue {
    reserved: AtomicU32,
    filled: [AtomicU32; 2],
    robust: Flawed<{ self::MENDED }>,
}

/// As producers of shared-memory queues do: a place is reserved by a step on a
/// counter, and filled by a later one. Who dies in between leaves a place that no receiver passes,
/// whatever comes behind.
///
/// Mended: reserving and filling is under a robust lock, and what was reserved and not filled is taken
/// by the next one.
fn queue<const MENDED: bool>() -> Scenario<Queue> {
    fn fill(queue: &Queue, place: u32) {
        if let Some(filled) = queue.filled.get(place as usize) {
            filled.swap(1, Release);
            futex::wake(filled, 1);
        }
    }
    fn send<const MENDED: bool>(queue: &Queue) {
        if !MENDED {
            return fill(queue, queue.reserved.fetch_add(1, Relaxed));
        }
        let locked = queue.robust.lock_with(Timeout::Infinite);
        let mut place = queue.reserved.fetch_or(0, Relaxed);
        if locked == Ok(Taken::OwnerDied) && place > 0 {
            let last = place - 1;
            place = last + queue.filled[last as usize].fetch_or(0, Relaxed);
        }
        queue.reserved.swap(place + 1, Relaxed);
        fill(queue, place);
        // SAFETY: locked above.
        unsafe { queue.robust.unlock() };
    }
    fn receive(queue: &Queue) {
        while queue.filled[0].fetch_or(0, Acquire) == 0 {
            futex::wait(&queue.filled[0], 0, None);
        }
    }
    Scenario::new("queue", vec![send::<MENDED>, send::<MENDED>, receive])
        .victims(&[0])
        .choices(4)
}
