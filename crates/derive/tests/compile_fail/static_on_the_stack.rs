//! A `Static` gives access to its object only if it can never move or be freed.

use interlatch::RobustMutex;
use interlatch::sync::Static;
use std::cell::RefCell;

const CONSTANT: Static<RobustMutex<u64>> = RobustMutex::new(0);

thread_local! {
    static LOCAL: Static<RobustMutex<u64>> = RobustMutex::new(0);
    static CELL: RefCell<Option<Static<RobustMutex<u64>>>> = const { RefCell::new(None) };
}

fn main() {
    let local = RobustMutex::new(0);
    std::mem::forget(local.get().lock());
    let boxed = Box::new(RobustMutex::new(0));
    std::mem::forget(boxed.get().lock());
    let many = vec![RobustMutex::new(0), RobustMutex::new(0)];
    std::mem::forget(many[0].get().lock());
    std::mem::forget(CONSTANT.get().lock());
    LOCAL.with(|lock| std::mem::forget(lock.get().lock()));
    CELL.with_borrow(|lock| std::mem::forget(lock.as_ref().unwrap().get().lock()));
}
