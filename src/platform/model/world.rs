//! One execution of a model: who has done what, who waits where, and what loom may have missed.
//!
//! All simulated processes are coroutines of one thread, so this is a thread-local that is never
//! borrowed across a scheduling point.

use super::choice::Choices;
use super::death::{self, Died};
use super::event::{Action, Event, Site};
use super::process::ScenarioConfig;
use super::robust;
use super::weakening::Change;
use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering;
use std::collections::{BTreeSet, VecDeque};

/// What loom is known to be imprecise about, as far as the executions so far have shown it.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// A write that may hide an earlier load by another process: executions are missed.
    pub blind: Option<(Site, Site)>,
    /// A fence was used: loom orders more by it than the memory model does.
    pub fence: bool,
    /// A SeqCst access was used: loom treats it as acquire and release.
    pub sequentially_consistent: bool,
    /// A load of a word that had more stores than loom remembers: the oldest were not tried.
    /// (A read-modify-write reads the newest, which is never forgotten.)
    pub forgotten_stores: Option<Site>,
    /// Sites whose operation can be weakened, and how.
    pub sites: BTreeSet<(String, u32, Change)>,
    /// The processes that have died, each in some execution.
    pub died: BTreeSet<usize>,
}

/// loom remembers this many stores of each word.
const REMEMBERED_STORES: u32 = 7;

#[derive(Default)]
struct Word {
    created: Option<Site>,
    stores: u32,
    /// The loads since the last write, in order.
    loads: Vec<(usize, Site)>,
}

#[derive(Default)]
struct Process {
    finished: bool,
    /// How many of its waits to come may be interrupted.
    interruptions: usize,
    /// Remaining waits that may spin.
    spins: usize,
    /// How many of its weak compare-exchanges to come may fail for no reason.
    spurious_failures: usize,
    asleep: Option<(u32, Site)>,
    thread: Option<loom::thread::Thread>,
    /// How many steps it has begun.
    steps: usize,
    /// Before which of them it dies.
    dies_before: Option<usize>,
    dead: bool,
    robust: robust::List,
}

#[derive(Default)]
struct World {
    /// Of this exploration, with the one that runs.
    executions: u64,
    events: Vec<Event>,
    words: Vec<Word>,
    queues: Vec<VecDeque<usize>>,
    processes: Vec<Process>,
    to_unpark: Vec<usize>,
    coins: Option<Choices>,
    coins_used: usize,
    /// What dead processes work on.
    rooms: Vec<Vec<u128>>,
    /// Of the kernel's own thread, which verifies.
    robust: robust::List,
    /// Whether sleepers look again once a process has died.
    rechecks: bool,
    /// How many steps have changed a word.
    changes: usize,
    /// How many had when the sleepers last looked again.
    changes_at_recheck: Option<usize>,
    findings: Findings,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    static CURRENT: Cell<usize> = const { Cell::new(KERNEL) };
    static COLLECT_SITES: Cell<bool> = const { Cell::new(false) };
}

/// The number under which the kernel's own thread runs.
pub const KERNEL: usize = usize::MAX;

fn with<R>(access: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(access)
}

/// Starts a new execution: forgets the last one, keeps the findings.
pub fn begin() {
    CURRENT.set(KERNEL);
    with(|world| {
        let findings = core::mem::take(&mut world.findings);
        let mut events = core::mem::take(&mut world.events);
        events.clear();
        *world = World {
            executions: world.executions + 1,
            findings,
            events,
            ..World::default()
        };
    });
}

/// Starts a new exploration: forgets the findings too, but for the sites.
pub fn begin_exploration() {
    with(|world| {
        world.executions = 0;
        let sites = core::mem::take(&mut world.findings.sites);
        world.findings = Findings {
            sites,
            ..Findings::default()
        };
    });
}

pub(super) fn populate(count: usize, coins: Choices, nature: ScenarioConfig) {
    with(|world| {
        let process = |number| Process {
            interruptions: nature.interruptions,
            spins: 1,
            spurious_failures: nature.spurious_failures,
            dies_before: death::planned_for(number),
            ..Process::default()
        };
        world.processes = (0..count).map(process).collect();
        world.coins = Some(coins);
        world.rechecks = nature.rechecks;
    });
}

/// How many processes the execution has.
pub(super) fn population() -> usize {
    with(|world| world.processes.len())
}

/// The next number for a word or a cell that this line creates.
pub(super) fn number(created: Site) -> u32 {
    with(|world| {
        world.words.push(Word {
            created: Some(created),
            ..Word::default()
        });
        world.queues.push(VecDeque::new());
        world.words.len() as u32 - 1
    })
}

/// The lines that have created the words and cells, by their numbers.
pub fn creations() -> Vec<Site> {
    with(|world| world.words.iter().filter_map(|word| word.created).collect())
}

/// Runs one loom operation, in which other processes may run, and comes back as the same one.
pub(super) fn step<R>(operation: impl FnOnce() -> R) -> R {
    let me = CURRENT.get();
    let result = operation();
    CURRENT.set(me);
    result
}

