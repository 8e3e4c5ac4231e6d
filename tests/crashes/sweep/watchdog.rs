//! The timeout of the sweep, which counts the steps of the child and not the time.
//!
//! A child that is stepped is thousands of times slower than its peer in the parent, and slower
//! still on a machine with other load. If the peer counted the time, its timeout would expire while
//! the child makes progress.

use crate::process::TIMEOUT;
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The timeout of each operation of a sweep. It never expires, because the watchdog ends a sweep
/// without progress before.
pub const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The maximum number of steps of one child. No swept operation has that many instructions.
const MAX_STEPS: usize = 2_000_000;

/// The number of steps of all children, and of all starts and ends of children.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

/// Records a start or an end of a child.
pub fn record_progress() {
    PROGRESS.fetch_add(1, Relaxed);
}

/// Records a step of a child, which has made `steps` steps.
pub fn record_step(steps: usize) {
    assert!(steps < MAX_STEPS, "the child makes steps without an end");
    record_progress();
}

/// Ends the test with a message if no child makes a step for the timeout. The sweep waits without a
/// limit, so it cannot fail by itself.
pub struct Watchdog {
    _end: Sender<()>,
}

impl Watchdog {
    /// Starts the watchdog, which runs until it is dropped.
    pub fn start() -> Self {
        let (end, is_ended) = channel::<()>();
        std::thread::spawn(move || {
            let (mut seen, mut since) = (0, Instant::now());
            let every = Duration::from_millis(500);
            while is_ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let now = PROGRESS.load(Relaxed);
                if now != seen {
                    (seen, since) = (now, Instant::now());
                }
                if since.elapsed() > TIMEOUT {
                    eprintln!("the sweep makes no progress: {}", threads());
                    // The children are killed with their parent.
                    std::process::abort();
                }
            }
        });
        Self { _end: end }
    }
}

/// Describes the system calls of the threads of this process.
fn threads() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").expect("it is there");
    let call = |task: std::fs::DirEntry| {
        let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        format!("thread {:?} in {call:?}", task.file_name())
    };
    tasks.flatten().map(call).collect::<Vec<_>>().join(", ")
}
