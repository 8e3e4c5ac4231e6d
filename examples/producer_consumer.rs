//! Sends a file in blocks to another process, through a bounded buffer in shared memory.
//!
//! `cargo run --release --example producer_consumer -- FILE`
//!
//! Exit status: 0 if the file arrived intact, 1 if it did not or cannot be read, 2 for an invalid
//! command line.

#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
mod support;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use interlatch::channel::{SendTimeoutError, Slot};
use interlatch::region::ShmObject;
use interlatch::{BoundedBuffer, Buffer, MonitorBuffer, Region, ShmType};
use output::{end, escaped, say};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Sends a file to another process through shared memory and compares the hashes.
#[derive(Debug, Parser)]
struct Options {
    /// The file to send.
    file: PathBuf,
    /// Capacity of the buffer in blocks of 4 KiB.
    #[arg(long, default_value_t = 64)]
    capacity: usize,
    /// Use a buffer with condition variables instead of semaphores.
    #[arg(long)]
    monitor: bool,
}

/// A block of the file.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, ShmType)]
struct Block {
    length: u64,
    bytes: [u8; BLOCK],
}

const BLOCK: usize = 4096;

fn main() -> ExitCode {
    end("producer_consumer", run())
}

fn run() -> Result<()> {
    if let Some((region, arguments)) = support::child_role()? {
        return consumer(&region, &arguments);
    }
    let options = Options::parse();
    if options.monitor {
        producer::<MonitorBuffer<Block, [Slot<Block>]>>(&options)
    } else {
        producer::<BoundedBuffer<Block, [Slot<Block>]>>(&options)
    }
}

/// Creates the buffer, starts the child, and sends the file.
fn producer<B: Buffer<Item = Block> + ShmObject<Config = usize> + ?Sized>(
    options: &Options,
) -> Result<()> {
    let name = options.file.display();
    let mut file = File::open(&options.file).with_context(|| format!("cannot open {name}"))?;
    ensure!(!file.metadata()?.is_dir(), "{name} is a directory");
    let region = Region::memfd("producer_consumer", B::layout(options.capacity)?.size())?;
    let buffer: &B = region.create("buffer", options.capacity)?;
    // The sender is attached before the child starts, so the child never finds a buffer without a
    // sender.
    let sender = buffer.sender()?;
    let role = [options.monitor.to_string()];
    let mut child = support::start(&region, &role)?;

    let begin = Instant::now();
    let mut hash = Sha256::new();
    let mut total = 0;
    let result = send_file(&mut file, &mut hash, &mut total, |block| {
        send(&sender, block, &mut child)
    });
    if let Err(error) = result {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error.context(format!("after {total} bytes of {name}")));
    }
    sender.close();
    let output = child
        .wait_with_output()
        .context("waiting for the consumer")?;
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "the consumer ended with {}",
        output.status
    );
    report(
        &hex(&hash.finalize()),
        &escaped(output.stdout.trim_ascii()),
        total,
        seconds,
    )
}

fn report(sent: &str, received: &str, total: u64, seconds: f64) -> Result<()> {
    say(format_args!("sent     {sent}"))?;
    say(format_args!("received {received}"))?;
    let rate = total as f64 / seconds / f64::from(1 << 20);
    say(format_args!(
        "{total} bytes in {seconds:.3} s: {rate:.0} MiB/s"
    ))?;
    ensure!(
        sent == received,
        "the received file differs from the sent file"
    );
    Ok(())
}

fn send_file(
    file: &mut File,
    hash: &mut Sha256,
    total: &mut u64,
    mut send: impl FnMut(Block) -> Result<()>,
) -> Result<()> {
    let mut block = Block {
        length: 0,
        bytes: [0; BLOCK],
    };
    loop {
        let length = file.read(&mut block.bytes).context("cannot read")?;
        if length == 0 {
            return Ok(());
        }
        block.length = length as u64;
        hash.update(&block.bytes[..length]);
        send(block)?;
        *total += block.length;
    }
}

/// Sends one block. A killed consumer does not close its side, so this function checks the child
/// while the buffer stays full.
fn send<B: Buffer<Item = Block> + ?Sized>(
    sender: &interlatch::Sender<'_, B>,
    mut block: Block,
    child: &mut Child,
) -> Result<()> {
    const INTERVAL: Duration = Duration::from_millis(100);
    loop {
        match sender.send_timeout(block, INTERVAL) {
            Ok(()) => return Ok(()),
            Err(SendTimeoutError::Disconnected(_)) => bail!("the consumer has closed its side"),
            Err(SendTimeoutError::Timeout(returned)) => block = returned,
            Err(error) => return Err(error.map(drop).into()),
        }
        if let Some(status) = child.try_wait()? {
            bail!("the consumer has ended: {status}");
        }
    }
}

/// Receives to the end of the stream in the child, and prints the hash.
fn consumer(region: &Region, arguments: &[String]) -> Result<()> {
    let [monitor] = arguments else {
        bail!("expected an argument")
    };
    let digest = if monitor.parse()? {
        receive(region.attach::<MonitorBuffer<Block, [Slot<Block>]>>("buffer")?)?
    } else {
        receive(region.attach::<BoundedBuffer<Block, [Slot<Block>]>>("buffer")?)?
    };
    say(digest)
}

fn receive<B: Buffer<Item = Block> + ?Sized>(buffer: &B) -> Result<String> {
    let mut hash = Sha256::new();
    for block in buffer.receiver()? {
        let block = block?;
        let length = usize::try_from(block.length)
            .ok()
            .filter(|length| *length <= BLOCK);
        let length = length.context("a block has an invalid length: the memory is corrupt")?;
        hash.update(&block.bytes[..length]);
    }
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
