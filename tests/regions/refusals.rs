//! What a process hears that cannot have a region for what it is: one that can open no file, and one of
//! another pid namespace.

use super::harness::Test;
use super::hostile::variant;
use super::process::{Actor, TIMEOUT};
use super::scratch::{Scratch, parse_name};
use interlatch::{Region, RegionError, RegionName, RegionOptions};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "a_process_that_can_open_no_file_is_told_so_and_leaves_nothing",
            no_descriptor_is_left,
        ),
        Test::new(
            "a_name_is_refused_in_another_pid_namespace",
            another_namespace_is_refused,
        ),
    ]
}

/// What an actor says of these names. The region is only for the harness.
fn said(part: &str, names: &[RegionName]) -> String {
    let region = Region::memfd("refusals", 4096).expect("a page");
    let mut words = vec!["refusals".to_owned(), part.to_owned()];
    words.extend(names.iter().map(RegionName::to_string));
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = Actor::start(&region, &words);
    let reply = actor.reply(deadline);
    let said = reply.unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(actor.end(deadline), Ok(()));
    said
}

/// In an actor.
pub fn play(rest: &[String]) {
    let [part, names @ ..] = rest else {
        panic!("a part and names, not {rest:?}")
    };
    let names: Vec<RegionName> = names.iter().map(|name| parse_name(name)).collect();
    let said = match part.as_str() {
        "no descriptor" => without_descriptors(&names),
        "another namespace" => from_another_namespace(&names),
        other => panic!("no actor plays {other:?}"),
    };
    println!("{said}");
}

fn no_descriptor_is_left() {
    let (there, none) = (Scratch::new(), Scratch::new());
    for name in &there.names {
        drop(RegionOptions::new(4096).create(name).expect("room"));
    }
    let both = [&there.names[..], &none.names].concat();
    assert_eq!(said("no descriptor", &both), "as it should be");
    assert_eq!(none.remaining(), [0; 3], "nothing was made half");
    for name in &there.names {
        name.remove().expect("it is there");
    }
}

fn without_descriptors(names: &[RegionName]) -> String {
    let (there, none) = names.split_at(3);
    let nothing = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: it reads the structure.
    let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const nothing) };
    Errno::result(limited).expect("less is allowed");
    let options = RegionOptions::new(4096);
    let refused = there
        .iter()
        .flat_map(|name| [RegionOptions::attach(name), options.create_or_attach(name)])
        .chain(
            none.iter()
                .flat_map(|name| [options.create(name), options.create_or_attach(name)]),
        )
        .chain([Region::memfd("none", 4096), Region::anonymous(4096)]);
    for (number, refused) in refused.enumerate() {
        match refused {
            Err(RegionError::System { error, .. })
                if error.raw_os_error() == Some(libc::EMFILE) => {}
            other => return format!("the attempt {number}: {other:?}"),
        }
    }
    "as it should be".into()
}

fn another_namespace_is_refused() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        drop(RegionOptions::new(4096).create(name).expect("room"));
    }
    let said = said("another namespace", &scratch.names);
    println!("{said}");
    assert!(
        said.starts_with("skipped") || said == "as it should be",
        "{said}"
    );
    for name in &scratch.names {
        name.remove().expect("it is there");
    }
}

fn from_another_namespace(names: &[RegionName]) -> String {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        return format!("skipped: no pid namespace can be made: {error}");
    }
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => std::process::exit(i32::from(!are_refused(names))),
        ForkResult::Parent { child } => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => "as it should be".into(),
            other => format!("{other:?}"),
        },
    }
}

fn are_refused(names: &[RegionName]) -> bool {
    names.iter().all(|name| {
        [
            RegionOptions::attach(name),
            RegionOptions::new(4096).create_or_attach(name),
        ]
        .into_iter()
        .all(|refused| match refused {
            Err(RegionError::Namespace {
                created_in,
                this_process,
            }) => created_in != this_process,
            Err(other) => {
                eprintln!("{name}: {}", variant(&other));
                false
            }
            Ok(_) => false,
        })
    })
}
