//! The primitives, each written once and on `platform` only.
//!
//! | file | what it is | built on |
//! | --- | --- | --- |
//! | `lock` | what a lock, a condition variable and a semaphore must do for what is built on them | |
//! | `mutex` | a lock | the futex |
//! | `condvar` | a condition variable for every [`Lock`] | the futex |
//! | `pair_rows` | in which order the slots of a `recoverable_pair` are taken | |
//! | `pipe_semaphore` | a counting semaphore without shared memory | the pipe |
//! | `recoverable` | a semaphore whose permits come back from the dead | `robust_mutex`, `condvar` |
//! | `recoverable_pair` | a semaphore pair whose turns come back from the dead | `robust_mutex`, `condvar` |
//! | `robust` | a lock that survives the death of its holder | the kernel's robust list, the futex |
//! | `robust_mutex` | the same with the data that it protects | `robust` |
//! | `semaphore` | a counting semaphore | the futex |
//! | `semaphore_condvar` | a condition variable made of semaphores | any [`Permits`] |
//! | `semaphore_lock` | a lock made of a semaphore | any [`TrustedPermits`] |
//! | `semaphore_pair` | the hand-off between writers and readers | any [`Permits`] |
//! | `state` | what each is, to one who only looks | |

mod condvar;
mod lock;
mod mutex;
mod pair_rows;
mod patience;
mod pipe_semaphore;
mod recoverable;
mod recoverable_pair;
mod robust;
mod robust_mutex;
mod semaphore;
mod semaphore_condvar;
mod semaphore_lock;
mod semaphore_pair;
mod state;

pub use condvar::Condvar;
pub use lock::{Condition, Held, Lock, Permits, TrustedPermits};
pub use mutex::RawMutex;
pub use patience::Patience;
pub use pipe_semaphore::PipeSemaphore;
pub use recoverable::{AcquireError, RecoverablePermit, RecoverableSemaphore};
pub(crate) use recoverable_pair::{Missed, Side};
pub use recoverable_pair::{PairSlot, PairSlots, RecoverablePair, RecoverableTurn};
pub(crate) use robust::Stamp;
pub use robust::{LockError, RawRobustMutex, RobustLock, Taken};
pub use robust_mutex::{
    Inconsistent, RobustLockError, RobustLockResult, RobustMutex, RobustMutexGuard,
};
pub use semaphore::{MAX_PERMITS, Permit, PermitOverflow, Semaphore};
pub use semaphore_condvar::SemaphoreCondvar;
pub use semaphore_lock::SemaphoreLock;
pub use semaphore_pair::{ReadTurn, SemaphorePair, Turn, WriteTurn};
pub use state::{
    CondvarState, LockState, MOST_SLOTS, PairState, RecoverablePairState, RecoverableState,
    SemaphoreState, SlotState,
};
