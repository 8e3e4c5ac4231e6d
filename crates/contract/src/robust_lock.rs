//! What a robust lock promises, with or without the data that it protects.

use super::{RaceCell, Scenario, Stage};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::ShmSafe;
use interlatch::platform::robust::{OWNER_DIED, as_owner};
use interlatch::sync::{Acquired, LockError, RawRobustMutex, RobustLock, Timeout};
use std::time::Duration;

/// Two accounts behind a robust lock. Their sum stays the same, but in the middle of a transfer.
#[repr(C)]
#[derive(Debug)]
pub struct Accounts<L> {
    lock: L,
    from: RaceCell,
    to: RaceCell,
}

const SUM: u64 = 10;

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<L: ShmSafe> ShmSafe for Accounts<L> {
    fn initial() -> Self {
        Self {
            lock: L::initial(),
            from: RaceCell::new(SUM),
            to: RaceCell::new(0),
        }
    }
}

impl<L: RobustLock> Accounts<L> {
    /// Locks, and makes the accounts consistent if the last holder died.
    fn lock_with(&self, timeout: Timeout) -> Result<(), LockError> {
        match self.lock.lock_with(timeout)? {
            Acquired::Clean => {
                let sum = self.from.get() + self.to.get();
                assert_eq!(sum, SUM, "half a transfer, and no news of a death");
            }
            Acquired::OwnerDied => self.to.set(SUM - self.from.get()),
        }
        Ok(())
    }

    fn lock(&self) {
        self.lock_with(Timeout::Infinite)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn unlock(&self) {
        // SAFETY: every caller has locked.
        unsafe { self.lock.unlock() };
    }

    fn transfer_and_unlock(&self) {
        self.from.set(self.from.get() - 1);
        self.to.set(self.to.get() + 1);
        self.unlock();
    }

    /// How many transfers there were. Nobody holds the lock.
    fn transfers(&self) -> u64 {
        let locked = self.lock_with(Timeout::NonBlocking);
        assert_eq!(locked, Ok(()), "somebody holds the lock in the end");
        let transfers = self.to.get();
        self.unlock();
        transfers
    }
}

fn transfer<L: RobustLock>(shared: &Accounts<L>) {
    shared.lock();
    shared.transfer_and_unlock();
}

fn transfer_twice<L: RobustLock>(shared: &Accounts<L>) {
    transfer(shared);
    transfer(shared);
}

/// Every scenario of a robust lock among the living.
pub fn all<L: RobustLock + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(excludes::<L>(2));
    stage.run(excludes::<L>(3));
    stage.run(excludes::<L>(4));
    stage.run(locks_again_after_contention::<L>());
    stage.run(timed_out_locker_takes_no_wakeup::<L>());
    stage.run(memory_reused_after_unlock_is_not_marked());
    stage.run(memory_reused_after_failed_try_is_not_marked());
}

/// Each of these holds the lock alone, and sees what the one before has written.
pub fn excludes<L: RobustLock>(processes: usize) -> Scenario<Accounts<L>> {
    let verify = match processes {
        2 => |shared: &Accounts<L>| assert_eq!(shared.transfers(), 2),
        3 => |shared: &Accounts<L>| assert_eq!(shared.transfers(), 3),
        _ => |shared: &Accounts<L>| assert_eq!(shared.transfers(), 4),
    };
    Scenario::new("excludes", vec![transfer; processes.clamp(2, 4)])
        .verify(verify)
        .choices(4)
}

/// A lock that was contended works again afterwards.
pub fn locks_again_after_contention<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario::new("locks_again_after_contention", vec![transfer_twice, transfer_twice])
        .verify(|shared| assert_eq!(shared.transfers(), 4))
}

/// Wherever the first one is killed, the others get the lock, and half a transfer only with the news.
pub fn survives_owner_death<L: RobustLock>(processes: usize) -> Scenario<Accounts<L>> {
    let verify = match processes {
        2 => |shared: &Accounts<L>| assert!((1..=2).contains(&shared.transfers())),
        3 => |shared: &Accounts<L>| assert!((2..=3).contains(&shared.transfers())),
        _ => |shared: &Accounts<L>| assert!((3..=4).contains(&shared.transfers())),
    };
    Scenario::new("survives_owner_death", vec![transfer; processes.clamp(2, 4)])
        .verify(verify)
        .choices(6)
        .victims(&[0])
}

/// The same if the one that gets the news is killed while it repairs.
pub fn survives_two_owner_deaths<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario::new("survives_two_owner_deaths", vec![transfer; 3])
        .verify(|shared| assert!((1..=3).contains(&shared.transfers())))
        .choices(8)
        .victims(&[0, 1])
}

