//! The promises of a counting semaphore.

use super::{RaceCell, Scenario, Stage, distant_timeout, expired_timeouts, initial, short_timeout};
use interlatch::platform::{AtomicU32, Deadline, Ordering, ShmSafe};
use interlatch::sync::{MAX_PERMITS, RawSemaphore, Semaphore, Timeout};
use std::time::Duration;

/// Three semaphores, which start with zero, one and two permits, and numbers that participants
/// record.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct SemaphoreState<P: RawSemaphore> {
    empty: P,
    #[shm(initial = with_permits::<P>(1))]
    one: P,
    #[shm(initial = with_permits::<P>(2))]
    two: P,
    number: RaceCell,
    inside: AtomicU32,
    acquired: [RaceCell; 2],
}

fn with_permits<P: RawSemaphore + ShmSafe>(permits: u32) -> P {
    // SAFETY: no process uses the semaphore before it is in its place.
    let semaphore = unsafe { initial::<P>() };
    semaphore.release(permits).expect("few permits");
    semaphore
}

/// Runs every scenario of a semaphore.
pub fn all<P: RawSemaphore + ShmSafe + 'static>(stage: &mut impl Stage) {
    all_of_any_semaphore::<P>(stage);
    stage.run(acquirer_death_blocks_no_other_acquirer::<P>());
    stage.run(releaser_death_blocks_no_acquirer::<P>());
    stage.run(rejects_overflow::<P>());
}

/// Runs every scenario of the guards and methods that only [`Semaphore`] has.
pub fn all_of_semaphore(stage: &mut impl Stage) {
    stage.run(guards_exclude_with_one_permit(2));
    stage.run(guards_exclude_with_one_permit(3));
    stage.run(every_acquire_method_acquires());
    stage.run(acquisitions_of_every_kind_exclude::<Semaphore>());
}

/// Runs the scenarios that even a semaphore in a pipe can run.
///
/// The capacity of a pipe is below [`MAX_PERMITS`], and the model of a pipe does not support killed
/// processes.
pub fn all_of_any_semaphore<P: RawSemaphore + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(publishes_writes::<P>());
    stage.run(excludes_with_one_permit::<P>(2));
    stage.run(excludes_with_one_permit::<P>(3));
    stage.run(admits_no_more_than_its_permits::<P>());
    stage.run(each_release_wakes_a_waiter::<P>());
    stage.run(concurrent_releases_wake_two_waiters::<P>());
    stage.run(release_of_two_wakes_two_waiters::<P>());
    stage.run(timed_out_acquirer_takes_no_permit::<P>());
    stage.run(later_release_wakes_the_last_waiter::<P>());
    stage.run(acquire_some_leaves_the_rest_to_other_waiters::<P>());
    stage.run(concurrent_acquire_some_takes_each_permit_once::<P>());
    stage.run(counts_each_permit::<P>());
    stage.run(acquire_some_takes_the_available_permits::<P>());
    stage.run(handles_extreme_timeouts::<P>());
}

fn acquire<P: RawSemaphore>(semaphore: &P) {
    while !semaphore.acquire_with(Timeout::Infinite) {}
}

fn release<P: RawSemaphore>(semaphore: &P, count: u32) {
    semaphore.release(count).expect("far below the maximum");
}

fn wait<P: RawSemaphore>(shared: &SemaphoreState<P>) {
    acquire(&shared.empty);
}

/// If a waiter is killed at any step, the other waiter gets a permit.
///
/// The first of two waiters is killed while it sleeps or just after it was woken. Two permits are
/// released one after the other. If the killed waiter has consumed a wake-up and the wake-up is not
/// repeated, the other waiter hangs.
pub fn acquirer_death_blocks_no_other_acquirer<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let release_twice = |shared: &SemaphoreState<P>| {
        release(&shared.empty, 1);
        release(&shared.empty, 1);
    };
    Scenario::new(
        "acquirer_death_blocks_no_other_acquirer",
        vec![wait, wait, release_twice],
    )
    .choices(10)
    .victims(&[0])
}

/// If a releaser is killed at any step, a waiter gets the permit of the other releaser.
///
/// The first of two releasers is killed, possibly between its release and its wake call.
pub fn releaser_death_blocks_no_acquirer<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let release_one = |shared: &SemaphoreState<P>| release(&shared.empty, 1);
    Scenario::new(
        "releaser_death_blocks_no_acquirer",
        vec![release_one, wait, release_one],
    )
    .choices(10)
    .victims(&[0])
}

