//! Mutex and condition variable compared with parking_lot's: the same generated multithreaded
//! program has the same result with both.

use interlatch_testing::random::env_number;
use proptest::prelude::*;
use std::time::Duration;

/// The operations on a mutex with a condition variable that a program performs.
trait Monitor: Sync + Default {
    fn with<R>(&self, access: impl FnOnce(&mut Shared) -> R) -> R;
    fn try_with<R>(&self, access: impl FnOnce(&mut Shared) -> R) -> Option<R>;
    /// Waits until the condition holds, then accesses the data. Returns `None` on a timeout.
    fn when<R>(
        &self,
        condition: impl Fn(&Shared) -> bool,
        timeout: Option<Duration>,
        access: impl FnOnce(&mut Shared) -> R,
    ) -> Option<R>;
    fn notify_one(&self);
    fn notify_all(&self);
}

#[derive(Default)]
struct Shared {
    counter: u64,
    tokens: u64,
    ended: bool,
}

#[derive(Default)]
struct Interlatch {
    shared: interlatch::Mutex<Shared>,
    changed: interlatch::Condvar,
}

impl Monitor for Interlatch {
    fn with<R>(&self, access: impl FnOnce(&mut Shared) -> R) -> R {
        access(&mut self.shared.lock())
    }

    fn try_with<R>(&self, access: impl FnOnce(&mut Shared) -> R) -> Option<R> {
        Some(access(&mut *self.shared.try_lock()?))
    }

    fn when<R>(
        &self,
        condition: impl Fn(&Shared) -> bool,
        timeout: Option<Duration>,
        access: impl FnOnce(&mut Shared) -> R,
    ) -> Option<R> {
        let mut guard = self.shared.lock();
        let in_time = match timeout {
            None => {
                self.changed
                    .wait_while(&mut guard, |shared| !condition(shared));
                true
            }
            Some(time) => {
                let waited = self
                    .changed
                    .wait_timeout_while(&mut guard, time, |shared| !condition(shared));
                !waited.timed_out()
            }
        };
        in_time.then(|| access(&mut guard))
    }

    fn notify_one(&self) {
        self.changed.notify_one();
    }

    fn notify_all(&self) {
        self.changed.notify_all();
    }
}

#[derive(Default)]
struct ParkingLot {
    shared: parking_lot::Mutex<Shared>,
    changed: parking_lot::Condvar,
}

impl Monitor for ParkingLot {
    fn with<R>(&self, access: impl FnOnce(&mut Shared) -> R) -> R {
        access(&mut self.shared.lock())
    }

    fn try_with<R>(&self, access: impl FnOnce(&mut Shared) -> R) -> Option<R> {
        Some(access(&mut *self.shared.try_lock()?))
    }

    fn when<R>(
        &self,
        condition: impl Fn(&Shared) -> bool,
        timeout: Option<Duration>,
        access: impl FnOnce(&mut Shared) -> R,
    ) -> Option<R> {
        let mut guard = self.shared.lock();
        let in_time = match timeout {
            None => {
                self.changed
                    .wait_while(&mut guard, |shared| !condition(shared));
                true
            }
            Some(time) => !self
                .changed
                .wait_while_for(&mut guard, |shared| !condition(shared), time)
                .timed_out(),
        };
        in_time.then(|| access(&mut guard))
    }

    fn notify_one(&self) {
        self.changed.notify_one();
    }

    fn notify_all(&self) {
        self.changed.notify_all();
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Increment,
    TryIncrement,
    Put { notify_all: bool },
    Take,
    TakeBriefly,
}

fn programs() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        4 => Just(Step::Increment),
        2 => Just(Step::TryIncrement),
        3 => any::<bool>().prop_map(|notify_all| Step::Put { notify_all }),
        2 => Just(Step::Take),
        1 => Just(Step::TakeBriefly),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 0..24), 2..=6)
}

/// The final state of the monitor, and the counts of the threads' operations.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    /// The counter's final value, and the number of increments that the threads counted.
    counted: (u64, u64),
    /// The number of tokens that were put, and the number that were taken or remain.
    tokens: (u64, u64),
}

/// Runs the program. Consumers that find no token also end, after all other threads have ended.
fn run<M: Monitor>(program: &[Vec<Step>]) -> Result {
    let monitor = M::default();
    let totals = std::thread::scope(|scope| {
        let is_consumer = |steps: &&Vec<Step>| steps.iter().any(|step| matches!(step, Step::Take));
        let (consumers, others): (Vec<_>, Vec<_>) = program.iter().partition(is_consumer);
        let consumers: Vec<_> = consumers
            .into_iter()
            .map(|steps| scope.spawn(|| run_thread(&monitor, steps)))
            .collect();
        let others: Vec<_> = others
            .into_iter()
            .map(|steps| scope.spawn(|| run_thread(&monitor, steps)))
            .collect();
        let mut totals: Vec<[u64; 3]> = others
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        monitor.with(|shared| shared.ended = true);
        monitor.notify_all();
        totals.extend(
            consumers
                .into_iter()
                .map(|thread| thread.join().expect("no panic")),
        );
        totals
    });
    let [increments, put, taken] = totals.into_iter().fold([0; 3], |sum, thread| {
        [sum[0] + thread[0], sum[1] + thread[1], sum[2] + thread[2]]
    });
    monitor.with(|shared| Result {
        counted: (shared.counter, increments),
        tokens: (put, taken + shared.tokens),
    })
}

