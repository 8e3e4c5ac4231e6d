//! The promises of a robust lock: a lock that another process can acquire after its owner died.

use super::{RaceCell, Scenario, Stage};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::ShmSafe;
use interlatch::platform::robust::{
    MAX_HELD, OWNER_DIED, RobustListError, WAITERS, as_owner, release_range, run_thread,
};
use interlatch::sync::{Acquired, LockError, RawRobustMutex, RobustLock, Timeout};
use std::ops::Range;
use std::time::Duration;

/// Two accounts and the robust lock that protects them.
///
/// The sum of the accounts is constant, except in the middle of a transfer.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct Accounts<L> {
    lock: L,
    #[shm(initial = RaceCell::new(SUM))]
    from: RaceCell,
    to: RaceCell,
}

const SUM: u64 = 10;

impl<L: RobustLock> Accounts<L> {
    /// Locks, and makes the accounts consistent if the last owner died.
    fn lock_with(&self, timeout: Timeout) -> Result<(), LockError> {
        match self.lock.lock_with(timeout)? {
            Acquired::Clean => {
                let sum = self.from.get() + self.to.get();
                assert_eq!(sum, SUM, "half a transfer, but no owner death was reported");
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
        // SAFETY: every caller holds `lock`, and treats it as released after this call.
        unsafe { self.lock.unlock() };
    }

    fn transfer_and_unlock(&self) {
        self.from.set(self.from.get() - 1);
        self.to.set(self.to.get() + 1);
        self.unlock();
    }

    /// Returns the number of transfers. Panics if the lock is held.
    fn transfers(&self) -> u64 {
        let locked = self.lock_with(Timeout::NonBlocking);
        assert_eq!(locked, Ok(()), "the lock is still held");
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

/// Runs every scenario of a robust lock.
pub fn all<L: RobustLock + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(excludes::<L>(2));
    stage.run(excludes::<L>(3));
    stage.run(excludes::<L>(4));
    stage.run(locks_again_after_contention::<L>());
    stage.run(timed_out_locker_takes_no_wakeup::<L>());
    stage.run(survives_owner_death::<L>(2));
    stage.run(survives_owner_death::<L>(3));
    stage.run(survives_owner_death::<L>(4));
    stage.run(survives_two_owner_deaths::<L>());
    stage.run(survives_owner_death_with_barging::<L>());
    stage.run(timed_out_locker_survives_owner_death::<L>());
    stage.run(unrepaired_lock_is_unrecoverable_for_all::<L>());
}

/// Runs every scenario of the robust-list entry of [`RawRobustMutex`].
pub fn all_of_raw_robust_mutex(stage: &mut impl Stage) {
    stage.run(memory_reused_after_unlock_is_not_marked());
    stage.run(memory_reused_after_failed_try_is_not_marked());
    stage.run(memory_reused_after_refused_lock_is_not_marked());
    stage.run(id_in_the_word_is_no_proof_of_ownership());
    stage.run(repairing_holder_is_an_ordinary_holder());
    stage.run(lock_of_ended_thread_stays_locked::<Platform>());
    stage.run(dropped_region_releases_leaked_lock::<Platform>());
    stage.run(dropped_region_releases_lock_of_ended_thread::<Platform>());
    stage.run(marked_owner_death_is_reported_once());
}

/// Only one process at a time holds the lock, and it sees the writes of the previous holder.
///
/// The processes transfer between the accounts under the lock. If two processes hold the lock at
/// the same time, or a write is not visible to the next holder, the accesses race.
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

/// A lock can be locked again after processes have waited for it.
///
/// Two processes lock twice each. If the lock word is wrong after the first lock and unlock, the
/// second locks hang or race.
pub fn locks_again_after_contention<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario::new(
        "locks_again_after_contention",
        vec![transfer_twice, transfer_twice],
    )
    .verify(|shared| assert_eq!(shared.transfers(), 4))
}

/// If a process is killed at any step, the other processes acquire the lock and get `OwnerDied`.
///
/// The first process is killed. If the kernel's `OWNER_DIED` mark or the kernel's wake-up is lost,
/// the other processes hang. If the death is not reported, the other processes see half a transfer.
pub fn survives_owner_death<L: RobustLock>(processes: usize) -> Scenario<Accounts<L>> {
    let verify = match processes {
        2 => |shared: &Accounts<L>| assert!((1..=2).contains(&shared.transfers())),
        3 => |shared: &Accounts<L>| assert!((2..=3).contains(&shared.transfers())),
        _ => |shared: &Accounts<L>| assert!((3..=4).contains(&shared.transfers())),
    };
    Scenario::new(
        "survives_owner_death",
        vec![transfer; processes.clamp(2, 4)],
    )
    .verify(verify)
    .choices(6)
    .victims(&[0])
}

/// The promise of [`survives_owner_death`] holds even if the process that repairs the accounts is
/// killed.
pub fn survives_two_owner_deaths<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario::new("survives_two_owner_deaths", vec![transfer; 3])
        .verify(|shared| assert!((1..=3).contains(&shared.transfers())))
        .choices(8)
        .victims(&[0, 1])
}

/// The promise of [`survives_owner_death`] holds even if a running process acquires the lock before
/// the sleepers.
///
/// One survivor locks twice and may acquire the lock before a sleeper that was woken.
pub fn survives_owner_death_with_barging<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario::new(
        "survives_owner_death_with_barging",
        vec![transfer, transfer_twice, transfer],
    )
    .verify(|shared| assert!((3..=4).contains(&shared.transfers())))
    .choices(8)
    .victims(&[0])
}

