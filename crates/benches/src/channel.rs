//! Channels that carry items between two workers: the channels of interlatch and those of the
//! kernel.

use super::memory::{create_in_region, leak, shared, shared_zeros};
use super::{
    CleanupProcess, PthreadCondvar, PthreadMutex, Round, Subject, Tally, Worker, WorkerKind,
};
use anyhow::{Context, Result};
use interlatch::channel::message_queue::{
    LengthPolicy, MessageQueueExt, MessageType, QueueLimits, Select,
};
use interlatch::platform::UnsafeCell;
use interlatch::region::ShmObject;
use interlatch::sync::Timeout;
use interlatch::{Buffer, MessageQueue, Pod};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Mutex;

/// A channel that carries items of `N` bytes in one direction.
pub trait Channel<const N: usize>: Sync + 'static {
    /// Creates the function that sends an item. The sending worker calls `sender`.
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static;
    /// Creates the function that waits for an item and receives the item. The receiving worker
    /// calls `receiver`.
    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static;

    /// Creates a function that receives an item. If possible, the function reads the item in the
    /// channel instead of copying the item.
    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        let (mut receive, mut item) = (self.receiver(), Box::new([0; N]));
        move || {
            receive(&mut item);
            touch_cache_lines(&item[..]);
        }
    }
}

/// Reads one byte of every cache line of `bytes`.
pub fn touch_cache_lines(bytes: &[u8]) {
    let sum = bytes.iter().step_by(64).fold(0_u8, |sum, byte| sum ^ byte);
    black_box(sum);
}

/// A value that can be taken once. Only one worker takes the value.
pub struct TakeOnce<T>(Mutex<Option<T>>);

impl<T> TakeOnce<T> {
    pub fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    pub fn take(&self) -> T {
        let taken = self.0.lock().ok().and_then(|mut value| value.take());
        taken.expect("one worker takes the value once")
    }
}

/// Creates a subject in which one worker sends items and the other worker receives and reads each
/// item.
pub fn stream<const N: usize, C: Channel<N>>(
    name: &str,
    kind: WorkerKind,
    channel: &'static C,
) -> Subject {
    let sender: Worker = Box::new(|| {
        let mut send = channel.sender();
        let item = black_box([1; N]);
        Box::new(move |round: &Round<'_>| {
            (0..round.count).for_each(|_| send(&item));
            Tally::default()
        })
    });
    let receiver: Worker = Box::new(|| {
        let mut look = channel.in_place_receiver();
        Box::new(move |round: &Round<'_>| {
            (0..round.count).for_each(|_| look());
            Tally::new(round.count)
        })
    });
    Subject::new(
        format!("{name}, {}", kind.name()),
        kind,
        vec![sender, receiver],
    )
}

/// A channel over an interlatch buffer.
pub struct BufferChannel<B: 'static + ?Sized>(pub &'static B);

impl<B: ShmObject + ?Sized> BufferChannel<B> {
    pub fn new(bytes: usize, plan: B::Config) -> Result<&'static Self> {
        Ok(leak(Self(create_in_region(bytes, plan)?)))
    }
}

impl<const N: usize, B> Channel<N> for BufferChannel<B>
where
    B: Buffer<Item = [u8; N]> + Sync + ?Sized + 'static,
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = self.0.sender().expect("the other side is open");
        move |item| sender.send(*item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = self.0.receiver().expect("the other side is open");
        move |item| *item = receiver.recv().expect("the sender is alive")
    }

    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        let receiver = self.0.receiver().expect("the other side is open");
        move || touch_cache_lines(&receiver.recv().expect("the sender is alive"))
    }
}

