//! How fast a full ring runs: ours beside a bare one that only spins, and beside rtrb's, in one run.
//!
//! A producer sends as many numbers as it is told to, on a core of its own where there are two, and this thread receives
//! and adds them. The producer is a thread, or a process that this one forks. Subjects that are compared take turns,
//! in rounds, so that a machine that changes its speed changes that of all.
//!
//! 1. Criterion measures each subject between threads, one after the other.
//! 2. A table follows, with the peers' rounds between ours. It alone, with a filter that no benchmark matches:
//!
//! ```text
//! cargo bench --bench ring -- table-only
//! ```

use anyhow::{Context, Result, ensure};
use comfy_table::Table;
use criterion::{Criterion, Throughput};
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU64, UnsafeCell};
use interlatch::{InPlace, Region, RingBuffer, RingReceiver, RingSender};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe};
use std::fs::File;
use std::hint::spin_loop;
use std::io::{Read, Write};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Rounds of the table; the first one is not counted.
const ROUNDS: usize = 16;
/// Items in one measurement of the table.
const ITEMS: u64 = 2_000_000;
/// Places.
const CAPACITY: usize = 1024;
/// Items of a slice, or of a run.
const BATCH: usize = 64;

/// What a producer does with the numbers from 0 up to this one, and a consumer with as many.
type Produce = Box<dyn FnMut(u64)>;
type Consume = Box<dyn FnMut(u64) -> u64>;
/// Makes either, in the process that it is for.
type Make<T> = Box<dyn FnOnce() -> T + Send>;

fn main() -> Result<()> {
    let is_table = std::env::args().any(|argument| argument == "--bench");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .sample_size(10)
        .configure_from_args();
    println!("on cores {:?}", cores());
    // Forks come first, while there is one thread.
    let processes = Where::Processes.all()?;
    pin(1)?;
    let mut threads = Where::Threads.all()?;
    measure(&mut criterion, &mut threads);
    criterion.final_summary();
    // As criterion does it: without this argument, it is a test whether benchmarks run at all.
    match is_table {
        true => compare(processes, threads),
        false => end(processes.into_iter().chain(threads)),
    }
}

fn measure(criterion: &mut Criterion, subjects: &mut [Running]) {
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(1));
    for subject in subjects {
        let name = subject.name.replace(' ', "_");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let seconds = subject.measure(count.max(1)).expect("it runs");
                Duration::from_secs_f64(seconds)
            });
        });
    }
    group.finish();
}

/// Who produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Processes,
    Threads,
}

/// How numbers go through a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Items,
    Slices,
    InPlace,
}

impl How {
    const ALL: [Self; 3] = [Self::Items, Self::Slices, Self::InPlace];

    fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Slices => "slices",
            Self::InPlace => "in place",
        }
    }
}

impl Where {
    /// Every subject that there is here.
    fn all(self) -> Result<Vec<Running>> {
        let mut all = Vec::new();
        for how in How::ALL {
            all.push(self.start("ours", how, ours(how)?)?);
            all.push(self.start("bare", how, bare(how)?)?);
            if self == Self::Threads {
                all.push(self.start("rtrb", how, rtrb(how))?);
            }
        }
        Ok(all)
    }

    fn start(
        self,
        whose: &str,
        how: How,
        (produce, consume): (Make<Produce>, Make<Consume>),
    ) -> Result<Running> {
        let (listen, orders) = pipe()?;
        let producer = match self {
            Self::Threads => Producer::Thread(std::thread::spawn(move || {
                obey(listen.into(), produce);
            })),
            // SAFETY: this program has one thread as yet.
            Self::Processes => match unsafe { fork() }? {
                ForkResult::Parent { child } => Producer::Process(child),
                ForkResult::Child => {
                    drop(orders);
                    obey(listen.into(), produce);
                    // SAFETY: it ends this process, and runs nothing of the parent's.
                    unsafe { libc::_exit(0) }
                }
            },
        };
        Ok(Running {
            name: format!("{whose} {} {self:?}", how.name()).to_lowercase(),
            orders: orders.into(),
            producer,
            consume: consume(),
        })
    }
}

