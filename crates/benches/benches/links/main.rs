//! The cost of passing messages between processes, beside the kernel's own channels.
//!
//! All channels of a comparison have the same capacity in bytes, and the receiver reads every cache
//! line of a message. The subjects take turns in rounds of a few milliseconds. Then criterion
//! measures each, unless `--table` is given.
//!
//! ```text
//! cargo bench --bench links
//! cargo bench --bench links -- --table                     without criterion
//! cargo bench --bench links -- --table "64 B over pipes"   one comparison
//! ```
//!
//! **Equal work.** The peers do what the links do:
//!
//! - A stream has no messages. Its peer sends the length and the message by one `writev(2)`, and
//!   reads the length and then the message.
//! - A seqpacket socket returns 0 for an empty message and for the end of the stream. Its peer
//!   requests credentials and receives by `recvmsg(2)`, which reports whether a message carries
//!   them.
//! - A pipe splits items of more than a page. Senders and receivers of its peer hold a lock, a byte
//!   in a pipe, for the duration of an item.
//! - A write to a pipe without readers raises SIGPIPE. The peer disables the signal per call, by
//!   `pwritev2(2)`.
//! - If a link returns a new `Vec` or an item by value, so does its peer.
//!
//! Peers named `bare` omit these steps and have no goal.
//!
//! **One core.** With a core per side, the result depends on whether a side sleeps after each
//! message or after a thousand, and on a virtual machine a sleep takes as long as a hundred
//! messages. The same pipe, measured against itself, was between 0.2 and 5 times as fast. So the
//! links over kernel objects and their peers share one core without wake-up preemption
//! (`SCHED_BATCH`), and the result is the total work of both sides. A pipe measured against itself
//! is then mostly within 3 %. The channels in shared memory use all cores.
//!
//! **Copies.** By value, an item of 64 KiB is moved from caller to callee, as usual in Rust. By
//! reference, it is copied into the channel once and out once. A loan is filled and read in place.

mod memory;
mod pipes;
mod sockets;

use anyhow::Result;
use interlatch::Pod;
use interlatch_benches::{Comparison, Length, Measure, Session};
use std::time::Duration;

const ROUNDS: usize = 31;
const ROUND: Length = Length::Counted(Duration::from_millis(3));
/// The capacity of a channel in bytes; at least `MIN_SLOTS` messages fit in any case.
const ROOM: usize = 1 << 16;
const MIN_SLOTS: usize = 4;
/// The maximum ratio of a link over a kernel object to the same system calls.
const KERNEL: f64 = 1.1;
/// The maximum ratio of a channel in shared memory to a pipe.
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
