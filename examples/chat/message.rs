//! Messages: parts of a line, small enough for an atomic write to a pipe.

use crate::output::escaped;
use anyhow::{Context, Result, ensure};
use interlatch::ShmType;
use zerocopy::{FromBytes, Immutable, IntoBytes};

const MAX: usize = 1018;

/// The first bytes of each message. Any process with write permission could write extra bytes that
/// shift the messages; these first bytes make the shift detectable.
const MAGIC: [u8; 4] = *b"chat";

/// A line, or a part of a long line.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
pub struct Message {
    magic: [u8; MAGIC.len()],
    length: u16,
    text: [u8; MAX],
}

impl Message {
    /// Splits a line into messages; an empty line yields no messages.
    pub fn split(line: &str) -> impl Iterator<Item = Self> {
        let mut rest = line;
        std::iter::from_fn(move || {
            let mut ends = (0..=rest.len().min(MAX)).rev();
            let end = ends.find(|end| rest.is_char_boundary(*end));
            let (part, others) = rest.split_at(end.unwrap_or(0));
            rest = others;
            let mut message = Self {
                magic: MAGIC,
                length: part.len() as u16,
                text: [0; MAX],
            };
            message.text[..part.len()].copy_from_slice(part.as_bytes());
            (!part.is_empty()).then_some(message)
        })
    }

    /// Returns the text with escapes for control characters, which any process may write into the
    /// pipe.
    ///
    /// # Errors
    /// Returns an error if this is not a message. In that case the following messages are invalid
    /// too.
    pub fn text(&self) -> Result<String> {
        ensure!(
            self.magic == MAGIC,
            "another program has written into the named pipe"
        );
        let text = self.text.get(..usize::from(self.length));
        let text = text.context("a message with an invalid length")?;
        Ok(escaped(text))
    }
}
