//! The pipe of the model: a queue of bytes in the kernel.
//!
//! Each call is one step, as in the kernel, where the call happens under the lock of the pipe. The
//! bytes are plain memory that loom does not see. Each call also changes a word that loom does see,
//! so loom tries every order of the calls on one pipe. A `write` happens before every `read` that
//! returns its bytes or later bytes. Calls on a pipe order no other memory.
//!
//! A read takes as many bytes as are available, and a write adds as many bytes as fit. So a call
//! may transfer only part of an item if the capacity of the pipe is not a whole number of items.
//!
//! The model counts bytes where the kernel counts pages. So it shows neither a page that stays in
//! use until its last byte is read, nor a page with too little free space for a write. Tests on
//! real pipes cover the page arithmetic ([`capacity_for`], [`items_in`]).

use super::event::{Action, PipeCall, Site};
use super::{AtomicU32, Deadline, backend, choice, death, futex, world};
use crate::platform::{PipeStop, Wake};
use core::panic::Location;
use core::sync::atomic::Ordering;
use std::collections::VecDeque;
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
    /// The word that every call changes and on which waiting readers queue.
    calls: AtomicU32,
    /// The word on which waiting writers queue.
    writable: AtomicU32,
    capacity: usize,
    state: Mutex<PipeState>,
}

#[derive(Debug)]
struct PipeState {
    bytes: VecDeque<u8>,
    readers: usize,
    writers: usize,
}

/// Creates a pipe that holds this number of bytes.
///
/// # Errors
/// The model never returns an error.
#[track_caller]
pub fn pipe(capacity: usize) -> std::io::Result<(Reader, Writer)> {
    assert!(
        !death::is_planned(),
        "bad model: a pipe in a model with deaths: no process owns an end of a pipe"
    );
    backend::require_loom("a pipe");
    let pipe = Arc::new(Pipe {
        calls: AtomicU32::new(0),
        writable: AtomicU32::new(0),
        capacity,
        state: Mutex::new(PipeState {
            bytes: VecDeque::new(),
            readers: 1,
            writers: 1,
        }),
    });
    Ok((Reader(pipe.clone()), Writer(pipe)))
}

impl PipeState {
    fn has_bytes(&self, bytes: usize) -> bool {
        self.bytes.len() >= bytes || self.writers == 0
    }

    fn has_room(&self, capacity: usize, bytes: usize) -> bool {
        capacity - self.bytes.len() >= bytes || self.readers == 0
    }
}

impl Pipe {
    /// Runs one step of the running process on the pipe.
    fn call<R>(
        &self,
        site: Site,
        order: Ordering,
        act: impl FnOnce(&mut PipeState) -> (PipeCall, R),
    ) -> R {
        let before = self.calls.increment_by_kernel(order);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (call, result) = act(&mut state);
        drop(state);
        world::note_change();
        world::record(
            site,
            Action::Pipe {
                word: self.calls.number(),
                order,
                before,
                call,
            },
        );
        result
    }

    fn open(&self, site: Site, ends: fn(&mut PipeState) -> &mut usize) {
        self.call(site, Ordering::Relaxed, |state| {
            *ends(state) += 1;
            (PipeCall::Opened, ())
        });
    }

