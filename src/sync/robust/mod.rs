//! Primitives that survive the death of a process that uses them.
//!
//! | file | contents | built on |
//! | --- | --- | --- |
//! | `raw_mutex` | a lock that the kernel marks when its owner dies | the kernel's robust list, the futex |
//! | `mutex` | the same with the data that it protects | `raw_mutex` |
//! | `semaphore` | a semaphore whose permits return when their holder dies | `mutex`, `condvar` |
//! | `semaphore_pair` | a semaphore pair whose turns return when their holder dies | `mutex`, `condvar` |
//! | `slot_order` | the order in which the slots of a `semaphore_pair` are taken | |

mod mutex;
mod raw_mutex;
mod semaphore;
mod semaphore_pair;
mod slot_order;

pub use mutex::{Inconsistent, RobustLockError, RobustLockResult, RobustMutex, RobustMutexGuard};
pub(crate) use raw_mutex::OwnerToken;
pub use raw_mutex::{LockError, RawRobustMutex, RobustLock, Taken};
pub use semaphore::{AcquireError, RobustPermit, RobustSemaphore};
pub(crate) use semaphore_pair::{Missed, Side};
pub use semaphore_pair::{PairSlot, PairSlots, RobustSemaphorePair, RobustTurn};
