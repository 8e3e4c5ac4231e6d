//! The pipe of the model: a queue of bytes in the kernel.
//!
//! Each call is one step, as in the kernel, where the call happens under the lock of the pipe. A
//! `write` happens before every `read` that returns its bytes or later bytes. Calls on a pipe order
//! no other memory.
//!
//! In loom, the bytes are plain memory that loom does not see. Each call also changes a word that
//! loom does see, so loom tries every order of the calls on one pipe.
//!
//! In `interlatch-engine`, the value of that word stands for the state of the pipe
//! ([`pipe_state`](super::pipe_state)), and each call is a read-modify-write of the word. A call
//! that only looks at the pipe stores the same value again, so all calls on all pipes have one
//! order, as under the locks of the kernel.
//!
//! When a process is unwound, the calls of its destructors change nothing. A call that may block
//! seems to succeed, and a pipe seems empty to other calls, so that no loop repeats.
//!
//! A read takes as many bytes as are available, and a write adds as many bytes as fit. So a call
//! may transfer only part of an item if the capacity of the pipe is not a whole number of items.
//!
//! The model counts bytes where the kernel counts pages. So it shows neither a page that stays in
//! use until its last byte is read, nor a page with too little free space for a write. Tests on
//! real pipes cover the page arithmetic ([`capacity_for`], [`items_in`]).

use super::event::{Action, PipeCall, Site};
use super::pipe_state::{self, PipeState};
use super::{AtomicU32, Deadline, backend, choice, death, futex, world};
use crate::platform::{PipeStop, Wake};
use core::panic::Location;
use core::sync::atomic::Ordering;
use interlatch_engine::{AwaitedWord, wait_until_any};
use std::sync::{Arc, Mutex, PoisonError};

/// The size of the largest atomic write, which writes all its bytes contiguously or none.
pub const PIPE_BUF: usize = 8;

/// Returns the capacity that holds `count` items of `size` bytes.
pub fn capacity_for(count: usize, size: usize) -> Option<usize> {
    count.checked_mul(size)
}

/// Returns the number of items of `size` bytes that a pipe of this capacity holds.
pub fn items_in(capacity: usize, size: usize) -> usize {
    capacity / size
}

/// A placeholder for the descriptor of a pipe: the model has no descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor<'a>(core::marker::PhantomData<&'a ()>);

/// The read end of a pipe.
#[derive(Debug)]
pub struct Reader(Arc<Pipe>);

/// The write end of a pipe.
#[derive(Debug)]
pub struct Writer(Arc<Pipe>);

#[derive(Debug)]
struct Pipe {
    /// The word that represents the pipe. In loom, every call changes it, and waiting readers queue
    /// on it. In `interlatch-engine`, its value is the number of the state.
    word: AtomicU32,
    capacity: usize,
    /// What only loom needs.
    in_loom: Option<InLoom>,
}

#[derive(Debug)]
struct InLoom {
    /// The word on which waiting writers queue.
    writable: AtomicU32,
    state: Mutex<PipeState>,
}

/// A condition for which a process waits.
trait Readiness: Fn(&PipeState) -> bool + Copy + 'static {}

impl<F: Fn(&PipeState) -> bool + Copy + 'static> Readiness for F {}

/// Creates a pipe that holds this number of bytes.
///
/// # Errors
/// The model never returns an error.
#[track_caller]
pub fn pipe(capacity: usize) -> std::io::Result<(Reader, Writer)> {
    assert!(
        !death::is_possible(),
        "bad model: a pipe in a model with deaths: no process owns an end of a pipe"
    );
    let state = PipeState::new(capacity);
    let (number, in_loom) = match backend::is_graphs() {
        true => (pipe_state::number_of(state), None),
        false => (0, Some(InLoom::new(state))),
    };
    let pipe = Arc::new(Pipe {
        word: AtomicU32::new(number),
        capacity,
        in_loom,
    });
    Ok((Reader(pipe.clone()), Writer(pipe)))
}

impl InLoom {
    #[track_caller]
    fn new(state: PipeState) -> Self {
        Self {
            writable: AtomicU32::new(0),
            state: Mutex::new(state),
        }
    }

