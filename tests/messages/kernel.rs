//! The kernel's two kinds of message queues. Each queue is removed on drop, even after a failed
//! test.

use nix::errno::Errno;
use std::ffi::CString;

/// A System V queue, which is removed on drop.
pub struct SysV(libc::c_int);

/// A message in the format of `msgsnd(2)`.
#[repr(C)]
struct Buffer {
    message_type: libc::c_long,
    bytes: [u8; MAX_LENGTH],
}

/// A length that is greater than the length of every message in these tests.
pub const MAX_LENGTH: usize = 1024;

impl SysV {
    /// Creates a queue that holds this number of bytes and the same number of messages.
    pub fn new(bytes: usize) -> Result<Self, Errno> {
        // SAFETY: all arguments are integers.
        let id = Errno::result(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) })?;
        let queue = Self(id);
        let mut status = queue.status()?;
        status.msg_qbytes = bytes as libc::msglen_t;
        // SAFETY: the call only reads `status`, which outlives the call.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_SET, &raw mut status) })?;
        Ok(queue)
    }

    fn status(&self) -> Result<libc::msqid_ds, Errno> {
        // SAFETY: zeros are a valid value of this structure of integers.
        let mut status = unsafe { core::mem::zeroed::<libc::msqid_ds>() };
        // SAFETY: the call writes `status`, which outlives the call.
        Errno::result(unsafe { libc::msgctl(self.0, libc::IPC_STAT, &raw mut status) })?;
        Ok(status)
    }

    /// Returns the number of messages and the number of bytes in the queue.
    pub fn counts(&self) -> Result<(usize, usize), Errno> {
        let status = self.status()?;
        Ok((status.msg_qnum as usize, status.__msg_cbytes as usize))
    }

    pub fn send(&self, message_type: i64, bytes: &[u8]) -> Result<(), Errno> {
        let mut buffer = Buffer {
            message_type,
            bytes: [0; MAX_LENGTH],
        };
        buffer.bytes[..bytes.len()].copy_from_slice(bytes);
        let pointer = (&raw const buffer).cast();
        // SAFETY: `buffer` begins with the type, followed by at least `bytes.len()` bytes.
        let sent = unsafe { libc::msgsnd(self.0, pointer, bytes.len(), libc::IPC_NOWAIT) };
        Errno::result(sent).map(drop)
    }

    /// Receives a message of at most `buffer_size` bytes. Returns its type and bytes.
    pub fn receive(
        &self,
        select: i64,
        buffer_size: usize,
        truncate: bool,
    ) -> Result<(i64, Vec<u8>), Errno> {
        let mut buffer = Buffer {
            message_type: 0,
            bytes: [0; MAX_LENGTH],
        };
        assert!(buffer_size <= MAX_LENGTH, "the buffer is large enough");
        let flags = libc::IPC_NOWAIT | if truncate { libc::MSG_NOERROR } else { 0 };
        let pointer = (&raw mut buffer).cast();
        // SAFETY: `buffer` begins with the type, followed by at least `buffer_size` bytes.
        let length =
            Errno::result(unsafe { libc::msgrcv(self.0, pointer, buffer_size, select, flags) })?;
        Ok((
            buffer.message_type,
            buffer.bytes[..length as usize].to_vec(),
        ))
    }
}

impl Drop for SysV {
    fn drop(&mut self) {
        // SAFETY: the call takes only integers, and `self` owns the queue.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, core::ptr::null_mut()) };
    }
}

/// A POSIX queue without a name, because the queue is unlinked after creation.
pub struct Posix(libc::mqd_t);

impl Posix {
    pub fn new(messages: usize, bytes: usize) -> Result<Self, Errno> {
        let name = format!("/interlatch-{}-{}", std::process::id(), fastrand::u64(..));
        let name = CString::new(name).expect("no zero");
        // SAFETY: zeros are a valid value of this structure of integers.
        let mut attributes = unsafe { core::mem::zeroed::<libc::mq_attr>() };
        attributes.mq_maxmsg = messages as libc::c_long;
        attributes.mq_msgsize = bytes as libc::c_long;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_NONBLOCK;
        // SAFETY: the call only reads the string and the structure, which outlive it.
        let queue = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, &raw const attributes) };
        let queue = Self(Errno::result(queue)?);
        // SAFETY: the call only reads the string, which outlives it.
        Errno::result(unsafe { libc::mq_unlink(name.as_ptr()) })?;
        Ok(queue)
    }

    pub fn send(&self, priority: u32, bytes: &[u8]) -> Result<(), Errno> {
        // SAFETY: the call reads `bytes.len()` bytes of `bytes`.
        let sent = unsafe { libc::mq_send(self.0, bytes.as_ptr().cast(), bytes.len(), priority) };
        Errno::result(sent).map(drop)
    }

    pub fn receive(&self) -> Result<(u32, Vec<u8>), Errno> {
        let (mut bytes, mut priority) = (vec![0_u8; MAX_LENGTH], 0);
        let pointer = bytes.as_mut_ptr().cast();
        // SAFETY: the call writes at most `bytes.len()` bytes, and the priority.
        let length = unsafe { libc::mq_receive(self.0, pointer, bytes.len(), &raw mut priority) };
        bytes.truncate(Errno::result(length)? as usize);
        Ok((priority, bytes))
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: `self` owns the descriptor.
        unsafe { libc::mq_close(self.0) };
    }
}

/// Returns whether the system supports the queues that this call creates. If the system does not
/// support them, prints a notice.
pub fn is_available<Queue>(call: &str, created: Result<Queue, Errno>) -> bool {
    match created {
        Ok(_) => true,
        Err(error @ (Errno::ENOSYS | Errno::EPERM | Errno::EACCES | Errno::ENOSPC)) => {
            println!("SKIPPED: {call} fails on this machine: {error}; nothing was compared");
            false
        }
        Err(error) => panic!("{call}: {error}"),
    }
}
