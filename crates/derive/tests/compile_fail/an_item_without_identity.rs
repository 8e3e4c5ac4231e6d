//! Every item type needs an identity (`ShmType`), which programs compare when they attach.

use interlatch::{Region, RobustMutex};
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
struct Order {
    number: u64,
}

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    let _: &RobustMutex<Order> = region.create("order", ()).unwrap();
}