/// Produces as many as it is told to, until nobody tells any more.
fn obey(mut listen: File, produce: Make<Produce>) {
    pin(0).expect("a core");
    let mut produce = produce();
    let mut order = [0; 8];
    while listen.read_exact(&mut order).is_ok() {
        produce(u64::from_ne_bytes(order));
    }
}

/// The cores that this program may run on, before it has pinned anything.
fn cores() -> &'static [usize] {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    CORES.get_or_init(|| {
        let all = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let is_set = |core: &usize| all.is_set(*core).unwrap_or(false);
        (0..CpuSet::count()).filter(is_set).collect()
    })
}

/// Stays on the core of this number, if there are two.
fn pin(number: usize) -> Result<()> {
    if cores().len() >= 2 {
        let mut one = CpuSet::new();
        one.set(cores()[number])?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
    }
    Ok(())
}

enum Producer {
    Thread(JoinHandle<()>),
    Process(Pid),
}

/// A subject with its producer, which is told how many to send.
struct Running {
    name: String,
    orders: File,
    producer: Producer,
    consume: Consume,
}

impl Running {
    /// Seconds for so many items.
    fn measure(&mut self, count: u64) -> Result<f64> {
        let begin = Instant::now();
        self.orders.write_all(&count.to_ne_bytes())?;
        let sum = (self.consume)(count);
        let seconds = begin.elapsed().as_secs_f64();
        ensure!(sum == count * (count - 1) / 2, "{}: sum {sum}", self.name);
        Ok(seconds)
    }
}

/// A later child has a copy of the orders of an earlier one, so that one ends when none has more.
fn end(all: impl IntoIterator<Item = Running>) -> Result<()> {
    let (mut producers, mut consumers) = (Vec::new(), Vec::new());
    for running in all {
        drop(running.orders);
        producers.push(running.producer);
        consumers.push(running.consume);
    }
    for producer in producers {
        match producer {
            Producer::Thread(thread) => thread.join().ok().context("a producer failed")?,
            Producer::Process(child) => {
                waitpid(child, None).context("waiting for a producer")?;
            }
        }
    }
    Ok(())
}

fn compare(mut processes: Vec<Running>, mut threads: Vec<Running>) -> Result<()> {
    let times = rounds(&mut processes, &mut threads)?;
    let mut table = Table::new();
    table.set_header(["subject", "M items/s, median", "least", "most"]);
    for (name, seconds) in &times {
        let speeds = sorted(seconds.iter().map(|one| ITEMS as f64 / one / 1e6));
        table.add_row([name.clone()].into_iter().chain(three(&speeds, 1)));
    }
    println!(
        "\n{ITEMS} numbers of 8 bytes through {CAPACITY} places, slices and runs of {BATCH}\n"
    );
    println!("{table}\n");
    let mut table = Table::new();
    table.set_header(["speed of", "to that of", "median", "least", "most"]);
    for (ours, peer) in pairs() {
        let find = |name: &str| times.iter().find(|(found, _)| found == name);
        let (Some((_, ours_took)), Some((_, peer_took))) = (find(&ours), find(&peer)) else {
            continue;
        };
        let ratios = ours_took
            .iter()
            .zip(peer_took)
            .map(|(our, peer)| peer / our);
        let ratios = three(&sorted(ratios), 2);
        table.add_row([ours, peer].into_iter().chain(ratios));
    }
    println!("{table}");
    end(processes.into_iter().chain(threads))
}

/// Which subject is held against which.
fn pairs() -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for how in How::ALL {
        let how = how.name();
        for place in ["processes", "threads"] {
            pairs.push((format!("ours {how} {place}"), format!("bare {how} {place}")));
            pairs.push((format!("ours {how} {place}"), format!("rtrb {how} threads")));
        }
    }
    pairs
}

