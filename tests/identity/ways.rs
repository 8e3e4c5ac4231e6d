//! The ways in which a process gets a copy of another process's memory.

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, gettid, pipe};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

/// A column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `fork(3)`, which calls the handlers of `pthread_atfork`.
    Fork,
    /// `_Fork(3)`, which calls no handlers.
    UnderscoreFork,
    /// A bare `clone(2)`, of which libc does not know.
    Clone,
    /// `posix_spawn(3)`, which is `vfork(2)` and `exec(2)`.
    Exec,
    /// A fork into a new pid namespace. The child has the id of the owner there.
    Namespace,
    /// A fork into a pid namespace in a new pid namespace.
    NestedNamespace,
    /// A fork after `setns(2)` into another pid namespace. The child has the id of the owner there.
    JoinedNamespace,
    /// The end of the thread that has the thing and leaked it.
    ThreadEnd,
    /// An `exec` by the thread that has the thing and that is not the main thread.
    ThreadExec,
    /// No copy of the memory: the thing belongs to a second copy of the library, and the first copy
    /// looks at the object.
    SecondCopy,
}

impl Way {
    pub const ALL: [Self; 10] = [
        Self::Fork,
        Self::UnderscoreFork,
        Self::Clone,
        Self::Exec,
        Self::Namespace,
        Self::NestedNamespace,
        Self::JoinedNamespace,
        Self::ThreadEnd,
        Self::ThreadExec,
        Self::SecondCopy,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::UnderscoreFork => "_Fork",
            Self::Clone => "clone",
            Self::Exec => "vfork and exec",
            Self::Namespace => "pid namespace",
            Self::NestedNamespace => "nested namespace",
            Self::JoinedNamespace => "setns",
            Self::ThreadEnd => "thread end",
            Self::ThreadExec => "exec of a thread",
            Self::SecondCopy => "second copy",
        }
    }

    pub fn parse(name: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|way| way.name() == name).expect("a way")
    }

    /// Joins the namespace of the child, if this way needs one. The caller drops it after it has
    /// reaped the child.
    ///
    /// # Errors
    /// Returns the reason if the kernel refuses.
    ///
    /// # Safety
    /// This process has one thread.
    pub unsafe fn prepare(self) -> Result<Option<Namespace>, String> {
        match self {
            // SAFETY: the caller has one thread.
            Self::JoinedNamespace => unsafe { Namespace::join(gettid()) }.map(Some),
            _ => Ok(None),
        }
    }

    /// Creates a child that is a copy of this process, and returns in both. In the child, returns
    /// `None`.
    ///
    /// # Errors
    /// Returns the reason if the kernel or libc refuses.
    ///
    /// # Safety
    /// This process has one thread, and the child does not return from its caller.
    pub unsafe fn copy_process(self) -> Result<Option<Pid>, String> {
        let parent = gettid();
        // SAFETY: the caller keeps the promises of `fork`.
        let child = unsafe {
            match self {
                Self::Fork | Self::JoinedNamespace => fork(),
                Self::UnderscoreFork => underscore_fork()?,
                Self::Clone => bare_clone(),
                Self::Namespace => into_namespace(parent, 1)?,
                Self::NestedNamespace => into_namespace(parent, 2)?,
                Self::Exec | Self::ThreadEnd | Self::ThreadExec | Self::SecondCopy => {
                    unreachable!("{self:?} copies no process")
                }
            }
        };
        match child {
            ..0 => Err(std::io::Error::last_os_error().to_string()),
            0 => {
                die_with_parent();
                Ok(None)
            }
            child => Ok(Some(Pid::from_raw(child))),
        }
    }
}

/// Makes the kernel kill this process when its parent ends.
pub fn die_with_parent() {
    prctl::set_pdeathsig(Signal::SIGKILL).expect("a valid signal");
}

unsafe fn fork() -> i32 {
    // SAFETY: the caller has one thread.
    unsafe { libc::fork() }
}

unsafe fn underscore_fork() -> Result<i32, String> {
    // SAFETY: the name is a C string.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_Fork".as_ptr()) };
    if function.is_null() {
        return Err("this libc has no _Fork".into());
    }
    // SAFETY: `_Fork` has this type.
    let function: unsafe extern "C" fn() -> i32 = unsafe { std::mem::transmute(function) };
    // SAFETY: the caller has one thread.
    Ok(unsafe { function() })
}

unsafe fn bare_clone() -> i32 {
    // SAFETY: the child gets a copy of the memory and no new stack, as with `fork`.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    child as i32
}

/// Forks a helper that enters `depth` new namespaces, one inside the other. The child is forked in
/// the innermost one, with the thread id of the owner if the kernel permits it.
unsafe fn into_namespace(owner: Pid, depth: u32) -> Result<i32, String> {
    unshared(|| {
        // SAFETY: the caller has one thread.
        match unsafe { fork() } {
            0 => {
                die_with_parent();
                // SAFETY: this process has one thread.
                unsafe { descend(owner, depth) }
            }
            helper => Ok(helper),
        }
    })
}

