//! Words of memory that is only looked at.

/// Memory that others may change, or cut short, at any time: each word is copied out in one call, and
/// whoever asks for it checks the copy.
pub trait MemoryReader {
    /// The 32 bits at this offset, or nothing if there are none.
    fn read_u32(&self, offset: u64) -> Option<u32>;

    /// The 64 bits at this offset, or nothing if there are none.
    fn read_u64(&self, offset: u64) -> Option<u64>;
}

impl<W: MemoryReader + ?Sized> MemoryReader for &W {
    fn read_u32(&self, offset: u64) -> Option<u32> {
        (**self).read_u32(offset)
    }

    fn read_u64(&self, offset: u64) -> Option<u64> {
        (**self).read_u64(offset)
    }
}

/// A part of such memory, from this offset on.
#[derive(Clone, Copy, Debug)]
pub struct OffsetReader<W>(pub W, pub u64);

impl<W: MemoryReader> MemoryReader for OffsetReader<W> {
    fn read_u32(&self, offset: u64) -> Option<u32> {
        self.0.read_u32(self.1.checked_add(offset)?)
    }

    fn read_u64(&self, offset: u64) -> Option<u64> {
        self.0.read_u64(self.1.checked_add(offset)?)
    }
}
