//! Buffers between producers and consumers, on `sync` only.
//!
//! Two textbook constructions of one contract, side by side: [`BoundedBuffer`] counts places and
//! items with a pair of semaphores, [`MonitorBuffer`] waits for "not full" and "not empty" with
//! condition variables. What these two share is in `store` (the ring under its lock) and `end` (the
//! handles of the two sides). [`RobustBoundedBuffer`] and [`RobustMonitorBuffer`] are the two again, over
//! parts that survive a death, [`Rendezvous`] is one of no place, and `Chain` one that grows. [`RingBuffer`] is for
//! one sender and one receiver, without a lock. [`PipeBuffer`] is the kernel's own, and [`BytePipe`] one of bytes
//! in shared memory. Who sends to whom is said in `address`.

mod address;
mod batch;
mod bounded;
mod duplex;
mod end;
mod error;
mod monitor;
mod pipe;
mod ring;
mod robust;
mod slot;
mod state;
mod store;

pub use address::{
    Addressed, DirectLink, DirectLinkError, Inbox, Mailbox, MailboxId, Outbox, ProcessId,
};
pub use bounded::BoundedBuffer;
pub use duplex::Duplex;
pub use end::{Buffer, Counted, CountsEnds, IntoIter, Iter, Receiver, Seat, Sender, TryIter};
pub use error::{
    Disconnected, DuplexSendError, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
    TryRecvError, TrySendError,
};
pub use monitor::MonitorBuffer;
pub use pipe::{PipeBuffer, PipeSeat, PipeTorn};
pub use ring::{
    RingBorrow, RingBuffer, RingIntoIter, RingIter, RingLoan, RingReceiver, RingSender, RingTryIter,
};
pub use robust::{
    AttachError, Borrowed, BytePipe, BytePipeError, ByteReader, ByteWriter, Delivery, GrowError,
    Grown, Growth, Loan, LoanError, Rendezvous, RobustBoundedBuffer, RobustMonitorBuffer,
    RobustSeat, TakeError, TurnSlot, Withdrawn,
};
pub(crate) use robust::{Chain, Segment, Segments, USUAL_ENDS};
pub use slot::{Slot, Slots};
pub use state::{BufferState, ChainState, EndState, RendezvousState, SegmentState, WaitState};
pub use store::End;
