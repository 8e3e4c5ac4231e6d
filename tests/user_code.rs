//! Code of users that panics, lies or calls back in the middle of an operation does no harm.
//!
//! A primitive calls code of its user: methods of safe traits, closures, `Drop`, `Default`, and
//! constructors of objects in regions. The table in ARCHITECTURE.md lists these calls. Each test
//! covers rows of that table.
#![allow(
    clippy::disallowed_types,
    reason = "the tests observe the primitives through core's atomics"
)]

use interlatch::channel::{
    GrowthLimit, Segment, SegmentList, Segments, SendTimeoutError, Slot, TurnSlot,
};
use interlatch::sync::{
    LockGuard, PairSlot, PermitOverflow, RawCondvar, RawLock, RawMutex, RawSemaphore,
    RobustLockError, RobustSemaphore, RobustSemaphorePair, SemaphoreCondvar, SemaphorePair,
    Timeout,
};
use interlatch::{
    BoundedBuffer, Buffer, Channel, Condvar, MonitorBuffer, Mutex, Region, Rendezvous, RingBuffer,
    RobustBoundedBuffer, RobustMutex, Semaphore, ShmSafe,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// Panics without a message.
fn panics() -> ! {
    resume_unwind(Box::new("a panic of the user's code"))
}

fn has_panicked<R>(action: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(action)).is_err()
}

/// The timeout of each wait, which is much longer than the expected duration.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until `condition` is true. Panics after the timeout.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < TIMEOUT, "waits for {what}");
        thread::yield_now();
    }
}

fn region() -> Region {
    Region::memfd("user-code", 1 << 16).expect("a region")
}

/// A lock that counts its holders and the attempts to lock it.
#[derive(Default)]
struct Watched {
    lock: RawMutex,
    holders: AtomicI32,
    attempts: AtomicU32,
    violations: AtomicU32,
}

// SAFETY: `lock` provides mutual exclusion, and the methods do not panic.
unsafe impl RawLock for Watched {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.attempts.fetch_add(1, SeqCst);
        let is_locked = self.lock.raw_lock_with(timeout);
        if is_locked && self.holders.fetch_add(1, SeqCst) != 0 {
            self.violations.fetch_add(1, SeqCst);
        }
        is_locked
    }

    unsafe fn unlock(&self) {
        if self.holders.fetch_sub(1, SeqCst) != 1 {
            self.violations.fetch_add(1, SeqCst);
        }
        // SAFETY: the caller holds the lock, by the contract of this method.
        unsafe { self.lock.unlock() }
    }
}

/// A semaphore that runs a function before each acquisition and each release.
struct Hooked {
    semaphore: Semaphore,
    acquires: Box<dyn Fn() + Send + Sync>,
    releases: Box<dyn Fn() + Send + Sync>,
}

impl Hooked {
    fn new(semaphore: Semaphore) -> Self {
        Self {
            semaphore,
            acquires: Box::new(|| ()),
            releases: Box::new(|| ()),
        }
    }
}

impl RawSemaphore for Hooked {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        (self.acquires)();
        RawSemaphore::acquire_with(&self.semaphore, timeout)
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        (self.releases)();
        RawSemaphore::release(&self.semaphore, count)
    }
}

fn parts() -> [Hooked; 4] {
    let new = |permits| Hooked::new(Semaphore::new(permits).expect("few permits"));
    [new(1), new(0), new(0), new(0)]
}

