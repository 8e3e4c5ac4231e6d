//! What a counting semaphore promises.

use super::{RaceCell, Scenario, Stage, centuries, spent};
use interlatch::platform::{AtomicU32, Deadline, Ordering, ShmSafe};
use interlatch::sync::{MAX_PERMITS, RawSemaphore, Semaphore, Timeout};
use std::time::Duration;

/// A semaphore without permits, one with one, and numbers beside them.
#[repr(C)]
#[derive(Debug)]
pub struct EndpointRef<P> {
    empty: P,
    one: P,
    two: P,
    number: RaceCell,
    inside: AtomicU32,
    acquired: [RaceCell; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<P: RawSemaphore + ShmSafe> ShmSafe for EndpointRef<P> {
    fn initial() -> Self {
        let with = |permits| {
            let semaphore = P::initial();
            semaphore.release(permits).expect("few permits");
            semaphore
        };
        Self {
            empty: P::initial(),
            one: with(1),
            two: with(2),
            number: RaceCell::new(0),
            inside: AtomicU32::new(0),
            acquired: [RaceCell::new(0), RaceCell::new(0)],
        }
    }
}

/// Every scenario of a semaphore.
pub fn all<P: RawSemaphore + ShmSafe + 'static>(stage: &mut impl Stage) {
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
    stage.run(rejects_overflow::<P>());
    stage.run(handles_extreme_timeouts::<P>());
}

fn acquire<P: RawSemaphore>(semaphore: &P) {
    while !semaphore.acquire_with(Timeout::Infinite) {}
}

fn release<P: RawSemaphore>(semaphore: &P, count: u32) {
    semaphore.release(count).expect("far from the maximum");
}

fn wait<P: RawSemaphore>(shared: &EndpointRef<P>) {
    acquire(&shared.empty);
}

/// A waiter is killed, asleep or woken: of two permits the other waiter gets one.
pub fn acquirer_death_blocks_no_other_acquirer<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let release_twice = |shared: &EndpointRef<P>| {
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

/// A releaser is killed, before or after it has released: a waiter gets what the other one releases.
pub fn releaser_death_blocks_no_acquirer<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let release_one = |shared: &EndpointRef<P>| release(&shared.empty, 1);
    Scenario::new(
        "releaser_death_blocks_no_acquirer",
        vec![release_one, wait, release_one],
    )
    .choices(10)
    .victims(&[0])
}

/// What was written before a release is seen after the acquire.
pub fn publishes_writes<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let writer = |shared: &EndpointRef<P>| {
        shared.number.set(7);
        release(&shared.empty, 1);
    };
    let reader = |shared: &EndpointRef<P>| {
        acquire(&shared.empty);
        assert_eq!(shared.number.get(), 7);
    };
    Scenario::new("publishes_writes", vec![writer, reader])
}

/// With one permit it is a lock.
pub fn excludes_with_one_permit<P: RawSemaphore>(processes: usize) -> Scenario<EndpointRef<P>> {
    let increment = |shared: &EndpointRef<P>| {
        acquire(&shared.one);
        shared.number.increment();
        release(&shared.one, 1);
    };
    let verify = match processes {
        2 => |shared: &EndpointRef<P>| assert_eq!(shared.number.get(), 2),
        _ => |shared: &EndpointRef<P>| assert_eq!(shared.number.get(), 3),
    };
    let participants = vec![increment as fn(&EndpointRef<P>); processes.clamp(2, 3)];
    Scenario::new("excludes_with_one_permit", participants)
        .verify(verify)
        .choices(4)
}

/// The same with guards, which begin their release with what their acquire left.
pub fn guards_exclude_with_one_permit(processes: usize) -> Scenario<EndpointRef<Semaphore>> {
    let increment = |shared: &EndpointRef<Semaphore>| {
        let permit = shared.one.acquire();
        shared.number.increment();
        drop(permit);
    };
    let verify = match processes {
        2 => |shared: &EndpointRef<Semaphore>| assert_eq!(shared.number.get(), 2),
        _ => |shared: &EndpointRef<Semaphore>| assert_eq!(shared.number.get(), 3),
    };
    let participants = vec![increment as fn(&EndpointRef<Semaphore>); processes.clamp(2, 3)];
    Scenario::new("guards_exclude_with_one_permit", participants)
        .verify(verify)
        .choices(4)
}

