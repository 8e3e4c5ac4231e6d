//! A writer and a reader take turns over one page of shared memory, with a pair of semaphores:
//! writer = 1, reader = 0.
//!
//! Each side waits for its own semaphore and releases the other side's semaphore. Each page is
//! therefore read once, and never overwritten before it was read.
//!
//! `cat FILE | turns | cmp - FILE` prints nothing.
//!
//! Exit status: 0 if the reader received all bytes, 1 if not.

#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
mod support;

use anyhow::{Context, Result, bail, ensure};
use interlatch::sync::SemaphorePair;
use interlatch::sync::Turn;
use interlatch::{Mutex, Region, ShmType};
use output::{check_write, end};
use std::io::{Read, Write};
use std::process::{Child, ExitCode};
use std::time::Duration;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

fn main() -> ExitCode {
    end("turns", run())
}

/// The size of the page in bytes.
const PAGE: usize = 1000;

/// Interval at which the reader checks that the writer is running.
const INTERVAL: Duration = Duration::from_millis(500);

/// The content of the page. Length 0 marks the end of the stream.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
struct Page {
    length: u64,
    bytes: [u8; PAGE],
}

impl Default for Page {
    fn default() -> Self {
        Self::new_zeroed()
    }
}

/// The objects that the writer and the reader share.
struct Shared<'a> {
    pair: &'a SemaphorePair,
    /// The mutex is never contended, because the semaphore pair determines whose turn it is.
    page: &'a Mutex<Page>,
}

fn run() -> Result<()> {
    if let Some((region, _)) = support::child_role()? {
        let (pair, page) = (region.attach("pair")?, region.attach("page")?);
        return write_pages(&Shared { pair, page });
    }
    let region = Region::memfd("turns", 8192)?;
    let (pair, page) = (region.create("pair", ())?, region.create("page", ())?);
    let mut writer = support::start(&region, &[])?;
    let read = read_pages(&Shared { pair, page }, &mut writer);
    if read.is_err() {
        // The writer may have ended, or may wait for its turn.
        let _ = writer.kill();
    }
    let status = writer.wait().context("waiting for the writer")?;
    read?;
    ensure!(status.success(), "the writer ended with {status}");
    Ok(())
}

/// Copies standard input to the page in the child.
fn write_pages(shared: &Shared) -> Result<()> {
    let mut input = std::io::stdin().lock();
    loop {
        let mut bytes = [0; PAGE];
        let length = input.read(&mut bytes).context("reading the input")?;
        let turn = shared.pair.write();
        *shared.page.lock() = Page {
            length: length as u64,
            bytes,
        };
        drop(turn);
        if length == 0 {
            return Ok(());
        }
    }
}

/// Copies the page to standard output.
fn read_pages(shared: &Shared, writer: &mut Child) -> Result<()> {
    let mut output = std::io::stdout().lock();
    loop {
        let turn = wait_for(shared.pair, writer)?;
        let page = *shared.page.lock();
        drop(turn);
        let bytes = page.bytes.get(..page.length as usize);
        let bytes = bytes.context("a page has an invalid length")?;
        check_write(output.write_all(bytes))?;
        if bytes.is_empty() {
            // The output is buffered. Without this flush, a write error would be lost.
            return check_write(output.flush());
        }
    }
}

/// Waits for the reader's turn. Fails if the writer has ended within its own turn.
fn wait_for<'a>(pair: &'a SemaphorePair, writer: &mut Child) -> Result<Turn<'a>> {
    loop {
        let ended = writer.try_wait()?;
        match (pair.read_timeout(INTERVAL), ended) {
            (Some(turn), _) => return Ok(turn),
            (None, Some(status)) => bail!("the writer ended in its turn, with {status}"),
            (None, None) => {}
        }
    }
}