/// A locker that times out does not hold the lock, and consumes no wake-up that another waiter
/// needs.
///
/// One of three processes locks with a timeout. If this process keeps the lock or consumes the
/// wake-up of an unlock, another process hangs.
pub fn timed_out_locker_takes_no_wakeup<L: RobustLock>() -> Scenario<Accounts<L>> {
    let with_timeout = |shared: &Accounts<L>| {
        let locked = shared.lock_with(Timeout::after(Duration::from_micros(50)));
        if locked != Err(LockError::TimedOut) {
            assert_eq!(locked, Ok(()));
            shared.unlock();
        }
    };
    Scenario::new(
        "timed_out_locker_takes_no_wakeup",
        vec![with_timeout, transfer, transfer],
    )
    .verify(|shared| assert_eq!(shared.transfers(), 2))
    .choices(6)
}

/// A locker that times out consumes no wake-up, even if one of the other two processes is killed.
pub fn timed_out_locker_survives_owner_death<L: RobustLock>() -> Scenario<Accounts<L>> {
    Scenario {
        name: "timed_out_locker_survives_owner_death",
        ..timed_out_locker_takes_no_wakeup()
    }
    .verify(|shared| assert!((1..=2).contains(&shared.transfers())))
    .victims(&[1])
}

/// If no process repairs a lock after an owner death, every later attempt to lock fails.
///
/// The first process is killed. Another process gets `OwnerDied` and marks the lock as
/// unrecoverable. A waiter that is not woken then hangs.
pub fn unrepaired_lock_is_unrecoverable_for_all<L: RobustLock>() -> Scenario<Accounts<L>> {
    let transfer_if_possible = |shared: &Accounts<L>| {
        if shared.lock.lock_with(Timeout::Infinite) == Ok(Acquired::Clean) {
            shared.transfer_and_unlock();
        }
    };
    let does_not_repair = |shared: &Accounts<L>| {
        match shared.lock.lock_with(Timeout::Infinite) {
            Ok(Acquired::Clean) => return shared.unlock(),
            // SAFETY: `lock_with` has acquired the lock.
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

/// A lock in memory that is used for a number after the lock is no longer needed.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct ReusedMemory {
    lock: RawRobustMutex,
    is_reused: RaceCell,
}

impl ReusedMemory {
    /// Stores a number in the lock word that equals this thread's id.
    fn reuse(&self) {
        self.is_reused.set(1);
        as_owner(|owner| self.lock.word().swap(owner.id(), Relaxed));
        self.is_reused.set(2);
    }

    fn is_not_marked(&self) {
        let word = self.lock.word().load(Relaxed);
        let is_marked = word & OWNER_DIED != 0;
        assert!(
            self.is_reused.get() == 0 || !is_marked,
            "the kernel wrote {word:#x} into reused memory"
        );
    }
}

/// After an unlock, the kernel does not write to the lock word if the process dies.
///
/// The process unlocks and then reuses the memory for a number that equals its thread id. If the
/// robust list or its pending entry still names the word, the kernel sets `OWNER_DIED` in the
/// number.
pub fn memory_reused_after_unlock_is_not_marked() -> Scenario<ReusedMemory> {
    let reuse = |shared: &ReusedMemory| {
        let locked = shared.lock.lock_with(Timeout::Infinite);
        assert_eq!(locked, Ok(Acquired::Clean));
        // SAFETY: `lock_with` above has acquired the lock.
        unsafe { shared.lock.unlock() };
        shared.reuse();
    };
    Scenario::new("memory_reused_after_unlock_is_not_marked", vec![reuse])
        .verify(ReusedMemory::is_not_marked)
        .victims(&[0])
}

/// After a failed attempt to lock, the kernel does not write to the lock word if the process dies.
pub fn memory_reused_after_failed_try_is_not_marked() -> Scenario<ReusedMemory> {
    let try_and_reuse = |shared: &ReusedMemory| {
        // No thread of the scenario has this id, so the lock stays held.
        shared.lock.word().swap(99, Relaxed);
        let tried = shared.lock.lock_with(Timeout::NonBlocking);
        assert_eq!(tried, Err(LockError::TimedOut));
        shared.reuse();
    };
    Scenario::new(
        "memory_reused_after_failed_try_is_not_marked",
        vec![try_and_reuse],
    )
    .verify(ReusedMemory::is_not_marked)
    .victims(&[0])
}

/// The maximum number of locks that one thread can hold, and one more.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct TooManyLocks {
    held: [RawRobustMutex; MAX_HELD],
    more: ReusedMemory,
}

/// After an attempt to lock that failed because the thread holds the maximum number of locks, the
/// kernel does not write to the lock word if the process dies.
pub fn memory_reused_after_refused_lock_is_not_marked() -> Scenario<TooManyLocks> {
    let lock_all_and_reuse = |shared: &TooManyLocks| {
        for lock in &shared.held {
            assert_eq!(lock.lock_with(Timeout::NonBlocking), Ok(Acquired::Clean));
        }
        let refused = shared.more.lock.lock_with(Timeout::NonBlocking);
        let cause = RobustListError::TooManyLocks(MAX_HELD);
        assert_eq!(refused, Err(LockError::RobustList(cause)));
        shared.more.reuse();
        for lock in &shared.held {
            // SAFETY: this thread locked `lock` above.
            unsafe { lock.unlock() };
        }
    };
    Scenario::new(
        "memory_reused_after_refused_lock_is_not_marked",
        vec![lock_all_and_reuse],
    )
    .verify(|shared| shared.more.is_not_marked())
    .victims(&[0])
}

/// A lock word with the id of the calling thread is not a lock that the thread holds.
///
/// Such a word is that of a thread that no longer exists. A locker with a timeout waits.
pub fn id_in_the_word_is_no_proof_of_ownership() -> Scenario<RawRobustMutex> {
    let alone = |lock: &RawRobustMutex| {
        assert_eq!(lock.lock_with(Timeout::Infinite), Ok(Acquired::Clean));
        // SAFETY: this thread locked `lock` above.
        unsafe { lock.unlock() };
        as_owner(|owner| lock.word().swap(owner.id(), Relaxed));
        let tried = lock.lock_with(Timeout::after(Duration::from_micros(50)));
        assert_eq!(tried, Err(LockError::TimedOut));
    };
    Scenario::new("id_in_the_word_is_no_proof_of_ownership", vec![alone])
}

/// A thread that repairs the data after an owner death holds the lock like any other thread.
///
/// The word of the lock contains the id of the thread, without the mark of the dead owner.
pub fn repairing_holder_is_an_ordinary_holder() -> Scenario<RawRobustMutex> {
    let alone = |lock: &RawRobustMutex| {
        assert_eq!(lock.lock_with(Timeout::Infinite), Ok(Acquired::Clean));
        // SAFETY: this thread locked `lock` above.
        unsafe { lock.mark_owner_died() };
        assert_eq!(lock.lock_with(Timeout::Infinite), Ok(Acquired::OwnerDied));
        let word = lock.word().fetch_or(0, Relaxed);
        as_owner(|owner| assert_eq!(word & !WAITERS, owner.id(), "{word:#x}"));
        // SAFETY: this thread locked `lock` above.
        unsafe { lock.unlock() };
        assert_eq!(lock.lock_with(Timeout::Infinite), Ok(Acquired::Clean));
        // SAFETY: this thread locked `lock` above.
        unsafe { lock.unlock() };
    };
    Scenario::new("repairing_holder_is_an_ordinary_holder", vec![alone])
}

/// What a process does with locks that it has leaked. Broken models have other implementations.
pub trait LeakedLocks {
    /// Runs a function as a thread of the process, and waits until the thread has ended.
    fn run_thread(body: impl FnOnce() + Send) {
        run_thread(body);
    }

    /// Releases the locks in memory that is about to be unmapped.
    fn release(addresses: &Range<usize>) {
        // SAFETY: the memory is mapped, and the caller does not use leaked locks in it again. The
        // result does not matter, because the memory stays mapped.
        let _ = unsafe { release_range(addresses) };
    }
}

/// The treatment of leaked locks by the platform.
#[derive(Debug)]
pub struct Platform;

impl LeakedLocks for Platform {}

/// Accounts, and whether a process has finished its transfer through a leaked reference.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct LeakedAccounts {
    accounts: Accounts<RawRobustMutex>,
    has_finished: RaceCell,
}

