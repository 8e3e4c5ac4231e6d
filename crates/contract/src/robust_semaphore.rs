//! The promises of a robust semaphore: the death of a holder releases its permit.

use super::{RaceCell, Scenario, Stage, expired_timeouts};
use interlatch::platform::Ordering::AcqRel;
use interlatch::platform::{AtomicU32, ShmSafe};
use interlatch::sync::{AcquireError, RobustSemaphore, Timeout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A semaphore, a number that a single permit protects, and the number of holders.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RobustSemaphoreState<const N: usize> {
    semaphore: RobustSemaphore<N>,
    number: RaceCell,
    inside: AtomicU32,
}

/// Runs every scenario of a robust semaphore.
pub fn all(stage: &mut impl Stage) {
    stage.run(excludes_with_one_permit(2));
    stage.run(excludes_with_one_permit(3));
    stage.run(admits_no_more_than_its_permits());
    stage.run(timed_out_acquirer_takes_no_permit());
    stage.run(handles_extreme_timeouts());
    stage.run(holder_death_releases_its_permit(2));
    stage.run(holder_death_releases_its_permit(3));
    stage.run(two_holder_deaths_release_the_permit());
    stage.run(panicking_holder_marks_its_permit());
}

fn increment(shared: &RobustSemaphoreState<1>) {
    let permit = shared.semaphore.acquire();
    let permit = permit.unwrap_or_else(|error| panic!("{error}"));
    shared.number.increment();
    drop(permit);
}

/// Checks that every permit is available, whether or not its last holder died.
fn all_permits_are_available<const N: usize>(shared: &RobustSemaphoreState<N>) {
    let all = [(); N].map(|()| shared.semaphore.try_acquire());
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

/// A robust semaphore with one permit provides mutual exclusion like a lock.
///
/// The processes increment an unsynchronized number while they hold the permit.
pub fn excludes_with_one_permit(processes: usize) -> Scenario<RobustSemaphoreState<1>> {
    let verify = match processes {
        2 => |shared: &RobustSemaphoreState<1>| assert_eq!(shared.number.get(), 2),
        _ => |shared: &RobustSemaphoreState<1>| assert_eq!(shared.number.get(), 3),
    };
    Scenario::new(
        "excludes_with_one_permit",
        vec![increment; processes.clamp(2, 3)],
    )
    .verify(verify)
    .choices(8)
}

/// No more processes hold a permit than the semaphore has permits.
///
/// Three processes compete for two permits and count the holders.
pub fn admits_no_more_than_its_permits() -> Scenario<RobustSemaphoreState<2>> {
    let hold_permit = |shared: &RobustSemaphoreState<2>| {
        let permit = shared.semaphore.acquire();
        let permit = permit.unwrap_or_else(|error| panic!("{error}"));
        let inside = shared.inside.fetch_add(1, AcqRel) + 1;
        assert!(inside <= 2, "{inside} processes hold 2 permits");
        shared.inside.fetch_sub(1, AcqRel);
        drop(permit);
    };
    Scenario::new("admits_no_more_than_its_permits", vec![hold_permit; 3])
        .verify(all_permits_are_available)
        .choices(8)
}

/// An acquirer that times out acquires no permit, and consumes no wake-up that another waiter
/// needs.
///
/// One of three acquirers has a timeout. If this acquirer keeps the permit or the wake-up of a
/// release, another acquirer hangs.
pub fn timed_out_acquirer_takes_no_permit() -> Scenario<RobustSemaphoreState<1>> {
    let with_timeout = |shared: &RobustSemaphoreState<1>| {
        let timeout = Timeout::after(Duration::from_micros(50));
        match shared.semaphore.acquire_with(timeout) {
            Ok(permit) => drop(permit),
            Err(error) => assert_eq!(error, AcquireError::TimedOut),
        }
    };
    Scenario::new(
        "timed_out_acquirer_takes_no_permit",
        vec![with_timeout, increment, increment],
    )
    .verify(|shared| assert_eq!(shared.number.get(), 2))
    .choices(8)
}

/// If a holder is killed at any step, the other processes can acquire its permit.
///
/// The first process is killed. If the semaphore does not notice the death, the other processes
/// hang, or a permit is missing at the end.
pub fn holder_death_releases_its_permit(processes: usize) -> Scenario<RobustSemaphoreState<1>> {
    let processes = processes.clamp(2, 3);
    Scenario::new(
        "holder_death_releases_its_permit",
        vec![increment; processes],
    )
    .verify(all_permits_are_available)
    .choices(10)
    .victims(&[0])
}

/// If two holders are killed, the permit is available again.
///
/// The second holder may be killed while it takes over the permit of the first holder.
pub fn two_holder_deaths_release_the_permit() -> Scenario<RobustSemaphoreState<1>> {
    Scenario {
        name: "two_holder_deaths_release_the_permit",
        ..holder_death_releases_its_permit(3).victims(&[0, 1])
    }
}

/// An acquirer with an expired timeout tries once without waiting. An acquirer with the longest
/// timeout acquires an available permit.
pub fn handles_extreme_timeouts() -> Scenario<RobustSemaphoreState<1>> {
    let alone = |shared: &RobustSemaphoreState<1>| {
        for timeout in expired_timeouts() {
            let is_acquired = shared.semaphore.acquire_with(timeout).is_ok();
            assert!(is_acquired, "the available permit was not acquired");
        }
        let permit = shared.semaphore.acquire_timeout(Duration::MAX);
        assert_eq!((permit.is_ok(), shared.semaphore.held()), (true, 1));
        for timeout in expired_timeouts() {
            let none = shared.semaphore.acquire_with(timeout);
            assert!(matches!(none, Err(AcquireError::TimedOut)), "{none:?}");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![alone])
}

/// The next holder of a permit learns that the last holder panicked, and later holders do not.
pub fn panicking_holder_marks_its_permit() -> Scenario<RobustSemaphoreState<1>> {
    let alone = |shared: &RobustSemaphoreState<1>| {
        let permit = shared.semaphore.try_acquire();
        let permit = permit.unwrap_or_else(|error| panic!("{error}"));
        assert!(!permit.is_owner_died());
        let panics = AssertUnwindSafe(|| {
            let _permit = permit;
            // Unlike `panic!`, this prints no message.
            resume_unwind(Box::new("a panic of the holder"));
        });
        assert!(catch_unwind(panics).is_err());
        for is_owner_died in [true, false] {
            let permit = shared.semaphore.acquire_with(Timeout::Infinite);
            let permit = permit.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(permit.is_owner_died(), is_owner_died);
        }
    };
    Scenario::new("panicking_holder_marks_its_permit", vec![alone])
}