/// Three want in, two permits: never three inside.
pub fn admits_no_more_than_its_permits<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let visit = |shared: &EndpointRef<P>| {
        acquire(&shared.two);
        let inside = shared.inside.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(inside <= 2, "{inside} inside with 2 permits");
        shared.inside.fetch_sub(1, Ordering::Relaxed);
        release(&shared.two, 1);
    };
    Scenario::new("admits_no_more_than_its_permits", vec![visit, visit, visit]).choices(4)
}

/// Two waiters, two releases one after the other: both go on.
pub fn each_release_wakes_a_waiter<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let release_twice = |shared: &EndpointRef<P>| {
        release(&shared.empty, 1);
        release(&shared.empty, 1);
    };
    Scenario::new("each_release_wakes_a_waiter", vec![wait, wait, release_twice]).choices(4)
}

/// Two waiters, one release by each of two others: both go on.
pub fn concurrent_releases_wake_two_waiters<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let release_one = |shared: &EndpointRef<P>| release(&shared.empty, 1);
    let participants = vec![wait, wait, release_one, release_one];
    Scenario::new("concurrent_releases_wake_two_waiters", participants).choices(4)
}

/// Two waiters, one release of two: both go on.
pub fn release_of_two_wakes_two_waiters<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let release_two = |shared: &EndpointRef<P>| release(&shared.empty, 2);
    Scenario::new(
        "release_of_two_wakes_two_waiters",
        vec![wait, wait, release_two],
    )
    .choices(4)
}

/// Three waiters, a release of two and then of one: the two that go first leave the third to be
/// found.
pub fn later_release_wakes_the_last_waiter<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let release_three = |shared: &EndpointRef<P>| {
        release(&shared.empty, 2);
        release(&shared.empty, 1);
    };
    let participants = vec![wait, wait, wait, release_three];
    Scenario::new("later_release_wakes_the_last_waiter", participants).choices(8)
}

/// As many can be taken as were given, and not one more.
pub fn counts_each_permit<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let count = |shared: &EndpointRef<P>| {
        for given in [1, 2, 3, 5] {
            release(&shared.empty, given - 1);
            release(&shared.empty, 1);
            for _ in 0..given {
                assert!(
                    shared.empty.acquire_with(Timeout::NonBlocking),
                    "there is one"
                );
            }
            assert!(
                !shared.empty.acquire_with(Timeout::NonBlocking),
                "all are out"
            );
        }
    };
    Scenario::new("counts_each_permit", vec![count])
}

/// Who waits for some takes no more than that, and the next waiter gets what is left.
pub fn acquire_some_leaves_the_rest_to_other_waiters<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let wait_for_two = |shared: &EndpointRef<P>| {
        let mut taken = 0;
        while taken < 2 {
            let more = shared.empty.acquire_some_with(2 - taken, Timeout::Infinite);
            taken += more;
            assert!(taken <= 2, "{more} more, {taken} in all");
        }
    };
    let release_three = |shared: &EndpointRef<P>| release(&shared.empty, 3);
    let participants = vec![wait_for_two, wait, release_three];
    Scenario::new("acquire_some_leaves_the_rest_to_other_waiters", participants).choices(4)
}

/// Two ask for some: each permit is taken once, and none is left.
pub fn concurrent_acquire_some_takes_each_permit_once<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    fn take<P: RawSemaphore, const ME: usize>(shared: &EndpointRef<P>) {
        let taken = shared.two.acquire_some_with(2, Timeout::NonBlocking);
        shared.acquired[ME].set(taken.into());
    }
    let participants = vec![take::<P, 0> as fn(&EndpointRef<P>), take::<P, 1>];
    Scenario::new("concurrent_acquire_some_takes_each_permit_once", participants).verify(|shared| {
        let [one, other] = &shared.acquired;
        assert_eq!(one.get() + other.get(), 2);
    })
}

