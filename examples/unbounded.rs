//! A producer that is faster than its consumer: `unbounded NAME`.
//!
//! The producer sends before a consumer exists, and continues while another process drains the
//! buffer. The memory grows and shrinks by segments. Ctrl+C removes the buffer; after a kill,
//! `unbounded NAME --remove` removes it.

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

type Buffer = UnboundedBuffer<u64>;

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
            let buffer = Buffer::create(&region, GROWTH)?;
            let removed = region.clone();
            interruption.on_signal(move || drop(Buffer::remove(&removed)));
            let produced = produce(&buffer, &name);
            Buffer::remove(&region)?;
            produced
        }
        Some("--consume") => {
            // The producer starts this process with blocked signals. This process has nothing to
            // clean up.
            Interruption::block()?.on_signal(|| ());
            consume(&Buffer::attach(&region)?)
        }
        Some("--remove") => Ok(Buffer::remove(&region)?),
        Some(other) => anyhow::bail!("{other:?}: expected NAME, or NAME --remove"),
    }
}

fn produce(buffer: &Buffer, name: &str) -> anyhow::Result<()> {
    let sender = buffer.sender()?;
    (1..=HALF).try_for_each(|item| sender.send(item))?;
    say(format_args!("without a receiver: {}", segments(buffer)?))?;
    let program = std::env::current_exe().context("finding this program")?;
    let mut consumer = Command::new(program).args([name, "--consume"]).spawn()?;
    let rest = (HALF + 1..=2 * HALF).try_for_each(|item| sender.send(item));
    // The consumer observes the end of the stream, even after an error here.
    drop(sender);
    let ended = consumer.wait()?;
    rest?;
    ensure!(ended.success(), "the consumer failed: {ended}");
    say(format_args!("after the last item: {}", segments(buffer)?))
}

fn segments(buffer: &Buffer) -> anyhow::Result<String> {
    let usage = buffer.usage().context("the buffer is unrecoverable")?;
    let (now, created) = (usage.segments, usage.created);
    Ok(format!("{now} segments, {created} created in total"))
}

fn consume(buffer: &Buffer) -> anyhow::Result<()> {
    let receiver = buffer.receiver()?;
    for expected in 1..=2 * HALF {
        let found = receiver.recv()?;
        ensure!(found == expected, "item {found}: expected {expected}");
    }
    say(format_args!("received 1 to {} in order", 2 * HALF))
}