#[test]
fn panic_of_a_semaphore_during_a_wait_unlocks_no_other_holder() {
    let lock = Watched::default();
    let (sleeps, is_inside) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut parts = parts();
    let (slept, inside) = (sleeps.clone(), is_inside.clone());
    parts[2].acquires = Box::new(move || {
        // The waiter has unlocked. It panics while another thread holds the lock.
        slept.store(true, SeqCst);
        wait_until("another holder", || inside.load(SeqCst));
        panics();
    });
    let condvar = SemaphoreCondvar::from_parts(parts);
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let has_panicked = has_panicked(|| {
                let mut guard = lock.lock();
                condvar.wait_with(&mut guard, Timeout::Infinite)
            });
            has_ended.store(true, SeqCst);
            has_panicked
        });
        wait_until("the waiter", || sleeps.load(SeqCst));
        let guard = lock.lock();
        is_inside.store(true, SeqCst);
        // The waiter tries to lock again. Without that, it ends, and its guard unlocks.
        wait_until("the panic", || {
            has_ended.load(SeqCst) || lock.attempts.load(SeqCst) == 3
        });
        assert_eq!(lock.holders.load(SeqCst), 1, "the panic has unlocked");
        drop(guard);
        assert!(waiter.join().expect("the panic was caught"));
    });
    assert_eq!(lock.violations.load(SeqCst), 0);
    assert!(
        lock.lock_with(Timeout::NonBlocking).is_some(),
        "the lock is free"
    );
}

#[test]
fn panic_of_a_semaphore_does_not_keep_a_condvar_closed() {
    // A waiter that never ends must not keep the test from failing, so it is not scoped.
    let lock: &'static RawMutex = Box::leak(Box::new(RawMutex::new()));
    let is_first = Arc::new(AtomicBool::new(true));
    let mut parts = parts();
    let first = is_first.clone();
    parts[1].releases = Box::new(move || {
        if first.swap(false, SeqCst) {
            panics();
        }
    });
    let condvar = SemaphoreCondvar::from_parts(parts);
    let condvar: &'static SemaphoreCondvar<Hooked> = Box::leak(Box::new(condvar));
    let soon = || Timeout::after(Duration::from_millis(1));
    assert!(has_panicked(|| condvar.wait_with(&mut lock.lock(), soon())));
    let waiter = thread::spawn(move || condvar.wait_with(&mut lock.lock(), soon()));
    wait_until("a second wait", || waiter.is_finished());
    let again = waiter.join().expect("no panic");
    assert!(!again, "there was no notification");
}

#[test]
fn panic_at_the_entry_of_a_condvar_releases_no_entry() {
    let lock = RawMutex::new();
    let (is_first, releases) = (AtomicBool::new(true), Arc::new(AtomicUsize::new(0)));
    let mut parts = parts();
    parts[0].acquires = Box::new(move || {
        if is_first.swap(false, SeqCst) {
            panics();
        }
    });
    let released = releases.clone();
    parts[0].releases = Box::new(move || _ = released.fetch_add(1, SeqCst));
    let condvar = SemaphoreCondvar::from_parts(parts);
    assert!(has_panicked(|| condvar.notify_one()));
    assert_eq!(releases.load(SeqCst), 0, "the entry was not acquired");
    let now = Timeout::after(Duration::ZERO);
    assert!(!condvar.wait_with(&mut lock.lock(), now));
    assert_eq!(releases.load(SeqCst), 1);
}

/// A semaphore that acquires one permit more than requested.
struct Generous;

impl RawSemaphore for Generous {
    fn acquire_with(&self, _timeout: Timeout) -> bool {
        true
    }

    fn acquire_some_with(&self, max: u32, _timeout: Timeout) -> u32 {
        max + 1
    }

    fn release(&self, _count: u32) -> Result<(), PermitOverflow> {
        Ok(())
    }
}

#[test]
fn semaphore_gives_a_pair_no_more_turns_than_requested() {
    let pair = SemaphorePair::from_parts(Generous, Generous);
    let turns = pair.write_some_with(2, Timeout::NonBlocking);
    assert_eq!(turns.map(|turns| turns.count()), Some(2));
}

/// A semaphore and condition variable that never block, and that lie and panic at random.
#[derive(Default)]
struct Liar;

thread_local! {
    static RANDOM: RefCell<fastrand::Rng> =
        const { RefCell::new(fastrand::Rng::with_seed(1)) };
}

fn random(below: u32) -> u32 {
    RANDOM.with_borrow_mut(|random| random.u32(..below))
}

impl Liar {
    fn lie(&self) -> bool {
        match random(8) {
            0 if !thread::panicking() => panics(),
            number => number > 3,
        }
    }
}

impl RawSemaphore for Liar {
    fn acquire_with(&self, _timeout: Timeout) -> bool {
        self.lie()
    }

