//! A ring between one producer and one consumer, without a lock.
//!
//! **Promise.** That of the other buffers, for one sender and one receiver at a time: first in, first out, each
//! item once. Whoever is killed, at whatever instruction, leaves no torn item, and loses or doubles none
//! among the living; the other side hears of the death, and a successor can take the place of the dead one.
//! While neither side waits, no operation makes a system call, an exchange, or a fence.
//!
//! **Source.** Lamport, *Proving the Correctness of Multiprocess Programs* (1977): each side has a count that only
//! it writes. That each keeps a copy of the other one's count, and looks again only when that is used up, is
//! from Lee, Bu and Chandranmenon, *A Lock-Free, Cache-Efficient Shared Ring Buffer* (2009). How a sleeper and the
//! one that wakes it share the cost of their order is in
//! [`platform::asymmetric`](crate::platform::asymmetric).
//!
//! | word | written by | meaning |
//! | --- | --- | --- |
//! | `written` | the sender | how many items were ever sent, wrapping |
//! | `read` | the receiver | how many were ever received, wrapping |
//! | `flags` of each side | see `side` | whether it sleeps, has closed, or has no `membarrier(2)` |
//! | `seat` of each side | its owner, and the kernel at a death | who has the handle |
//!
//! **Why it is correct.** A place belongs to the sender until `written` says that it is filled, and to the
//! receiver until `read` says that it is free; each count is released by the one and acquired by the other. A
//! step of a count is one store, whatever number of items it is for, so a death leaves them sent or
//! not, and received or not.
//!
//! A sleeper first says that it sleeps and then looks at the other's count; the other one first moves its count
//! and then looks whether somebody sleeps. So one of them sees the other, if both loads come behind both
//! stores: the sleeper makes sure of that for both.
//!
//! `object` is the ring itself, `side` what is known of one end, `hand` what the handles of both ends have in common,
//! `sender` and `receiver` are the handles, `run` is what they lend.

mod cursor;
mod end;
mod object;
mod receiver;
mod run;
mod sender;

pub use object::RingBuffer;
pub use receiver::{RingIntoIter, RingIter, RingReceiver, RingTryIter};
pub use run::{RingBorrow, RingLoan};
pub use sender::RingSender;