/// An acquirer sees the writes that precede the release of its permit.
///
/// One process writes an unsynchronized number and releases a permit. Another process acquires the
/// permit and reads the number. A missing Acquire or Release causes a data race.
pub fn publishes_writes<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let writer = |shared: &SemaphoreState<P>| {
        shared.number.set(7);
        release(&shared.empty, 1);
    };
    let reader = |shared: &SemaphoreState<P>| {
        acquire(&shared.empty);
        assert_eq!(shared.number.get(), 7);
    };
    Scenario::new("publishes_writes", vec![writer, reader])
}

/// A semaphore with one permit provides mutual exclusion like a lock.
///
/// The processes increment an unsynchronized number between acquire and release.
pub fn excludes_with_one_permit<P: RawSemaphore>(processes: usize) -> Scenario<SemaphoreState<P>> {
    let increment = |shared: &SemaphoreState<P>| {
        acquire(&shared.one);
        shared.number.increment();
        release(&shared.one, 1);
    };
    let verify = match processes {
        2 => |shared: &SemaphoreState<P>| assert_eq!(shared.number.get(), 2),
        _ => |shared: &SemaphoreState<P>| assert_eq!(shared.number.get(), 3),
    };
    let participants = vec![increment as fn(&SemaphoreState<P>); processes.clamp(2, 3)];
    Scenario::new("excludes_with_one_permit", participants)
        .verify(verify)
        .choices(4)
}

/// Guards of a semaphore with one permit provide mutual exclusion like a lock.
///
/// A guard remembers the state that its acquire wrote, and the first compare-exchange of its
/// release expects that state.
pub fn guards_exclude_with_one_permit(processes: usize) -> Scenario<SemaphoreState<Semaphore>> {
    let increment = |shared: &SemaphoreState<Semaphore>| {
        let permit = shared.one.acquire();
        shared.number.increment();
        drop(permit);
    };
    let verify = match processes {
        2 => |shared: &SemaphoreState<Semaphore>| assert_eq!(shared.number.get(), 2),
        _ => |shared: &SemaphoreState<Semaphore>| assert_eq!(shared.number.get(), 3),
    };
    let participants = vec![increment as fn(&SemaphoreState<Semaphore>); processes.clamp(2, 3)];
    Scenario::new("guards_exclude_with_one_permit", participants)
        .verify(verify)
        .choices(4)
}

/// No more processes hold a permit than the semaphore has permits.
///
/// Three processes compete for two permits and count the holders.
pub fn admits_no_more_than_its_permits<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let hold_permit = |shared: &SemaphoreState<P>| {
        acquire(&shared.two);
        let inside = shared.inside.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(inside <= 2, "{inside} processes hold 2 permits");
        shared.inside.fetch_sub(1, Ordering::Relaxed);
        release(&shared.two, 1);
    };
    Scenario::new("admits_no_more_than_its_permits", vec![hold_permit; 3]).choices(4)
}

/// Each of two releases by one process wakes a waiter.
///
/// Two processes wait. If the first release leaves a state in which no waiter is recorded, the
/// second waiter hangs.
pub fn each_release_wakes_a_waiter<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let release_twice = |shared: &SemaphoreState<P>| {
        release(&shared.empty, 1);
        release(&shared.empty, 1);
    };
    Scenario::new(
        "each_release_wakes_a_waiter",
        vec![wait, wait, release_twice],
    )
    .choices(4)
}

/// Releases by two processes wake two waiters.
///
/// The releases are concurrent. If one of them loses its permit or its wake-up, a waiter hangs.
pub fn concurrent_releases_wake_two_waiters<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let release_one = |shared: &SemaphoreState<P>| release(&shared.empty, 1);
    let participants = vec![wait, wait, release_one, release_one];
    Scenario::new("concurrent_releases_wake_two_waiters", participants).choices(4)
}

/// A release of two permits wakes two waiters.
///
/// A waiter that was woken must wake the next waiter, or the release must wake both.
pub fn release_of_two_wakes_two_waiters<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let release_two = |shared: &SemaphoreState<P>| release(&shared.empty, 2);
    Scenario::new(
        "release_of_two_wakes_two_waiters",
        vec![wait, wait, release_two],
    )
    .choices(4)
}

/// A later release wakes a waiter that is still asleep after earlier releases.
///
/// Three processes wait, and one process releases two permits and then one. If the first two
/// acquirers clear the mark that the third waiter set, the third waiter hangs.
pub fn later_release_wakes_the_last_waiter<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let release_three = |shared: &SemaphoreState<P>| {
        release(&shared.empty, 2);
        release(&shared.empty, 1);
    };
    let participants = vec![wait, wait, wait, release_three];
    Scenario::new("later_release_wakes_the_last_waiter", participants).choices(8)
}

