//! A peer may write a number that is none of the variants.

use interlatch::ShmType;

#[repr(u8)]
#[derive(ShmType)]
enum Color {
    Red,
    Green,
}

fn main() {}