    fn acquire_some_with(&self, max: u32, _timeout: Timeout) -> u32 {
        match self.lie() {
            true => max.saturating_add(random(3)),
            false => u32::MAX,
        }
    }

    fn release(&self, added: u32) -> Result<(), PermitOverflow> {
        match self.lie() {
            true => Ok(()),
            false => Err(PermitOverflow { held: 0, added }),
        }
    }
}

impl RawCondvar for Liar {
    fn wait_with<L: RawLock>(&self, guard: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        // A guard cannot be exchanged for another one, and the lock cannot be taken twice.
        assert!(guard.mutex().lock_with(Timeout::NonBlocking).is_none());
        self.lie() || timeout == Timeout::NonBlocking
    }

    fn notify_one(&self) {
        self.lie();
    }

    fn notify_all(&self) {
        self.lie();
    }
}

/// An item that counts its drops.
struct Item {
    drops: Arc<Vec<AtomicUsize>>,
    number: usize,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.drops[self.number].fetch_add(1, SeqCst);
        if self.number.is_multiple_of(5) && !thread::panicking() {
            panics();
        }
    }
}

/// Sends and receives in every way from several threads, and checks that no item is dropped twice.
fn no_item_is_doubled<B>(make: impl Fn() -> B)
where
    B: Buffer<Item = Item> + Sync,
{
    const THREADS: usize = 4;
    const ITEMS: usize = 400;
    let drops: Arc<Vec<AtomicUsize>> =
        Arc::new((0..THREADS * ITEMS).map(|_| AtomicUsize::new(0)).collect());
    let buffer = make();
    // Leaked handles keep both sides open.
    std::mem::forget((buffer.sender(), buffer.receiver()));
    let next = AtomicUsize::new(0);
    let act = |index: usize| {
        RANDOM.set(fastrand::Rng::with_seed(index as u64));
        let soon = || Timeout::after(Duration::from_micros(10));
        let item = |number| Item {
            drops: drops.clone(),
            number,
        };
        while next.load(SeqCst) < THREADS * ITEMS - 2 * THREADS {
            let number = next.fetch_add(2, SeqCst);
            has_panicked(|| {
                let sender = buffer.sender().expect("the side is open");
                let receiver = buffer.receiver().expect("the side is open");
                // Without a send, a receiver also finds the buffer empty.
                match random(3) {
                    0 => {}
                    1 => drop(sender.send_with(item(number), soon())),
                    _ => {
                        let mut items = vec![item(number), item(number + 1)];
                        let _ = sender.send_many_with(&mut items, soon());
                    }
                }
                match random(2) {
                    0 => drop(receiver.recv_with(soon())),
                    _ => {
                        let mut items = Vec::new();
                        let _ = receiver.recv_many_with(&mut items, 2, soon());
                    }
                }
            });
        }
    };
    thread::scope(|scope| {
        for index in 0..THREADS {
            let act = &act;
            scope.spawn(move || act(index));
        }
    });
    has_panicked(|| drop(buffer));
    let counts: Vec<usize> = drops.iter().map(|count| count.load(SeqCst)).collect();
    let doubled = counts.iter().position(|count| *count > 1);
    assert_eq!(doubled, None, "an item was dropped twice");
    assert!(counts.contains(&1), "no item passed");
}

fn slots() -> Box<[Slot<Item>]> {
    (0..2).map(|_| Slot::new()).collect()
}

#[test]
fn lying_condvar_doubles_no_item() {
    no_item_is_doubled(|| MonitorBuffer::from_parts(Liar, Liar, RawMutex::new(), slots()));
}

#[test]
fn condvar_of_lying_semaphores_doubles_no_item() {
    let condvar = || SemaphoreCondvar::from_parts([Liar, Liar, Liar, Liar]);
    no_item_is_doubled(|| {
        MonitorBuffer::from_parts(condvar(), condvar(), RawMutex::new(), slots())
    });
}

#[test]
fn lying_semaphores_double_no_item() {
    let pair = || SemaphorePair::from_parts(Liar, Liar);
    no_item_is_doubled(|| BoundedBuffer::from_parts(pair(), RawMutex::new(), slots()));
}

