//! The two constructions again, over parts that survive the death of a process.
//!
//! **Promise.** That of the other buffers, and: a sender that is killed in `send` has sent its item or
//! not, and a receiver that is killed in `recv` has taken one or not; nothing is torn, doubled, or
//! lost among the living, nor is a place. When the last sender or receiver dies, the other side hears of
//! it as if it had gone.
//!
//! What the two share is `ends`: who is there. `rendezvous` is one of no place at all, `chain` one that grows, and
//! `loan` gives out the places of the first themselves; [`BytePipe`] is a stream of bytes.

mod bounded;
mod byte_handles;
mod byte_pipe;
mod endpoints;
mod loan;
mod monitor;
mod rendezvous;
mod segment_list;

pub use bounded::{RobustBoundedBuffer, TurnSlot};
pub use byte_handles::{BytePipeError, ByteReader, ByteWriter};
pub use byte_pipe::BytePipe;
pub(super) use endpoints::Refused;
pub use endpoints::{AttachError, RobustEndpoint};
pub use loan::{Borrowed, Loan, LoanError};
pub use monitor::RobustMonitorBuffer;
pub use rendezvous::{Delivery, Rendezvous, Withdrawn};
pub use segment_list::{GrowError, GrowthLimit, TakeError, Usage};
pub use segment_list::{Segment, SegmentList, Segments};
