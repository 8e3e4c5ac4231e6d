//! Message queues: messages with boundaries and types, for several clients and servers.
//!
//! [`MessageQueue`] is the queue in shared memory. [`MessageQueueExt`] has the operations of the
//! queue.
//!
//! | file | contents |
//! | --- | --- |
//! | `message` | a message, its type, and which types a receiver selects |
//! | `limits` | the capacity of a queue |
//! | `cell` | the memory that holds the bytes of messages |
//! | `store` | the order of the messages, and its repair after an owner death |
//! | `queue` | blocking and notification |
//! | `ext` | the timed and typed forms of the operations |
//! | `state` | what the inspector reads |

mod cell;
mod ext;
mod limits;
mod message;
mod queue;
mod state;
mod store;

pub use cell::{CELL_PAYLOAD, MessageCell, MessageCells};
pub use ext::MessageQueueExt;
pub use limits::QueueLimits;
pub use message::{InvalidMessageType, LengthPolicy, Message, MessageType, Received, Select};
pub use queue::MessageQueue;
pub use state::QueueState;
