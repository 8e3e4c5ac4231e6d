//! Channels that survive the death of their users.
//!
//! A sender that is killed in `send` has either sent its item or not, and a receiver that is killed
//! in `recv` has either taken an item or not. No item is torn or duplicated, no item of a living
//! process is lost, and no slot is lost. The death of the last sender or receiver disconnects the
//! other side.
//!
//! `endpoints` registers the handles of all channels in this module. `rendezvous` has no slots, and
//! `loan` lends the slots of `bounded`.

mod bounded;
mod endpoints;
mod loan;
mod monitor;
mod rendezvous;

pub use bounded::{RobustBoundedBuffer, TurnSlot};
pub(super) use endpoints::Endpoints;
pub use endpoints::RobustEndpoint;
pub use loan::{Borrowed, Loan};
pub use monitor::RobustMonitorBuffer;
pub use rendezvous::{AcknowledgeError, Delivery, Rendezvous};
