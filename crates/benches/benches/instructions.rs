//! Counts the instructions of uncontended operations. callgrind counts them, so the counts are
//! reproducible.
//!
//! The counts include the instructions of interlatch, which are inlined into the callers. The
//! instructions of libc are shown but not judged. They belong to `memcpy`, which copies larger
//! items and depends on the CPU. callgrind does not see the kernel's instructions, but no measured
//! operation makes a system call.
//!
//! The script `ci/instructions` runs this benchmark and sets the environment variables that
//! valgrind needs.

use anyhow::{Context, Result, bail, ensure};
use comfy_table::Table;
use interlatch::channel::message_queue::{
    LengthPolicy, MessageQueueExt, MessageType, QueueLimits, Select,
};
use interlatch::channel::{Slot, TurnSlot};
use interlatch::region::ShmObject;
use interlatch::sync::{RawMutex, SemaphorePair};
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::{
    BoundedBuffer, Buffer, Condvar, MessageQueue, MonitorBuffer, Mutex, Region,
    RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, Semaphore,
};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

/// The maximum relative increase of a count over the baseline. The benchmark fails at a larger
/// increase.
const TOLERANCE: f64 = 0.03;
/// The number of operations in a measurement.
const REPEATS: u32 = 1000;
/// The number of operations that run before the measurement, to complete first-time initialization.
const WARM_UP: u32 = 10;
/// The name of the operation that measures the empty loop. The count of the empty loop is
/// subtracted from each other operation's count.
const EMPTY_LOOP: &str = "nothing";
/// The name of the function whose instructions callgrind counts.
const MEASURED: &str = "interlatch_measured";

type Operation = Box<dyn Fn()>;
type Prepare = fn() -> Result<Operation>;

/// All measured operations. Each operation returns its object to the state from before the
/// operation.
const OPERATIONS: [(&str, Prepare); 15] = [
    (EMPTY_LOOP, || Ok(Box::new(|| ()))),
    ("RawMutex: lock, unlock", raw_mutex),
    ("Mutex: lock, drop", mutex),
    ("RobustMutex: lock, drop", robust_mutex),
    ("Semaphore: acquire, drop", semaphore_guard),
    ("Semaphore: acquire, release", semaphore_calls),
    ("SemaphorePair: write, read", semaphore_pair),
    ("Condvar: notify_one without waiters", notify_one),
    ("Condvar: notify_all without waiters", notify_all),
    (
        "BoundedBuffer: send, recv",
        buffer::<BoundedBuffer<u64, [Slot<u64>]>>,
    ),
    (
        "MonitorBuffer: send, recv",
        buffer::<MonitorBuffer<u64, [Slot<u64>]>>,
    ),
    (
        "RobustBoundedBuffer: send, recv",
        buffer::<RobustBoundedBuffer<u64, [TurnSlot<u64>]>>,
    ),
    (
        "RobustMonitorBuffer: send, recv",
        buffer::<RobustMonitorBuffer<u64, [Slot<u64>]>>,
    ),
    ("MessageQueue: send, receive", message_queue),
    (
        "MessageQueue: send_value, receive_value",
        message_queue_of_values,
    ),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments = arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = arguments
        .filter(|argument| *argument != "--bench")
        .collect();
    match arguments.as_slice() {
        ["--only", name] => run(name),
        ["--judge", baseline] => judge(Path::new(baseline)),
        ["--update", baseline] => update(Path::new(baseline)),
        // When this program runs together with the other benchmarks or tests, it runs each
        // operation once.
        _ => OPERATIONS.iter().try_for_each(|(name, _)| run(name)),
    }
}

fn run(name: &str) -> Result<()> {
    let named = OPERATIONS.iter().find(|operation| operation.0 == name);
    let (_, prepare) = named.context("no such operation")?;
    let operation = black_box(prepare()?);
    (0..WARM_UP).for_each(|_| operation());
    interlatch_measured(&*operation);
    Ok(())
}

/// Runs the operation. callgrind finds this function by its name.
// SAFETY: no linked library defines a symbol with this function's name.
#[unsafe(no_mangle)]
#[inline(never)]
fn interlatch_measured(operation: &dyn Fn()) {
    for _ in 0..REPEATS {
        operation();
    }
}

