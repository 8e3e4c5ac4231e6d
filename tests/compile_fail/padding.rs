//! Bytes that nobody has written must not become another process's.

use zerocopy::{FromBytes, Immutable, IntoBytes};

#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct Padded {
    small: u8,
    large: u64,
}

fn main() {}