pub(super) fn enter(process: usize) {
    CURRENT.set(process);
    if process != KERNEL {
        let thread = loom::thread::current();
        with(|world| world.processes[process].thread = Some(thread));
    }
}

/// The process that runs now.
pub fn current() -> usize {
    CURRENT.get()
}

/// The running process is about to take a step: before it, it may die. False, if it is dead already
/// and only unwinds: then the step does nothing.
pub(super) fn lives(site: Site) -> bool {
    let me = CURRENT.get();
    if me == KERNEL || !death::is_planned() {
        return true;
    }
    if !is_alive() {
        return false;
    }
    let dies = is_to_die();
    with(|world| {
        let process = &mut world.processes[me];
        process.steps += 1;
        process.dead = dies;
        if dies {
            world.findings.died.insert(me);
        }
    });
    if dies {
        record(site, Action::Dies);
        std::panic::resume_unwind(Box::new(Died));
    }
    true
}

/// Whether the running process has not died.
pub(super) fn is_alive() -> bool {
    let me = CURRENT.get();
    with(|world| world.processes.get(me).is_none_or(|process| !process.dead))
}

/// Whether the running process dies before its next step.
fn is_to_die() -> bool {
    let me = CURRENT.get();
    let is_next = |process: &Process| process.dies_before == Some(process.steps);
    with(|world| world.processes.get(me).is_some_and(is_next))
}

/// Room that lasts as long as the execution.
pub(super) fn room_for(layout: Layout) -> *mut u8 {
    assert!(
        layout.align() <= align_of::<u128>(),
        "bad model: {layout:?} in a model with deaths"
    );
    let mut room = vec![0_u128; layout.size().div_ceil(size_of::<u128>())];
    let start = room.as_mut_ptr().cast();
    with(|world| world.rooms.push(room));
    start
}

/// The robust list of who is running.
pub(super) fn robust<R>(access: impl FnOnce(&mut robust::List) -> R) -> R {
    let me = CURRENT.get();
    with(|world| match world.processes.get_mut(me) {
        Some(process) => access(&mut process.robust),
        None => access(&mut world.robust),
    })
}

pub(super) fn record(site: Site, action: Action) {
    let process = CURRENT.get();
    with(|world| {
        world.events.push(Event {
            process,
            site,
            action,
        })
    });
}

/// The record of the execution so far, in the order in which it happened.
pub fn events() -> Vec<Event> {
    with(|world| world.events.clone())
}

/// How many executions this exploration has begun.
pub fn executions() -> u64 {
    with(|world| world.executions)
}

/// What the executions so far have shown of loom's limits.
pub fn findings() -> Findings {
    with(|world| world.findings.clone())
}

/// From here on the sites that could be weakened are collected in the findings.
pub fn collect_sites() {
    COLLECT_SITES.set(true);
}

pub(super) fn note_site(site: Site, change: Change) {
    if COLLECT_SITES.get() {
        with(|world| {
            world
                .findings
                .sites
                .insert((site.file().to_owned(), site.line(), change))
        });
    }
}

pub(super) fn note_fence() {
    with(|world| world.findings.fence = true);
}

fn note_order(world: &mut World, order: Ordering) {
    world.findings.sequentially_consistent |= order == Ordering::SeqCst;
}

pub(super) fn note_load(word: u32, site: Site, order: Ordering, has_companion: bool) {
    let process = CURRENT.get();
    with(|world| {
        note_order(world, order);
        let word = &mut world.words[word as usize];
        if !has_companion {
            word.loads.push((process, site));
        }
        // One that is alone reads the newest anyway.
        if word.stores > REMEMBERED_STORES && world.processes.len() > 1 {
            world.findings.forgotten_stores = Some(site);
        }
    });
}

/// loom compares a write with the last access to its word only. If that was a load which is
/// ordered before the write, for example the writer's own, every earlier load by another process
/// is hidden, and the executions in which it comes after the write are missed.
///
/// Loads by one other process alone hide none of each other: either all of them are ordered
/// before the write, or the last one is not, and once loom has tried the write before it, the
/// next is the last. Of several loaders the last one may be ordered, so they count as hiding.
pub(super) fn note_write(word: u32, site: Site, order: Ordering) {
    let process = CURRENT.get();
    with(|world| {
        note_order(world, order);
        let word = &mut world.words[word as usize];
        word.stores += 1;
        let hidden = match word.loads.split_last() {
            Some(((last, _), earlier)) => earlier
                .iter()
                .find(|(loader, _)| *loader != process && loader != last),
            None => None,
        };
        if let Some((_, load)) = hidden {
            world.findings.blind = Some((load, site));
        }
        word.loads.clear();
    });
}

/// A word has another value now: who looks again may find something new.
pub(super) fn note_change() {
    with(|world| world.changes += 1);
}

