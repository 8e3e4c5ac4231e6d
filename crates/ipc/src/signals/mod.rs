//! Signals as notifications, without a line of the program running in a handler.
//!
//! | file | what it is |
//! | --- | --- |
//! | `blocked` | which signals a thread has blocked to read them |
//! | `descriptor` | signals that are read like messages: `signalfd(2)` |
//! | `notification` | signals that add a permit to a semaphore: `sigaction(2)` |

mod blocked;
mod descriptor;
mod error;
mod notification;

pub use descriptor::{Received, SignalFd};
pub use error::SignalError;
pub use notification::{Notification, notify_semaphore};