/// Creates a subject in which the items of a buffer are sent and received in batches.
///
/// The sender fills a vector with `batch` items and sends them. The receiver receives as many items
/// as are available, up to `batch`.
pub fn stream_in_batches<const N: usize, B>(
    name: &str,
    kind: WorkerKind,
    BufferChannel(buffer): &'static BufferChannel<B>,
    batch: usize,
) -> Subject
where
    B: Buffer<Item = [u8; N]> + Sync + ?Sized + 'static,
{
    let sender: Worker = Box::new(move || {
        let sender = buffer.sender().expect("the other side is open");
        let item = black_box([1; N]);
        let mut items = Vec::with_capacity(batch);
        Box::new(move |round: &Round<'_>| {
            let mut left = round.count as usize;
            while left > 0 {
                items.resize(batch.min(left), item);
                left -= items.len();
                sender.send_many(&mut items).expect("the receiver is alive");
            }
            Tally::default()
        })
    });
    let receiver: Worker = Box::new(move || {
        let receiver = buffer.receiver().expect("the other side is open");
        let mut items = Vec::with_capacity(batch);
        Box::new(move |round: &Round<'_>| {
            let mut left = round.count as usize;
            while left > 0 {
                let received = receiver.recv_many(&mut items, batch.min(left));
                left -= received.expect("the sender is alive");
                black_box(&mut items).clear();
            }
            Tally::new(round.count)
        })
    });
    Subject::new(
        format!("{name} in batches of {batch}, {}", kind.name()),
        kind,
        vec![sender, receiver],
    )
}

/// A channel over an interlatch buffer. The channel sends items from the caller's memory and
/// receives items into the caller's memory.
pub struct BufferChannelByRef<B: 'static + ?Sized>(pub &'static B);

impl<const N: usize, B> Channel<N> for BufferChannelByRef<B>
where
    B: Buffer<Item = [u8; N]> + Sync + ?Sized + 'static,
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = self.0.sender().expect("the other side is open");
        move |item| sender.send_ref(item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = self.0.receiver().expect("the other side is open");
        move |item| receiver.recv_into(item).expect("the sender is alive")
    }
}

/// A channel over interlatch's message queue.
pub struct MessageQueueChannel(&'static MessageQueue);

impl MessageQueueChannel {
    pub fn new(messages: usize, bytes_each: usize) -> Result<&'static Self> {
        let limits = QueueLimits {
            messages: messages.try_into()?,
            bytes: (messages * bytes_each).try_into()?,
        };
        // Each message occupies whole cells. The first cell of a message also holds a header.
        let room = messages * (2 * bytes_each + 256) + (1 << 16);
        Ok(leak(Self(create_in_region(room, limits)?)))
    }
}

impl<const N: usize> Channel<N> for MessageQueueChannel {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let kind = MessageType::HIGHEST;
        move |item| self.0.send(kind, item).expect("the item fits")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let queue = self.0;
        move |item| {
            let received =
                queue.receive_into(Select::First, item, LengthPolicy::Exact, Timeout::Infinite);
            received.expect("one of that length");
        }
    }
}

/// Both ends of a byte stream, which is a pipe or a Unix stream socket.
pub struct ByteStream {
    pub receive: File,
    pub send: File,
}

impl ByteStream {
    /// Creates a pipe with this capacity, or with the capacity that the kernel allows.
    pub fn pipe(room: usize) -> Result<&'static Self> {
        let (receive, send) = nix::unistd::pipe()?;
        let room = room.clamp(1 << 16, 1 << 20) as i32;
        // If the call cannot change the capacity, the pipe still holds at least 64 KiB.
        let _ = nix::fcntl::fcntl(&send, nix::fcntl::FcntlArg::F_SETPIPE_SZ(room));
        Ok(Self::over(receive, send))
    }

    pub fn socket() -> Result<&'static Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (receive, send) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
        Ok(Self::over(receive, send))
    }

    fn over(receive: OwnedFd, send: OwnedFd) -> &'static Self {
        leak(Self {
            receive: receive.into(),
            send: send.into(),
        })
    }
}

impl<const N: usize> Channel<N> for ByteStream {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| (&self.send).write_all(item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| {
            (&self.receive)
                .read_exact(item)
                .expect("the sender is alive")
        }
    }
}

/// A channel over a Unix seqpacket socket.
pub struct SeqpacketSocket {
    pub receive: OwnedFd,
    pub send: OwnedFd,
}

impl SeqpacketSocket {
    pub fn new() -> Result<&'static Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (receive, send) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok(leak(Self { receive, send }))
    }
}