/// A semaphore hands out exactly as many permits as were released.
pub fn counts_each_permit<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let count = |shared: &SemaphoreState<P>| {
        for given in [1, 2, 3, 5] {
            release(&shared.empty, given - 1);
            release(&shared.empty, 1);
            for _ in 0..given {
                let is_acquired = shared.empty.acquire_with(Timeout::NonBlocking);
                assert!(is_acquired, "a released permit is lost");
            }
            let is_acquired = shared.empty.acquire_with(Timeout::NonBlocking);
            assert!(!is_acquired, "more permits were acquired than released");
        }
    };
    Scenario::new("counts_each_permit", vec![count])
}

/// `acquire_some` acquires at most the requested number of permits, and other waiters get the rest.
///
/// One process waits for two permits, and another process waits for one. Three permits are
/// released. If the first process takes too many permits or wakes no other waiter, the second
/// process hangs.
pub fn acquire_some_leaves_the_rest_to_other_waiters<P: RawSemaphore>()
-> Scenario<SemaphoreState<P>> {
    let wait_for_two = |shared: &SemaphoreState<P>| {
        let mut taken = 0;
        while taken < 2 {
            let more = shared.empty.acquire_some_with(2 - taken, Timeout::Infinite);
            taken += more;
            assert!(taken <= 2, "acquired {more} more, {taken} in all");
        }
    };
    let release_three = |shared: &SemaphoreState<P>| release(&shared.empty, 3);
    let participants = vec![wait_for_two, wait, release_three];
    Scenario::new(
        "acquire_some_leaves_the_rest_to_other_waiters",
        participants,
    )
    .choices(4)
}

/// Two concurrent calls of `acquire_some` together acquire every available permit exactly once.
///
/// Two processes ask for two permits each, and two permits are available.
pub fn concurrent_acquire_some_takes_each_permit_once<P: RawSemaphore>()
-> Scenario<SemaphoreState<P>> {
    fn take_some<P: RawSemaphore, const INDEX: usize>(shared: &SemaphoreState<P>) {
        let taken = shared.two.acquire_some_with(2, Timeout::NonBlocking);
        shared.acquired[INDEX].set(taken.into());
    }
    let participants = vec![
        take_some::<P, 0> as fn(&SemaphoreState<P>),
        take_some::<P, 1>,
    ];
    Scenario::new(
        "concurrent_acquire_some_takes_each_permit_once",
        participants,
    )
    .verify(|shared| {
        let [one, other] = &shared.acquired;
        assert_eq!(one.get() + other.get(), 2);
    })
}

/// `acquire_some` acquires the available permits, up to the requested number.
pub fn acquire_some_takes_the_available_permits<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let take = |shared: &SemaphoreState<P>| {
        let some = |max, timeout| shared.empty.acquire_some_with(max, timeout);
        assert_eq!(some(1, Timeout::NonBlocking), 0);
        assert_eq!(some(0, Timeout::Infinite), 0, "zero permits need no wait");
        release(&shared.empty, 5);
        assert_eq!(some(0, Timeout::Infinite), 0);
        assert_eq!(some(2, Timeout::Infinite), 2);
        assert_eq!(some(9, Timeout::NonBlocking), 3);
        assert_eq!(some(9, expired_timeouts()[0]), 0);
        release(&shared.empty, 1);
        assert_eq!(some(u32::MAX, distant_timeout()), 1);
    };
    Scenario::new("acquire_some_takes_the_available_permits", vec![take])
}

/// Each acquiring method of [`Semaphore`] acquires one permit.
///
/// The guard releases the permit when it is dropped, unless it was forgotten.
pub fn every_acquire_method_acquires() -> Scenario<Semaphore> {
    let alone = |semaphore: &Semaphore| {
        let second = Duration::from_secs(1);
        semaphore.release(2).expect("far below the maximum");
        drop(semaphore.acquire());
        drop(semaphore.try_acquire().expect("two permits are available"));
        let permit = semaphore.acquire_timeout(second);
        drop(permit.expect("two permits are available"));
        drop(
            semaphore
                .acquire_deadline(Deadline::after(second))
                .expect("two permits are available"),
        );
        assert_eq!(semaphore.permits(), 2, "a dropped guard released no permit");
        semaphore.acquire().forget();
        assert_eq!(semaphore.permits(), 1);
        let last = semaphore.acquire();
        assert_eq!(semaphore.permits(), 0);
        assert!(semaphore.try_acquire().is_none(), "no permit is available");
        drop(last);
    };
    Scenario::new("every_acquire_method_acquires", vec![alone])
        .verify(|semaphore| assert_eq!(semaphore.permits(), 1))
}

/// A semaphore whose permits are also held by guards.
pub trait GuardedSemaphore: RawSemaphore + ShmSafe + 'static {
    /// Acquires a guard, calls `work`, and drops or forgets the guard. Returns false if no permit
    /// was available in time.
    fn hold(&self, timeout: Timeout, is_forgotten: bool, work: impl FnOnce()) -> bool;
}