    fn close(&self, site: Site, ends: fn(&mut PipeState) -> &mut usize) {
        self.call(site, Ordering::Release, |state| {
            *ends(state) -= 1;
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
        wake_all(&self.calls);
    }

    fn wake_writers(&self) {
        wake_all(&self.writable);
    }

    /// Returns whether the pipe's state meets the condition, in one step that changes nothing.
    fn check(&self, condition: impl Fn(&PipeState) -> bool) -> bool {
        self.calls.load_by_kernel();
        condition(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sleeps until the pipe is ready, as `poll` does.
    fn wait(
        &self,
        queue: &AtomicU32,
        deadline: Option<Deadline>,
        site: Site,
        is_ready: impl Fn(&PipeState) -> bool,
    ) -> Wake {
        if !death::survives(site) {
            return Wake::Woken;
        }
        let interrupted = world::is_interrupted(choice::choose_bool);
        if self.check(is_ready) {
            return Wake::Woken;
        }
        let (word, timed) = (queue.number(), deadline.is_some());
        world::record(site, Action::Poll { word, timed });
        futex::sleep_in(queue, &self.calls, deadline, interrupted, site)
    }
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
        return Wake::Woken;
    }
    let interrupted = world::is_interrupted(choice::choose_bool);
    let (readable, writable) = (&reader.0.calls, &writer.0.writable);
    if reader.0.check(Reader::is_ready) {
        return Wake::Woken;
    }
    world::enqueue(readable.number());
    let is_ready = writer.0.check(|state| writer.is_ready(state));
    if is_ready || !world::dequeue(readable.number()) {
        world::dequeue(readable.number());
        return Wake::Woken;
    }
    world::enqueue(readable.number());
    let (word, timed) = (readable.number(), deadline.is_some());
    world::record(site, Action::Poll { word, timed });
    let wake = futex::sleep_in(writable, &writer.0.calls, deadline, interrupted, site);
    reader.0.calls.load_by_kernel();
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
            return Ok(0);
        }
        let read = self.0.call(site, Ordering::Acquire, |state| {
            let count = bytes.len().min(state.bytes.len());
            if count == 0 && state.writers > 0 && !bytes.is_empty() {
                return (PipeCall::WouldBlock, Err(PipeStop::WouldBlock));
            }
            for (byte, taken) in bytes.iter_mut().zip(state.bytes.drain(..count)) {
                *byte = taken;
            }
            (PipeCall::Read(count), Ok(count))
        });
        self.0.wake_writers();
        read
    }

    /// Waits until the pipe has bytes, or the stream has ended.
    ///
    /// # Errors
    /// The model never returns an error.
    #[track_caller]
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        Ok(self.0.wait(&self.0.calls, deadline, site, Self::is_ready))
    }

    /// Whether this number of bytes is available, or the stream has ended.
    pub fn has_bytes(&self, bytes: usize) -> bool {
        self.0.check(|state| state.has_bytes(bytes))
    }

    /// Waits until this number of bytes is available, or the stream has ended.
    ///
    /// # Errors
    /// Returns the same errors as [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, bytes: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let (site, has) = (Location::caller(), |state: &PipeState| {
            state.has_bytes(bytes)
        });
        Ok(self.0.wait(&self.0.calls, deadline, site, has))
    }

    /// Reads, blocking while the pipe is empty.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the wait ended spuriously, and otherwise the same errors as
    /// [`read`](Self::read).
    #[track_caller]
    pub fn read_blocking(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        self.wait(None)?;
        self.read(bytes)
    }

    fn is_ready(state: &PipeState) -> bool {
        state.has_bytes(1)
    }

    /// Returns the number of bytes in the pipe. Other processes may change this number at any time.
    pub fn available(&self) -> usize {
        self.0.calls.load_by_kernel();
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
            .len()
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
        let capacity = self.0.capacity;
        let written = self.0.call(site, Ordering::Release, |state| {
            if state.readers == 0 {
                return (PipeCall::Broken, Err(PipeStop::Broken));
            }
            let room = capacity - state.bytes.len();
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
        let is_ready = |state: &PipeState| self.is_ready(state);
        Ok(self.0.wait(&self.0.writable, deadline, site, is_ready))
    }

    /// Whether an item of this size can be written in one call, or every reader is closed.
    pub fn has_room(&self, size: usize) -> bool {
        self.0.check(|state| state.has_room(self.0.capacity, size))
    }

    /// Waits until the pipe [has room](Self::has_room) for an item of this size.
    ///
    /// # Errors
    /// Returns the same errors as [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, size: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        let has_room = |state: &PipeState| state.has_room(self.0.capacity, size);
        Ok(self.0.wait(&self.0.writable, deadline, site, has_room))
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

    fn is_ready(&self, state: &PipeState) -> bool {
        let capacity = self.0.capacity;
        state.has_room(capacity, PIPE_BUF.min(capacity))
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
