//! Starting this program again as a child that shares a region.

use anyhow::{Context, Result};
use interlatch::Region;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// The first argument of a child; the descriptor of the region follows.
pub const ROLE: &str = "--as-child";

/// Starts this program again with these arguments. The child inherits the region and dies with this
/// process.
pub fn start(region: &Region, arguments: &[String]) -> Result<Child> {
    let descriptor = region
        .descriptor()
        .context("the region has no descriptor to pass on")?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&descriptor);
    let parent = Pid::this();
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command
        .arg(ROLE)
        .arg(number.to_string())
        .args(arguments)
        .stdout(Stdio::piped());
    // SAFETY: between fork and exec the function makes three system calls and allocates nothing.
    unsafe { command.pre_exec(move || become_child(number, parent)) };
    command.spawn().context("starting a child process")
}

fn become_child(descriptor: RawFd, parent: Pid) -> std::io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        // The parent died before the call above.
        return Err(std::io::ErrorKind::BrokenPipe.into());
    }
    // SAFETY: the parent's region keeps the descriptor open until after the fork.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// In a child: returns its region and further arguments. `None` in the first process.
pub fn child_role() -> Result<Option<(Region, Vec<String>)>> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ROLE) {
        return Ok(None);
    }
    let number: RawFd = arguments
        .next()
        .context("the descriptor is missing")?
        .parse()?;
    // SAFETY: the parent passed an inherited descriptor, and only this function takes ownership of
    // it.
    let region = Region::from_descriptor(unsafe { OwnedFd::from_raw_fd(number) })?;
    Ok(Some((region, arguments.collect())))
}
