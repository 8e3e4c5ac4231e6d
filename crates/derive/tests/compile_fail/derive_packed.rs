//! The fields of a packed struct may be unaligned.

use interlatch::ShmSafe;

#[repr(C)]
#[derive(ShmSafe)]
struct Number;

#[repr(C, packed)]
#[derive(ShmSafe)]
struct Account {
    number: Number,
}

fn main() {}
