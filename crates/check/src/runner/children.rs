//! Runs this program again in child processes, several of them in parallel.

use super::output::print_line;
use super::report::{Report, receive};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Applies `work` to each item, using `jobs` threads. The results have the same order as the items.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let queue = Mutex::new(items.iter().enumerate());
    let next = || queue.lock().ok()?.next();
    let worker = || {
        let results = std::iter::from_fn(|| next().map(|(index, item)| (index, work(item))));
        results.collect::<Vec<_>>()
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|results| results.expect("no worker panics"))
            .collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs this program again as a child process and calls `report` with each report of the child.
///
/// Returns a description of the problem if the child process itself fails, for example because it
/// cannot be started.
pub fn run_child(
    arguments: &[String],
    seconds: u64,
    mut report: impl FnMut(Report),
) -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Some(format!("the process cannot be started: {error}")),
    };
    let output = child.stdout.take()?;
    // Normally an exploration ends at its time limit. If a model spins forever within one
    // execution, the exploration does not end, so the watchdog kills the child process.
    let watchdog = Watchdog::start(child, Duration::from_secs(seconds * 2 + 30));
    for line in BufReader::new(output)
        .lines()
        .map_while(std::io::Result::ok)
    {
        match receive(&line) {
            Some(message) => report(message),
            None => print_line(format_args!("{line}")),
        }
    }
    watchdog.finish()
}

/// Kills a child process that does not end before a timeout.
struct Watchdog {
    child: Arc<(Mutex<(Child, bool)>, Condvar)>,
    guard: std::thread::JoinHandle<bool>,
}

impl Watchdog {
    fn start(child: Child, timeout: Duration) -> Self {
        let child = Arc::new((Mutex::new((child, false)), Condvar::new()));
        let watched = child.clone();
        let guard = std::thread::spawn(move || {
            let (state, ended) = &*watched;
            let Ok(state) = state.lock() else {
                return false;
            };
            let waited = ended.wait_timeout_while(state, timeout, |(_, ended)| !*ended);
            let Ok((mut state, result)) = waited else {
                return false;
            };
            result.timed_out() && state.0.kill().is_ok()
        });
        Self { child, guard }
    }

    fn finish(self) -> Option<String> {
        let (state, ended) = &*self.child;
        if let Ok(mut state) = state.lock() {
            state.1 = true;
            ended.notify_one();
        }
        let killed = self.guard.join().unwrap_or(false);
        let status = state.lock().ok()?.0.wait();
        match status {
            _ if killed => Some("an execution does not end; the process was killed".into()),
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("the process ended with {status}")),
            Err(error) => Some(format!("cannot wait for the process: {error}")),
        }
    }
}
