//! What a semaphore promises whose permits come back from the dead.

use super::{RaceCell, Scenario, Stage, spent};
use interlatch::platform::Ordering::AcqRel;
use interlatch::platform::{AtomicU32, ShmSafe};
use interlatch::sync::{AcquireError, RobustSemaphore, Timeout};
use std::time::Duration;

/// A semaphore, a number that one permit protects, and how many are inside.
#[repr(C)]
#[derive(Debug)]
pub struct LockGuard<const N: usize> {
    semaphore: RobustSemaphore<N>,
    number: RaceCell,
    inside: AtomicU32,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<const N: usize> ShmSafe for LockGuard<N> {
    fn initial() -> Self {
        Self {
            semaphore: RobustSemaphore::new(),
            number: RaceCell::new(0),
            inside: AtomicU32::new(0),
        }
    }
}

/// Every scenario among the living.
pub fn all(stage: &mut impl Stage) {
    stage.run(excludes_with_one_permit(2));
    stage.run(excludes_with_one_permit(3));
    stage.run(admits_no_more_than_its_permits());
    stage.run(timed_out_acquirer_takes_no_permit());
    stage.run(handles_extreme_timeouts());
}

fn increment(shared: &LockGuard<1>) {
    let permit = shared.semaphore.acquire();
    let permit = permit.unwrap_or_else(|error| panic!("{error}"));
    shared.number.increment();
    drop(permit);
}

/// All permits are there in the end, whoever has died with one.
fn all_are_back<const N: usize>(shared: &LockGuard<N>) {
    let all = [(); N].map(|()| shared.semaphore.try_acquire());
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

/// With one permit one is inside, and sees what the last one has written.
pub fn excludes_with_one_permit(processes: usize) -> Scenario<LockGuard<1>> {
    let verify = match processes {
        2 => |shared: &LockGuard<1>| assert_eq!(shared.number.get(), 2),
        _ => |shared: &LockGuard<1>| assert_eq!(shared.number.get(), 3),
    };
    Scenario::new(
        "excludes_with_one_permit",
        vec![increment; processes.clamp(2, 3)],
    )
    .verify(verify)
    .choices(8)
}

/// Three that want in, and two permits.
pub fn admits_no_more_than_its_permits() -> Scenario<LockGuard<2>> {
    let visit = |shared: &LockGuard<2>| {
        let permit = shared.semaphore.acquire();
        let permit = permit.unwrap_or_else(|error| panic!("{error}"));
        let inside = shared.inside.fetch_add(1, AcqRel) + 1;
        assert!(inside <= 2, "{inside} inside");
        shared.inside.fetch_sub(1, AcqRel);
        drop(permit);
    };
    Scenario::new("admits_no_more_than_its_permits", vec![visit; 3])
        .verify(all_are_back)
        .choices(8)
}

/// Who gives up holds nothing, and swallows nobody's wake-up.
pub fn timed_out_acquirer_takes_no_permit() -> Scenario<LockGuard<1>> {
    let impatient = |shared: &LockGuard<1>| {
        let timeout = Timeout::after(Duration::from_micros(50));
        match shared.semaphore.acquire_with(timeout) {
            Ok(permit) => drop(permit),
            Err(error) => assert_eq!(error, AcquireError::TimedOut),
        }
    };
    Scenario::new(
        "timed_out_acquirer_takes_no_permit",
        vec![impatient, increment, increment],
    )
    .verify(|shared| assert_eq!(shared.number.get(), 2))
    .choices(8)
}

/// Wherever the first one is killed, its permit is there for the others.
pub fn holder_death_releases_its_permit(processes: usize) -> Scenario<LockGuard<1>> {
    let processes = processes.clamp(2, 3);
    Scenario::new(
        "holder_death_releases_its_permit",
        vec![increment; processes],
    )
    .verify(all_are_back)
    .choices(10)
    .victims(&[0])
}

/// Two are killed, the second one maybe while it takes over from the first.
pub fn two_holder_deaths_release_the_permit() -> Scenario<LockGuard<1>> {
    Scenario {
        name: "two_holder_deaths_release_the_permit",
        ..holder_death_releases_its_permit(3).victims(&[0, 1])
    }
}

/// A timeout of zero and a deadline in the past try once.
pub fn handles_extreme_timeouts() -> Scenario<LockGuard<1>> {
    let odd = |shared: &LockGuard<1>| {
        for timeout in spent() {
            assert!(shared.semaphore.acquire_with(timeout).is_ok(), "it is free");
        }
        let permit = shared.semaphore.acquire_timeout(Duration::MAX);
        assert_eq!((permit.is_ok(), shared.semaphore.held()), (true, 1));
        for timeout in spent() {
            let none = shared.semaphore.acquire_with(timeout);
            assert!(matches!(none, Err(AcquireError::TimedOut)), "{none:?}");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![odd])
}
