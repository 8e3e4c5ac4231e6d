//! A ring for one sender and one receiver, without a lock.
//!
//! | file | contents |
//! | --- | --- |
//! | `object` | the ring: two positions, two ends, and the slots |
//! | `end` | the shared state of one side: its owner, its sleeper, whether it is closed |
//! | `cursor` | the position of a handle, and how it waits for slots |
//! | `sender`, `receiver` | the operations that only the handles of a ring have |
//! | `loan` | slots that are written and read in place |

mod cursor;
mod end;
mod loan;
mod object;
mod receiver;
mod sender;

pub use cursor::RingCursor;
pub use loan::{RingBorrow, RingLoan};
pub use object::RingBuffer;
