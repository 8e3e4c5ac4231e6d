//! Padding that keeps words of different writers on separate cache lines.

/// A zero-sized field that starts the next field on a new cache line.
///
/// The alignment is 128 bytes, like that of crossbeam-utils' `CachePadded`, because processors
/// prefetch 64-byte cache lines in pairs.
#[repr(align(128))]
#[derive(Clone, Copy, Debug)]
pub struct CachePadded;

const _: () = assert!(size_of::<CachePadded>() == 0);