fn rounds(processes: &mut [Running], threads: &mut [Running]) -> Result<Vec<(String, Vec<f64>)>> {
    let name = |subject: &Running| (subject.name.clone(), Vec::new());
    let mut times: Vec<(String, Vec<f64>)> = processes.iter().chain(&*threads).map(name).collect();
    for round in 0..ROUNDS {
        let subjects = processes.iter_mut().chain(&mut *threads);
        for (subject, (_, times)) in subjects.zip(&mut times) {
            let seconds = subject.measure(ITEMS)?;
            if round > 0 {
                times.push(seconds);
            }
        }
    }
    Ok(times)
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// Median, least and most.
fn three(sorted: &[f64], digits: usize) -> [String; 3] {
    [
        sorted[sorted.len() / 2],
        sorted[0],
        sorted[sorted.len() - 1],
    ]
    .map(|number| format!("{number:.digits$}"))
}

/// A region of its own for each subject, which stays.
fn region() -> Result<&'static Region> {
    let region = Region::memfd("ring", 1 << 16)?;
    Ok(Box::leak(Box::new(region)))
}

fn ours(how: How) -> Result<(Make<Produce>, Make<Consume>)> {
    let ring: &'static RingBuffer<u64> = region()?.create("ring", CAPACITY)?;
    let produce = move || -> Produce {
        let mut sender = ring.sender().expect("the only one");
        match how {
            How::Items => Box::new(move |count| {
                (0..count).for_each(|item| sender.send(item).expect("a receiver"));
            }),
            How::Slices => Box::new(move |count| in_slices(count, &mut sender)),
            How::InPlace => Box::new(move |count| fill_in_place(count, &mut sender)),
        }
    };
    let consume = move || -> Consume {
        let mut receiver = ring.receiver().expect("the only one");
        match how {
            How::Items => {
                Box::new(move |count| (0..count).map(|_| receiver.recv().expect("a sender")).sum())
            }
            How::Slices => Box::new(move |count| sum_slices(count, &mut receiver)),
            How::InPlace => Box::new(move |count| sum_in_place(count, &mut receiver)),
        }
    };
    Ok((Box::new(produce), Box::new(consume)))
}

/// Calls with the beginning of each slice of so many numbers, and its length.
fn slices(count: u64, mut each: impl FnMut(u64, usize)) {
    let mut next = 0;
    while next < count {
        let length = BATCH.min((count - next) as usize);
        each(next, length);
        next += length as u64;
    }
}

fn numbered(items: &mut [u64], from: u64) {
    for (item, number) in items.iter_mut().zip(from..) {
        *item = number;
    }
}

fn in_slices(count: u64, sender: &mut RingSender<'_, u64>) {
    let mut items = [0; BATCH];
    slices(count, |from, length| {
        numbered(&mut items[..length], from);
        sender.send_slice(&items[..length]).expect("a receiver");
    });
}

fn fill_in_place(count: u64, sender: &mut RingSender<'_, u64>) {
    let mut next = 0;
    while next < count {
        let most = BATCH.min((count - next) as usize);
        let mut loan = sender.loan(most).expect("a receiver");
        for (place, number) in loan.iter_mut().zip(next..) {
            *place = number;
        }
        next += loan.len() as u64;
        loan.send();
    }
}

fn sum_slices(count: u64, receiver: &mut RingReceiver<'_, u64>) -> u64 {
    let (mut items, mut sum, mut left) = ([0; BATCH], 0, count as usize);
    while left > 0 {
        let most = BATCH.min(left);
        let received = receiver.recv_into(&mut items[..most]).expect("a sender");
        sum += items[..received].iter().sum::<u64>();
        left -= received;
    }
    sum
}

fn sum_in_place(count: u64, receiver: &mut RingReceiver<'_, u64>) -> u64 {
    let (mut sum, mut left) = (0, count as usize);
    while left > 0 {
        let items = receiver.borrow(BATCH.min(left)).expect("a sender");
        sum += items.iter().sum::<u64>();
        left -= items.len();
    }
    sum
}

/// A ring without handles, sleep, or an end: two counts, each with a copy of the other one's, and places.
#[repr(C)]
struct Bare {
    written: Line,
    read: Line,
    places: [UnsafeCell<u64>; CAPACITY],
}

