//! Locks and semaphores that keep working after a process that uses them dies.
//!
//! | file | contents | built on |
//! | --- | --- | --- |
//! | `raw_mutex` | a lock that the kernel marks when its holder dies | the robust list, the futex |
//! | `mutex` | a lock with the data that it protects | `raw_mutex` |
//! | `semaphore` | a semaphore whose permits return when their holder dies | `mutex`, `condvar` |
//! | `semaphore_pair` | a semaphore pair whose turns return when their holder dies | `slot_order` |
//! | `slot_order` | the order in which the slots of a semaphore pair are used | `pair_slot` |
//! | `pair_slot` | a slot of a semaphore pair | `raw_mutex` |

mod mutex;
mod pair_slot;
mod raw_mutex;
mod semaphore;
mod semaphore_pair;
mod slot_order;

pub use mutex::{Inconsistent, RobustLockError, RobustLockResult, RobustMutex, RobustMutexGuard};
pub(crate) use pair_slot::PairSide;
pub use pair_slot::{PairSlot, PairSlots};
pub(crate) use raw_mutex::OwnerToken;
pub use raw_mutex::{Acquired, LockError, RawRobustMutex, RobustLock};
pub use semaphore::{AcquireError, RobustPermit, RobustSemaphore};
pub(crate) use semaphore_pair::LockedPair;
pub use semaphore_pair::{RobustSemaphorePair, RobustTurn};
