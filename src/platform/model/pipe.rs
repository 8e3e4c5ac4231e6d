//! The pipe as a model sees it: a queue of bytes in the kernel.
//!
//! Each call is one step, as in the kernel, where it happens under the lock of the pipe. The bytes are plain
//! memory that loom does not see; the step is a read-modify-write of a word that loom does see, so it
//! tries every order of the calls on one pipe. What a writer did before is seen by who reads
//! what it wrote, and by everybody who reads later; nothing else is ordered.
//!
//! As much is moved as there is, or as there is room for. Less than that is seen in pipes that hold no whole
//! number of items.
//!
//! It counts bytes, where the kernel counts pages: what does not show here is a page that is not free because a byte
//! of it was not read, or that has room for less than a write. The real pipe's arithmetic ([`room`], [`items`])
//! is tested on the real one.

use super::event::{Action, PipeCall, Site};
use super::{AtomicU32, Deadline, choice, death, futex, world};
use crate::platform::{PipeStop, Wake};
use core::panic::Location;
use core::sync::atomic::Ordering;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// So many bytes are written in one piece or not at all.
pub const ATOMIC: usize = 8;

/// How many bytes a pipe must have so that so many items of that size fit into it.
pub fn room(count: usize, size: usize) -> Option<usize> {
    count.checked_mul(size)
}

/// How many items of that size fit into a pipe of so many bytes.
pub fn items(bytes: usize, size: usize) -> usize {
    bytes / size
}

/// An end to pass on: here there is nobody to pass it to.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor<'a>(core::marker::PhantomData<&'a ()>);

/// The end of a pipe that is read.
#[derive(Debug)]
pub struct Reader(Arc<Pipe>);

/// The end of a pipe that is written.
#[derive(Debug)]
pub struct Writer(Arc<Pipe>);

#[derive(Debug)]
struct Pipe {
    /// Every call changes it. Who waits to read waits here.
    calls: AtomicU32,
    /// Who waits to write waits here.
    writable: AtomicU32,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes: VecDeque<u8>,
    readers: usize,
    writers: usize,
}

/// A pipe that holds that many bytes.
///
/// # Errors
/// None: the real one has some.
#[track_caller]
pub fn pipe(capacity: usize) -> std::io::Result<(Reader, Writer)> {
    assert!(
        !death::is_planned(),
        "bad model: a pipe in a model with deaths: whose ends die is not known"
    );
    let pipe = Arc::new(Pipe {
        calls: AtomicU32::new(0),
        writable: AtomicU32::new(0),
        capacity,
        state: Mutex::new(State {
            bytes: VecDeque::new(),
            readers: 1,
            writers: 1,
        }),
    });
    Ok((Reader(pipe.clone()), Writer(pipe)))
}

impl State {
    fn has(&self, bytes: usize) -> bool {
        self.bytes.len() >= bytes || self.writers == 0
    }

    fn has_room(&self, capacity: usize, bytes: usize) -> bool {
        capacity - self.bytes.len() >= bytes || self.readers == 0
    }
}

