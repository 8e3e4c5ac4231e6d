//! Channels: what passes items between processes.
//!
//! | file | contents |
//! | --- | --- |
//! | `bounded`, `monitor` | bounded buffers of semaphores, and of condition variables |
//! | `robust` | channels that survive the death of their users |
//! | `ring` | a ring for one sender and one receiver, without a lock |
//! | `message_queue` | messages of variable length, with types |
//! | `pipe`, `duplex` | the kernel's pipe, in one and in two directions |
//! | `endpoint`, `error` | the handles of both sides, and their errors |
//! | `store`, `slot`, `batch` | the ring of slots under a lock |
//! | `state` | what the inspector reads |

mod batch;
mod bounded;
mod duplex;
mod endpoint;
mod error;
pub mod message_queue;
mod monitor;
mod pipe;
mod ring;
mod robust;
mod slot;
mod state;
mod store;

pub use bounded::BoundedBuffer;
pub use duplex::Duplex;
pub use endpoint::{
    Buffer, CountsEndpoints, Endpoint, EndpointRef, IntoIter, Iter, Receiver, Sender, TryIter,
};
pub use error::{
    Disconnected, DuplexSendError, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
    TryRecvError, TrySendError,
};
pub use message_queue::MessageQueue;
pub use monitor::MonitorBuffer;
pub use pipe::{PipeBuffer, PipeEndpoint, PipeTorn};
pub use ring::{
    RingBorrow, RingBuffer, RingIntoIter, RingIter, RingLoan, RingReceiver, RingSender, RingTryIter,
};
pub use robust::{
    AttachError, Borrowed, BytePipe, BytePipeError, ByteReader, ByteWriter, Delivery, GrowError,
    GrowthLimit, Loan, LoanError, Rendezvous, RobustBoundedBuffer, RobustEndpoint,
    RobustMonitorBuffer, TakeError, TurnSlot, Usage, Withdrawn,
};
// For the models, which put segments of their own in the place of regions.
#[doc(hidden)]
pub use robust::{Segment, SegmentList, Segments};
pub use slot::{Slot, Slots};
pub use state::{
    BufferState, EndState, RendezvousState, SegmentListState, SegmentState, WaitState,
};
pub use store::Direction;
