//! The two constructions again, over parts that survive the death of a process.
//!
//! **Promise.** That of the other buffers, and: a sender that is killed in `send` has sent its item or
//! not, and a receiver that is killed in `recv` has taken one or not; nothing is torn, doubled, or
//! lost among the living, nor is a place. When the last sender or receiver dies, the other side hears of
//! it as if it had gone.
//!
//! What the two share is `ends`: who is there. `rendezvous` is one of no place at all, and
//! `loan` gives out the places of the first themselves.

mod bounded;
mod endpoints;
mod loan;
mod monitor;
mod rendezvous;

pub use bounded::{RobustBoundedBuffer, TurnSlot};
pub(crate) use endpoints::DEFAULT_ENDS;
pub(super) use endpoints::Endpoints;
pub use endpoints::RobustEndpoint;
pub use loan::{Borrowed, Loan};
pub use monitor::RobustMonitorBuffer;
pub use rendezvous::{AcknowledgeError, Delivery, Rendezvous};