/// Creates an object in a new region. The region exists until the program ends.
fn create<T: ShmObject + ?Sized>(plan: T::Config) -> Result<&'static T> {
    let region = Box::leak(Box::new(Region::memfd("instructions", 1 << 16)?));
    Ok(region.create("object", plan)?)
}

fn raw_mutex() -> Result<Operation> {
    let lock: &RawMutex = create(())?;
    Ok(Box::new(|| {
        lock.raw_lock();
        // SAFETY: this thread locked the lock above.
        unsafe { lock.unlock() };
    }))
}

fn mutex() -> Result<Operation> {
    let mutex: &Mutex<u64> = create(())?;
    Ok(Box::new(|| *mutex.lock() += 1))
}

fn robust_mutex() -> Result<Operation> {
    let mutex: &RobustMutex<u64> = create(())?;
    Ok(Box::new(|| *mutex.lock().expect("no owner died") += 1))
}

fn semaphore_guard() -> Result<Operation> {
    let semaphore: &Semaphore = create(())?;
    semaphore.release(1)?;
    Ok(Box::new(|| drop(semaphore.acquire())))
}

fn semaphore_calls() -> Result<Operation> {
    let semaphore: &Semaphore = create(())?;
    semaphore.release(1)?;
    Ok(Box::new(|| {
        while !semaphore.acquire_with(Timeout::Infinite) {}
        semaphore.release(1).expect("the permit was acquired above");
    }))
}

fn semaphore_pair() -> Result<Operation> {
    let pair: &SemaphorePair = create(())?;
    Ok(Box::new(|| {
        drop(pair.write());
        drop(pair.read());
    }))
}

fn notify_one() -> Result<Operation> {
    let condvar: &Condvar = create(())?;
    Ok(Box::new(|| condvar.notify_one()))
}

fn notify_all() -> Result<Operation> {
    let condvar: &Condvar = create(())?;
    Ok(Box::new(|| condvar.notify_all()))
}

fn buffer<B>() -> Result<Operation>
where
    B: Buffer<Item = u64> + ShmObject<Config = usize> + ?Sized + 'static,
{
    let buffer: &B = create(16)?;
    let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
    Ok(Box::new(move || {
        sender.send(black_box(1)).expect("the channel has room");
        black_box(receiver.recv().expect("an item was sent"));
    }))
}

fn queue() -> Result<&'static MessageQueue> {
    let (messages, bytes) = (16, 1024);
    create(QueueLimits { messages, bytes })
}

fn message_queue() -> Result<Operation> {
    let queue = queue()?;
    let kind = MessageType::HIGHEST;
    Ok(Box::new(move || {
        queue
            .send(kind, black_box(&[1; 8]))
            .expect("the channel has room");
        let mut item = [0; 8];
        let received = queue.receive_into(
            Select::First,
            &mut item,
            LengthPolicy::Exact,
            Timeout::Infinite,
        );
        received.expect("an item was sent");
        black_box(item);
    }))
}

fn message_queue_of_values() -> Result<Operation> {
    let queue = queue()?;
    let kind = MessageType::HIGHEST;
    Ok(Box::new(move || {
        queue
            .send_value(kind, black_box(&1_u64))
            .expect("the channel has room");
        let received = queue.receive_value::<u64>(Select::Type(kind));
        black_box(received.expect("an item was sent"));
    }))
}

/// The number of instructions of one operation.
#[derive(Clone, Copy, Default)]
struct Count {
    ours: f64,
    others: f64,
}

/// Counts the instructions of all operations, and subtracts the instructions of the empty loop.
fn count_all() -> Result<Vec<(&'static str, Count)>> {
    let loops = count(EMPTY_LOOP)?.ours;
    let counted = OPERATIONS.iter().skip(1).map(|(name, _)| {
        let Count { ours, others } = count(name)?;
        let ours = ours - loops;
        Ok((*name, Count { ours, others }))
    });
    counted.collect()
}

