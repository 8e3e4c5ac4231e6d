//! A struct of numbers with zerocopy's derives can be an item in shared memory.

use interlatch::channel::Slot;
use interlatch::{Channel, Mutex, Region, RobustMonitorBuffer, RobustMutex, ShmType};
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, ShmType)]
struct Account {
    number: u32,
    owner: [u8; 4],
    balance: f64,
}

type Queue = RobustMonitorBuffer<Account, [Slot<Account>]>;

#[test]
fn struct_of_numbers_is_an_item() {
    let region = Region::memfd("accepted", 8192).unwrap();
    let robust: &RobustMutex<Account> = region.create("robust", ()).unwrap();
    robust.lock().unwrap().balance += 1.5;
    let plain: &Mutex<Account> = region.create("plain", ()).unwrap();
    plain.lock().number += 1;
    let queue: &Queue = region.create("queue", 4).unwrap();
    let (sender, receiver) = (queue.sender().unwrap(), queue.receiver().unwrap());
    sender.send(*robust.lock().unwrap()).unwrap();
    assert_eq!(receiver.recv().unwrap().balance, 1.5);
}
