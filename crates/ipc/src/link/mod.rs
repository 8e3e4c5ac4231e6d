//! Messages over sockets: the same operations on five kinds of sockets.
//!
//! | file | content |
//! | --- | --- |
//! | `traits` | the trait `Link` |
//! | `stream` | Unix stream and TCP: messages framed in a byte stream |
//! | `packet` | Unix datagram, Unix seqpacket and UDP: the kernel keeps message boundaries |
//! | `region` | passing a region over a Unix stream |
//! | `seqpacket` | connecting two processes by a seqpacket link |

mod error;
mod packet;
mod region;
mod seqpacket;
mod stream;
mod traits;

pub use error::{LinkRecvError, LinkSendError};
pub use packet::PacketLink;
pub use region::{
    RegionTransferError, recv_region, recv_region_with, recv_region_with_options, send_region,
    send_region_with,
};
pub use seqpacket::SeqpacketListener;
pub use stream::StreamLink;
pub use traits::Link;