impl<const N: usize> Channel<N> for SeqpacketSocket {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let to = self.send.as_raw_fd();
        move |item| assert_eq!(send(to, item, MsgFlags::MSG_NOSIGNAL), Ok(N))
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let from = self.receive.as_raw_fd();
        move |item| assert_eq!(recv(from, item, MsgFlags::empty()), Ok(N))
    }
}

/// A System V message queue. The queue is removed when its cleanup process is dropped.
pub struct SysVQueue(i32);

impl SysVQueue {
    /// Creates a queue for this number of bytes, if the kernel allows that size.
    pub fn new(room: usize) -> Result<(&'static Self, CleanupProcess)> {
        // SAFETY: all arguments are integers, so the call accesses no memory of this process.
        let id = Errno::result(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) })?;
        let removed = CleanupProcess::start(move || {
            // SAFETY: with `IPC_RMID`, the call ignores the null pointer.
            unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        })?;
        // SAFETY: an `msqid_ds` of zeros is valid, and both commands access only this structure.
        // The kernel may refuse to raise the limit. In this case the queue still has a limit of at
        // least 16 KiB.
        unsafe {
            let mut about: libc::msqid_ds = std::mem::zeroed();
            Errno::result(libc::msgctl(id, libc::IPC_STAT, &mut about))?;
            about.msg_qbytes = about.msg_qbytes.max(room as u64);
            libc::msgctl(id, libc::IPC_SET, &mut about);
        }
        Ok((leak(Self(id)), removed))
    }
}

#[repr(C)]
struct SysVMessage<const N: usize> {
    kind: libc::c_long,
    bytes: [u8; N],
}

impl<const N: usize> Channel<N> for SysVQueue {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let (kind, bytes) = (1, [0; N]);
        let mut message = SysVMessage { kind, bytes };
        move |item| {
            message.bytes = *item;
            // SAFETY: `message` holds the message type and `N` bytes.
            let sent = unsafe { libc::msgsnd(self.0, (&raw const message).cast(), N, 0) };
            assert_eq!(sent, 0, "{}", Errno::last());
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let (kind, bytes) = (0, [0; N]);
        let mut message = SysVMessage { kind, bytes };
        move |item| {
            // SAFETY: `message` has space for the message type and `N` bytes.
            let got = unsafe { libc::msgrcv(self.0, (&raw mut message).cast(), N, 0, 0) };
            assert_eq!(got, N as isize, "{}", Errno::last());
            *item = message.bytes;
        }
    }
}

/// A POSIX message queue. The queue is unlinked immediately after its creation.
pub struct PosixQueue {
    queue: OwnedFd,
    pub capacity: usize,
}

impl PosixQueue {
    /// Creates a queue with this capacity. If the kernel refuses a capacity, this function retries
    /// with half that capacity.
    pub fn new(capacity: usize, bytes_each: usize) -> Result<&'static Self> {
        let halves = std::iter::successors(Some(capacity), |capacity| Some(capacity / 2));
        let mut opened = halves.take_while(|capacity| *capacity > 0).map(|capacity| {
            let queue = Self::open(capacity, bytes_each)?;
            Ok(Self { queue, capacity })
        });
        let queue = opened.find(|opened: &Result<Self, Errno>| opened.is_ok());
        let queue = queue.context("the kernel allows no queue at all")??;
        Ok(leak(queue))
    }

    fn open(capacity: usize, bytes_each: usize) -> Result<OwnedFd, Errno> {
        let name = format!("/interlatch-bench-{}\0", std::process::id());
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        // SAFETY: an `mq_attr` of zeros is valid, and the name is null-terminated. On Linux, a
        // message queue is a file descriptor. The descriptor is new and has no other owner.
        unsafe {
            let mut attributes: libc::mq_attr = std::mem::zeroed();
            attributes.mq_maxmsg = capacity as i64;
            attributes.mq_msgsize = bytes_each as i64;
            let name = name.as_ptr().cast();
            let queue = Errno::result(libc::mq_open(name, flags, 0o600, &raw const attributes))?;
            libc::mq_unlink(name);
            Ok(OwnedFd::from_raw_fd(queue))
        }
    }
}

