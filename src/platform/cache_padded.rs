//! Where words lie that different processes write.

/// A field without bytes: the next one begins on a cache line of its own.
///
/// 128 bytes, as in crossbeam-utils' `CachePadded`: processors fetch lines of 64 bytes in pairs.
#[repr(align(128))]
#[derive(Clone, Copy, Debug)]
pub struct CachePadded;

const _: () = assert!(size_of::<CachePadded>() == 0);
