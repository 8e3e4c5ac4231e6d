//! One execution: the graph, the processes that build it, and how it ended.

use crate::MAX_PROCESSES;
use crate::awaited::AwaitedWord;
use crate::clock::Clock;
use crate::event::{Event, EventId, INITIAL, Kind, LocationId, Site};
use crate::failure::{Failure, FailureKind};
use crate::graph::{Graph, Outline, Variable};
use crate::operation::{Operation, Watched};
use crate::race::Races;
use crate::sampler::Sampler;

/// Stands for no process.
pub const NONE: usize = usize::MAX;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The process can run.
    Ready,
    /// The process waits for a value that its last read did not return.
    Blocked,
    /// The process waits for a write to this location before its read-modify-write at this site.
    Disabled(LocationId, Site),
    /// The process sleeps in this wait queue.
    Asleep(LocationId),
    Finished,
}

/// Whether a process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The process does not die.
    Immortal,
    /// The process may die before its next step.
    Mortal,
    /// The process does not die before its next step, because it has changed nothing since the
    /// last step before which it could die.
    Surviving,
    /// Like `Surviving`, but the process has read a cell since then. It may die before its next
    /// step that does not read a cell.
    HasRead,
    /// The process has just died.
    Died,
}

/// Who performs operations: a process, or the code before and after the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The code that creates the state of the model.
    Setup,
    Process(usize),
    /// The code that checks the final state.
    Verify,
}

/// How an execution ends.
#[derive(Debug)]
pub enum End {
    /// Every process has finished.
    Complete,
    /// The graph is not consistent, or cannot be completed.
    Abandoned,
    Failed(Failure),
}

/// Numbers for the objects that the actors create: first those of the setup. The number of an
/// object depends only on its actor and on the objects that this actor has created before, so it
/// is the same in each execution.
#[derive(Debug, Default)]
struct Numbers {
    by_setup: u32,
    by_others: [u32; MAX_PROCESSES + 1],
}

impl Numbers {
    fn next(&mut self, actor: Actor) -> u32 {
        let actor = match actor {
            Actor::Setup => {
                self.by_setup += 1;
                return self.by_setup - 1;
            }
            Actor::Process(process) => process,
            Actor::Verify => MAX_PROCESSES,
        };
        let count = self.by_others[actor];
        self.by_others[actor] += 1;
        self.by_setup + count * self.by_others.len() as u32 + actor as u32
    }
}

/// The execution that runs now.
#[derive(Debug, Default)]
pub struct Execution {
    pub graph: Graph,
    /// The graph to replay.
    pub outline: Outline,
    pub is_replaying: bool,
    /// The process that may add events.
    pub scheduled: usize,
    pub status: Vec<Status>,
    /// The result of the last operation of each process in the replay. The process gets it when the
    /// whole graph is known to be consistent, because what it does next could fail.
    pub held: Vec<Option<u64>>,
    pub lives: Vec<Life>,
    /// Whether sleepers recheck after a death.
    pub rechecks: bool,
    /// The words that each sleeper watches. If there are none, each recheck ends its sleep.
    pub watched: Vec<Vec<Watched>>,
    /// Whether a recheck has ended the sleep of a process that has not run since then.
    pub has_rechecked: Vec<bool>,
    /// The words of which each process waits for one, in a wait for several words.
    pub awaited: Vec<Vec<AwaitedWord>>,
    pub races: Races,
    /// The graphs that are to be explored.
    pub stack: Vec<Outline>,
    pub max_steps: usize,
    /// Decides how the execution goes on, if it is a random one.
    pub sampler: Option<Sampler>,
    /// Whether no process could run, so processes that wait for a value wait for ever.
    pub is_stuck: bool,
    /// Set when the execution is over before its processes have finished.
    pub end: Option<End>,
    /// The number of locations that each actor has created.
    locations: Numbers,
    /// The number of cells that each actor has created.
    cells: Numbers,
}

impl Execution {
    /// Prepares the replay of a graph.
    pub fn begin(&mut self, outline: Outline) {
        self.graph.next_stamp = outline.next_stamp;
        self.graph.has_sequential = false;
        self.graph.events.iter_mut().for_each(Vec::clear);
        let count = self.graph.variables.len().max(outline.orders.len());
        self.graph.variables.resize_with(count, Variable::new);
        for (location, variable) in self.graph.variables.iter_mut().enumerate() {
            variable.readers.clear();
            variable.order.clear();
            match outline.orders.get(location) {
                Some(order) => variable.order.extend(order),
                None => variable.order.push(INITIAL),
            }
        }
        self.outline = outline;
        self.is_replaying = true;
        self.status.clear();
        self.races.clear();
        self.end = None;
        self.is_stuck = false;
        self.locations = Numbers::default();
        self.cells = Numbers::default();
    }

    /// Sets the processes, after the setup.
    pub fn set_processes(&mut self, lives: Vec<Life>) {
        let count = lives.len();
        self.lives = lives;
        self.status.resize(count, Status::Ready);
        self.held = vec![None; count];
        self.watched = vec![Vec::new(); count];
        self.has_rechecked = vec![false; count];
        self.awaited = vec![Vec::new(); count];
        self.graph.events.resize_with(count, Vec::new);
        self.outline.labels.resize_with(count, Vec::new);
        if let Some(sampler) = &mut self.sampler {
            sampler.begin(count);
        }
    }

    /// Creates a location, and another one for its wait queue.
    pub fn new_location(&mut self, actor: Actor, initial: u64) -> LocationId {
        // The next number is that of the wait queue.
        let location = 2 * self.locations.next(actor);
        let count = self.graph.variables.len().max(location as usize + 2);
        self.graph.variables.resize_with(count, Variable::new);
        self.graph.variable_mut(location).initial = initial;
        location
    }