/// The same if the survivor comes and goes, and overtakes those that sleep.
pub fn survives_owner_death_with_barging<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario::new(
        "survives_owner_death_with_barging",
        vec![transfer, transfer_twice, transfer],
    )
    .verify(|shared| assert!((3..=4).contains(&shared.transfers())))
    .choices(8)
    .victims(&[0])
}

/// A locker that gives up holds nothing, and swallows nobody's wake-up.
pub fn timed_out_locker_takes_no_wakeup<L: RobustLock>() -> Scenario<Accounts<L>> {
    let impatient = |shared: &Accounts<L>| {
        let locked = shared.lock_with(Timeout::after(Duration::from_micros(50)));
        if locked != Err(LockError::TimedOut) {
            assert_eq!(locked, Ok(()));
            shared.unlock();
        }
    };
    Scenario::new(
        "timed_out_locker_takes_no_wakeup",
        vec![impatient, transfer, transfer],
    )
    .verify(|shared| assert_eq!(shared.transfers(), 2))
    .choices(6)
}

/// The same if one of the two that do not give up is killed.
pub fn timed_out_locker_survives_owner_death<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario {
        name: "timed_out_locker_survives_owner_death",
        ..timed_out_locker_takes_no_wakeup()
    }
    .verify(|shared| assert!((1..=2).contains(&shared.transfers())))
    .victims(&[1])
}

/// Whoever gets the news of a death and does not repair ends the lock for everybody, and all hear of
/// it.
pub fn unrepaired_lock_is_unrecoverable_for_all<L: RobustLock>() -> Scenario<Accounts<L>> {
    let transfer_if_possible = |shared: &Accounts<L>| {
        if shared.lock.lock_with(Timeout::Infinite) == Ok(Acquired::Clean) {
            shared.transfer_and_unlock();
        }
    };
    let does_not_repair = |shared: &Accounts<L>| {
        match shared.lock.lock_with(Timeout::Infinite) {
            Ok(Acquired::Clean) => return shared.unlock(),
            // SAFETY: it is locked.
            Ok(Acquired::OwnerDied) => unsafe { shared.lock.mark_unrecoverable() },
            Err(error) => assert_eq!(error, LockError::Unrecoverable),
        }
        let again = shared.lock.lock_with(Timeout::Infinite);
        assert_eq!(again, Err(LockError::Unrecoverable));
    };
    Scenario::new(
        "unrepaired_lock_is_unrecoverable_for_all",
        vec![transfer_if_possible, does_not_repair, does_not_repair],
    )
    .choices(6)
    .victims(&[0])
}

/// A lock whose memory is used for something else after it was held.
#[repr(C)]
#[derive(Debug)]
pub struct Reused {
    lock: RawRobustMutex,
    is_reused: RaceCell,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl ShmSafe for Reused {
    fn initial() -> Self {
        Self {
            lock: RawRobustMutex::new(),
            is_reused: RaceCell::new(0),
        }
    }
}

impl Reused {
    /// Keeps a number in the word that is the id of the owner, by chance.
    fn reuse(&self) {
        self.is_reused.set(1);
        as_owner(|me| self.lock.word().swap(me.id(), Relaxed));
        self.is_reused.set(2);
    }

    fn is_left_alone(&self) {
        let word = self.lock.word().load(Relaxed);
        let is_marked = word & OWNER_DIED != 0;
        assert!(
            self.is_reused.get() == 0 || !is_marked,
            "the kernel wrote {word:#x}"
        );
    }
}

/// Who has unlocked has nothing more to do with the word: the kernel leaves it alone, even if it
/// holds a number by chance that is the id of the dead.
pub fn memory_reused_after_unlock_is_not_marked() -> Scenario<Reused> {
    let reuse = |shared: &Reused| {
        let taken = shared.lock.lock_with(Timeout::Infinite);
        assert_eq!(taken, Ok(Acquired::Clean));
        // SAFETY: locked above.
        unsafe { shared.lock.unlock() };
        shared.reuse();
    };
    Scenario::new("memory_reused_after_unlock_is_not_marked", vec![reuse])
        .verify(Reused::is_left_alone)
        .victims(&[0])
}

/// The same of one that has tried to lock in vain.
pub fn memory_reused_after_failed_try_is_not_marked() -> Scenario<Reused> {
    let try_and_reuse = |shared: &Reused| {
        // Somebody holds it who is nobody here.
        shared.lock.word().swap(99, Relaxed);
        let tried = shared.lock.lock_with(Timeout::NonBlocking);
        assert_eq!(tried, Err(LockError::TimedOut));
        shared.reuse();
    };
    Scenario::new(
        "memory_reused_after_failed_try_is_not_marked",
        vec![try_and_reuse],
    )
    .verify(Reused::is_left_alone)
    .victims(&[0])
}
