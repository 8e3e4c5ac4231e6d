//! Buffers over a robust lock that a death leaves in disorder.

use interlatch::channel::SendTimeoutError;
use interlatch::channel::{CountsEndpoints, Direction, EndpointRef};
use interlatch::channel::{Disconnected, RecvTimeoutError};
use interlatch::platform::{ShmSafe, UnsafeCell};
use interlatch::sync::RobustLockError;
use interlatch::sync::RobustMutexGuard;
use interlatch::sync::Timeout;
use interlatch::{Buffer, RobustMutex};
use interlatch_check::FailureKind::WrongResult;
use interlatch_check::Model;
use interlatch_contract::robust_buffer;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "robust_buffer_that_counts_before_it_fills",
            WrongResult,
            || robust_buffer::killed_send_completes_or_has_no_effect::<Flawed<COUNTS_FIRST>>(2),
        ),
        Model::broken("robust_buffer_that_reserves_by_a_flag", WrongResult, || {
            robust_buffer::killed_send_completes_or_has_no_effect::<Flawed<RESERVES_BY_A_FLAG>>(2)
        }),
        Model::broken("robust_buffer_emptied_by_a_death", WrongResult, || {
            robust_buffer::killed_send_completes_or_has_no_effect::<Flawed<A_DEATH_EMPTIES_IT>>(3)
        }),
        Model::broken(
            "robust_buffer_that_receives_in_two_steps",
            WrongResult,
            || {
                robust_buffer::killed_receive_completes_or_has_no_effect::<Flawed<TAKES_IN_TWO_STEPS>>(
                    2,
                )
            },
        ),
    ]
}

/// Says that there is an item before it is there.
const COUNTS_FIRST: u8 = 0;
/// Marks its place in one visit and fills it in another; nobody knows whose mark it is.
const RESERVES_BY_A_FLAG: u8 = 1;
/// Marks the place before it copies the item out; nobody knows whose mark it is.
const TAKES_IN_TWO_STEPS: u8 = 2;

/// Whoever gets the lock from the dead takes what is there for half-done.
const A_DEATH_EMPTIES_IT: u8 = 3;

const EMPTY: u64 = 0;
const RESERVED: u64 = 1;
const FULL: u64 = 2;

/// One place under a robust lock. Nobody waits: the scenarios here have little timeout.
#[derive(Debug)]
struct Flawed<const FLAW: u8> {
    lock: RobustMutex<()>,
    state: UnsafeCell<u64>,
    item: UnsafeCell<u64>,
}

// SAFETY: the models run it in one address space.
unsafe impl<const FLAW: u8> ShmSafe for Flawed<FLAW> {
    fn initial() -> Self {
        Self {
            lock: RobustMutex::new(()),
            state: UnsafeCell::new(EMPTY),
            item: UnsafeCell::new(0),
        }
    }
}

// SAFETY: accessed under the lock.
unsafe impl<const FLAW: u8> Sync for Flawed<FLAW> {}

impl<const FLAW: u8> Flawed<FLAW> {
    fn lock(&self) -> RobustMutexGuard<'_, ()> {
        let locked = match self.lock.lock() {
            Err(RobustLockError::OwnerDied(found)) => {
                let guard = found.mark_consistent();
                if FLAW == A_DEATH_EMPTIES_IT {
                    set(&self.state, EMPTY);
                }
                Ok(guard)
            }
            locked => locked,
        };
        locked.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn get(number: &UnsafeCell<u64>) -> u64 {
    // SAFETY: under the lock.
    number.with(|number| unsafe { *number })
}

fn set(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: under the lock.
    number.with_mut(|number| unsafe { *number = value });
}

impl<const FLAW: u8> Buffer for Flawed<FLAW> {
    type Item = u64;
    type Endpoint<'a> = EndpointRef<'a, Self>;
    type AttachError = Disconnected;

    fn send_with(&self, item: u64, _patience: Timeout) -> Result<(), SendTimeoutError<u64>> {
        let mut guard = self.lock();
        if get(&self.state) != EMPTY {
            return Err(SendTimeoutError::Timeout(item));
        }
        match FLAW {
            COUNTS_FIRST => set(&self.state, FULL),
            RESERVES_BY_A_FLAG => {
                set(&self.state, RESERVED);
                drop(guard);
                guard = self.lock();
            }
            _ => {}
        }
        set(&self.item, item);
        set(&self.state, FULL);
        drop(guard);
        Ok(())
    }

    fn recv_with(&self, _patience: Timeout) -> Result<u64, RecvTimeoutError> {
        let _guard = self.lock();
        if get(&self.state) != FULL {
            return Err(RecvTimeoutError::Timeout);
        }
        if FLAW == TAKES_IN_TWO_STEPS {
            set(&self.state, RESERVED);
        }
        let item = get(&self.item);
        set(&self.state, EMPTY);
        Ok(item)
    }

    fn len(&self) -> usize {
        let _guard = self.lock();
        usize::from(get(&self.state) == FULL)
    }

    fn capacity(&self) -> usize {
        1
    }

    fn attach(&self, end: Direction) -> Result<EndpointRef<'_, Self>, Disconnected> {
        EndpointRef::new(self, end)
    }
}

impl<const FLAW: u8> CountsEndpoints for Flawed<FLAW> {
    fn join(&self, _end: Direction) -> Result<(), Disconnected> {
        Ok(())
    }

    fn leave(&self, _end: Direction) {}
}
