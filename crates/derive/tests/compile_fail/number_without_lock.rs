//! A peer may write the number while this process reads it.

use interlatch::Region;

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    let _: &u64 = region.create("number", ()).unwrap();
}