    /// Creates a cell, and returns its number.
    pub fn new_cell(&mut self, actor: Actor) -> usize {
        self.cells.next(actor) as usize
    }

    /// Records an access to a cell. Returns the site of a racing access, if there is one.
    pub fn access(
        &mut self,
        process: usize,
        cell: usize,
        is_write: bool,
        site: Site,
    ) -> Option<Site> {
        let events = &self.graph.events[process];
        let clock = events.last().map(|event| event.happens_before);
        let clock = clock.unwrap_or_default();
        let by = (process, &clock, events.len());
        self.races.access(cell, is_write, by, site)
    }

    /// Whether the last value of a word ends the wait of this process for several words.
    pub fn is_wait_over(&self, process: usize) -> bool {
        let mut words = self.awaited[process].iter();
        words.any(|word| {
            let last = self.graph.last_write(word.location);
            (word.condition)(self.graph.value(word.location, last))
        })
    }

    /// Whether a process waits although there is a value that ends its wait: it has read a value
    /// that is not the last one, or does not check the word that ends its wait. In another
    /// execution, it does.
    pub fn has_outdated_wait(&self) -> bool {
        (0..self.status.len()).any(|process| {
            let last = self.graph.events[process].last();
            let is_outdated =
                |event: &Event| event.label.source != self.graph.last_write(event.label.location);
            (self.status[process] == Status::Blocked && last.is_some_and(is_outdated))
                || self.is_wait_over(process)
        })
    }

    /// Whether the process may die before its next step, which may be a read of a cell. If so, the
    /// process is asked once.
    pub fn may_die(&mut self, process: usize, is_cell_read: bool) -> bool {
        let may_die = match self.lives[process] {
            Life::Mortal => true,
            Life::HasRead => !is_cell_read,
            Life::Immortal | Life::Surviving | Life::Died => false,
        };
        if may_die {
            self.lives[process] = Life::Surviving;
        }
        may_die
    }

    pub fn die(&mut self, process: usize) {
        self.lives[process] = Life::Died;
    }

    /// Notes that a process has changed something that others can see.
    pub fn note_change(&mut self, process: usize) {
        if matches!(self.lives[process], Life::Surviving | Life::HasRead) {
            self.lives[process] = Life::Mortal;
        }
    }

    /// Notes that a process has read a cell.
    pub fn note_cell_read(&mut self, process: usize) {
        if self.lives[process] == Life::Surviving {
            self.lives[process] = Life::HasRead;
        }
    }

    /// Whether the process has just died. From now on, it is the kernel, which does not die.
    pub fn take_death(&mut self, process: usize) -> bool {
        let has_died = self.lives[process] == Life::Died;
        if has_died {
            self.lives[process] = Life::Immortal;
        }
        has_died
    }

    /// Performs an operation of the setup, in which each location has its initial value, or of the
    /// verification, in which each location has its last value.
    pub fn step_outside(&mut self, actor: Actor, operation: Operation<'_>) -> u64 {
        let (location, write) = match operation {
            Operation::Load(location, ..) => (location, None),
            Operation::Store(location, _, value) => (location, Some(value)),
            Operation::Update(update) => {
                let read = self.value_outside(actor, update.location);
                let effect = (update.effect)(read, 0);
                assert!(
                    !effect.blocks,
                    "deadlock: only the processes of a model wait"
                );
                (update.location, effect.written)
            }
            Operation::Fence(..) | Operation::Choose(_) | Operation::Die | Operation::Sleep(..) => {
                return 0;
            }
        };
        let read = self.value_outside(actor, location);
        if let Some(value) = write {
            let last = self.graph.last_write(location);
            if actor == Actor::Setup || last == INITIAL {
                self.graph.variable_mut(location).initial = value;
            } else {
                self.graph.event_mut(last).value = value;
            }
        }
        read
    }

    fn value_outside(&self, actor: Actor, location: LocationId) -> u64 {
        let write = match actor {
            Actor::Setup => INITIAL,
            _ => self.graph.last_write(location),
        };
        self.graph.value(location, write)
    }

    /// Returns the events whose values this process observes.
    pub fn observed_by(&self, process: usize) -> Clock {
        let next = EventId::new(process, self.graph.events[process].len());
        self.graph.observed_before(next)
    }

    /// Returns the outline of the whole graph.
    pub fn whole_outline(&self) -> Outline {
        self.graph
            .outline(|process| self.graph.events[process].len())
    }

    /// Whether the graph contains an event of this process that the replay has not reached.
    pub fn is_behind(&self, process: usize) -> bool {
        self.graph.events[process].len() < self.outline.labels[process].len()
    }

    /// Whether the last event of this process that the graph contains is a read-modify-write whose
    /// write may be missing, so the replay has left it out.
    pub fn lacks_write(&self, process: usize) -> bool {
        let left = self.outline.labels[process].get(self.graph.events[process].len()..);
        matches!(left, Some([label]) if label.kind == Kind::UpdateRead)
    }

    /// Whether the execution ends before its processes have finished.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Ends the execution without a result.
    pub fn abandon(&mut self) {
        self.end.get_or_insert(End::Abandoned);
    }

    /// Ends the execution as a failure.
    pub fn fail(&mut self, kind: FailureKind) {
        if !matches!(self.end, Some(End::Failed(_))) {
            self.end = Some(End::Failed(Failure::new(kind, &self.graph)));
        }
    }

    pub fn fail_with_limit(&mut self) {
        self.fail(FailureKind::TooManySteps {
            limit: self.max_steps,
        });
    }

    pub fn fail_as_nondeterministic(&mut self, site: Site) {
        self.fail(FailureKind::NotDeterministic {
            site: Some(site.to_string()),
        });
    }
}
