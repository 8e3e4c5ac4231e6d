//! The expression of an initial value has the type of the field.

use interlatch::ShmSafe;
use interlatch::sync::RawMutex;

#[repr(C)]
#[derive(ShmSafe)]
struct Account {
    #[shm(initial = 5)]
    lock: RawMutex,
}

fn main() {}