pub(super) fn next_coin() -> (Choices, usize) {
    let (coins, index) = with(|world| {
        world.coins_used += 1;
        (world.coins.clone(), world.coins_used - 1)
    });
    let coins = coins.expect("choices are made inside a model");
    assert!(
        index < coins.len(),
        "limit hit: the model makes more than its {} choices",
        coins.len()
    );
    (coins, index)
}

/// Whether this wait is one of those that may be interrupted: the first ones of each process, so
/// that it does not depend on what others do.
pub(super) fn may_be_interrupted() -> bool {
    take_one(|process| &mut process.interruptions)
}

/// Whether this wait may spin: the first wait of each process.
pub(super) fn may_spin() -> bool {
    take_one(|process| &mut process.spins)
}

/// Whether this weak compare-exchange is one of the first ones of its process.
pub(super) fn may_fail_spuriously() -> bool {
    take_one(|process| &mut process.spurious_failures)
}

fn take_one(of: fn(&mut Process) -> &mut usize) -> bool {
    let me = CURRENT.get();
    with(|world| {
        let Some(process) = world.processes.get_mut(me).filter(|process| !process.dead) else {
            return false;
        };
        let left = of(process);
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    })
}

pub(super) fn enqueue(word: u32) {
    let me = CURRENT.get();
    with(|world| world.queues[word as usize].push_back(me));
}

/// Takes the running process out of the queue; false if a wake has already done so.
pub(super) fn dequeue(word: u32) -> bool {
    let me = CURRENT.get();
    with(|world| {
        let queue = &mut world.queues[word as usize];
        let position = queue.iter().position(|waiter| *waiter == me);
        position.map(|position| queue.remove(position)).is_some()
    })
}

pub(super) fn queue_length(word: u32) -> u32 {
    with(|world| world.queues[word as usize].len() as u32)
}

pub(super) fn wake(word: u32, position: u32) {
    with(|world| {
        let woken = world.queues[word as usize].remove(position as usize);
        let woken = woken.expect("the position is inside the queue");
        if world.processes[woken].asleep.take().is_some() {
            world.to_unpark.push(woken);
        }
    });
}

/// The running process sleeps from here on, and if no one is left to wake it, the model fails.
pub(super) fn block(word: u32, site: Site) {
    let me = CURRENT.get();
    with(|world| world.processes[me].asleep = Some((word, site)));
    check_deadlock();
}

pub(super) fn is_awake() -> bool {
    let me = CURRENT.get();
    with(|world| world.processes[me].asleep.is_none())
}

/// The running process is done; true if it was the last.
pub(super) fn finish() -> bool {
    let me = CURRENT.get();
    let last = with(|world| {
        world.processes[me].finished = true;
        world.processes.iter().all(|process| process.finished)
    });
    if !last {
        check_deadlock();
    }
    last
}

/// Everybody is asleep. Once a process has died, time passes then: all sleepers look again, as on
/// the real machine after the recheck interval. That may not go on without a change of a word.
fn check_deadlock() {
    let stuck = with(|world| {
        let mut processes = world.processes.iter();
        if !processes.all(|process| process.finished || process.asleep.is_some()) {
            return None;
        }
        let has_died = world.processes.iter().any(|process| process.dead);
        if has_died && world.rechecks && world.changes_at_recheck != Some(world.changes) {
            world.changes_at_recheck = Some(world.changes);
            look_again(world);
            return None;
        }
        Some(standing(world).join(", "))
    });
    if let Some(stuck) = stuck {
        panic!("deadlock: {stuck}");
    }
}

fn look_again(world: &mut World) {
    world.queues.iter_mut().for_each(VecDeque::clear);
    for (number, process) in world.processes.iter_mut().enumerate() {
        if process.asleep.take().is_some() {
            world.to_unpark.push(number);
        }
    }
}

fn standing(world: &World) -> Vec<String> {
    let each = world.processes.iter().enumerate();
    let each = each.map(|(number, process)| match process.asleep {
        Some((word, site)) => {
            let (file, line) = (site.file(), site.line());
            format!("process {number} sleeps on word {word} at {file}:{line}")
        }
        None if process.dead => format!("process {number} is dead"),
        None if process.finished => format!("process {number} has finished"),
        None => format!("process {number} runs"),
    });
    each.collect()
}

/// Where each process stands now.
pub fn where_each_stands() -> Vec<String> {
    with(|world| standing(world))
}

pub(super) fn take_to_unpark() -> Vec<loom::thread::Thread> {
    with(|world| {
        let woken = core::mem::take(&mut world.to_unpark);
        woken
            .iter()
            .filter_map(|process| world.processes[*process].thread.clone())
            .collect()
    })
}

pub(super) fn threads() -> Vec<loom::thread::Thread> {
    with(|world| {
        world
            .processes
            .iter()
            .filter_map(|process| process.thread.clone())
            .collect()
    })
}

pub(super) fn all_finished() -> bool {
    with(|world| world.processes.iter().all(|process| process.finished))
}