#[test]
fn panic_of_a_repair_is_reported_again_and_reentry_fails() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("space");
    assert!(has_panicked(|| {
        let _guard = lock.lock().expect("a free lock");
        panics();
    }));
    assert!(has_panicked(|| lock.lock_or_repair(|_| panics())));
    assert!(has_panicked(|| lock
        .lock()
        .or_else(|error| error.repair(|_| panics()))));
    let guard = lock.lock_or_repair(|value| {
        let again = lock.lock_timeout(TIMEOUT);
        assert!(
            matches!(again, Err(RobustLockError::AlreadyHeld)),
            "{again:?}"
        );
        let tried = lock.try_lock();
        assert!(matches!(tried, Err(RobustLockError::TimedOut)), "{tried:?}");
        *value = 7;
    });
    assert_eq!(*guard.expect("a repaired lock"), 7);
    assert_eq!(*lock.lock().expect("a clean lock"), 7);
}

#[test]
fn panic_of_a_wait_condition_unlocks_and_reentry_finds_the_lock_held() {
    let (lock, changed) = (Mutex::new(1), Condvar::new());
    let mut guard = lock.lock();
    changed.wait_while(&mut guard, |value| {
        assert!(
            lock.try_lock().is_none(),
            "the condition runs under the lock"
        );
        changed.notify_all();
        *value += 1;
        *value < 2
    });
    drop(guard);
    let free = || lock.try_lock_for(TIMEOUT).expect("a free lock");
    let mut guard = free();
    assert!(has_panicked(
        move || changed.wait_while(&mut guard, |_| panics())
    ));
    let (changed, mut guard) = (Condvar::new(), free());
    let wait = move || changed.wait_timeout_while(&mut guard, TIMEOUT, |_| panics());
    assert!(has_panicked(wait));
    assert_eq!(*lock.try_lock().expect("a free lock"), 2);
}

thread_local! {
    static REGION: RefCell<Option<Rc<Region>>> = const { RefCell::new(None) };
    static PANICS: Cell<bool> = const { Cell::new(false) };
    static FAILURE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A semaphore whose initial value uses the region, and panics if the test asks for it.
#[repr(C)]
#[derive(ShmSafe)]
struct Reentrant {
    #[shm(initial = reenter())]
    semaphore: Semaphore,
}

fn reenter() -> Semaphore {
    let region = REGION.with_borrow(Clone::clone).expect("the test's region");
    let nested = region.create::<Semaphore>("nested", ());
    let nested = nested.expect_err("the directory is locked").to_string();
    FAILURE.set(nested);
    assert!(region.attach::<Semaphore>("other").is_ok());
    match PANICS.get() {
        true => panics(),
        false => Semaphore::new(3).expect("few permits"),
    }
}

#[test]
fn panic_and_reentry_of_an_initial_value_leave_the_directory_usable() {
    let region = Rc::new(region());
    region.create::<Semaphore>("other", ()).expect("space");
    REGION.set(Some(region.clone()));
    PANICS.set(true);
    assert!(has_panicked(|| region
        .create::<Reentrant>("object", ())
        .is_ok()));
    assert!(
        region.attach::<Reentrant>("object").is_err(),
        "it was not built"
    );
    assert_eq!(region.objects().count(), 1);
    PANICS.set(false);
    let object = region
        .create::<Reentrant>("object", ())
        .expect("the name is free");
    assert!(object.semaphore.try_acquire().is_some());
    assert!(FAILURE.take().contains("lock"), "the error names the cause");
    REGION.set(None);
}

/// Leaks each guard, and checks that the object still works, or still excludes.
#[test]
fn leaked_guards_and_loans_exclude_as_if_they_were_held() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("space");
    std::mem::forget(lock.lock());
    let again = lock.lock_timeout(TIMEOUT);
    assert!(
        matches!(again, Err(RobustLockError::AlreadyHeld)),
        "{again:?}"
    );

    let permits: &RobustSemaphore<1> = region.create("permits", ()).expect("space");
    std::mem::forget(permits.try_acquire());
    assert!(permits.try_acquire().is_err());

    let turns: &RobustSemaphorePair<[PairSlot; 1]> = region.create("turns", ()).expect("space");
    std::mem::forget(turns.try_write());
    assert!(turns.try_write().is_err() && turns.try_read().is_err());

    let buffer = region.create::<RobustBoundedBuffer<u64, [TurnSlot<u64>]>>("buffer", 2);
    let buffer = buffer.expect("space");
    let (sender, receiver) = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    std::mem::forget(sender.try_loan());
    assert_eq!(sender.try_send(1), Ok(()));
    assert!(sender.try_loan().is_err() && sender.try_send(2).is_err());
    std::mem::forget(receiver.try_borrow());
    assert!(receiver.try_recv().is_err() && receiver.try_borrow().is_err());

    let ring = region.create::<RingBuffer<u64>>("ring", 2).expect("space");
    let (mut sender, mut receiver) = (ring.sender().expect("open"), ring.receiver().expect("open"));
    std::mem::forget(sender.try_loan(2));
    assert_eq!(sender.try_send(1), Ok(()));
    std::mem::forget(receiver.try_borrow(1));
    assert_eq!(
        receiver.try_recv(),
        Ok(1),
        "the leaked borrow received nothing"
    );

    let meeting: &Rendezvous<u64> = region.create("meeting", ()).expect("space");
    thread::scope(|scope| {
        scope.spawn(|| {
            let sender = meeting.sender().expect("open");
            let sent = sender.send_timeout(1, Duration::from_millis(20));
            assert!(sent.is_err(), "the leaked delivery acknowledged the item");
        });
        let receiver = meeting.receiver().expect("open");
        std::mem::forget(receiver.accept());
        assert!(receiver.accept_with(Timeout::NonBlocking).is_err());
    });

    let pair = SemaphorePair::one();
    std::mem::forget(pair.write());
    assert!(pair.try_write().is_none() && pair.try_read().is_none());

    let raw = RawMutex::new();
    std::mem::forget(raw.lock());
    assert!(raw.try_lock().is_none());
}

