//! The expression of an initial value runs outside of unsafe code.

use interlatch::ShmSafe;
use interlatch::sync::RawMutex;

unsafe fn build() -> RawMutex {
    RawMutex::new()
}

#[repr(C)]
#[derive(ShmSafe)]
struct Account {
    #[shm(initial = build())]
    lock: RawMutex,
}

fn main() {}
