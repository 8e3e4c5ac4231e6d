//! Locks, condition variables and semaphores.
//!
//! | file | contents | built on |
//! | --- | --- | --- |
//! | `traits` | contracts of locks, condition variables and semaphores | |
//! | `timeout` | the time for which an operation may block | |
//! | `mutex` | a lock | the futex |
//! | `guard` | `Mutex<T>`: a lock with the data that it protects | `mutex` |
//! | `condvar` | a condition variable for every [`RawLock`] | the futex |
//! | `semaphore` | a counting semaphore | the futex |
//! | `pipe_semaphore` | a counting semaphore without shared memory | the pipe |
//! | `semaphore_lock` | a lock made of a semaphore | any [`TrustedSemaphore`] |
//! | `semaphore_condvar` | a condition variable made of semaphores | any [`RawSemaphore`] |
//! | `semaphore_pair` | the hand-off between writers and readers | any [`RawSemaphore`] |
//! | `robust` | primitives that survive the death of a process | the kernel's robust list |
//! | `state` | states that the inspector reads | |
//! | `tuning` | settings of the process | |

mod condvar;
mod guard;
mod mutex;
mod pipe_semaphore;
mod robust;
mod semaphore;
mod semaphore_condvar;
mod semaphore_lock;
mod semaphore_pair;
mod state;
mod timeout;
mod traits;
#[cfg(not(loom))]
mod tuning;

pub use crate::platform::{Deadline, Static};
pub use condvar::Condvar;
pub use guard::{Mutex, MutexGuard, WaitTimeoutResult};
pub use mutex::RawMutex;
pub use pipe_semaphore::PipeSemaphore;
pub use robust::{
    AcquireError, Acquired, Inconsistent, LockError, PairSlot, PairSlots, RawRobustMutex,
    RobustLock, RobustLockError, RobustLockResult, RobustMutex, RobustMutexGuard, RobustPermit,
    RobustSemaphore, RobustSemaphorePair, RobustTurn,
};
pub(crate) use robust::{LockedPair, OwnerToken, PairSide};
pub use semaphore::{MAX_PERMITS, Permit, PermitOverflow, Semaphore};
pub use semaphore_condvar::SemaphoreCondvar;
pub use semaphore_lock::SemaphoreLock;
pub(crate) use semaphore_pair::Turns;
pub use semaphore_pair::{SemaphorePair, Turn};
pub use state::{
    CondvarState, LockState, MAX_SLOTS, RobustSemaphorePairState, RobustSemaphoreState,
    SemaphorePairState, SemaphoreState, SlotState,
};
pub use timeout::Timeout;
pub use traits::{LockGuard, RawCondvar, RawLock, RawSemaphore, TrustedSemaphore};
#[cfg(not(loom))]
pub use tuning::{recheck_interval, set_recheck_interval, set_spinning};