/// Runs the steps of one thread. Returns the numbers of increments, tokens put, and tokens taken.
fn run_thread<M: Monitor>(monitor: &M, steps: &[Step]) -> [u64; 3] {
    let [mut increments, mut put, mut taken] = [0; 3];
    let increment = |shared: &mut Shared| shared.counter += 1;
    for step in steps {
        match step {
            Step::Increment => {
                monitor.with(increment);
                increments += 1;
            }
            Step::TryIncrement => increments += u64::from(monitor.try_with(increment).is_some()),
            Step::Put { notify_all } => {
                monitor.with(|shared| shared.tokens += 1);
                if *notify_all {
                    monitor.notify_all()
                } else {
                    monitor.notify_one()
                }
                put += 1;
            }
            Step::Take => taken += take(monitor, None),
            Step::TakeBriefly => taken += take(monitor, Some(Duration::from_micros(200))),
        }
    }
    [increments, put, taken]
}

fn take<M: Monitor>(monitor: &M, timeout: Option<Duration>) -> u64 {
    let take = |shared: &mut Shared| {
        let token = shared.tokens.min(1);
        shared.tokens -= token;
        token
    };
    let taken = monitor.when(|shared| shared.tokens > 0 || shared.ended, timeout, take);
    taken.unwrap_or(0)
}

/// Aborts the test with a message if a program hangs, because a single thread cannot be killed.
struct Watchdog(std::sync::mpsc::Sender<()>);

impl Watchdog {
    fn start(program: &[Vec<Step>]) -> Self {
        let (finished, is_finished) = std::sync::mpsc::channel();
        let program = format!("{program:#?}");
        std::thread::spawn(move || {
            let waited = is_finished.recv_timeout(Duration::from_secs(60));
            if waited == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("this program still waits for a wake-up after a minute: {program}");
                std::process::abort();
            }
        });
        Self(finished)
    }

    fn finish(self) {
        let _ = self.0.send(());
    }
}

fn cases() -> u32 {
    env_number("INTERLATCH_CASES").map_or(256, |cases| cases as u32)
}

/// A timed wait, as code that was written for parking_lot uses it.
trait TimedWait: Sync + Default {
    /// Waits once while holding the lock. Calls `before` first, under the lock. Returns whether the
    /// wait timed out.
    fn wait_once(&self, timeout: Duration, before: impl FnOnce()) -> bool;
    fn notify_under_the_lock(&self);
}

impl TimedWait for Interlatch {
    fn wait_once(&self, timeout: Duration, before: impl FnOnce()) -> bool {
        let mut guard = self.shared.lock();
        before();
        self.changed.wait_timeout(&mut guard, timeout).timed_out()
    }

    fn notify_under_the_lock(&self) {
        let _guard = self.shared.lock();
        self.changed.notify_one();
    }
}

impl TimedWait for ParkingLot {
    fn wait_once(&self, timeout: Duration, before: impl FnOnce()) -> bool {
        let mut guard = self.shared.lock();
        before();
        self.changed.wait_for(&mut guard, timeout).timed_out()
    }

    fn notify_under_the_lock(&self) {
        let _guard = self.shared.lock();
        self.changed.notify_one();
    }
}

/// The test `wait_for` of parking_lot, with a timeout of many recheck intervals.
fn one_wait_times_out_and_one_is_notified<M: TimedWait>() {
    let monitor = M::default();
    let timed_out = monitor.wait_once(Duration::from_millis(50), || {});
    assert!(timed_out, "the wait returned before its timeout");
    std::thread::scope(|scope| {
        let notify = || {
            scope.spawn(|| monitor.notify_under_the_lock());
        };
        let timed_out = monitor.wait_once(Duration::MAX, notify);
        assert!(!timed_out, "the notification was reported as a timeout");
    });
}

#[test]
fn timed_wait_of_both_libraries_has_the_same_result() {
    interlatch::sync::set_recheck_interval(Duration::from_millis(1));
    one_wait_times_out_and_one_is_notified::<Interlatch>();
    one_wait_times_out_and_one_is_notified::<ParkingLot>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn both_libraries_count_exactly_and_lose_no_token(program in programs()) {
        let watchdog = Watchdog::start(&program);
        let (interlatch_result, parking_lot_result) = (run::<Interlatch>(&program), run::<ParkingLot>(&program));
        watchdog.finish();
        for result in [&interlatch_result, &parking_lot_result] {
            prop_assert_eq!(result.counted.0, result.counted.1);
            prop_assert_eq!(result.tokens.0, result.tokens.1);
        }
        // A put always succeeds, so the same number of tokens was put into both monitors.
        prop_assert_eq!(interlatch_result.tokens, parking_lot_result.tokens);
    }
}
