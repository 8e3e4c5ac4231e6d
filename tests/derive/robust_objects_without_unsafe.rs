//! Programs without unsafe code use robust objects in statics, on the heap and in regions.
#![forbid(unsafe_code)]

use interlatch::channel::{Slot, TurnSlot};
use interlatch::sync::{RawRobustMutex, Static, Timeout};
use interlatch::{
    Channel, Region, Rendezvous, RingBuffer, RobustBoundedBuffer, RobustMutex, RobustSemaphore,
    Semaphore, ShmSafe,
};

static TOTAL: Static<RobustMutex<u64>> = RobustMutex::new(1);
static PERMITS: Static<RobustSemaphore<2>> = RobustSemaphore::new();
static ITEMS: Static<RobustBoundedBuffer<u64, [TurnSlot<u64>; 2]>> = RobustBoundedBuffer::new();
static MEETING: Static<Rendezvous<u64>> = Rendezvous::new();

#[repr(C)]
#[derive(ShmSafe)]
struct Account {
    #[shm(initial = RobustMutex::new(100))]
    balance: RobustMutex<u64>,
    #[shm(initial = Semaphore::binary())]
    turn: Semaphore,
    history: [RobustMutex<[u64; 100]>; 3],
}

struct Service {
    lock: Static<RobustMutex<String>>,
}

static SERVICE: Service = Service {
    lock: RobustMutex::new(String::new()),
};

#[test]
fn robust_objects_need_no_unsafe_code() {
    *TOTAL.get().lock().unwrap() += 1;
    assert_eq!(*TOTAL.get().lock().unwrap(), 2);
    drop(PERMITS.get().acquire().unwrap());
    ITEMS.get().sender().unwrap().send(7).unwrap();
    drop(MEETING.get().receiver().unwrap());
    SERVICE.lock.get().lock().unwrap().push('x');

    let ring = RingBuffer::<u64, _>::with_capacity(4).unwrap().leak();
    ring.sender().unwrap().send(7).unwrap();
    let ring = RingBuffer::from_slots([const { Slot::<u64>::new() }; 4]).leak();
    ring.sender().unwrap().send(7).unwrap();
    let raw = RawRobustMutex::new().leak();
    raw.lock_with(Timeout::Infinite).unwrap();
    assert!(raw.is_locked());

    let region = Region::memfd("account", 8192).unwrap();
    let account: &Account = region.create("account", ()).unwrap();
    assert_eq!(*account.balance.lock().unwrap(), 100);
    assert_eq!(account.turn.permits(), 1);
    assert_eq!(account.history[2].lock().unwrap()[99], 0);
}
