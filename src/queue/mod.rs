//! Message queues: boundaries, types, and several clients and servers on one of them.
//!
//! What can be done with one is the trait [`Messages`]; [`MessageQueue`] is one in shared memory. A file
//! each: `message` (a message and its type), `limits`, `error`, `mailbox`, `cell` (where the bytes are),
//! `store` (which message is where, and what a death leaves), `state` (what is seen from outside) and `message_queue` (who waits for what).

mod cell;
mod error;
mod limits;
mod message;
mod message_queue;
mod messages;
mod state;
mod store;

pub use cell::{CELL_BYTES, MessageCell, MessageCells};
pub use error::{ReceiveMessageError, SendMessageError};
pub use limits::QueueLimits;
pub use message::{BadMessageType, Fit, Message, MessageType, Received, Select};
pub use message_queue::MessageQueue;
pub use messages::Messages;
pub use state::QueueState;
