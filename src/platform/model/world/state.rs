//! The types of the execution state, and the thread-local that holds the state.

use super::choices::Choices;
use super::older_values::History;
use crate::platform::Wake;
use crate::platform::model::change::Change;
use crate::platform::model::config::ScenarioConfig;
use crate::platform::model::event::{Event, Site};
use core::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

/// The known imprecisions of loom that the executions so far have shown.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// A write that may hide an earlier load by another process, so loom misses executions.
    pub blind: Option<(Site, Site)>,
    /// Whether the model uses a fence. loom's fences order more than the memory model's fences.
    pub fence: bool,
    /// Whether the model uses a SeqCst access. loom treats such an access as Acquire and Release.
    pub sequentially_consistent: bool,
    /// A load of a word with more stores than loom remembers, so loom did not try the oldest
    /// stores.
    ///
    /// A read-modify-write reads the newest store, which loom never forgets.
    pub forgotten_stores: Option<Site>,
    /// The source lines that can be weakened, and the changes that can weaken them.
    pub sites: BTreeSet<(String, u32, Change)>,
    /// The processes that died in some execution.
    pub died: BTreeSet<usize>,
}

/// The number of stores of each word that loom remembers.
pub const REMEMBERED_STORES: u32 = 7;

#[derive(Default)]
pub struct Word {
    pub created: Option<Site>,
    pub stores: u32,
    /// The loads of the word since its last write, in order.
    pub loads: Vec<(usize, Site)>,
    /// The older values that a light load may return.
    pub history: History,
}

/// The robust words that the kernel would find if a thread died now.
///
/// The words are stored as addresses, as in the kernel's list. [`robust`](super::super::robust)
/// knows their type.
#[derive(Debug, Default)]
pub struct RobustList {
    pub held: Vec<*const ()>,
    pub pending: Option<*const ()>,
}

/// The robust lists of the threads of a process.
#[derive(Debug, Default)]
pub struct RobustLists {
    /// The list of the running thread.
    pub running: RobustList,
    /// The lists of the threads that wait for the end of a thread, the outermost first.
    pub waiting: Vec<RobustList>,
    /// The list of the keeper, which holds the words that ended threads have leaked.
    pub keeper: RobustList,
}

#[derive(Default)]
pub struct Process {
    pub finished: bool,
    /// The number of remaining waits that may be interrupted.
    pub interruptions: usize,
    /// The number of remaining waits that may spin.
    pub spins: usize,
    /// The number of remaining calls in which the kernel may refuse the heavy barrier.
    pub missing_barriers: usize,
    /// Whether the kernel refuses the barrier to the process.
    pub lacks_barrier: bool,
    /// The number of remaining weak compare-exchanges that may fail spuriously.
    pub spurious_failures: usize,
    /// The word on which the process sleeps, and the source line of the wait.
    pub asleep: Option<(u32, Site)>,
    /// The words that the sleeping process watches, with their expected values. If there are none,
    /// the process rechecks with a timer.
    pub watched: Vec<(u32, u32)>,
    /// The reason why the process wakes if no other process has woken it.
    pub recheck: Option<Wake>,
    pub thread: Option<loom::thread::Thread>,
    /// The number of steps that the process has begun.
    pub steps: usize,
    /// The step before which the process dies.
    pub dies_before: Option<usize>,
    pub dead: bool,
    /// Whether the process runs in place of a dead one.
    pub is_successor: bool,
    pub robust_lists: RobustLists,
    /// The waiters that the process has joined, in a model over the contract of a condition
    /// variable.
    pub joined: Option<interlatch_engine::WaitQueue>,
}

impl Process {
    /// Creates a process with the spurious events of this scenario.
    pub fn new(config: ScenarioConfig, dies_before: Option<usize>) -> Self {
        Self {
            interruptions: config.interruptions,
            spins: config.spins.max(1),
            spurious_failures: config.spurious_failures,
            missing_barriers: config.may_lack_barrier.into(),
            dies_before,
            ..Self::default()
        }
    }
}

#[derive(Default)]
pub struct World {
    /// The number of executions of this exploration, including the running one.
    pub executions: u64,
    pub events: Vec<Event>,
    pub words: Vec<Word>,
    pub queues: Vec<VecDeque<usize>>,
    pub processes: Vec<Process>,
    pub to_unpark: Vec<usize>,
    pub choices: Option<Choices>,
    pub choices_used: usize,
    /// The copies that the destructors of dead processes access.
    pub scratch: Vec<Vec<u128>>,
    /// The robust lists of the kernel thread, which verifies the end state.
    pub kernel_robust_lists: RobustLists,
    pub config: ScenarioConfig,
    /// The number of steps that changed a word.
    pub changes: usize,
    /// The value of `changes` at the last recheck.
    pub changes_at_recheck: Option<usize>,
    /// The number of heavy barriers.
    pub heavy_barriers: u64,
    pub findings: Findings,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    pub static CURRENT: Cell<usize> = const { Cell::new(KERNEL) };
}

/// The process number of the kernel thread.
pub const KERNEL: usize = usize::MAX;

/// Accesses the state. The closure must not run other processes.
pub fn with<R>(access: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(access)
}

/// Starts a new execution: forgets the previous execution but keeps the findings.
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

/// Starts a new exploration: forgets the findings except for the sites.
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

/// Sets the processes and the choices of the execution.
pub fn populate(processes: Vec<Process>, choices: Option<Choices>, config: ScenarioConfig) {
    with(|world| {
        world.processes = processes;
        world.choices = choices;
        world.config = config;
    });
}
