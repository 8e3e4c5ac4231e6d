//! The compiler may order the fields differently in each program.

use interlatch::{RobustMutex, ShmSafe};

#[derive(ShmSafe)]
struct Account {
    balance: RobustMutex<u64>,
}

fn main() {}
