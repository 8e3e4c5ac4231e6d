//! What it costs to pass messages from one process to another: ours beside the kernel's own, in one run.
//!
//! Both sides of a comparison have room for as many bytes, and whoever receives looks at every line of the cache that a
//! message is in. They take turns, in rounds of a few milliseconds; then criterion measures each, unless it is told
//! not to.
//!
//! ```text
//! cargo bench --bench links
//! cargo bench --bench links -- --table                     without criterion
//! cargo bench --bench links -- --table "64 B over pipes"   a part
//! ```
//!
//! **The same job.** A stream has no messages, so its peer sends the length and the message by one `writev(2)`, and
//! reads the length and then the message. A seqpacket socket returns 0 for an empty message and for the end of the
//! stream; so the peer asks for credentials, and receives by `recvmsg(2)`, which says whether there are any. A pipe
//! takes more than a page in pieces, so who sends, and who receives, has a lock in a pipe of one byte meanwhile.
//! A write to a pipe that nobody reads ends a process by SIGPIPE, unless it says that it wants no signal; so does the
//! peer, by `pwritev2(2)`. `bare` peers do without, and stand beside without a goal. Where ours gives a new `Vec` for a packet,
//! or an item by value, the peer makes one too.
//!
//! **One core.** With a core for each side it depends on which of them is a little faster whether one sleeps after
//! each message or after a thousand, and on a virtual machine a sleep takes as long as a hundred messages: the same
//! raw pipe, measured against itself, was between 0.2 and 5 times as fast. So the links over kernel objects
//! and their peers have one core, where a wake-up interrupts nobody (`SCHED_BATCH`), and what is compared is all the
//! work for a message on both sides. Against itself, a pipe is then mostly within 3 %. The links in shared memory have
//! the machine as it is.
//!
//! **What is copied.** By value, an item of 64 KiB is moved from hand to hand, as Rust does it. By reference, it is
//! copied into the link once and out once. A loan is filled and read where it is.

mod memory;
mod pipes;
mod sockets;

use anyhow::Result;
use interlatch::Pod;
use interlatch_benches::{Comparison, Length, Measure, Session};
use std::time::Duration;

const ROUNDS: usize = 31;
const ROUND: Length = Length::Counted(Duration::from_millis(3));
/// ByteStream that a link has room for, but at least so many messages.
const ROOM: usize = 1 << 16;
const MIN_SLOTS: usize = 4;
/// Mode much slower than the same system calls a link over a kernel object may be.
const KERNEL: f64 = 1.1;
/// Memory that is shared has to be as fast as a pipe at least.
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