fn unshared(fork: impl FnOnce() -> Result<i32, String>) -> Result<i32, String> {
    // A process of its own tries, because a refusal must not leave a half-changed owner.
    // SAFETY: the process has one thread, and the child only makes system calls.
    match unsafe { libc::fork() } {
        0 => {
            let refused = enter_namespace().err().map_or(0, |errno| errno as i32);
            // SAFETY: the child ends at once.
            unsafe { libc::_exit(refused) }
        }
        probe => match waitpid(Pid::from_raw(probe), None) {
            Ok(WaitStatus::Exited(_, 0)) => fork(),
            Ok(WaitStatus::Exited(_, errno)) => {
                Err(std::io::Error::from_raw_os_error(errno).to_string())
            }
            other => Err(format!("{other:?}")),
        },
    }
}

/// Makes the next child of this process the first one of a new pid namespace. An unprivileged user
/// needs a user namespace for that.
fn enter_namespace() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWPID)
        .or_else(|_| unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID))
}

/// Returns 0 in the innermost child. Every process on the way waits for its child and exits with
/// its status.
unsafe fn descend(owner: Pid, depth: u32) -> Result<i32, String> {
    if depth == 0 {
        choose_next_id(owner);
    } else {
        enter_namespace().expect("the first process of a namespace may do what its parent did");
    }
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        0 if depth == 0 => Ok(0),
        0 => {
            die_with_parent();
            // SAFETY: this process has one thread.
            unsafe { descend(owner, depth - 1) }
        }
        child => {
            let status = waitpid(Pid::from_raw(child), None);
            let succeeded = matches!(status, Ok(WaitStatus::Exited(_, 0)));
            // SAFETY: this helper has no work left, and runs no destructors of the copies.
            unsafe { libc::_exit(i32::from(!succeeded)) }
        }
    }
}

/// Makes the next process of this pid namespace get the id of the owner. The first process of a
/// namespace has id 1. If the kernel refuses, the child has another id, and the cell is weaker but
/// valid.
fn choose_next_id(owner: Pid) {
    let last = (owner.as_raw() - 1).to_string();
    let _ = fs::write("/proc/sys/kernel/ns_last_pid", last);
}

/// A pid namespace that this process has joined for its children. Dropping the value ends the
/// processes that keep the namespace.
pub struct Namespace {
    /// The process that created the namespace, and the parent of its first process.
    creator: Pid,
    /// The first process ends when this end of a pipe is closed.
    keep: Option<OwnedFd>,
}

impl Namespace {
    /// Creates a pid namespace in another process, and joins it. The next child of this process
    /// gets the id of the owner there.
    ///
    /// # Safety
    /// This process has one thread.
    unsafe fn join(owner: Pid) -> Result<Self, String> {
        let pipe = || pipe().expect("two descriptors");
        let ((ready, report), (end, keep)) = (pipe(), pipe());
        let created = unshared(|| {
            // SAFETY: the caller has one thread.
            match unsafe { fork() } {
                0 => {
                    // SAFETY: the parent owns these ends, and this copy of the process closes only
                    // its own descriptors and does not return.
                    unsafe {
                        libc::close(ready.as_raw_fd());
                        libc::close(keep.as_raw_fd());
                    }
                    // SAFETY: this process has one thread.
                    unsafe { keep_namespace(owner, &report, &end) }
                }
                creator => Ok(creator),
            }
        })?;
        drop((report, end));
        let namespace = Self {
            creator: Pid::from_raw(created),
            keep: Some(keep),
        };
        let is_ready = nix::unistd::read(&ready, &mut [0]);
        if is_ready != Ok(1) {
            return Err(format!("the namespace has no first process: {is_ready:?}"));
        }
        namespace.enter().map_err(|error| error.to_string())?;
        Ok(namespace)
    }

    fn enter(&self) -> std::io::Result<()> {
        let path = |process: &str, kind: &str| format!("/proc/{process}/ns/{kind}");
        let creator = self.creator.to_string();
        let is_other_user =
            fs::read_link(path(&creator, "user"))? != fs::read_link(path("self", "user"))?;
        if is_other_user {
            let user = fs::File::open(path(&creator, "user"))?;
            setns(user, CloneFlags::CLONE_NEWUSER)?;
        }
        let children = fs::File::open(path(&creator, "pid_for_children"))?;
        setns(children, CloneFlags::CLONE_NEWPID)?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.keep.take();
        let ended = waitpid(self.creator, None);
        assert!(
            matches!(ended, Ok(WaitStatus::Exited(_, 0))),
            "the creator of the namespace failed: {ended:?}"
        );
    }
}

/// Creates a pid namespace, whose first process reports and waits for the end of a pipe.
///
/// # Safety
/// This process has one thread.
unsafe fn keep_namespace(owner: Pid, report: &OwnedFd, end: &OwnedFd) -> ! {
    die_with_parent();
    enter_namespace().expect("another child of the owner could enter a namespace");
    // SAFETY: this process has one thread.
    let succeeded = match unsafe { fork() } {
        0 => {
            die_with_parent();
            choose_next_id(owner);
            nix::unistd::write(report, b"r") == Ok(1) && nix::unistd::read(end, &mut [0]) == Ok(0)
        }
        first => matches!(
            waitpid(Pid::from_raw(first), None),
            Ok(WaitStatus::Exited(_, 0))
        ),
    };
    // SAFETY: this process has no work left, and runs no destructors of the copies.
    unsafe { libc::_exit(i32::from(!succeeded)) }
}
