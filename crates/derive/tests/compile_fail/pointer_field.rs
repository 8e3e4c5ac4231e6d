//! The derive checks each field.

use zerocopy::{FromBytes, Immutable, IntoBytes};

#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct Node {
    value: u64,
    next: *const Node,
}

fn main() {}
