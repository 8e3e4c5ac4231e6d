//! A cell of the matrix: one way and one subject.

use super::page;
use super::subject::{Found, Scene, Subject};
use super::subjects;
use super::ways::Way;
use interlatch::{Region, RegionName};
use interlatch_testing::harness::Test;
use interlatch_testing::process::{Actor, TIMEOUT};
use interlatch_testing::scratch::{Scratch, parse_name};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The outcomes of a row.
pub struct Row {
    /// What the copy does, for each way.
    pub copies: Vec<String>,
    pub look: String,
    pub after_death: String,
}

/// The beginning of an outcome that the kernel of this machine does not permit to observe.
pub const NOT_POSSIBLE: &str = "not possible here";

pub fn tests() -> Vec<Test> {
    let test = |subject: &'static Subject| {
        let name = format!("copies_do_nothing: {}", subject.name);
        Test::new(name, move || page::check(subject, &run_row(subject)))
    };
    subjects::ALL.iter().map(test).collect()
}

fn run_row(subject: &Subject) -> Row {
    let mut row = Row {
        copies: Vec::new(),
        look: String::new(),
        after_death: String::new(),
    };
    for way in Way::ALL {
        let (copy, look, after_death) = run(way, subject);
        println!(
            "{} x {}: copy: {copy}; others: {look}; after death: {after_death}",
            subject.name,
            way.name()
        );
        row.copies.push(copy);
        let agree = |all: &mut String, one: String| {
            assert!(
                all.is_empty() || *all == one,
                "{} x {}: {one:?}, and {all:?} before",
                subject.name,
                way.name()
            );
            *all = one;
        };
        agree(&mut row.look, look);
        agree(&mut row.after_death, after_death);
    }
    row
}

/// Runs one cell, and returns what the copy, the others, and the others after the death found.
fn run(way: Way, subject: &Subject) -> (String, String, String) {
    let scratch = Scratch::new();
    let region = Region::memfd("identity", 1 << 18).expect("the region can be created");
    let scene = Scene {
        region: &region,
        name: &scratch.names[1],
    };
    (subject.prepare)(&scene);
    std::thread::scope(|scope| {
        scope.spawn(|| (subject.assist)(&scene));
        run_in(&scene, way, subject)
    })
}

fn run_in(scene: &Scene<'_>, way: Way, subject: &Subject) -> (String, String, String) {
    let what = |step: &str| format!("{} x {}: {step}", subject.name, way.name());
    let deadline = Instant::now() + TIMEOUT;
    let arguments = ["own", way.name(), subject.name, &scene.name.to_string()];
    let mut owner = Actor::start(scene.region, &arguments.map(str::to_owned));
    let mut reply = |step: &str| {
        let line = owner
            .reply(deadline)
            .unwrap_or_else(|error| panic!("{}: {error}", what(step)));
        match line.strip_prefix(step) {
            Some(found) => found.trim_start_matches(": ").to_owned(),
            None => panic!("{}: {line}", what(step)),
        }
    };
    let copy = reply("copy");
    reply("own");
    let check =
        |step: &str, found: Found| found.unwrap_or_else(|error| panic!("{}: {error}", what(step)));
    let look = check("others", (subject.look)(scene));
    owner.signal(Signal::SIGKILL);
    owner.end(deadline).expect_err("the owner is killed");
    let after_death = check("after death", (subject.after_death)(scene));
    (copy, look, after_death)
}

fn find(name: &str) -> &'static Subject {
    let mut all = subjects::ALL.iter();
    all.find(|subject| subject.name == name).expect("a subject")
}

/// The process that takes the thing.
pub struct Owner {
    way: Way,
    subject: &'static Subject,
    /// The descriptor of the region and the name, for a child that calls `exec`.
    descriptor: i32,
    name: RegionName,
}

/// The role of the owner.
pub fn own(region: &Region, arguments: &[String]) {
    let [way, subject, name] = arguments else {
        panic!("expected a way, a subject and a name, got {arguments:?}");
    };
    let (way, subject, name) = (Way::parse(way), find(subject), parse_name(name));
    let owner = Owner {
        way,
        subject,
        descriptor: region.descriptor().expect("a memfd").as_raw_fd(),
        name: name.clone(),
    };
    let scene = Scene {
        region,
        name: &name,
    };
    if way == Way::ThreadEnd {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| (subject.own)(&scene, &owner));
            thread.join().expect("the thread leaks the thing and ends");
        });
        println!("copy: leaked\nown: no thread");
        wait_for_death();
    }
    (subject.own)(&scene, &owner);
    unreachable!("`Owner::keep` waits until the owner is killed");
}

/// The role of a child that calls `exec`: it looks at the object as any other process does.
pub fn look(region: &Region, arguments: &[String]) {
    let [subject, name] = arguments else {
        panic!("expected a subject and a name, got {arguments:?}");
    };
    let name = parse_name(name);
    let scene = Scene {
        region,
        name: &name,
    };
    match (find(subject).look)(&scene) {
        Ok(_) => println!("as any process"),
        Err(error) => println!("failed: {error}"),
    }
}

fn wait_for_death() -> ! {
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

    fn exec(&self) -> String {
        let program = std::env::current_exe().expect("this program");
        // Without `pre_exec`, the standard library calls `posix_spawn`.
        let output = Command::new(program)
            .args(["--actor", &self.descriptor.to_string(), "look"])
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
        wait_for_death()
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
    let (reader, writer) = nix::unistd::pipe().expect("two descriptors");
    // SAFETY: the caller keeps the promises.
    let Some(child) = (unsafe { way.copy_process() })? else {
        drop(reader);
        return Ok(Copied::Child(File::from(writer)));
    };
    drop(writer);
    let mut text = String::new();
    let read = File::from(reader).read_to_string(&mut text);
    read.expect("the child writes text");
    let status = waitpid(child, None).expect("this process has the child");
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
