//! Robust locks that do not survive the death of a process.
//!
//! All models use the same simple lock. Its word keeps the bit `WAITERS` after a process has slept,
//! so every later unlock wakes a process. Sleepers never recheck. The real locks of glibc and musl
//! clear the bit where they can. Each bug here is a step of one of these real locks.

use super::{bounded, exhibit};
use interlatch::ShmSafe;
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::robust::{OWNER, OWNER_DIED, Owner, RobustWord, WAITERS, as_owner};
use interlatch::platform::{AtomicU32, futex};
use interlatch::region::{ShmType, TypeInfo};
use interlatch::sync::{Acquired, LockError, RobustLock, Timeout};
use interlatch_check::FailureKind::{Deadlock, LimitHit, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use interlatch_contract::raw_robust_mutex::survives_owner_death;

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "acquired_without_pending_entry",
            Deadlock,
            by_two::<LOCKS_WITHOUT_PENDING>,
            by_two::<NO_FLAW>,
        ),
        exhibit(
            "released_without_pending_entry",
            Deadlock,
            by_two::<UNLOCKS_WITHOUT_PENDING>,
            by_two::<NO_FLAW>,
        ),
        bounded(exhibit(
            "recovery_clears_waiters_bit",
            Deadlock,
            by_three::<RECOVERY_CLEARS_WAITERS>,
            by_three::<NO_FLAW>,
        )),
        exhibit(
            "waiters_bit_without_owner",
            Deadlock,
            by_two::<UNLOCKS_IN_TWO_STEPS>,
            by_two::<NO_FLAW>,
        ),
        exhibit(
            "failed_exchange_does_not_reload",
            LimitHit,
            by_two::<DOES_NOT_RELOAD>,
            by_two::<NO_FLAW>,
        ),
        bounded(exhibit(
            "waiter_count_outside_the_word",
            Deadlock,
            by_three_dying_second::<COUNTS_WAITERS>,
            by_three_dying_second::<NO_FLAW>,
        )),
        exhibit(
            "owner_bits_expected_after_death",
            Deadlock,
            by_two::<EXPECTS_OWNER_BITS>,
            by_two::<NO_FLAW>,
        ),
        exhibit(
            "memory_reused_during_unlock",
            WrongResult,
            reused::<false>,
            reused::<true>,
        ),
        exhibit(
            "slot_reserved_but_never_filled",
            Deadlock,
            queue::<false>,
            queue::<true>,
        ),
    ]
    .concat()
}

/// The correct lock.
const NO_FLAW: u8 = 0;
/// The locker does not set its pending entry before it acquires the lock word. If the process dies
/// after the exchange that acquires the word, and before it adds the lock to its robust list, the
/// kernel does not find the lock. The word then names the dead owner forever.
const LOCKS_WITHOUT_PENDING: u8 = 1;
/// The unlock does not set its pending entry before it removes the lock from the robust list. If
/// the process dies after this removal, and before the exchange that releases the word, the kernel
/// does not find the lock.
const UNLOCKS_WITHOUT_PENDING: u8 = 2;
/// glibc bug 20973 (fixed in 2.25): the recovery of a lock after owner death clears the bit which
/// says that other processes wait.
const RECOVERY_CLEARS_WAITERS: u8 = 3;
/// glibc bug 20985 (fixed in 2.25): for a moment, unlock leaves the bit `WAITERS` without an owner
/// in the word. Lockers do not treat this value as free. If the process dies at this moment, the
/// value stays.
const UNLOCKS_IN_TWO_STEPS: u8 = 4;
/// glibc bug 21778: a failed exchange does not update the expected value, so a locker retries with
/// the old value forever.
const DOES_NOT_RELOAD: u8 = 5;
/// musl before 4220d298: the number of waiters is kept outside the word, and only a process that
/// begins to wait sets the bit. The kernel reads only the bit.
const COUNTS_WAITERS: u8 = 6;
/// musl before 384d103d followed the kernel's documentation, which says that the kernel sets the
/// bit `OWNER_DIED`. In fact the bit replaces the owner.
const EXPECTS_OWNER_BITS: u8 = 7;

struct Flawed<const FLAW: u8> {
    robust: RobustWord,
    waiting: AtomicU32,
}

