//! A producer that outruns its consumer: `unbounded NAME`. It sends before anybody receives, and goes on while
//! another process drains the queue; the memory grows and shrinks by segments.

use anyhow::{Context, ensure};
use interlatch::{Growth, RegionName, UnboundedBuffer};
use std::process::Command;

type Queue = UnboundedBuffer<u64>;

const HALF: u64 = 50_000;
const GROWTH: Growth = Growth {
    items: 2_000,
    segments: 60,
};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("usage: unbounded NAME")?;
    let region = RegionName::posix(&name)?;
    match arguments.next().as_deref() {
        None => {
            let queue = Queue::create(&region, GROWTH)?;
            let produced = produce(&queue, &name);
            Queue::remove(&region)?;
            produced
        }
        Some("--consume") => consume(&Queue::attach(&region)?),
        Some(other) => anyhow::bail!("{other:?}: expected NAME alone"),
    }
}

fn produce(queue: &Queue, name: &str) -> anyhow::Result<()> {
    let sender = queue.sender()?;
    (1..=HALF).try_for_each(|item| sender.send(item))?;
    println!("nobody receives: {}", segments(queue)?);
    let program = std::env::current_exe().context("finding this program")?;
    let mut consumer = Command::new(program).args([name, "--consume"]).spawn()?;
    let rest = (HALF + 1..=2 * HALF).try_for_each(|item| sender.send(item));
    // The consumer sees the end of the stream, whatever has happened here.
    drop(sender);
    let ended = consumer.wait()?;
    rest?;
    ensure!(ended.success(), "the consumer failed: {ended}");
    println!("all is received: {}", segments(queue)?);
    Ok(())
}

fn segments(queue: &Queue) -> anyhow::Result<String> {
    let grown = queue.grown()?.context("the queue is locked for good")?;
    let (now, ever) = (grown.segments, grown.ever);
    Ok(format!("{now} segments of {ever} that there ever were"))
}

fn consume(queue: &Queue) -> anyhow::Result<()> {
    let receiver = queue.receiver()?;
    for expected in 1..=2 * HALF {
        let found = receiver.recv()?;
        ensure!(found == expected, "item {found}: expected {expected}");
    }
    println!("received 1 to {} in order", 2 * HALF);
    Ok(())
}