impl GuardedSemaphore for Semaphore {
    fn hold(&self, timeout: Timeout, is_forgotten: bool, work: impl FnOnce()) -> bool {
        let permit = match timeout {
            Timeout::NonBlocking => self.try_acquire(),
            Timeout::At(deadline) => self.acquire_deadline(deadline),
            Timeout::Infinite => Some(self.acquire()),
        };
        let Some(permit) = permit else { return false };
        work();
        if is_forgotten {
            permit.forget();
        }
        true
    }
}

/// Acquisitions by guards, by number, with a timeout and without waiting exclude each other.
///
/// One process forgets a guard, releases its permit by number, and tries once more. The other
/// process acquires a batch with a timeout, and then waits for a guard. If one way leaves a state
/// that another way misreads, the increments race, a permit is lost, or a waiter hangs.
pub fn acquisitions_of_every_kind_exclude<P: GuardedSemaphore>() -> Scenario<SemaphoreState<P>> {
    let guards = |shared: &SemaphoreState<P>| {
        let increment = || shared.number.increment();
        shared.one.hold(Timeout::Infinite, true, increment);
        release(&shared.one, 1);
        let is_held = shared.one.hold(Timeout::NonBlocking, false, increment);
        shared.acquired[0].set(is_held.into());
    };
    let batches = |shared: &SemaphoreState<P>| {
        let count = shared.one.acquire_some_with(2, short_timeout());
        assert!(count <= 1, "acquired {count} of 1 permit");
        if count == 1 {
            shared.number.increment();
            release(&shared.one, count);
        }
        shared.acquired[1].set(count.into());
        let increment = || shared.number.increment();
        shared.one.hold(Timeout::Infinite, false, increment);
    };
    let participants = vec![guards as fn(&SemaphoreState<P>), batches];
    Scenario::new("acquisitions_of_every_kind_exclude", participants)
        .verify(|shared| {
            let [one, other] = &shared.acquired;
            assert_eq!(shared.number.get(), 2 + one.get() + other.get());
            let left = shared.one.acquire_some_with(2, Timeout::NonBlocking);
            assert_eq!(left, 1, "a permit is lost or was added");
        })
        .choices(4)
}

/// An acquirer that times out acquires no permit, and consumes no wake-up that another waiter
/// needs.
///
/// One of two waiters has a timeout, and one permit is released. If the timed-out waiter keeps the
/// permit or the wake-up, the other waiter hangs.
pub fn timed_out_acquirer_takes_no_permit<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let with_timeout = |shared: &SemaphoreState<P>| {
        if shared
            .empty
            .acquire_with(Timeout::after(Duration::from_micros(50)))
        {
            release(&shared.empty, 1);
        }
    };
    let release_one = |shared: &SemaphoreState<P>| release(&shared.empty, 1);
    let participants = vec![with_timeout, wait, release_one];
    Scenario::new("timed_out_acquirer_takes_no_permit", participants).choices(4)
}

/// A release beyond [`MAX_PERMITS`] is an error and changes nothing.
pub fn rejects_overflow<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let overflow = |shared: &SemaphoreState<P>| {
        let overflow = shared
            .one
            .release(MAX_PERMITS)
            .expect_err("one permit is available already");
        assert_eq!((overflow.held, overflow.added), (1, MAX_PERMITS));
        acquire(&shared.one);
        let is_acquired = shared.one.acquire_with(Timeout::NonBlocking);
        assert!(!is_acquired, "the failed release added a permit");
        release(&shared.one, MAX_PERMITS - 1);
        release(&shared.one, 1);
        let overflow = shared.one.release(1).expect_err("the maximum is reached");
        assert_eq!((overflow.held, overflow.added), (MAX_PERMITS, 1));
    };
    Scenario::new("rejects_overflow", vec![overflow])
}

/// An acquirer with an expired timeout tries once without waiting. An acquirer with the longest
/// timeout acquires an available permit.
pub fn handles_extreme_timeouts<P: RawSemaphore>() -> Scenario<SemaphoreState<P>> {
    let alone = |shared: &SemaphoreState<P>| {
        for timeout in expired_timeouts() {
            let is_acquired = shared.one.acquire_with(timeout);
            assert!(is_acquired, "the available permit was not acquired");
            release(&shared.one, 1);
        }
        let is_acquired = shared.one.acquire_with(distant_timeout());
        assert!(is_acquired, "the available permit was not acquired");
        for timeout in expired_timeouts() {
            let is_acquired = shared.one.acquire_with(timeout);
            assert!(!is_acquired, "a permit was acquired that is not available");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![alone])
}