// SAFETY: the fields are words. Every bit pattern is valid, and no process uses a word as a
// pointer.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                robust: RobustWord::new(0),
                waiting: AtomicU32::new(0),
            });
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
            UNLOCKS_IN_TWO_STEPS => word == 0 || word & OWNER_DIED != 0,
            EXPECTS_OWNER_BITS => word == 0 || word & OWNER_DIED != 0 && word & OWNER != 0,
            _ => word & OWNER == 0,
        }
    }

    /// Returns the word that a locker stores to acquire the lock, given the free word `found`.
    fn acquired_word(&self, owner: &Owner, found: u32) -> u32 {
        match FLAW {
            RECOVERY_CLEARS_WAITERS if found & OWNER_DIED != 0 => owner.id(),
            COUNTS_WAITERS => owner.id(),
            _ => owner.id() | (found & WAITERS),
        }
    }

    fn acquire(&self, owner: &Owner) -> Acquired {
        let word = self.word();
        let mut found = 0;
        loop {
            if Self::is_free(found) {
                match word.compare_exchange(
                    found,
                    self.acquired_word(owner, found),
                    Acquire,
                    Relaxed,
                ) {
                    Ok(_) if found & OWNER_DIED != 0 => return Acquired::OwnerDied,
                    Ok(_) => return Acquired::Clean,
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
                Err(_) if FLAW == DOES_NOT_RELOAD => {}
                Err(newer) => found = newer,
            }
        }
    }

    fn release(&self) {
        let word = self.word();
        match FLAW {
            UNLOCKS_IN_TWO_STEPS => {
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

// SAFETY: the scenarios check the contract of a robust lock. A flawed lock violates the contract,
// and the checker reports the violation.
unsafe impl<const FLAW: u8> RobustLock for Flawed<FLAW> {
    fn lock_with(&self, _: Timeout) -> Result<Acquired, LockError> {
        // `as_owner` below returns the owner that this call has registered.
        as_owner(Owner::make_room)?;
        as_owner(|owner| {
            if FLAW != LOCKS_WITHOUT_PENDING {
                owner.set_pending(&self.robust);
            }
            let taken = self.acquire(owner);
            owner.link(&self.robust);
            owner.clear_pending();
            Ok(taken)
        })
    }

    unsafe fn unlock(&self) {
        as_owner(|owner| {
            if FLAW != UNLOCKS_WITHOUT_PENDING {
                owner.set_pending(&self.robust);
            }
            owner.unlink(&self.robust);
            self.release();
            owner.clear_pending();
        });
    }

    unsafe fn mark_unrecoverable(&self) {
        unreachable!("these scenarios repair the state");
    }
}

type Accounts<const FLAW: u8> = interlatch_contract::raw_robust_mutex::Accounts<Flawed<FLAW>>;

fn by_two<const FLAW: u8>() -> Scenario<Accounts<FLAW>> {
    survives_owner_death(2).without_rechecks()
}

fn by_three<const FLAW: u8>() -> Scenario<Accounts<FLAW>> {
    survives_owner_death(3).without_rechecks()
}

/// The scenario of [`by_three`] in which the second process is killed.
fn by_three_dying_second<const FLAW: u8>() -> Scenario<Accounts<FLAW>> {
    Scenario {
        victims: vec![1],
        ..survives_owner_death(3).without_rechecks()
    }
}

/// Memory that is a lock first and a number later.
struct Reused {
    robust: RobustWord,
    has_left: AtomicU32,
    number: RaceCell,
}

// SAFETY: the fields are words and a number. Every bit pattern is valid, and no process uses them
// as pointers.
unsafe impl ShmSafe for Reused {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe {
            at.write(Self {
                robust: RobustWord::new(1 | WAITERS),
                has_left: AtomicU32::new(0),
                number: RaceCell::new(0),
            });
        }
    }
}

impl ShmType for Reused {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Reused");
}

/// glibc bug 14485 (musl fixed the same bug in da8d0fc4): a thread unlocks, and dies before it
/// clears its pending entry. Before the death, another process acquires the lock, finds that the
/// lock is no longer needed, and reuses its memory. If the new value equals the id of the dead
/// thread, the kernel overwrites the value.
///
/// Fix: the memory is reused only after every process has returned from `unlock` and has therefore
/// cleared its pending entry.
fn reused<const FIXED: bool>() -> Scenario<Reused> {
    let unlock = |shared: &Reused| {
        as_owner(|owner| {
            owner.set_pending(&shared.robust);
            shared.robust.word().swap(0, Release);
            owner.clear_pending();
        });
        shared.has_left.swap(1, Release);
    };
    let reuse = |shared: &Reused| {
        let is_free = shared.robust.word().fetch_or(0, Acquire) == 0;
        let has_left = shared.has_left.fetch_or(0, Acquire) == 1;
        if is_free && (has_left || !FIXED) {
            // This number equals the thread id of process 0.
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

/// A queue of two slots.
#[repr(C)]
#[derive(ShmSafe)]
struct Queue {
    reserved: AtomicU32,
    filled: [AtomicU32; 2],
    robust: Flawed<{ NO_FLAW }>,
}

/// A queue in which a producer reserves a slot with a counter and fills the slot in a later step.
/// Several shared-memory queues work like this. If a producer dies between the two steps, no
/// receiver gets past the empty slot, even if later slots are full.
///
/// Fix: a robust lock protects both steps, and the next producer reuses a slot that is reserved but
/// not filled.
fn queue<const FIXED: bool>() -> Scenario<Queue> {
    fn fill(queue: &Queue, slot: u32) {
        if let Some(filled) = queue.filled.get(slot as usize) {
            filled.swap(1, Release);
            futex::wake(filled, 1);
        }
    }
    fn send<const FIXED: bool>(queue: &Queue) {
        if !FIXED {
            return fill(queue, queue.reserved.fetch_add(1, Relaxed));
        }
        let locked = queue.robust.lock_with(Timeout::Infinite);
        let mut slot = queue.reserved.fetch_or(0, Relaxed);
        if locked == Ok(Acquired::OwnerDied) && slot > 0 {
            let last = slot - 1;
            slot = last + queue.filled[last as usize].fetch_or(0, Relaxed);
        }
        queue.reserved.swap(slot + 1, Relaxed);
        fill(queue, slot);
        // SAFETY: `lock_with` above acquired the lock.
        unsafe { queue.robust.unlock() };
    }
    fn receive(queue: &Queue) {
        while queue.filled[0].fetch_or(0, Acquire) == 0 {
            futex::wait(&queue.filled[0], 0, None);
        }
    }
    Scenario::new("queue", vec![send::<FIXED>, send::<FIXED>, receive])
        .victims(&[0])
        .choices(4)
}