/// Counts the instructions of one operation by running this program again under callgrind.
fn count(name: &str) -> Result<Count> {
    let program = std::env::current_exe()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("counts");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--toggle-collect={MEASURED}")])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(&program)
        .args(["--only", name])
        .output()
        .context("starting valgrind")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name}: {}:\n{errors}",
        output.status
    );
    let counts = instructions_by_object(&fs::read_to_string(&file)?);
    let own = program.to_string_lossy();
    let mut count = Count::default();
    for (object, instructions) in counts {
        let each = instructions as f64 / f64::from(REPEATS);
        if object == own {
            count.ours += each;
        } else {
            count.others += each;
        }
    }
    ensure!(count.ours > 0.0, "{name}: nothing was counted:\n{errors}");
    Ok(count)
}

/// Sums the instructions of each program or library in callgrind's output file.
///
/// An `ob=` line names a program or library, either by its path or by the number of an earlier
/// path. The following lines with a position and a count belong to this program or library. The
/// line after `calls=` is skipped: it counts the instructions of the called function, which the
/// lines of that function count too.
fn instructions_by_object(text: &str) -> HashMap<String, u64> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut counts: HashMap<String, u64> = HashMap::new();
    let (mut object, mut is_called) = ("", false);
    for line in text.lines() {
        if let Some(reference) = line.strip_prefix("ob=").or(line.strip_prefix("cob=")) {
            let (number, name) = reference.split_once(' ').unwrap_or((reference, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            if line.starts_with("ob=") {
                object = names.get(number).copied().unwrap_or(number);
            }
        } else if line.starts_with("calls=") {
            is_called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let count = line.split(' ').nth(1);
            let count: Option<u64> = count.and_then(|count| count.parse().ok());
            if let Some(count) = count.filter(|_| !is_called) {
                *counts.entry(object.into()).or_default() += count;
            }
            is_called = false;
        }
    }
    counts
}

/// Returns the compiler version and the architecture. The counts depend on both.
fn environment() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output();
    let version = String::from_utf8(output.context("asking rustc")?.stdout)?;
    Ok(format!("# {}, {}", version.trim(), std::env::consts::ARCH))
}

fn update(baseline: &Path) -> Result<()> {
    let mut text = format!(
        "# Instructions of an uncontended operation: ci/instructions --update\n{}\n",
        environment()?
    );
    for (name, count) in count_all()? {
        text += &format!("{:.1}\t{name}\n", count.ours);
    }
    fs::write(baseline, &text)?;
    println!("{}:\n{text}", baseline.display());
    Ok(())
}

fn read(text: &str) -> Result<BTreeMap<&str, f64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let counts = lines.map(|line| {
        let (count, name) = line
            .split_once('\t')
            .context("expected a count and a name")?;
        Ok((name, count.parse()?))
    });
    counts.collect()
}

/// Compares the counts with the baseline. Returns an error if a count has increased beyond the
/// tolerance.
fn judge(baseline: &Path) -> Result<()> {
    let text = fs::read_to_string(baseline)?;
    let environment = environment()?;
    let is_same = text.lines().any(|line| line == environment);
    if !is_same {
        println!("the baseline was made with another compiler or architecture: {environment}");
    }
    let mut before = read(&text)?;
    let mut table = Table::new();
    table.set_header([
        "operation",
        "instructions",
        "baseline",
        "change",
        "libc",
        "",
    ]);
    let (mut risen, mut fallen) = (0, 0);
    for (name, count) in count_all()? {
        let was = before.remove(name);
        let change = was.map(|was| count.ours / was - 1.0);
        let remark = match change {
            None => "not in the baseline",
            Some(change) if change > TOLERANCE => "RISEN",
            Some(change) if change < -TOLERANCE => "fallen",
            Some(_) => "",
        };
        risen += u32::from(matches!(remark, "RISEN" | "not in the baseline"));
        fallen += u32::from(remark == "fallen");
        table.add_row([
            name.into(),
            format!("{:.1}", count.ours),
            was.map_or(String::new(), |was| format!("{was:.1}")),
            change.map_or(String::new(), |change| format!("{:+.1} %", change * 100.0)),
            format!("{:.1}", count.others),
            remark.into(),
        ]);
    }
    println!("{table}");
    if fallen > 0 {
        println!(
            "{fallen} operations need fewer instructions; record that with ci/instructions --update"
        );
    }
    ensure!(
        before.is_empty(),
        "the baseline has unknown operations: {before:?}"
    );
    if risen > 0 {
        bail!(
            "{risen} operations need more instructions or have no baseline; if intended, run ci/instructions --update"
        );
    }
    Ok(())
}
