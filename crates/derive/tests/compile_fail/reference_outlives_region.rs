//! The mapping ends with the region.

use interlatch::{Region, Semaphore};

fn main() {
    let semaphore: &Semaphore = {
        let region = Region::memfd("refused", 4096).unwrap();
        region.create("ready", ()).unwrap()
    };
    semaphore.acquire();
}