impl Pipe {
    /// One step of the running process on the pipe.
    fn call<R>(
        &self,
        site: Site,
        order: Ordering,
        act: impl FnOnce(&mut State) -> (PipeCall, R),
    ) -> R {
        let before = self.calls.next_by_kernel(order);
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

    fn open(&self, site: Site, ends: fn(&mut State) -> &mut usize) {
        self.call(site, Ordering::Relaxed, |state| {
            *ends(state) += 1;
            (PipeCall::Opened, ())
        });
    }

    fn close(&self, site: Site, ends: fn(&mut State) -> &mut usize) {
        self.call(site, Ordering::Release, |state| {
            *ends(state) -= 1;
            (PipeCall::Closed, ())
        });
    }

    /// It holds as much as it was made with.
    fn expect(&self, capacity: usize) -> std::io::Result<()> {
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

    /// One step that changes nothing.
    fn looks(&self, is_so: impl Fn(&State) -> bool) -> bool {
        self.calls.load_latest();
        is_so(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sleeps until the pipe is as wanted, as `poll` does.
    fn wait(
        &self,
        queue: &AtomicU32,
        deadline: Option<Deadline>,
        site: Site,
        is_ready: impl Fn(&State) -> bool,
    ) -> Wake {
        if !world::lives(site) {
            return Wake::Woken;
        }
        let interrupted = world::may_be_interrupted() && choice::flip();
        if self.looks(is_ready) {
            return Wake::Woken;
        }
        let (word, timed) = (queue.number(), deadline.is_some());
        world::record(site, Action::Poll { word, timed });
        futex::sleep_in(queue, &self.calls, deadline, interrupted, site)
    }
}

/// Waits until one of them can be read or written: whatever is first. As `poll` does, it joins each queue in
/// the step that looks at that pipe.
///
/// # Errors
/// None: the real one has some.
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
    if !world::lives(site) {
        return Wake::Woken;
    }
    let interrupted = world::may_be_interrupted() && choice::flip();
    let (readable, writable) = (&reader.0.calls, &writer.0.writable);
    if reader.0.looks(Reader::is_ready) {
        return Wake::Woken;
    }
    world::enqueue(readable.number());
    let is_ready = writer.0.looks(|state| writer.is_ready(state));
    if is_ready || !world::dequeue(readable.number()) {
        world::dequeue(readable.number());
        return Wake::Woken;
    }
    world::enqueue(readable.number());
    let (word, timed) = (readable.number(), deadline.is_some());
    world::record(site, Action::Poll { word, timed });
    let wake = futex::sleep_in(writable, &writer.0.calls, deadline, interrupted, site);
    reader.0.calls.load_latest();
    let is_woken = !world::dequeue(readable.number());
    world::dequeue(writable.number());
    if is_woken { Wake::Woken } else { wake }
}

fn wake_all(queue: &AtomicU32) {
    let waiting = world::queue_length(queue.number());
    (0..waiting).for_each(|_| world::wake(queue.number(), 0));
}

impl Reader {
    /// Reads what there is, up to that much; nothing is the end of the stream.
    ///
    /// # Errors
    /// There is nothing now.
    #[track_caller]
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        let site = Location::caller();
        if !world::lives(site) {
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

    /// Waits until there is something to read, or the stream has ended.
    ///
    /// # Errors
    /// None: the real one has some.
    #[track_caller]
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        Ok(self.0.wait(&self.0.calls, deadline, site, Self::is_ready))
    }

    /// Whether so much can be read at once, or the stream has ended, so that no more will come.
    pub fn has(&self, bytes: usize) -> bool {
        self.0.looks(|state| state.has(bytes))
    }

    /// Waits until it [has](Self::has) so much.
    ///
    /// # Errors
    /// As of [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, bytes: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let (site, has) = (Location::caller(), |state: &State| state.has(bytes));
        Ok(self.0.wait(&self.0.calls, deadline, site, has))
    }

    /// As [`read`](Self::read), but if there is nothing, waits.
    ///
    /// # Errors
    /// As there; there is nothing now only where the wait ended for no reason.
    #[track_caller]
    pub fn read_blocking(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        self.wait(None)?;
        self.read(bytes)
    }

    fn is_ready(state: &State) -> bool {
        state.has(1)
    }

    /// How many bytes there were a moment ago.
    pub fn available(&self) -> usize {
        self.0.calls.load_latest();
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
            .len()
    }

    /// How many bytes the pipe holds.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Makes it hold so many at least.
    ///
    /// # Errors
    /// It cannot be changed.
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.expect(capacity)
    }

    /// The end, for another process.
    pub fn to_pass_on(&self) -> Descriptor<'_> {
        Descriptor(core::marker::PhantomData)
    }
}

impl Writer {
    /// Writes as much as there is room for; [`ATOMIC`] bytes or less all or not at all.
    ///
    /// # Errors
    /// There is no room now, or nobody reads any more.
    #[track_caller]
    pub fn write(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        let site = Location::caller();
        if !world::lives(site) {
            return Ok(bytes.len());
        }
        let capacity = self.0.capacity;
        let written = self.0.call(site, Ordering::Release, |state| {
            if state.readers == 0 {
                return (PipeCall::Broken, Err(PipeStop::Broken));
            }
            let room = capacity - state.bytes.len();
            let fits = if bytes.len() <= ATOMIC {
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

    /// Waits until there is room for [`ATOMIC`] bytes, or nobody reads any more.
    ///
    /// # Errors
    /// None: the real one has some.
    #[track_caller]
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        let is_ready = |state: &State| self.is_ready(state);
        Ok(self.0.wait(&self.0.writable, deadline, site, is_ready))
    }

    /// Whether an item of that size can be written in one call, or nobody reads any more.
    pub fn has_room(&self, size: usize) -> bool {
        self.0.looks(|state| state.has_room(self.0.capacity, size))
    }

    /// Waits until it [has room](Self::has_room).
    ///
    /// # Errors
    /// As of [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, size: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        let site = Location::caller();
        let has_room = |state: &State| state.has_room(self.0.capacity, size);
        Ok(self.0.wait(&self.0.writable, deadline, site, has_room))
    }

    /// As [`write`](Self::write), but if there is no room, waits.
    ///
    /// # Errors
    /// As there; there is no room now only where the wait ended for no reason.
    #[track_caller]
    pub fn write_blocking(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        self.wait(None)?;
        self.write(bytes)
    }

    fn is_ready(&self, state: &State) -> bool {
        let capacity = self.0.capacity;
        state.has_room(capacity, ATOMIC.min(capacity))
    }

    /// How many bytes it holds.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// As [`Reader::enlarge`].
    ///
    /// # Errors
    /// As there.
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.expect(capacity)
    }

    /// As [`Reader::to_pass_on`].
    pub fn to_pass_on(&self) -> Descriptor<'_> {
        Descriptor(core::marker::PhantomData)
    }
}

/// Another descriptor of the same end.
impl Clone for Reader {
    #[track_caller]
    fn clone(&self) -> Self {
        self.0.open(Location::caller(), |state| &mut state.readers);
        Self(self.0.clone())
    }
}

/// Another descriptor of the same end.
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
