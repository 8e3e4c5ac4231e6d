//! An enum is not allowed, because a peer may write a number that is not one of the variants.

use interlatch::ShmType;

#[repr(u8)]
#[derive(ShmType)]
enum Color {
    Red,
    Green,
}

fn main() {}