impl<const N: usize> Channel<N> for PosixQueue {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let queue = self.queue.as_raw_fd();
        move |item| {
            // SAFETY: `item` has `N` bytes.
            let sent = unsafe { libc::mq_send(queue, item.as_ptr().cast(), N, 0) };
            assert_eq!(sent, 0, "{}", Errno::last());
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let queue = self.queue.as_raw_fd();
        move |item| {
            let room = item.as_mut_ptr().cast();
            // SAFETY: `item` has space for `N` bytes. The pointer for the priority is null, so the
            // call does not return the priority.
            let got = unsafe { libc::mq_receive(queue, room, N, std::ptr::null_mut()) };
            assert_eq!(got, N as isize, "{}", Errno::last());
        }
    }
}

/// A ring protected by a process-shared pthread mutex with two condition variables. A program can
/// build this ring with libc alone.
pub struct PthreadRing<const N: usize> {
    mutex: &'static PthreadMutex,
    not_full: &'static PthreadCondvar,
    not_empty: &'static PthreadCondvar,
    capacity: usize,
    state: &'static UnsafeCell<RingState>,
    slots: NonNull<[[u8; N]; MAX_SLOTS]>,
}

const MAX_SLOTS: usize = 1024;

#[derive(Default)]
struct RingState {
    first: usize,
    len: usize,
}

// SAFETY: `state` and `slots` are in shared memory. Threads access them only while holding `mutex`.
unsafe impl<const N: usize> Sync for PthreadRing<N> {}

impl<const N: usize> PthreadRing<N> {
    pub fn new(capacity: usize) -> Result<&'static Self> {
        anyhow::ensure!(capacity <= MAX_SLOTS, "{capacity} slots are too many");
        Ok(leak(Self {
            mutex: PthreadMutex::plain()?,
            not_full: PthreadCondvar::create()?,
            not_empty: PthreadCondvar::create()?,
            capacity,
            state: shared(UnsafeCell::new(RingState::default()))?,
            slots: shared_zeros()?,
        }))
    }

    /// Locks the mutex and waits until `may` returns `true`. Then calls `touch` with exclusive
    /// access to a slot.
    fn step(
        &self,
        may: impl Fn(&RingState) -> bool,
        sleep: &PthreadCondvar,
        touch: impl FnOnce(&mut RingState, *mut [u8; N]),
        at: impl Fn(&RingState) -> usize,
        wake: &PthreadCondvar,
    ) {
        self.mutex.lock();
        // SAFETY: this thread holds the mutex.
        while !self.state.with(|state| may(unsafe { &*state })) {
            sleep.wait(self.mutex);
        }
        self.state.with_mut(|state| {
            // SAFETY: this thread holds the mutex.
            let state = unsafe { &mut *state };
            let index = at(state) % self.capacity;
            // SAFETY: the index is less than `capacity`, which is at most `MAX_SLOTS`.
            touch(state, unsafe {
                self.slots.as_ptr().cast::<[u8; N]>().add(index)
            });
        });
        self.mutex.unlock();
        wake.notify_one();
    }
}

impl<const N: usize> Channel<N> for PthreadRing<N> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| {
            let may = |state: &RingState| state.len < self.capacity;
            let at = |state: &RingState| state.first + state.len;
            let touch = |state: &mut RingState, slot: *mut [u8; N]| {
                // SAFETY: `step` grants exclusive access to the slot.
                unsafe { *slot = *item };
                state.len += 1;
            };
            self.step(may, self.not_full, touch, at, self.not_empty);
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| {
            let may = |state: &RingState| state.len > 0;
            let at = |state: &RingState| state.first;
            let touch = |state: &mut RingState, slot: *mut [u8; N]| {
                // SAFETY: `step` grants exclusive access to the slot.
                unsafe { *item = *slot };
                state.first = (state.first + 1) % self.capacity;
                state.len -= 1;
            };
            self.step(may, self.not_empty, touch, at, self.not_full);
        }
    }
}