impl LeakedAccounts {
    /// Locks, and leaks the lock in the middle of a transfer.
    fn leak(&self) {
        self.accounts.lock();
        self.accounts.from.set(self.accounts.from.get() - 1);
    }

    /// Ends the transfer without locking, as a program does through a leaked reference.
    fn finish(&self) {
        self.accounts.to.set(self.accounts.to.get() + 1);
        self.has_finished.set(1);
    }

    /// The addresses of the lock and the accounts.
    fn addresses(&self) -> Range<usize> {
        let start = (&raw const self.accounts).addr();
        start..start + size_of_val(&self.accounts)
    }

    fn transfer(&self) {
        transfer(&self.accounts);
    }

    fn transfer_unless_held(&self) {
        let timeout = Timeout::after(Duration::from_micros(50));
        match self.accounts.lock_with(timeout) {
            Ok(()) => self.accounts.transfer_and_unlock(),
            Err(error) => assert_eq!(error, LockError::TimedOut),
        }
    }
}

/// If a thread leaks a lock and ends, no process acquires the lock while the thread's process
/// lives.
///
/// A process leaks a lock in a thread that ends, and then uses the accounts through a leaked
/// reference. If another process acquires the lock meanwhile, the accesses race. The first process
/// may be killed at any step, also while the lock goes from the thread to the process. The lock
/// must then be free.
pub fn lock_of_ended_thread_stays_locked<P: LeakedLocks>() -> Scenario<LeakedAccounts> {
    let leak = |shared: &LeakedAccounts| {
        P::run_thread(|| shared.leak());
        shared.finish();
    };
    Scenario::new(
        "lock_of_ended_thread_stays_locked",
        vec![leak, LeakedAccounts::transfer_unless_held],
    )
    .verify(
        |shared| match shared.accounts.lock_with(Timeout::NonBlocking) {
            Ok(()) => shared.accounts.unlock(),
            Err(error) => assert!(
                error == LockError::TimedOut && shared.has_finished.get() == 1,
                "the process died, but the lock stays locked"
            ),
        },
    )
    .choices(4)
    .victims(&[0])
}

