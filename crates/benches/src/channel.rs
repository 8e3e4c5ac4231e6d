//! What items are passed through, from one worker to another: ours and the kernel's.

use super::place::{leak, ours, shared, shared_zeros};
use super::{Afterwards, Home, PthreadCondvar, PthreadMutex, Round, Subject, Tally, Worker};
use anyhow::{Context, Result};
use interlatch::channel::message_queue::{
    MessageQueueExt, MessageType, Oversize, QueueLimits, Select,
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

/// Something that items of `N` bytes go through, in one direction.
pub trait Channel<const N: usize>: Sync + 'static {
    /// What sends; made by the worker that does.
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static;
    /// What receives, waiting for an item; made by the worker that does.
    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static;

    /// What receives, and looks at the item where it is then; made by the worker that does.
    fn looker(&'static self) -> impl FnMut() + 'static {
        let (mut receive, mut item) = (self.receiver(), Box::new([0; N]));
        move || {
            receive(&mut item);
            look_at(&item[..]);
        }
    }
}

/// Looks at every line of the cache.
pub fn look_at(bytes: &[u8]) {
    let sum = bytes.iter().step_by(64).fold(0_u8, |sum, byte| sum ^ byte);
    black_box(sum);
}

/// What only one of the workers has, and takes along.
pub struct Taken<T>(Mutex<Option<T>>);

impl<T> Taken<T> {
    pub fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    pub fn take(&self) -> T {
        let taken = self.0.lock().ok().and_then(|mut value| value.take());
        taken.expect("one worker takes it, once")
    }
}

/// One sends, and the other receives, and looks.
pub fn stream<const N: usize, C: Channel<N>>(
    name: &str,
    home: Home,
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
        let mut look = channel.looker();
        Box::new(move |round: &Round<'_>| {
            (0..round.count).for_each(|_| look());
            Tally::of(round.count)
        })
    });
    Subject::new(
        format!("{name}, {}", home.name()),
        home,
        vec![sender, receiver],
    )
}

/// A buffer of ours.
pub struct Over<B: 'static + ?Sized>(pub &'static B);

impl<B: ShmObject + ?Sized> Over<B> {
    pub fn new(bytes: usize, plan: B::Config) -> Result<&'static Self> {
        Ok(leak(Self(ours(bytes, plan)?)))
    }
}

impl<const N: usize, B> Channel<N> for Over<B>
where
    B: Buffer<Item = [u8; N]> + Sync + ?Sized + 'static,
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = self.0.sender().expect("there is a receiver, or none yet");
        move |item| sender.send(*item).expect("the receiver stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = self.0.receiver().expect("there is a sender, or none yet");
        move |item| *item = receiver.recv().expect("the sender stays")
    }

    fn looker(&'static self) -> impl FnMut() + 'static {
        let receiver = self.0.receiver().expect("there is a sender, or none yet");
        move || look_at(&receiver.recv().expect("the sender stays"))
    }
}

/// The same in batches: one sends a vector of so many items, which it fills before, and the other receives as
/// many as there are, but no more than that.
pub fn stream_in_batches<const N: usize, B>(
    name: &str,
    home: Home,
    Over(buffer): &'static Over<B>,
    batch: usize,
) -> Subject
where
    B: Buffer<Item = [u8; N]> + Sync + ?Sized + 'static,
{
    let sender: Worker = Box::new(move || {
        let sender = buffer.sender().expect("there is a receiver, or none yet");
        let item = black_box([1; N]);
        let mut items = Vec::with_capacity(batch);
        Box::new(move |round: &Round<'_>| {
            let mut left = round.count as usize;
            while left > 0 {
                items.resize(batch.min(left), item);
                left -= items.len();
                sender.send_many(&mut items).expect("the receiver stays");
            }
            Tally::default()
        })
    });
    let receiver: Worker = Box::new(move || {
        let receiver = buffer.receiver().expect("there is a sender, or none yet");
        let mut items = Vec::with_capacity(batch);
        Box::new(move |round: &Round<'_>| {
            let mut left = round.count as usize;
            while left > 0 {
                let received = receiver.recv_many(&mut items, batch.min(left));
                left -= received.expect("the sender stays");
                black_box(&mut items).clear();
            }
            Tally::of(round.count)
        })
    });
    Subject::new(
        format!("{name} in batches of {batch}, {}", home.name()),
        home,
        vec![sender, receiver],
    )
}

/// The same, whose items are copied in and out where they are.
pub struct ByReference<B: 'static + ?Sized>(pub &'static B);

impl<const N: usize, B> Channel<N> for ByReference<B>
where
    B: Buffer<Item = [u8; N]> + Sync + ?Sized + 'static,
    [u8; N]: Pod,
{
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = self.0.sender().expect("there is a receiver, or none yet");
        move |item| sender.send_ref(item).expect("the receiver stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = self.0.receiver().expect("there is a sender, or none yet");
        move |item| receiver.recv_into(item).expect("the sender stays")
    }
}

/// Our message queue.
pub struct OurQueue(&'static MessageQueue);

impl OurQueue {
    pub fn new(messages: usize, bytes_each: usize) -> Result<&'static Self> {
        let limits = QueueLimits {
            messages: messages.try_into()?,
            bytes: (messages * bytes_each).try_into()?,
        };
        // A message takes whole cells, and the first of them has a head.
        let room = messages * (2 * bytes_each + 256) + (1 << 16);
        Ok(leak(Self(ours(room, limits)?)))
    }
}

