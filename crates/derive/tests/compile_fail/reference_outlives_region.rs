//! A reference must not outlive its region, because dropping the region removes the mapping.

use interlatch::{Region, Semaphore};

fn main() {
    let semaphore: &Semaphore = {
        let region = Region::memfd("refused", 4096).unwrap();
        region.create("ready", ()).unwrap()
    };
    semaphore.acquire();
}