    fn with_state<R>(&self, access: impl FnOnce(&mut PipeState) -> R) -> R {
        access(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pipe {
    /// Runs one step of the running process on the pipe.
    fn call<R>(
        &self,
        site: Site,
        order: Ordering,
        act: impl Fn(&mut PipeState) -> (PipeCall, R),
    ) -> R {
        let act = |state: &mut PipeState| {
            state.calls += 1;
            (state.calls - 1, act(state))
        };
        let (before, (call, result)) = match &self.in_loom {
            Some(pipe) => {
                self.word.increment_by_kernel(order);
                pipe.with_state(act)
            }
            None => self.step_in_graphs(order, act),
        };
        world::note_change();
        world::record(
            site,
            Action::Pipe {
                word: self.word.number(),
                order,
                before,
                call,
            },
        );
        result
    }

    /// Runs one step of the running process on the pipe, in `interlatch-engine`.
    ///
    /// The engine may call `act` several times, with any state that the pipe could have.
    fn step_in_graphs<R>(&self, order: Ordering, act: impl Fn(&mut PipeState) -> R) -> R {
        let after = |number| {
            let mut state = pipe_state::state_of(number);
            act(&mut state);
            Some(pipe_state::number_of(state))
        };
        let word = self.word.inner.as_graphs();
        let (Ok(before) | Err(before)) =
            world::step(|| word.fetch_update(order, Ordering::Relaxed, after));
        act(&mut pipe_state::state_of(before))
    }

    fn open(&self, site: Site, ends: fn(&mut PipeState) -> &mut usize) {
        if !death::survives(site) {
            return;
        }
        self.call(site, Ordering::Relaxed, |state| {
            *ends(state) += 1;
            (PipeCall::Opened, ())
        });
    }

    fn close(&self, site: Site, ends: fn(&mut PipeState) -> &mut usize) {
        if !death::survives(site) {
            return;
        }
        self.call(site, Ordering::Release, |state| {
            // After the end of an execution, the engine also drops ends that the processes have
            // opened, with the state of the pipe before the processes started.
            *ends(state) = ends(state).saturating_sub(1);
            (PipeCall::Closed, ())
        });
    }

    /// Fails if the pipe's capacity is less than `capacity`. The model's pipes cannot grow.
    fn check_capacity(&self, capacity: usize) -> std::io::Result<()> {
        match self.capacity >= capacity {
            true => Ok(()),
            false => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    fn wake_readers(&self) {
        if self.in_loom.is_some() {
            wake_all(&self.word);
        }
    }

    fn wake_writers(&self) {
        if let Some(pipe) = &self.in_loom {
            wake_all(&pipe.writable);
        }
    }

    /// Looks at the pipe in one step that changes nothing.
    #[track_caller]
    fn look<R>(&self, look: impl Fn(&PipeState) -> R) -> R {
        if !death::survives(Location::caller()) {
            return look(&PipeState::new(self.capacity));
        }
        match &self.in_loom {
            Some(pipe) => {
                self.word.load_by_kernel();
                pipe.with_state(|state| look(state))
            }
            None => self.step_in_graphs(Ordering::Relaxed, |state| look(state)),
        }
    }

    /// Sleeps until the pipe is ready, as `poll` does. In loom, the process sleeps in the queue of
    /// readers or writers.
    fn wait(
        &self,
        direction: Direction,
        deadline: Option<Deadline>,
        site: Site,
        is_ready: impl Readiness,
    ) -> Wake {
        if !death::survives(site) {
            return deadline.map_or(Wake::Woken, |_| Wake::TimedOut);
        }
        let interrupted = world::is_interrupted(choice::choose_bool);
        let Some(in_loom) = &self.in_loom else {
            let give_up = give_up(deadline, interrupted);
            return wait_in_graphs(&[Awaited::new(self, is_ready)], give_up, site);
        };
        if self.look(is_ready) {
            return Wake::Woken;
        }
        let queue = match direction {
            Direction::Reading => &self.word,
            Direction::Writing => &in_loom.writable,
        };
        let (word, timed) = (queue.number(), deadline.is_some());
        world::record(site, Action::Poll { word, timed });
        futex::sleep_in(queue, &self.word, deadline, interrupted, site)
    }
}

/// What a process waits for.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Reading,
    Writing,
}

/// Returns how a wait ends that gives up, or `None` if it does not give up.
fn give_up(deadline: Option<Deadline>, interrupted: bool) -> Option<Wake> {
    match deadline {
        _ if interrupted => Some(Wake::Interrupted),
        Some(_) => Some(Wake::TimedOut),
        None => None,
    }
}

/// A pipe for which a process waits in `interlatch-engine`.
struct Awaited<'a> {
    pipe: &'a Pipe,
    word: AwaitedWord,
    is_ready: Box<dyn Fn(&PipeState) -> bool>,
}

impl<'a> Awaited<'a> {
    fn new(pipe: &'a Pipe, is_ready: impl Readiness) -> Self {
        let word = pipe.word.inner.as_graphs();
        Self {
            pipe,
            word: AwaitedWord::new(word, move |number| is_ready(&pipe_state::state_of(number))),
            is_ready: Box::new(is_ready),
        }
    }

    fn is_ready(&self) -> bool {
        self.pipe.look(&self.is_ready)
    }
}

/// Waits in `interlatch-engine` until one of the pipes is ready.
///
/// A process that gives up may do so at any step of the others: it looks at the pipes whenever it
/// runs, and gives up if none is ready. Another process cannot wake it too early, because `poll`
/// looks at the pipes again.
fn wait_in_graphs(pipes: &[Awaited<'_>], give_up: Option<Wake>, site: Site) -> Wake {
    let word = pipes[0].pipe.word.number();
    let timed = give_up == Some(Wake::TimedOut);
    let is_verification = world::current() == world::KERNEL;
    if give_up.is_some() || is_verification {
        if pipes.iter().any(Awaited::is_ready) {
            return Wake::Woken;
        }
        let wake = give_up.unwrap_or_else(|| {
            panic!("deadlock: the verification waits for pipe {word} at {site}")
        });
        world::record(site, Action::Poll { word, timed });
        world::record(site, Action::Awake { word, wake });
        return wake;
    }
    world::record(site, Action::Poll { word, timed });
    world::set_asleep(Some((word, site)));
    let words: Vec<AwaitedWord> = pipes.iter().map(|pipe| pipe.word.clone()).collect();
    world::step(|| wait_until_any(&words));
    world::set_asleep(None);
    let wake = Wake::Woken;
    world::record(site, Action::Awake { word, wake });
    wake
}

/// Waits until the reader has bytes or the writer has free space.
///
/// The wait joins the queue of each pipe in the step that checks that pipe, like `poll`.
///
/// # Errors
/// The model never returns an error.
#[track_caller]
pub fn wait_either(
    reader: &Reader,
    writer: &Writer,
    deadline: Option<Deadline>,
) -> Result<Wake, PipeStop> {
    Ok(wait_in_both(reader, writer, deadline))
}

#[track_caller]
fn wait_in_both(reader: &Reader, writer: &Writer, deadline: Option<Deadline>) -> Wake {
    let site = Location::caller();
    if !death::survives(site) {
        return deadline.map_or(Wake::Woken, |_| Wake::TimedOut);
    }
    let interrupted = world::is_interrupted(choice::choose_bool);
    let Some(in_loom) = &writer.0.in_loom else {
        let readable = Awaited::new(&reader.0, Reader::is_ready);
        let writable = Awaited::new(&writer.0, Writer::is_ready);
        let give_up = give_up(deadline, interrupted);
        return wait_in_graphs(&[readable, writable], give_up, site);
    };
    let (readable, writable) = (&reader.0.word, &in_loom.writable);
    if reader.0.look(Reader::is_ready) {
        return Wake::Woken;
    }
    world::enqueue(readable.number());
    let is_ready = writer.0.look(Writer::is_ready);
    if is_ready || !world::dequeue(readable.number()) {
        world::dequeue(readable.number());
        return Wake::Woken;
    }
    world::enqueue(readable.number());
    let (word, timed) = (readable.number(), deadline.is_some());
    world::record(site, Action::Poll { word, timed });
    let wake = futex::sleep_in(writable, &writer.0.word, deadline, interrupted, site);
    reader.0.word.load_by_kernel();
    let is_woken = !world::dequeue(readable.number());
    world::dequeue(writable.number());
    if is_woken { Wake::Woken } else { wake }
}

fn wake_all(queue: &AtomicU32) {
    let waiting = world::queue_length(queue.number());
    (0..waiting).for_each(|_| world::wake(queue.number(), 0));
}

impl Reader {
    /// Reads the available bytes, up to the length of the buffer; 0 is the end of the stream.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the pipe is empty.
    #[track_caller]
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        let site = Location::caller();
        if !death::survives(site) {
            return Err(PipeStop::WouldBlock);
        }
        let read = self.0.call(site, Ordering::Acquire, |state| {
            let count = bytes.len().min(state.bytes.len());
            if count == 0 && state.writers > 0 && !bytes.is_empty() {
                return (PipeCall::WouldBlock, Err(PipeStop::WouldBlock));
            }
            let taken: Vec<u8> = state.bytes.drain(..count).collect();
            (PipeCall::Read(count), Ok(taken))
        });
        self.0.wake_writers();
        let taken = read?;
        bytes[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }

    /// Waits until the pipe has bytes, or the stream has ended.
    ///
    /// # Errors
    /// The model never returns an error.
    #[track_caller]
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        let is_ready = Self::is_ready;
        Ok(self.0.wait(Direction::Reading, deadline, site, is_ready))
    }

    /// Whether this number of bytes is available, or the stream has ended.
    pub fn has_bytes(&self, bytes: usize) -> bool {
        self.0.look(|state| state.has_bytes(bytes))
    }

    /// Waits until this number of bytes is available, or the stream has ended.
    ///
    /// # Errors
    /// Returns the same errors as [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, bytes: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        let has_bytes = move |state: &PipeState| state.has_bytes(bytes);
        Ok(self.0.wait(Direction::Reading, deadline, site, has_bytes))
    }

    /// Reads, blocking while the pipe is empty.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the wait ended spuriously, and otherwise the same errors as
    /// [`read`](Self::read).
    #[track_caller]
    pub fn read_blocking(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        if !death::survives(Location::caller()) {
            return Ok(bytes.len());
        }
        self.wait(None)?;
        self.read(bytes)
    }

    fn is_ready(state: &PipeState) -> bool {
        state.has_bytes(1)
    }

    /// Returns the number of bytes in the pipe. Other processes may change this number at any time.
    pub fn available(&self) -> usize {
        self.0.look(|state| state.bytes.len())
    }

    /// Returns the capacity in bytes.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Raises the capacity to at least this number of bytes.
    ///
    /// # Errors
    /// Returns `Unsupported` if the capacity is less than this number, because the model's pipes
    /// cannot grow.
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.check_capacity(capacity)
    }

    /// Returns the descriptor to pass to another process.
    pub fn descriptor(&self) -> Descriptor<'_> {
        Descriptor(core::marker::PhantomData)
    }
}

