//! Directories that publish an object before it is built, or search without the lock.

use interlatch::RobustMutex;
use interlatch::platform::Ordering::{Acquire, Release};
use interlatch::platform::{AtomicU32, ShmSafe, new_tracked};
use interlatch::sync::RobustLockError;
use interlatch_check::FailureKind::{DataRace, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "directory_that_counts_before_it_builds",
            WrongResult,
            || scenario::<COUNTS_FIRST>().victims(&[0]),
        ),
        Model::broken("directory_that_searches_before_it_locks", DataRace, || {
            scenario::<SEARCHES_UNLOCKED>()
        }),
    ]
}

/// The creator counts the object before building it. After a death between these steps, other
/// processes find the object unbuilt.
const COUNTS_FIRST: u8 = 0;
/// A creator reads the count before it locks, so two processes build the object and race.
const SEARCHES_UNLOCKED: u8 = 1;

#[repr(C)]
#[derive(ShmSafe)]
struct Flawed {
    lock: RobustMutex<()>,
    #[shm(initial = new_tracked(0))]
    count: AtomicU32,
    object: RaceCell,
}

fn create_or_find<const FLAW: u8>(shared: &Flawed) {
    let before = shared.count.load(Acquire);
    let guard = shared.lock.lock().or_else(RobustLockError::mark_consistent);
    let guard = guard.unwrap_or_else(|error| panic!("{error}"));
    let count = match FLAW {
        SEARCHES_UNLOCKED => before,
        _ => shared.count.load(Acquire),
    };
    if count == 0 && FLAW == COUNTS_FIRST {
        shared.count.store(1, Release);
    }
    if count == 0 {
        shared.object.set(2);
    }
    if count == 0 && FLAW != COUNTS_FIRST {
        shared.count.store(1, Release);
    }
    drop(guard);
    assert_eq!(shared.object.get(), 2, "the object is not built");
}

fn scenario<const FLAW: u8>() -> Scenario<Flawed> {
    Scenario::new(
        "one_process_creates_and_all_find",
        vec![create_or_find::<FLAW>, create_or_find::<FLAW>],
    )
    .choices(4)
}
