//! The name of an object.

use super::text;
use core::fmt;

/// The number of bytes that a directory entry has for a name, including the zero byte at the end.
pub(super) const NAME: usize = 32;

/// The name of an object in a region.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObjectName(pub(super) [u8; NAME]);

/// The error returned when a text is not a valid object name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidObjectName {
    /// The text is empty or has more than 31 bytes. The field is the text's length in bytes.
    Length(usize),
    /// The text contains a zero byte.
    ZeroByte,
}

impl fmt::Display for InvalidObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(found) => write!(
                f,
                "the name of an object has {found} bytes, expected 1 to {}",
                NAME - 1
            ),
            Self::ZeroByte => f.write_str("the name of an object contains a zero byte"),
        }
    }
}

impl core::error::Error for InvalidObjectName {}

impl ObjectName {
    /// Checks a text and creates an object name from the text.
    ///
    /// # Errors
    /// Fails if the text is empty, has more than 31 bytes, or contains a zero byte.
    pub fn new(name: &str) -> Result<Self, InvalidObjectName> {
        if name.is_empty() || name.len() >= NAME {
            return Err(InvalidObjectName::Length(name.len()));
        }
        if name.contains('\0') {
            return Err(InvalidObjectName::ZeroByte);
        }
        Ok(Self(text::encode(name)))
    }

    /// Returns the name as the directory entry stores it.
    ///
    /// A peer may write any characters into the name, such as terminal escape sequences. `Display`
    /// and `Debug` escape these characters.
    pub fn text(&self) -> String {
        text::decode(&self.0).into_owned()
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", text::decode(&self.0).escape_debug())
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", text::decode(&self.0))
    }
}