impl Writer {
    /// Writes as many bytes as fit. A write of at most [`PIPE_BUF`] bytes writes all of them or
    /// none.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the pipe has no free space, and `Broken` if every reader is closed.
    #[track_caller]
    pub fn write(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        let site = Location::caller();
        if !death::survives(site) {
            return Ok(bytes.len());
        }
        let written = self.0.call(site, Ordering::Release, |state| {
            if state.readers == 0 {
                return (PipeCall::Broken, Err(PipeStop::Broken));
            }
            let room = state.room();
            let fits = if bytes.len() <= PIPE_BUF {
                room >= bytes.len()
            } else {
                room > 0
            };
            if !fits {
                return (PipeCall::WouldBlock, Err(PipeStop::WouldBlock));
            }
            let count = bytes.len().min(room);
            state.bytes.extend(&bytes[..count]);
            (PipeCall::Wrote(count), Ok(count))
        });
        self.0.wake_readers();
        written
    }

    /// Waits until the pipe has free space for [`PIPE_BUF`] bytes, every reader is closed, or the
    /// deadline passes.
    ///
    /// # Errors
    /// The model never returns an error.
    #[track_caller]
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        let is_ready = Self::is_ready;
        Ok(self.0.wait(Direction::Writing, deadline, site, is_ready))
    }

    /// Whether an item of this size can be written in one call, or every reader is closed.
    pub fn has_room(&self, size: usize) -> bool {
        self.0.look(|state| state.has_room(size))
    }

    /// Waits until the pipe [has room](Self::has_room) for an item of this size.
    ///
    /// # Errors
    /// Returns the same errors as [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, size: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        let has_room = move |state: &PipeState| state.has_room(size);
        Ok(self.0.wait(Direction::Writing, deadline, site, has_room))
    }

    /// Writes, blocking while the pipe has no free space.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the wait ended spuriously, and otherwise the same errors as
    /// [`write`](Self::write).
    #[track_caller]
    pub fn write_blocking(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        self.wait(None)?;
        self.write(bytes)
    }

    fn is_ready(state: &PipeState) -> bool {
        state.has_room(PIPE_BUF.min(state.capacity))
    }

    /// Returns the capacity in bytes.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Raises the capacity to at least this number of bytes.
    ///
    /// # Errors
    /// Returns the same errors as [`Reader::enlarge`].
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.check_capacity(capacity)
    }

    /// Returns the descriptor to pass to another process.
    pub fn descriptor(&self) -> Descriptor<'_> {
        Descriptor(core::marker::PhantomData)
    }
}

/// Duplicates the descriptor of the end.
impl Clone for Reader {
    #[track_caller]
    fn clone(&self) -> Self {
        self.0.open(Location::caller(), |state| &mut state.readers);
        Self(self.0.clone())
    }
}

/// Duplicates the descriptor of the end.
impl Clone for Writer {
    #[track_caller]
    fn clone(&self) -> Self {
        self.0.open(Location::caller(), |state| &mut state.writers);
        Self(self.0.clone())
    }
}

impl Drop for Reader {
    #[track_caller]
    fn drop(&mut self) {
        self.0.close(Location::caller(), |state| &mut state.readers);
        self.0.wake_writers();
    }
}

impl Drop for Writer {
    #[track_caller]
    fn drop(&mut self) {
        self.0.close(Location::caller(), |state| &mut state.writers);
        self.0.wake_readers();
    }
}