/// Dropping the region of a leaked lock reports an owner death to the next locker.
///
/// If the lock stays locked, the other process hangs.
pub fn dropped_region_releases_leaked_lock<P: LeakedLocks>() -> Scenario<LeakedAccounts> {
    let leak_and_drop = |shared: &LeakedAccounts| {
        shared.leak();
        P::release(&shared.addresses());
    };
    Scenario::new(
        "dropped_region_releases_leaked_lock",
        vec![leak_and_drop, LeakedAccounts::transfer],
    )
    .verify(|shared| assert!((1..=2).contains(&shared.accounts.transfers())))
    .choices(4)
    .victims(&[0])
}

/// Dropping a region also releases the locks that threads had leaked before they ended.
pub fn dropped_region_releases_lock_of_ended_thread<P: LeakedLocks>() -> Scenario<LeakedAccounts> {
    let leak_and_drop = |shared: &LeakedAccounts| {
        P::run_thread(|| shared.leak());
        P::release(&shared.addresses());
    };
    Scenario::new(
        "dropped_region_releases_lock_of_ended_thread",
        vec![leak_and_drop, LeakedAccounts::transfer],
    )
    .verify(|shared| assert!((1..=2).contains(&shared.accounts.transfers())))
    .choices(4)
    .victims(&[0])
}

/// A lock that its holder marks as owner-died reports an owner death to exactly one locker.
///
/// The holder leaves half a transfer. Two processes lock, and the lock shows that it is held.
pub fn marked_owner_death_is_reported_once() -> Scenario<Accounts<RawRobustMutex>> {
    let marking = |shared: &Accounts<RawRobustMutex>| {
        shared.lock();
        assert!(shared.lock.is_locked());
        shared.from.set(shared.from.get() - 1);
        // SAFETY: this process locked `lock` above, and does not use the accounts after this call.
        unsafe { shared.lock.mark_owner_died() };
    };
    let name = "marked_owner_death_is_reported_once";
    Scenario::new(name, vec![marking, transfer]).verify(|shared| {
        let transfers = shared.transfers();
        assert!((1..=2).contains(&transfers), "{transfers} transfers");
        assert!(!shared.lock.is_locked());
    })
}
