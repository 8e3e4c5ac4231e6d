//! Writer and reader take turns over one page of shared memory: the semaphore pair of the course notes, writer = 1
//! and reader = 0. Each waits for its own semaphore and posts the other's, so each line is read once, and none is
//! written over another that nobody has read.
//!
//! `cat FILE | turns | cmp - FILE` is silent.
//!
//! Exit status: 0 if the reader has got everything, 1 if not.

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

/// What fits on the page.
const PAGE: usize = 1000;

/// How often the reader looks whether there is a writer.
const A_WHILE: Duration = Duration::from_millis(500);

/// What is on the page; of length 0, that nothing follows.
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

/// What writer and reader share.
struct Shared<'a> {
    pair: &'a SemaphorePair,
    /// Never contended: the pair says whose turn it is.
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
        // It may have ended already, or be waiting for its turn.
        let _ = writer.kill();
    }
    let status = writer.wait().context("waiting for the writer")?;
    read?;
    ensure!(status.success(), "the writer ended with {status}");
    Ok(())
}

/// The child: from standard input onto the page.
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

/// From the page to standard output.
fn read_pages(shared: &Shared, writer: &mut Child) -> Result<()> {
    let mut output = std::io::stdout().lock();
    loop {
        let turn = wait_for(shared.pair, writer)?;
        let page = *shared.page.lock();
        drop(turn);
        let bytes = page.bytes.get(..page.length as usize);
        let bytes = bytes.context("a page is not as long as it says")?;
        check_write(output.write_all(bytes))?;
        if bytes.is_empty() {
            // What stands in the buffer still would be lost without a word.
            return check_write(output.flush());
        }
    }
}

/// The reader's turn, unless the writer has gone: its turn would never end.
fn wait_for<'a>(pair: &'a SemaphorePair, writer: &mut Child) -> Result<Turn<'a>> {
    loop {
        let ended = writer.try_wait()?;
        match (pair.read_timeout(A_WHILE), ended) {
            (Some(turn), _) => return Ok(turn),
            (None, Some(status)) => bail!("the writer ended in its turn, with {status}"),
            (None, None) => {}
        }
    }
}
