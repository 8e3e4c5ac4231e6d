//! Channels: what passes items between processes.
//!
//! | file | contents |
//! | --- | --- |
//! | `bounded`, `monitor` | bounded buffers of semaphores, and of condition variables |
//! | `robust` | channels that survive the death of their users |
//! | `ring` | a ring for one sender and one receiver, without a lock |
//! | `byte_pipe` | a stream of bytes in shared memory |
//! | `segment_list` | a queue that grows by segments |
//! | `message_queue` | messages of variable length, with types |
//! | `pipe`, `duplex` | the kernel's pipe, in one and in two directions |
//! | `traits`, `endpoint` | what a channel is, and the registration of a handle |
//! | `sender`, `receiver`, `iter`, `error` | the handles of both sides, and their errors |
//! | `store`, `slot`, `batch` | the ring of slots under a lock |
//! | `state` | what the inspector reads |

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
pub(crate) use robust::DEFAULT_ENDS;
pub use robust::{
    AcknowledgeError, Borrowed, Delivery, Loan, Rendezvous, RobustBoundedBuffer, RobustEndpoint,
    RobustMonitorBuffer, TurnSlot,
};
pub use segment_list::{GrowthLimit, Usage};
// Models use segments of their own instead of regions.
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
