//! A robust lock in it may be held by the thread that drops it.

use interlatch::Region;

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    std::thread::spawn(move || drop(region));
}
