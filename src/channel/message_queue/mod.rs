//! Message queues: messages with boundaries and types, for several clients and servers.
//!
//! [`MessageQueue`] is the queue in shared memory; [`MessageQueueExt`] has its typed and timed operations.
//!
//! | file | contents |
//! | --- | --- |
//! | `message` | a message, its type, and which types a receiver selects |
//! | `limits` | the capacity of a queue |
//! | `cell` | the memory that holds the bytes of messages |
//! | `store` | the order of the messages, and its repair after an owner death |
//! | `queue` | blocking and notification |
//! | `state` | what the inspector reads |

mod cell;
mod error;
mod ext;
mod limits;
mod message;
mod queue;
mod state;
mod store;

pub use cell::{CELL_BYTES, MessageCell, MessageCells};
pub use error::{ReceiveMessageError, SendMessageError};
pub use ext::MessageQueueExt;
pub use limits::QueueLimits;
pub use message::{BadMessageType, Message, MessageType, Oversize, Received, Select};
pub use queue::MessageQueue;
pub use state::QueueState;
