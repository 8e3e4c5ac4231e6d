//! Signals as messages or semaphore permits; no user code runs in a signal handler.
//!
//! | file | content |
//! | --- | --- |
//! | `blocked` | the signals that a thread has blocked in order to read them |
//! | `descriptor` | signals that are received like messages: `signalfd(2)` |
//! | `notification` | signals that release a semaphore: `sigaction(2)` |

mod blocked;
mod descriptor;
mod error;
mod notification;

pub use descriptor::{ReceivedSignal, SignalFd};
pub use error::SignalError;
pub use notification::{SignalNotification, notify_semaphore};