impl<const N: usize> Channel<N> for OurQueue {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let kind = MessageType::HIGHEST;
        move |item| self.0.send(kind, item).expect("it fits")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let queue = self.0;
        move |item| {
            let received =
                queue.receive_into(Select::First, item, Oversize::Exact, Timeout::Infinite);
            received.expect("one of that length");
        }
    }
}

/// Two ends of a stream of bytes: a pipe, or a Unix socket.
pub struct Bytes {
    pub receive: File,
    pub send: File,
}

impl Bytes {
    /// A pipe with room for that many bytes, if the kernel allows it.
    pub fn pipe(room: usize) -> Result<&'static Self> {
        let (receive, send) = nix::unistd::pipe()?;
        let room = room.clamp(1 << 16, 1 << 20) as i32;
        // It has 64 KiB at least.
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

impl<const N: usize> Channel<N> for Bytes {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| (&self.send).write_all(item).expect("the receiver stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| (&self.receive).read_exact(item).expect("the sender stays")
    }
}

/// A Unix socket that keeps packets apart.
pub struct Packets {
    pub receive: OwnedFd,
    pub send: OwnedFd,
}

impl Packets {
    pub fn new() -> Result<&'static Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (receive, send) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok(leak(Self { receive, send }))
    }
}

impl<const N: usize> Channel<N> for Packets {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let to = self.send.as_raw_fd();
        move |item| assert_eq!(send(to, item, MsgFlags::MSG_NOSIGNAL), Ok(N))
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let from = self.receive.as_raw_fd();
        move |item| assert_eq!(recv(from, item, MsgFlags::empty()), Ok(N))
    }
}

/// A System V queue, which the kernel keeps until what comes with it is dropped.
pub struct SysVQueue(i32);

impl SysVQueue {
    /// With room for that many bytes, if the kernel allows it.
    pub fn new(room: usize) -> Result<(&'static Self, Afterwards)> {
        // SAFETY: it takes numbers only.
        let id = Errno::result(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) })?;
        let removed = Afterwards::run(move || {
            // SAFETY: this command ignores the pointer.
            unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        })?;
        // SAFETY: zeros are a value of this C structure, and both commands know its size. It has 16 KiB
        // at least, so a refusal does no harm.
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
            // SAFETY: a message of that many bytes behind its type.
            let sent = unsafe { libc::msgsnd(self.0, (&raw const message).cast(), N, 0) };
            assert_eq!(sent, 0, "{}", Errno::last());
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let (kind, bytes) = (0, [0; N]);
        let mut message = SysVMessage { kind, bytes };
        move |item| {
            // SAFETY: room for that many bytes behind the type.
            let got = unsafe { libc::msgrcv(self.0, (&raw mut message).cast(), N, 0, 0) };
            assert_eq!(got, N as isize, "{}", Errno::last());
            *item = message.bytes;
        }
    }
}

/// A POSIX queue without a name.
pub struct PosixQueue {
    queue: OwnedFd,
    pub capacity: usize,
}

impl PosixQueue {
    /// Of that capacity, or the half of it and so on, as the kernel allows.
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
        // SAFETY: zeros are a value of this C structure; the name ends with a zero; the descriptor is
        // new, and on Linux a queue is one.
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
            // SAFETY: a message of that many bytes.
            let sent = unsafe { libc::mq_send(queue, item.as_ptr().cast(), N, 0) };
            assert_eq!(sent, 0, "{}", Errno::last());
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let queue = self.queue.as_raw_fd();
        move |item| {
            let room = item.as_mut_ptr().cast();
            // SAFETY: room for that many bytes; the priority is not asked for.
            let got = unsafe { libc::mq_receive(queue, room, N, std::ptr::null_mut()) };
            assert_eq!(got, N as isize, "{}", Errno::last());
        }
    }
}

/// What one writes who has only libc: a ring under a process-shared mutex, with two condition variables.
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

// SAFETY: state and slots are in shared memory, and touched only under the mutex.
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

    /// Under the mutex, once it may: `touch` gets the slot, and is the only one who has it.
    fn step(
        &self,
        may: impl Fn(&RingState) -> bool,
        sleep: &PthreadCondvar,
        touch: impl FnOnce(&mut RingState, *mut [u8; N]),
        at: impl Fn(&RingState) -> usize,
        wake: &PthreadCondvar,
    ) {
        self.mutex.lock();
        // SAFETY: under the mutex.
        while !self.state.with(|state| may(unsafe { &*state })) {
            sleep.wait(self.mutex);
        }
        self.state.with_mut(|state| {
            // SAFETY: under the mutex.
            let state = unsafe { &mut *state };
            let index = at(state) % self.capacity;
            // SAFETY: the index is less than the capacity, and that is at most the length.
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
                // SAFETY: `step` has given this slot to nobody else.
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
                // SAFETY: `step` has given this slot to nobody else.
                unsafe { *item = *slot };
                state.first = (state.first + 1) % self.capacity;
                state.len -= 1;
            };
            self.step(may, self.not_empty, touch, at, self.not_full);
        }
    }
}