/// Without anybody else, as many as asked for, or as there are.
pub fn acquire_some_takes_the_available_permits<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let take = |shared: &EndpointRef<P>| {
        let some = |most, timeout| shared.empty.acquire_some_with(most, timeout);
        assert_eq!(some(1, Timeout::NonBlocking), 0);
        assert_eq!(some(0, Timeout::Infinite), 0, "none is there at once");
        release(&shared.empty, 5);
        assert_eq!(some(0, Timeout::Infinite), 0);
        assert_eq!(some(2, Timeout::Infinite), 2);
        assert_eq!(some(9, Timeout::NonBlocking), 3);
        assert_eq!(some(9, spent()[0]), 0);
        release(&shared.empty, 1);
        assert_eq!(some(u32::MAX, centuries()), 1);
    };
    Scenario::new("acquire_some_takes_the_available_permits", vec![take])
}

/// The semaphore's own functions: each takes a permit, and its guard gives it back unless it is
/// forgotten.
pub fn every_acquire_method_acquires() -> Scenario<Semaphore> {
    let acquires = |semaphore: &Semaphore| {
        let second = Duration::from_secs(1);
        semaphore.release(2).expect("far from the maximum");
        drop(semaphore.acquire());
        drop(semaphore.try_acquire().expect("there are two"));
        drop(semaphore.acquire_timeout(second).expect("there are two"));
        drop(
            semaphore
                .acquire_deadline(Deadline::after(second))
                .expect("there are two"),
        );
        assert_eq!(semaphore.permits(), 2, "each was given back");
        semaphore.acquire().forget();
        assert_eq!(semaphore.permits(), 1);
        let last = semaphore.acquire();
        assert_eq!(semaphore.permits(), 0);
        assert!(semaphore.try_acquire().is_none(), "all are out");
        drop(last);
    };
    Scenario::new("every_acquire_method_acquires", vec![acquires])
        .verify(|semaphore| assert_eq!(semaphore.permits(), 1))
}

/// An acquirer that gives up holds nothing, and swallows nobody's wake-up.
pub fn timed_out_acquirer_takes_no_permit<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let impatient = |shared: &EndpointRef<P>| {
        if shared
            .empty
            .acquire_with(Timeout::after(Duration::from_micros(50)))
        {
            release(&shared.empty, 1);
        }
    };
    let release_one = |shared: &EndpointRef<P>| release(&shared.empty, 1);
    let participants = vec![impatient, wait, release_one];
    Scenario::new("timed_out_acquirer_takes_no_permit", participants).choices(4)
}

/// A release beyond the maximum is an error and changes nothing.
pub fn rejects_overflow<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let overflow = |shared: &EndpointRef<P>| {
        let overflow = shared
            .one
            .release(MAX_PERMITS)
            .expect_err("one permit is there already");
        assert_eq!((overflow.held, overflow.added), (1, MAX_PERMITS));
        acquire(&shared.one);
        assert!(
            !shared.one.acquire_with(Timeout::NonBlocking),
            "no more than there were"
        );
        release(&shared.one, MAX_PERMITS - 1);
        release(&shared.one, 1);
        let overflow = shared.one.release(1).expect_err("as many as there can be");
        assert_eq!((overflow.held, overflow.added), (MAX_PERMITS, 1));
    };
    Scenario::new("rejects_overflow", vec![overflow])
}

/// A timeout of zero and a deadline in the past try once; one of centuries takes what is there.
pub fn handles_extreme_timeouts<P: RawSemaphore>() -> Scenario<EndpointRef<P>> {
    let odd = |shared: &EndpointRef<P>| {
        for timeout in spent() {
            assert!(shared.one.acquire_with(timeout), "there is a permit");
            release(&shared.one, 1);
        }
        assert!(shared.one.acquire_with(centuries()), "there is a permit");
        for timeout in spent() {
            assert!(!shared.one.acquire_with(timeout), "there is none");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![odd])
}
