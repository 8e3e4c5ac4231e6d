//! The swept operations on locks, semaphores and condition variables.

use super::watchdog::PATIENCE;
use super::{NO_OPERATION, Objects, Operation, SUM};
use interlatch::platform::Ordering::Relaxed;
use interlatch::sync::{
    AcquireError, Acquired, LockError, RobustLockError, RobustLockResult, RobustMutexGuard, Timeout,
};
use interlatch_testing::dying::in_dying_thread;
use std::ops::RangeInclusive;

/// The operations on locks, semaphores and condition variables.
pub const OPERATIONS: [Operation; 15] = [
    Operation {
        name: "robust lock, transfer, unlock",
        perform: transfer,
        check: is_consistent,
        ..NO_OPERATION
    },
    Operation {
        name: "robust lock, transfer, unlock: contended",
        prepare: lock_in_parent,
        perform: transfer,
        unblock: unlock_in_parent,
        check: |objects| {
            unlock_in_parent(objects);
            is_consistent(objects);
        },
        ..NO_OPERATION
    },
    Operation {
        name: "robust lock, transfer, unlock: with a waiter",
        perform: transfer,
        peer: |objects| {
            while !objects.lock.is_locked() && objects.is_over.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            is_consistent(objects);
        },
        check: is_consistent,
        ..NO_OPERATION
    },
    Operation {
        name: "robust lock, transfer, unlock: after owner death",
        prepare: die_as_owner,
        perform: transfer,
        check: is_consistent,
        ..NO_OPERATION
    },
    Operation {
        name: "semaphore acquire",
        prepare: release,
        perform: |objects| objects.semaphore.acquire().forget(),
        check: |objects| has_permits(objects, 0..=1),
        ..NO_OPERATION
    },
    Operation {
        name: "semaphore acquire that waits",
        perform: |objects| objects.semaphore.acquire().forget(),
        unblock: release,
        check: |objects| has_permits(objects, 0..=1),
        ..NO_OPERATION
    },
    Operation {
        name: "semaphore release",
        perform: release,
        check: |objects| has_permits(objects, 0..=1),
        ..NO_OPERATION
    },
    Operation {
        name: "semaphore release to a waiter",
        perform: release,
        peer: |objects| {
            // If the child is killed before it releases a permit, the check releases a permit
            // instead.
            let permit = objects.semaphore.acquire_timeout(PATIENCE);
            permit
                .expect("the child or the check releases a permit")
                .forget();
        },
        check: release,
        ..NO_OPERATION
    },
    Operation {
        name: "robust semaphore: acquire, release",
        perform: acquire_and_release,
        check: has_all_permits,
        ..NO_OPERATION
    },
    Operation {
        name: "robust semaphore: acquire, release with waiters",
        perform: acquire_and_release,
        peer: |objects| (0..3).for_each(|_| acquire_and_release(objects)),
        check: has_all_permits,
        ..NO_OPERATION
    },
    Operation {
        name: "robust semaphore pair: write, finish",
        perform: |objects| {
            unwrap_turn(objects.pair.write())
                .finish()
                .expect("the buffer has room")
        },
        check: has_all_slots,
        ..NO_OPERATION
    },
    Operation {
        name: "robust semaphore pair: read, finish",
        prepare: |objects| {
            unwrap_turn(objects.pair.write())
                .finish()
                .expect("the buffer has room")
        },
        perform: |objects| {
            unwrap_turn(objects.pair.read())
                .finish()
                .expect("the buffer has room")
        },
        check: has_all_slots,
        ..NO_OPERATION
    },
    Operation {
        name: "robust semaphore pair: turn dropped",
        perform: |objects| drop(unwrap_turn(objects.pair.write())),
        check: has_all_slots,
        ..NO_OPERATION
    },
    Operation {
        name: "condvar wait on a robust lock",
        perform: decrement_items,
        // The parent adds one item for the child and one item for the peer.
        unblock: |objects| (0..2).for_each(|_| increment_items(objects)),
        peer: decrement_items,
        check: increment_items,
        ..NO_OPERATION
    },
    Operation {
        name: "condvar notify_one, notify_all",
        perform: |objects| {
            objects.changed.notify_one();
            objects.changed.notify_all();
        },
        peer: |objects| {
            let mut tokens = objects.tokens.lock();
            let waited = objects
                .changed
                .wait_timeout_while(&mut tokens, PATIENCE, |tokens| *tokens == 0);
            assert!(!waited.timed_out(), "the check notifies the waiter");
        },
        check: |objects| {
            *objects.tokens.lock() += 1;
            objects.changed.notify_all();
        },
        ..NO_OPERATION
    },
];

