//! Nothing protects a plain number from a concurrent write.

use interlatch::{RobustMutex, ShmSafe};

#[repr(C)]
#[derive(ShmSafe)]
struct Account {
    balance: RobustMutex<u64>,
    count: u64,
}

fn main() {}
