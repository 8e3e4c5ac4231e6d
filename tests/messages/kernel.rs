//! The kernel's two kinds of message queues. None is left behind, whatever happens to the test.

use nix::errno::Errno;
use std::ffi::CString;

/// A queue of System V, which is removed when this is dropped.
pub struct SysV(libc::c_int);

/// A message as `msgsnd(2)` takes it.
#[repr(C)]
struct Buffer {
    kind: libc::c_long,
    bytes: [u8; ROOM],
}

/// More than any message here has.
pub const ROOM: usize = 1024;

impl SysV {
    /// A queue of that many bytes, and as many messages.
    pub fn new(bytes: usize) -> Result<Self, Errno> {
        // SAFETY: a system call on numbers.
        let id = Errno::result(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) })?;
        let queue = Self(id);
        let mut status = queue.status()?;
        status.msg_qbytes = bytes as libc::msglen_t;
        // SAFETY: the status is one, and the call reads it.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_SET, &raw mut status) })?;
        Ok(queue)
    }

    fn status(&self) -> Result<libc::msqid_ds, Errno> {
        // SAFETY: a structure of numbers, for which zeros are values.
        let mut status = unsafe { core::mem::zeroed::<libc::msqid_ds>() };
        // SAFETY: the call writes a status.
        Errno::result(unsafe { libc::msgctl(self.0, libc::IPC_STAT, &raw mut status) })?;
        Ok(status)
    }

    /// How many messages there are, and how many bytes they have.
    pub fn counts(&self) -> Result<(usize, usize), Errno> {
        let status = self.status()?;
        Ok((status.msg_qnum as usize, status.__msg_cbytes as usize))
    }

    pub fn send(&self, kind: i64, bytes: &[u8]) -> Result<(), Errno> {
        let mut buffer = Buffer {
            kind,
            bytes: [0; ROOM],
        };
        buffer.bytes[..bytes.len()].copy_from_slice(bytes);
        let at = (&raw const buffer).cast();
        // SAFETY: the buffer begins with the type, and has at least as many bytes behind it.
        let sent = unsafe { libc::msgsnd(self.0, at, bytes.len(), libc::IPC_NOWAIT) };
        Errno::result(sent).map(drop)
    }

    /// The type and the bytes of a message, at most as many as there is room for.
    pub fn receive(&self, select: i64, room: usize, cut: bool) -> Result<(i64, Vec<u8>), Errno> {
        let mut buffer = Buffer {
            kind: 0,
            bytes: [0; ROOM],
        };
        assert!(room <= ROOM, "room for it");
        let flags = libc::IPC_NOWAIT | if cut { libc::MSG_NOERROR } else { 0 };
        let at = (&raw mut buffer).cast();
        // SAFETY: the buffer begins with room for the type, and has as many bytes behind it.
        let length = Errno::result(unsafe { libc::msgrcv(self.0, at, room, select, flags) })?;
        Ok((buffer.kind, buffer.bytes[..length as usize].to_vec()))
    }
}

impl Drop for SysV {
    fn drop(&mut self) {
        // SAFETY: a system call on a number, which is ours.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, core::ptr::null_mut()) };
    }
}

/// A queue of POSIX, whose name is gone before anybody uses it.
pub struct Posix(libc::mqd_t);

impl Posix {
    pub fn new(messages: usize, bytes: usize) -> Result<Self, Errno> {
        let name = format!("/interlatch-{}-{}", std::process::id(), fastrand::u64(..));
        let name = CString::new(name).expect("no zero");
        // SAFETY: a structure of numbers, for which zeros are values.
        let mut attributes = unsafe { core::mem::zeroed::<libc::mq_attr>() };
        attributes.mq_maxmsg = messages as libc::c_long;
        attributes.mq_msgsize = bytes as libc::c_long;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_NONBLOCK;
        // SAFETY: a string and a structure, which the call reads.
        let queue = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, &raw const attributes) };
        let queue = Self(Errno::result(queue)?);
        // SAFETY: a string, which the call reads.
        Errno::result(unsafe { libc::mq_unlink(name.as_ptr()) })?;
        Ok(queue)
    }

    pub fn send(&self, priority: u32, bytes: &[u8]) -> Result<(), Errno> {
        // SAFETY: as many bytes as it says, which the call reads.
        let sent = unsafe { libc::mq_send(self.0, bytes.as_ptr().cast(), bytes.len(), priority) };
        Errno::result(sent).map(drop)
    }

    pub fn receive(&self) -> Result<(u32, Vec<u8>), Errno> {
        let (mut bytes, mut priority) = (vec![0_u8; ROOM], 0);
        let at = bytes.as_mut_ptr().cast();
        // SAFETY: as many bytes as it says, and a number, which the call writes.
        let length = unsafe { libc::mq_receive(self.0, at, bytes.len(), &raw mut priority) };
        bytes.truncate(Errno::result(length)? as usize);
        Ok((priority, bytes))
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: a descriptor that is ours.
        unsafe { libc::mq_close(self.0) };
    }
}

/// Whether such a queue can be had; says so, loudly, if it cannot.
pub fn is_there<Queue>(call: &str, made: Result<Queue, Errno>) -> bool {
    match made {
        Ok(_) => true,
        Err(error @ (Errno::ENOSYS | Errno::EPERM | Errno::EACCES | Errno::ENOSPC)) => {
            println!("SKIPPED: this machine refuses {call}: {error}; nothing was compared");
            false
        }
        Err(error) => panic!("{call}: {error}"),
    }
}
