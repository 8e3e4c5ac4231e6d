//! MessageQueueExt over sockets: the same operations on five kinds of them.
//!
//! | file | what it is |
//! | --- | --- |
//! | `contract` | what a link does, whatever is below it |
//! | `stream` | Unix stream and TCP: bytes, of which messages are made |
//! | `packet` | Unix datagram, Unix seqpacket and UDP: the kernel keeps messages apart |
//! | `region` | passing a region over a Unix stream |
//! | `seqpacket` | how two processes get a seqpacket link |

mod contract;
mod error;
mod packet;
mod region;
mod seqpacket;
mod stream;

pub use contract::Link;
pub use error::{LinkRecvError, LinkSendError};
pub use packet::PacketLink;
pub use region::{PassError, recv_region, recv_region_with, send_region, send_region_with};
pub use seqpacket::SeqpacketListener;
pub use stream::StreamLink;
