//! Channels that survive the death of their users.
//!
//! A sender that is killed in `send` has sent its item or not, and a receiver that is killed in
//! `recv` has taken an item or not. No item is torn or duplicated, no item of a living process is
//! lost, and no slot is lost. The death of the last sender or receiver disconnects the other side.
//!
//! `endpoints` registers the handles of all channels here. `rendezvous` has no slots,
//! `segment_list` grows, `loan` lends the slots of `bounded`, and `byte_pipe` is a stream of bytes.

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
pub use endpoints::RobustEndpoint;
pub use loan::{Borrowed, Loan};
pub use monitor::RobustMonitorBuffer;
pub use rendezvous::{Delivery, Rendezvous, Withdrawn};
pub use segment_list::{GrowError, GrowthLimit, TakeError, Usage};
pub use segment_list::{Segment, SegmentList, Segments};