fn release(objects: &Objects) {
    objects.semaphore.release(1).expect("the permits fit");
}

/// Checks that the number of permits is in this range, and that the semaphore works.
fn has_permits(objects: &Objects, permits: RangeInclusive<u32>) {
    let found = objects.semaphore.permits();
    assert!(permits.contains(&found), "{found} permits");
    for _ in 0..found {
        objects
            .semaphore
            .try_acquire()
            .expect("the permit was counted")
            .forget();
    }
    release(objects);
    let permit = objects.semaphore.acquire_timeout(PATIENCE);
    permit.expect("a permit was just released").forget();
}

/// Repairs the mutex after owner death: a single store changes the number, so the number is always
/// consistent.
fn repaired<'a>(locked: RobustLockResult<'a, u64>) -> RobustMutexGuard<'a, u64> {
    locked
        .or_else(RobustLockError::mark_consistent)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn decrement_items(objects: &Objects) {
    let timeout = Timeout::after(PATIENCE);
    let mut items = repaired(objects.items.lock_with(timeout));
    while *items == 0 {
        let (locked, is_in_time) = objects.arrived.wait_robust(items, timeout);
        items = repaired(locked);
        assert!(
            is_in_time || *items > 0,
            "the parent adds an item for each waiter"
        );
    }
    *items -= 1;
}

fn increment_items(objects: &Objects) {
    *repaired(objects.items.lock_with(Timeout::after(PATIENCE))) += 1;
    objects.arrived.notify_one();
}

fn unwrap_turn<T>(turn: Result<T, AcquireError>) -> T {
    turn.unwrap_or_else(|error| panic!("{error}"))
}

/// Checks that readers or writers can acquire each of the two slots.
fn has_all_slots(objects: &Objects) {
    let readers = [(); 2].map(|()| objects.pair.try_read());
    let writers = [(); 2].map(|()| objects.pair.try_write());
    let available = readers.iter().chain(&writers).flatten().count();
    assert_eq!(available, 2, "slots");
}

fn acquire_and_release(objects: &Objects) {
    let permit = objects.permits.acquire_timeout(PATIENCE);
    assert!(permit.is_ok(), "{permit:?}");
}

fn has_all_permits(objects: &Objects) {
    let permits = [(); 2].map(|()| objects.permits.acquire_timeout(PATIENCE));
    assert!(permits.iter().all(Result::is_ok), "{permits:?}");
}

/// Locks `lock`, and repairs the accounts after owner death.
fn lock(objects: &Objects) -> Result<(), LockError> {
    let [from, to] = &objects.accounts;
    match objects.lock.lock_with(Timeout::after(PATIENCE))? {
        Acquired::Clean => {
            let sum = from.load(Relaxed) + to.load(Relaxed);
            assert_eq!(
                sum, SUM,
                "an incomplete transfer without a reported owner death"
            );
        }
        Acquired::OwnerDied => to.store(SUM - from.load(Relaxed), Relaxed),
    }
    Ok(())
}

fn unlock(objects: &Objects) {
    // SAFETY: every caller holds `lock`.
    unsafe { objects.lock.unlock() };
}

fn transfer(objects: &Objects) {
    lock(objects).expect("the owner unlocks or dies");
    let [from, to] = &objects.accounts;
    from.store(from.load(Relaxed) - 1, Relaxed);
    to.store(to.load(Relaxed) + 1, Relaxed);
    unlock(objects);
}

fn is_consistent(objects: &Objects) {
    lock(objects).unwrap_or_else(|error| panic!("{error}"));
    unlock(objects);
    let again = objects.lock.lock_with(Timeout::after(PATIENCE));
    assert_eq!(again, Ok(Acquired::Clean), "the accounts were repaired");
    unlock(objects);
}

fn lock_in_parent(objects: &Objects) {
    lock(objects).expect("the lock is free");
    objects.is_held.store(1, Relaxed);
}

fn unlock_in_parent(objects: &Objects) {
    if objects.is_held.swap(0, Relaxed) == 1 {
        unlock(objects);
    }
}

fn die_as_owner(objects: &Objects) {
    let holder = || {
        lock(objects).expect("the lock is free");
        objects.accounts[0].fetch_sub(1, Relaxed);
    };
    in_dying_thread(holder);
}

/// Runs the one-time initialization, which is not swept.
pub fn warm(objects: &Objects) {
    transfer(objects);
    acquire_and_release(objects);
    has_all_slots(objects);
    increment_items(objects);
    decrement_items(objects);
    release(objects);
    objects.semaphore.acquire().forget();
}
