//! Padding bytes are uninitialized and must not reach another process.

use zerocopy::{FromBytes, Immutable, IntoBytes};

#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct Padded {
    small: u8,
    large: u64,
}

fn main() {}
