//! Channels: what passes items between processes.
//!
//! | file | contents |
//! | --- | --- |
//! | `bounded`, `monitor` | bounded buffers of semaphores, and of condition variables |
//! | `robust` | channels that survive the death of their users |
//! | `ring` | a ring for one sender and one receiver, without a lock |
//! | `message_queue` | messages of variable length, with types |
//! | `pipe`, `duplex` | the kernel's pipe, in one and in two directions |
//! | `traits`, `endpoint` | what a channel is, and the registration of a handle |
//! | `sender`, `receiver`, `iter`, `error` | the handles of both sides, and their errors |
//! | `store`, `slot`, `batch` | the ring of slots under a lock |
//! | `state` | what the inspector reads |

mod batch;
mod bounded;
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
mod sender;
mod slot;
mod state;
mod store;
mod traits;

pub use bounded::BoundedBuffer;
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
pub use ring::{
    RingBorrow, RingBuffer, RingIntoIter, RingIter, RingLoan, RingReceiver, RingSender, RingTryIter,
};
pub(crate) use robust::DEFAULT_ENDS;
pub use robust::{
    Borrowed, BytePipe, BytePipeError, ByteReader, ByteWriter, Delivery, GrowError, GrowthLimit,
    Loan, Rendezvous, RobustBoundedBuffer, RobustEndpoint, RobustMonitorBuffer, TakeError,
    TurnSlot, Usage, Withdrawn,
};
// For the models, which put segments of their own in the place of regions.
#[doc(hidden)]
pub use robust::{Segment, SegmentList, Segments};
pub use sender::Sender;
pub use slot::{Slot, Slots};
pub use state::{
    BufferState, EndState, RendezvousState, SegmentListState, SegmentState, WaitState,
};
#[doc(hidden)]
pub use traits::Unregistered;
pub use traits::{Buffer, Channel, Direction};
