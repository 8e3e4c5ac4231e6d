//! The processes of a cell: the owner of the thing, the copies, and the programs after `exec`.

use super::subject::{Found, Subject};
use super::subjects;
use super::ways::{Way, die_with_parent};
use interlatch::{Region, RegionName};
use nix::sys::wait::{WaitStatus, waitpid};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::{Command, Stdio};

/// The beginning of an outcome that the kernel of this machine does not permit to observe.
pub const NOT_POSSIBLE: &str = "not possible here";

pub fn find(name: &str) -> &'static Subject {
    let mut all = subjects::ALL.iter();
    all.find(|subject| subject.name == name).expect("a subject")
}

/// The process that takes the thing.
pub struct Owner {
    pub way: Way,
    pub subject: &'static Subject,
    /// The descriptor of the region and the name, for a child that calls `exec`.
    pub descriptor: i32,
    pub name: RegionName,
    /// Makes the first copy of the library look at the object and print what it finds, if this code
    /// belongs to the second copy.
    pub look_in_first_copy: Option<extern "C" fn()>,
}

impl Owner {
    pub fn new(way: Way, subject: &str, region: &Region, name: &RegionName) -> Self {
        Self {
            way,
            subject: find(subject),
            descriptor: region.descriptor().expect("a memfd").as_raw_fd(),
            name: name.clone(),
            look_in_first_copy: None,
        }
    }
}

pub fn wait_for_death() -> ! {
    std::io::stdout().flush().expect("the test reads");
    loop {
        std::thread::park();
    }
}

impl Owner {
    /// Passes a copy of the thing to `use_copy` in a process that comes into being in the way of
    /// this cell. Returns the thing, or `None` if this thread has leaked the thing and must end.
    pub fn copy<T>(&self, thing: T, use_copy: impl FnOnce(T) -> Found) -> Option<T> {
        let copied = match self.way {
            Way::ThreadEnd => {
                std::mem::forget(thing);
                return None;
            }
            Way::ThreadExec => return Some(thing),
            Way::SecondCopy => {
                self.look_in_first_copy.expect("this is the second copy")();
                return Some(thing);
            }
            Way::Exec => Ok(self.exec()),
            // SAFETY: the owner has one thread, and `report` does not return.
            way => match unsafe { fork_with_pipe(way) } {
                Ok(Copied::Child(pipe)) => report(pipe, || use_copy(thing)),
                Ok(Copied::Text(text)) => Ok(text),
                Err(refused) => Err(refused),
            },
        };
        match copied {
            Ok(text) => println!("copy: {text}"),
            Err(refused) => println!("copy: {NOT_POSSIBLE}: {refused}"),
        }
        Some(thing)
    }

    /// Returns the command that runs this program in a role with the descriptor of the region.
    fn program(&self, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--actor", &self.descriptor.to_string(), role]);
        command
    }

    fn exec(&self) -> String {
        // Without `pre_exec`, the standard library calls `posix_spawn`.
        let output = self
            .program("look")
            .args([self.subject.name, &self.name.to_string()])
            .stdin(Stdio::null())
            .output();
        let output = output.expect("the child starts");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Reports whether the owner still has the thing, and keeps it until the owner is killed.
    pub fn keep<T>(&self, thing: T, check: impl FnOnce(&T) -> bool) -> ! {
        let text = match check(&thing) {
            true => "own: has it".to_owned(),
            false => format!("the owner of {} has lost it", self.subject.name),
        };
        println!("{text}");
        if self.way == Way::ThreadExec {
            self.exec_this_thread();
        }
        wait_for_death()
    }

    /// Waits for a line from the test, and replaces this process from this thread.
    fn exec_this_thread(&self) -> ! {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .expect("the test writes");
        // The setting belongs to a thread, and `exec` keeps it.
        die_with_parent();
        panic!("{}", self.program("run after exec").exec());
    }
}

enum Copied {
    /// This process is the copy, and reports through the pipe.
    Child(File),
    /// This process is the owner, and the copy has reported this.
    Text(String),
}

/// # Safety
/// This process has one thread, and the child does not return from its caller.
unsafe fn fork_with_pipe(way: Way) -> Result<Copied, String> {
    // SAFETY: the caller has one thread. The processes of the namespace do not inherit the pipe.
    let namespace = unsafe { way.prepare() }?;
    let (reader, writer) = nix::unistd::pipe().expect("two descriptors");
    // SAFETY: the caller keeps the promises.
    let Some(child) = (unsafe { way.copy_process() })? else {
        drop(reader);
        // The namespace belongs to the parent.
        std::mem::forget(namespace);
        return Ok(Copied::Child(File::from(writer)));
    };
    drop(writer);
    let mut text = String::new();
    let read = File::from(reader).read_to_string(&mut text);
    read.expect("the child writes text");
    let status = waitpid(child, None).expect("this process has the child");
    drop(namespace);
    match status {
        WaitStatus::Exited(_, 0) => Ok(Copied::Text(text)),
        other => Ok(Copied::Text(format!("failed: {other:?}: {text}"))),
    }
}

/// Reports what the copy found, and ends the process without running destructors.
fn report(mut pipe: File, use_copy: impl FnOnce() -> Found) -> ! {
    set_hook(Box::new(|_| {}));
    let text = match catch_unwind(AssertUnwindSafe(use_copy)) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => format!("failed: {error}"),
        Err(_) => "failed: panicked".to_owned(),
    };
    let written = pipe.write_all(text.as_bytes());
    // SAFETY: the child ends here.
    unsafe { libc::_exit(i32::from(written.is_err())) }
}
