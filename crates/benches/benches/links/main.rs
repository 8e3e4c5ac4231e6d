//! Measures the cost of passing messages between processes, compared with the kernel's own
//! channels.
//!
//! All channels in a comparison have the same capacity in bytes, and the receiver reads every cache
//! line of each message. The subjects run alternately, in rounds of a few milliseconds. After the
//! rounds, criterion measures each subject, unless `--table` is given.
//!
//! ```text
//! cargo bench --bench links
//! cargo bench --bench links -- --table                     without criterion
//! cargo bench --bench links -- --table "64 B over pipes"   one comparison
//! ```
//!
//! **Equal work.** The peers do the same work as the links:
//!
//! - A byte stream has no message boundaries. The peer of a stream link therefore sends the length
//!   and the message with one `writev(2)`. The peer's receiver reads the length first and then the
//!   message.
//! - A seqpacket socket returns 0 both for an empty message and for the end of the stream. To
//!   distinguish them, the peer requests credentials and receives with `recvmsg(2)`, which reports
//!   whether a message carries credentials.
//! - A pipe splits items that are larger than a page. The senders and receivers of the peer
//!   therefore hold a lock while they transfer an item. The lock is a byte in another pipe.
//! - A write to a pipe without readers raises SIGPIPE. The peer disables the signal for each call
//!   with `pwritev2(2)`.
//! - If a link returns a new `Vec` or an item by value, so does its peer.
//!
//! Comparisons with peers named `bare`, which omit these steps, have no goal.
//!
//! **One core.** If each side has its own core, the result depends on whether a side sleeps after
//! each message or after a thousand messages. On a virtual machine, a sleep takes as long as a
//! hundred messages. A pipe measured against itself was then between 0.2 and 5 times as fast. So
//! the links over kernel objects and their peers share one core without wake-up preemption
//! (`SCHED_BATCH`), and the result is the total work of both sides. The results of a pipe measured
//! against itself then differ mostly by less than 3 %. The channels in shared memory use all cores.
//!
//! **Copies.** A call that passes an item of 64 KiB by value moves the item from caller to callee,
//! as usual in Rust. A call by reference copies the item once into the channel or once out of the
//! channel. A loan is filled and read in place.

mod memory;
mod pipes;
mod sockets;

use anyhow::Result;
use interlatch::Pod;
use interlatch_benches::{Comparison, Length, Measure, Session};
use std::time::Duration;

const ROUNDS: usize = 31;
const ROUND: Length = Length::Counted(Duration::from_millis(3));
/// The capacity of a channel in bytes. Every channel has space for at least `MIN_SLOTS` messages.
const ROOM: usize = 1 << 16;
const MIN_SLOTS: usize = 4;
/// The maximum ratio of the time of a link over a kernel object to the time of the same system
/// calls.
const KERNEL: f64 = 1.1;
/// The maximum ratio of the time of a channel in shared memory to the time of a pipe.
const SHARED: f64 = 1.0;

const fn slots(bytes: usize) -> usize {
    let places = ROOM / bytes;
    if places < MIN_SLOTS {
        MIN_SLOTS
    } else {
        places
    }
}

fn main() -> Result<()> {
    let mut session = Session::new("links")?;
    of_size::<8>(&mut session)?;
    of_size::<64>(&mut session)?;
    of_size::<1024>(&mut session)?;
    of_size::<65536>(&mut session)?;
    session.finish()
}

fn of_size<const N: usize>(session: &mut Session) -> Result<()>
where
    [u8; N]: Pod,
{
    type Fill = fn(&mut Comparison) -> Result<()>;
    let kinds: [(&str, Fill); 3] = [
        ("over pipes", pipes::compare::<N>),
        ("over sockets", sockets::compare::<N>),
        ("in shared memory", memory::compare::<N>),
    ];
    for (kind, fill) in kinds {
        let title = format!("{N} B {kind}");
        session.compare(title, Measure::Nanoseconds, ROUND, |comparison| {
            comparison.rounds(ROUNDS);
            comparison.run_criterion();
            fill(comparison)
        })?;
    }
    Ok(())
}
