//! Words of memory that is only looked at.

/// Memory that others may change, or cut short, at any time: each word is copied out in one call, and
/// whoever asks for it checks the copy.
pub trait Words {
    /// The 32 bits at this offset, or nothing if there are none.
    fn word(&self, offset: u64) -> Option<u32>;

    /// The 64 bits at this offset, or nothing if there are none.
    fn long(&self, offset: u64) -> Option<u64>;
}

impl<W: Words + ?Sized> Words for &W {
    fn word(&self, offset: u64) -> Option<u32> {
        (**self).word(offset)
    }

    fn long(&self, offset: u64) -> Option<u64> {
        (**self).long(offset)
    }
}

/// A part of such memory, from this offset on.
#[derive(Clone, Copy, Debug)]
pub struct WordsFrom<W>(pub W, pub u64);

impl<W: Words> Words for WordsFrom<W> {
    fn word(&self, offset: u64) -> Option<u32> {
        self.0.word(self.1.checked_add(offset)?)
    }

    fn long(&self, offset: u64) -> Option<u64> {
        self.0.long(self.1.checked_add(offset)?)
    }
}