/// One segment, whose creation sends to the list, and then panics if the test asks for it.
struct OneSegment<'a> {
    list: &'a SegmentList<u64>,
    segment: &'a Segment<u64, [Slot<u64>; 1]>,
    panics: Cell<bool>,
}

const ONE_ITEM: GrowthLimit = GrowthLimit {
    items: 1,
    segments: 1,
};

// SAFETY: only the list of the test uses the segment, which exists as long as this value.
unsafe impl Segments for OneSegment<'_> {
    type Item = u64;
    type Slots = [Slot<u64>; 1];
    type Error = std::convert::Infallible;

    fn limit(&self) -> GrowthLimit {
        ONE_ITEM
    }

    fn create(&self, _number: u64) -> Result<(), Self::Error> {
        let again = self.list.send_with(self, &9, Timeout::NonBlocking);
        assert!(again.is_err(), "the list is locked");
        match self.panics.get() {
            true => panics(),
            false => Ok(()),
        }
    }

    fn with<R>(
        &self,
        _number: u64,
        use_segment: impl FnOnce(&Segment<u64, [Slot<u64>; 1]>) -> R,
    ) -> Result<R, Self::Error> {
        Ok(use_segment(self.segment))
    }

    fn remove(&self, _number: u64) -> bool {
        true
    }

    fn retain(&self, _first: u64, _last: u64) {}
}

#[test]
fn panic_and_reentry_of_segments_leave_the_list_usable() {
    let region = region();
    let list: &SegmentList<u64> = region.create("list", ONE_ITEM).expect("space");
    let segments = OneSegment {
        list,
        segment: region.create("segment", ()).expect("space"),
        panics: Cell::new(true),
    };
    let send = |item: u64| list.send_with(&segments, &item, Timeout::Infinite);
    assert!(has_panicked(|| send(1)));
    segments.panics.set(false);
    assert_eq!(send(2), Ok(()));
    assert!(
        matches!(send(3), Err(SendTimeoutError::Failed(..))),
        "one segment at most"
    );
    let mut item = 0;
    let received = list.recv_into_with(&segments, &mut item, Timeout::NonBlocking);
    assert_eq!((received, item), (Ok(()), 2));
}