#[repr(C, align(128))]
struct Line(AtomicU64);

// SAFETY: a place belongs to one side, as in ours.
unsafe impl Sync for Bare {}

// SAFETY: words and plain numbers.
unsafe impl InPlace for Bare {
    fn initial() -> Self {
        Self {
            written: Line(AtomicU64::new(0)),
            read: Line(AtomicU64::new(0)),
            places: [const { UnsafeCell::new(0) }; CAPACITY],
        }
    }
}

/// Each side has the number of its next place, and what it has seen of the other one's count.
impl Bare {
    /// Waits for free places, and says how many there are, at most so many.
    fn free(&self, next: u64, seen: &mut u64, most: u64) -> u64 {
        while next - *seen == CAPACITY as u64 {
            *seen = self.read.0.load(Acquire);
            if next - *seen == CAPACITY as u64 {
                spin_loop();
            }
        }
        (CAPACITY as u64 - (next - *seen)).min(most)
    }

    /// Waits for items.
    fn filled(&self, next: u64, seen: &mut u64, most: u64) -> u64 {
        while next == *seen {
            *seen = self.written.0.load(Acquire);
            if next == *seen {
                spin_loop();
            }
        }
        (*seen - next).min(most)
    }

    /// Fills places as they become free, and moves the count after that many at most.
    fn produce(&self, count: u64, (next, seen): &mut (u64, u64), batch: u64) {
        let mut number = 0;
        while number < count {
            let free = self.free(*next, seen, batch.min(count - number));
            for offset in 0..free {
                let place = &self.places[(*next + offset) as usize % CAPACITY];
                // SAFETY: the place is free.
                place.with_mut(|place| unsafe { *place = number + offset });
            }
            *next += free;
            number += free;
            self.written.0.store(*next, Release);
        }
    }

    fn consume(&self, mut left: u64, (next, seen): &mut (u64, u64), batch: u64) -> u64 {
        let mut sum = 0;
        while left > 0 {
            let filled = self.filled(*next, seen, batch.min(left));
            for offset in 0..filled {
                let place = &self.places[(*next + offset) as usize % CAPACITY];
                // SAFETY: the place is filled.
                sum += place.with(|place| unsafe { *place });
            }
            *next += filled;
            left -= filled;
            self.read.0.store(*next, Release);
        }
        sum
    }

    /// So many places from this one on: up to the last one, and from the first one on.
    fn pieces(&self, next: u64, count: u64) -> impl Iterator<Item = &UnsafeCell<u64>> {
        let (place, count) = (next as usize % CAPACITY, count as usize);
        let first = count.min(CAPACITY - place);
        let pieces = [
            &self.places[place..place + first],
            &self.places[..count - first],
        ];
        pieces.into_iter().flatten()
    }

    /// Copies these numbers into the ring.
    fn send(&self, mut items: &[u64], (next, seen): &mut (u64, u64)) {
        while !items.is_empty() {
            let free = self.free(*next, seen, items.len() as u64);
            let (sent, rest) = items.split_at(free as usize);
            for (place, item) in self.pieces(*next, free).zip(sent) {
                // SAFETY: the place is free.
                place.with_mut(|place| unsafe { *place = *item });
            }
            *next += free;
            self.written.0.store(*next, Release);
            items = rest;
        }
    }

    /// Copies numbers out of the ring, and says how many.
    fn recv(&self, items: &mut [u64], (next, seen): &mut (u64, u64)) -> usize {
        let filled = self.filled(*next, seen, items.len() as u64);
        for (place, item) in self.pieces(*next, filled).zip(items) {
            // SAFETY: the place is filled.
            *item = place.with(|place| unsafe { *place });
        }
        *next += filled;
        self.read.0.store(*next, Release);
        filled as usize
    }
}

