//! Read-only access to the words of untrusted memory.

/// Memory that other processes may change or truncate at any time.
///
/// Each call copies one word. The caller validates the copy, which no other process can change.
pub trait MemoryReader {
    /// Returns the 32-bit word at this offset, or `None` if the memory is too short.
    fn read_u32(&self, offset: u64) -> Option<u32>;

    /// Returns the 64-bit word at this offset, or `None` if the memory is too short.
    fn read_u64(&self, offset: u64) -> Option<u64>;
}

impl<R: MemoryReader + ?Sized> MemoryReader for &R {
    fn read_u32(&self, offset: u64) -> Option<u32> {
        (**self).read_u32(offset)
    }

    fn read_u64(&self, offset: u64) -> Option<u64> {
        (**self).read_u64(offset)
    }
}

/// A reader that adds a base offset to each offset.
#[derive(Clone, Copy, Debug)]
pub struct OffsetReader<R>(pub R, pub u64);

impl<R: MemoryReader> MemoryReader for OffsetReader<R> {
    fn read_u32(&self, offset: u64) -> Option<u32> {
        self.0.read_u32(self.1.checked_add(offset)?)
    }

    fn read_u64(&self, offset: u64) -> Option<u64> {
        self.0.read_u64(self.1.checked_add(offset)?)
    }
}
