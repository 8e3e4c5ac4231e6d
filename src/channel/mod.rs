//! Channels, which pass items or bytes between processes.
//!
//! Every channel has [`Sender`] and [`Receiver`] handles, created by [`Channel::sender`] and
//! [`Channel::receiver`]. All channels share one family of errors, in which a [`ChannelError`]
//! gives the cause of a failure.
//!
//! | to pass | use |
//! | --- | --- |
//! | items between processes that may die | [`RobustMonitorBuffer`] |
//! | large items in place, between processes that may die | [`RobustBoundedBuffer`], [`Loan`] |
//! | items with the highest throughput, many senders and receivers | [`BoundedBuffer`] |
//! | items with exact `Full` and `Empty`, many senders and receivers | [`MonitorBuffer`] |
//! | items between one sender and one receiver | [`RingBuffer`] |
//! | an item whose sender waits until it is taken | [`Rendezvous`] |
//! | messages of variable length, selected by type | [`MessageQueue`] |
//! | bytes in shared memory | [`BytePipe`] |
//! | items between processes that share descriptors and no memory | [`PipeBuffer`], [`Duplex`] |
//! | any number of items | [`UnboundedBuffer`](crate::named) |
//!
//! # Example
//! ```
//! use interlatch::channel::Slot;
//! use interlatch::{Channel, Region, RobustMonitorBuffer};
//!
//! type Numbers = RobustMonitorBuffer<u64, [Slot<u64>]>;
//!
//! let region = Region::memfd("orders", 1 << 16)?;
//! let numbers: &Numbers = region.create("numbers", 100)?;
//! let (sender, receiver) = (numbers.sender()?, numbers.receiver()?);
//! sender.send(7)?;
//! drop(sender);
//! for item in receiver {
//!     assert_eq!(item?, 7);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// `traits`, `endpoint`: what a channel is, and the registration of a handle.
// `sender`, `receiver`, `iter`, `error`: the handles and their errors.
// `store`, `slot`, `batch`: the ring of slots under a lock, for `bounded` and `monitor`.
// `state`: what the inspector reads.
mod batch;
mod bounded;
mod byte_pipe;
mod duplex;
mod endpoint;
mod error;
mod iter;
pub mod message_queue;
mod monitor;
mod pipe;
mod receiver;
mod ring;
mod robust;
mod segment_list;
mod sender;
mod slot;
mod state;
mod store;
mod traits;

pub use bounded::BoundedBuffer;
pub use byte_pipe::BytePipe;
pub use duplex::Duplex;
pub use endpoint::{CountsEndpoints, Endpoint, EndpointRef};
pub(crate) use error::OperationError;
pub use error::{
    AttachError, ChannelError, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
    StorageError, TryRecvError, TrySendError,
};
pub use iter::{IntoIter, Iter, TryIter};
pub use message_queue::MessageQueue;
pub use monitor::MonitorBuffer;
pub use pipe::{PipeBuffer, PipeEndpoint};
pub use receiver::Receiver;
pub use ring::{RingBorrow, RingBuffer, RingCursor, RingLoan};
pub use robust::{
    AcknowledgeError, Borrowed, Delivery, Loan, Rendezvous, RobustBoundedBuffer, RobustEndpoint,
    RobustMonitorBuffer, TurnSlot,
};
pub use segment_list::{GrowthLimit, Usage};
// These items are public for the models, which provide segments without regions.
#[doc(hidden)]
pub use segment_list::{Segment, SegmentList, Segments};
pub use sender::Sender;
pub use slot::{Slot, Slots};
pub use state::{
    BufferState, EndState, RendezvousState, SegmentListState, SegmentState, WaitState,
};
#[doc(hidden)]
pub use traits::Unregistered;
pub use traits::{Buffer, Channel, Direction};
