//! What goes through the pipes: a piece of a line, small enough that the kernel writes it in one.

use zerocopy::{FromBytes, Immutable, IntoBytes};

const MOST: usize = 1022;

/// A line, or a part of a long one.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
pub struct Message {
    length: u16,
    text: [u8; MOST],
}

impl Message {
    /// The messages of a line. None of an empty one.
    pub fn of(line: &str) -> impl Iterator<Item = Self> {
        let mut rest = line;
        std::iter::from_fn(move || {
            let (part, others) = rest.split_at(rest.floor_char_boundary(MOST));
            rest = others;
            let mut message = Self {
                length: part.len() as u16,
                text: [0; MOST],
            };
            message.text[..part.len()].copy_from_slice(part.as_bytes());
            (!part.is_empty()).then_some(message)
        })
    }

    /// The text, without anything that would control a terminal: anybody may write into the pipe.
    pub fn text(&self) -> String {
        let length = usize::from(self.length).min(MOST);
        let text = String::from_utf8_lossy(&self.text[..length]);
        text.replace(char::is_control, "\u{fffd}")
    }
}
