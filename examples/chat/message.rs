//! What goes through the pipes: a piece of a line, small enough that the kernel writes it in one.

use anyhow::{Context, Result, ensure};
use interlatch::ShmType;
use zerocopy::{FromBytes, Immutable, IntoBytes};

const MAX: usize = 1018;

/// What each message begins with. Anybody who may write into the pipe can shift the messages by some bytes, and then
/// this is not there.
const BEGIN: [u8; 4] = *b"chat";

/// A line, or a part of a long one.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
pub struct Message {
    begin: [u8; BEGIN.len()],
    length: u16,
    text: [u8; MAX],
}

impl Message {
    /// The messages of a line. None of an empty one.
    pub fn of(line: &str) -> impl Iterator<Item = Self> {
        let mut rest = line;
        std::iter::from_fn(move || {
            let mut ends = (0..=rest.len().min(MAX)).rev();
            let end = ends.find(|end| rest.is_char_boundary(*end));
            let (part, others) = rest.split_at(end.unwrap_or(0));
            rest = others;
            let mut message = Self {
                begin: BEGIN,
                length: part.len() as u16,
                text: [0; MAX],
            };
            message.text[..part.len()].copy_from_slice(part.as_bytes());
            (!part.is_empty()).then_some(message)
        })
    }

    /// The text, without anything that would control a terminal: anybody may write into the pipe.
    ///
    /// # Errors
    /// It is no message, and what follows will be none either.
    pub fn text(&self) -> Result<String> {
        ensure!(
            self.begin == BEGIN,
            "somebody else has written into the named pipe"
        );
        let text = self.text.get(..usize::from(self.length));
        let text = text.context("a message that is longer than a message")?;
        let text = String::from_utf8_lossy(text);
        Ok(text.replace(char::is_control, "\u{fffd}"))
    }
}
