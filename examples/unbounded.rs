//! A producer that outruns its consumer: `unbounded NAME`. It sends before anybody receives, and goes on while
//! another process drains the queue; the memory grows and shrinks by segments. Ctrl+C removes all of it; of one that
//! was killed something is left: `unbounded NAME --remove`.

#[path = "support/interruption.rs"]
mod interruption;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
use anyhow::{Context, ensure};
use interlatch::channel::GrowthLimit;
use interlatch::{Channel, RegionName, UnboundedBuffer};
use interruption::Interruption;
use output::{end, say};
use std::process::{Command, ExitCode};

type Queue = UnboundedBuffer<u64>;

const HALF: u64 = 50_000;
const GROWTH: GrowthLimit = GrowthLimit {
    items: 2_000,
    segments: 60,
};

fn main() -> ExitCode {
    end("unbounded", run())
}

fn run() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments
        .next()
        .context("expected NAME, or NAME --remove")?;
    let region = RegionName::posix(&name)?;
    match arguments.next().as_deref() {
        None => {
            let interruption = Interruption::block()?;
            let queue = Queue::create(&region, GROWTH)?;
            let removed = region.clone();
            interruption.on_signal(move || drop(Queue::remove(&removed)));
            let produced = produce(&queue, &name);
            Queue::remove(&region)?;
            produced
        }
        Some("--consume") => {
            // It was started by one that holds them back, and has nothing to put away.
            Interruption::block()?.on_signal(|| ());
            consume(&Queue::attach(&region)?)
        }
        Some("--remove") => Ok(Queue::remove(&region)?),
        Some(other) => anyhow::bail!("{other:?}: expected NAME, or NAME --remove"),
    }
}

fn produce(queue: &Queue, name: &str) -> anyhow::Result<()> {
    let sender = queue.sender()?;
    (1..=HALF).try_for_each(|item| sender.send(item))?;
    say(format_args!("nobody receives: {}", segments(queue)?))?;
    let program = std::env::current_exe().context("finding this program")?;
    let mut consumer = Command::new(program).args([name, "--consume"]).spawn()?;
    let rest = (HALF + 1..=2 * HALF).try_for_each(|item| sender.send(item));
    // The consumer sees the end of the stream, whatever has happened here.
    drop(sender);
    let ended = consumer.wait()?;
    rest?;
    ensure!(ended.success(), "the consumer failed: {ended}");
    say(format_args!("all is received: {}", segments(queue)?))
}

fn segments(queue: &Queue) -> anyhow::Result<String> {
    let grown = queue.usage().context("the queue is locked for good")?;
    let (now, ever) = (grown.segments, grown.created);
    Ok(format!("{now} segments of {ever} that there ever were"))
}

fn consume(queue: &Queue) -> anyhow::Result<()> {
    let receiver = queue.receiver()?;
    for expected in 1..=2 * HALF {
        let found = receiver.recv()?;
        ensure!(found == expected, "item {found}: expected {expected}");
    }
    say(format_args!("received 1 to {} in order", 2 * HALF))
}