fn bare(how: How) -> Result<(Make<Produce>, Make<Consume>)> {
    let bare: &'static Bare = region()?.create("bare", ())?;
    ensure!(bare.written.0.load(Relaxed) == 0, "a new one");
    let produce = move || -> Produce {
        let mut ends = (0, 0);
        match how {
            // A constant, so that there is no loop inside.
            How::Items => Box::new(move |count| bare.produce(count, &mut ends, 1)),
            How::InPlace => Box::new(move |count| bare.produce(count, &mut ends, BATCH as u64)),
            How::Slices => Box::new(move |count| {
                let mut items = [0; BATCH];
                slices(count, |from, length| {
                    numbered(&mut items[..length], from);
                    bare.send(&items[..length], &mut ends);
                });
            }),
        }
    };
    let consume = move || -> Consume {
        let mut ends = (0, 0);
        match how {
            How::Items => Box::new(move |count| bare.consume(count, &mut ends, 1)),
            How::InPlace => Box::new(move |count| bare.consume(count, &mut ends, BATCH as u64)),
            How::Slices => Box::new(move |count| {
                let (mut items, mut sum, mut left) = ([0; BATCH], 0, count as usize);
                while left > 0 {
                    let received = bare.recv(&mut items[..BATCH.min(left)], &mut ends);
                    sum += items[..received].iter().sum::<u64>();
                    left -= received;
                }
                sum
            }),
        }
    };
    Ok((Box::new(produce), Box::new(consume)))
}

fn rtrb(how: How) -> (Make<Produce>, Make<Consume>) {
    let (producer, consumer) = rtrb::RingBuffer::new(CAPACITY);
    let produce = move || -> Produce { rtrb_produce(how, producer) };
    let consume = move || -> Consume { rtrb_consume(how, consumer) };
    (Box::new(produce), Box::new(consume))
}

fn rtrb_produce(how: How, mut producer: rtrb::Producer<u64>) -> Produce {
    let mut items = [0; BATCH];
    match how {
        How::Items => Box::new(move |count| {
            for item in 0..count {
                while producer.push(item).is_err() {
                    spin_loop();
                }
            }
        }),
        How::Slices => Box::new(move |count| {
            slices(count, |from, length| {
                numbered(&mut items[..length], from);
                let mut rest = &items[..length];
                while !rest.is_empty() {
                    let (sent, left) = producer.push_partial_slice(rest);
                    if sent.is_empty() {
                        spin_loop();
                    }
                    rest = left;
                }
            });
        }),
        How::InPlace => Box::new(move |count| {
            let mut next = 0;
            while next < count {
                let most = producer.slots().min(BATCH).min((count - next) as usize);
                if most == 0 {
                    spin_loop();
                    continue;
                }
                let chunk = producer.write_chunk_uninit(most).expect("as many are free");
                next += chunk.fill_from_iter(next..) as u64;
            }
        }),
    }
}

fn rtrb_consume(how: How, mut consumer: rtrb::Consumer<u64>) -> Consume {
    let mut items = [0; BATCH];
    match how {
        How::Items => Box::new(move |count| {
            let mut sum = 0;
            for _ in 0..count {
                sum += loop {
                    match consumer.pop() {
                        Ok(item) => break item,
                        Err(_) => spin_loop(),
                    }
                };
            }
            sum
        }),
        How::Slices => Box::new(move |count| {
            let (mut sum, mut left) = (0, count as usize);
            while left > 0 {
                let (received, _) = consumer.pop_partial_slice(&mut items[..BATCH.min(left)]);
                if received.is_empty() {
                    spin_loop();
                }
                sum += received.iter().sum::<u64>();
                left -= received.len();
            }
            sum
        }),
        How::InPlace => Box::new(move |count| {
            let (mut sum, mut left) = (0, count as usize);
            while left > 0 {
                let most = consumer.slots().min(BATCH).min(left);
                if most == 0 {
                    spin_loop();
                    continue;
                }
                let chunk = consumer.read_chunk(most).expect("as many are there");
                let (first, second) = chunk.as_slices();
                sum += first.iter().sum::<u64>() + second.iter().sum::<u64>();
                left -= most;
                chunk.commit_all();
            }
            sum
        }),
    }
}
