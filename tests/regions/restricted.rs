//! Processes that cannot open any region: a process without free descriptors, and a process in
//! another PID namespace.

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
            "process_without_descriptors_gets_an_error_and_leaves_nothing",
            process_without_descriptors_gets_an_error_and_leaves_nothing,
        ),
        Test::new(
            "attach_from_other_pid_namespace_is_an_error",
            attach_from_other_pid_namespace_is_an_error,
        ),
    ]
}

/// Runs an actor with this role and these names, and returns its reply.
fn reply_of(role: &str, names: &[RegionName]) -> String {
    let region = Region::memfd("restricted", 4096).expect("a page");
    let mut words = vec!["restricted".to_owned(), role.to_owned()];
    words.extend(names.iter().map(RegionName::to_string));
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = Actor::start(&region, &words);
    let reply = actor.reply(deadline);
    let reply = reply.unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(actor.end(deadline), Ok(()));
    reply
}

/// Runs a role in an actor.
pub fn run(arguments: &[String]) {
    let [role, names @ ..] = arguments else {
        panic!("expected a role and names, got {arguments:?}")
    };
    let names: Vec<RegionName> = names.iter().map(|name| parse_name(name)).collect();
    let reply = match role.as_str() {
        "no descriptor" => without_descriptors(&names),
        "another namespace" => from_another_namespace(&names),
        other => panic!("unknown role {other:?}"),
    };
    println!("{reply}");
}

fn process_without_descriptors_gets_an_error_and_leaves_nothing() {
    let (existing, missing) = (Scratch::new(), Scratch::new());
    for name in &existing.names {
        drop(
            RegionOptions::new(4096)
                .create(name)
                .expect("the region can be created"),
        );
    }
    let both = [&existing.names[..], &missing.names].concat();
    assert_eq!(reply_of("no descriptor", &both), "passed");
    assert_eq!(missing.remaining(), [0; 3], "no incomplete region is left");
    for name in &existing.names {
        name.remove().expect("the region exists");
    }
}

fn without_descriptors(names: &[RegionName]) -> String {
    let (existing, missing) = names.split_at(3);
    let no_descriptors = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call only reads the structure, which outlives the call.
    let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const no_descriptors) };
    Errno::result(limited).expect("the limit can be lowered");
    let options = RegionOptions::new(4096);
    let outcome = existing
        .iter()
        .flat_map(|name| [RegionOptions::attach(name), options.create_or_attach(name)])
        .chain(
            missing
                .iter()
                .flat_map(|name| [options.create(name), options.create_or_attach(name)]),
        )
        .chain([Region::memfd("none", 4096), Region::anonymous(4096)]);
    for (number, outcome) in outcome.enumerate() {
        match outcome {
            Err(RegionError::System { error, .. })
                if error.raw_os_error() == Some(libc::EMFILE) => {}
            other => return format!("attempt {number}: {other:?}"),
        }
    }
    "passed".into()
}

fn attach_from_other_pid_namespace_is_an_error() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        drop(
            RegionOptions::new(4096)
                .create(name)
                .expect("the region can be created"),
        );
    }
    let reply = reply_of("another namespace", &scratch.names);
    println!("{reply}");
    assert!(reply.starts_with("skipped") || reply == "passed", "{reply}");
    for name in &scratch.names {
        name.remove().expect("the region exists");
    }
}

fn from_another_namespace(names: &[RegionName]) -> String {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        return format!("skipped: PID namespaces are not available: {error}");
    }
    // SAFETY: this process has one thread. The child only attaches to the regions and exits.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => std::process::exit(i32::from(!all_fail(names))),
        ForkResult::Parent { child } => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => "passed".into(),
            other => format!("{other:?}"),
        },
    }
}

fn all_fail(names: &[RegionName]) -> bool {
    names.iter().all(|name| {
        [
            RegionOptions::attach(name),
            RegionOptions::new(4096).create_or_attach(name),
        ]
        .into_iter()
        .all(|outcome| match outcome {
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
