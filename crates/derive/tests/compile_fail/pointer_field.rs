//! The derive rejects a struct with a pointer, because it checks the type of each field.

use zerocopy::{FromBytes, Immutable, IntoBytes};

#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct Node {
    value: u64,
    next: *const Node,
}

fn main() {}
