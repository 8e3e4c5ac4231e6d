//! Programs that share a region by name or descriptor.

use super::support::{Named, run, text, wait_until};
use interlatch::channel::Slot;
use interlatch::region::{ConfigError, ShmObject};
use interlatch::{Buffer, RegionName, RegionOptions, RobustMonitorBuffer, ShmType};
use std::alloc::Layout;
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[test]
fn programs_share_a_region_by_name() {
    for first in ["send", "receive"] {
        let named = Named::new(first);
        let second = if first == "send" { "receive" } else { "send" };
        let programs = [first, second].map(|role| (role, named.start(role)));
        for (role, mut program) in programs {
            let stdout = match role {
                "send" => "sent 1 to 1000000\n",
                _ => "received 1000000 readings, sum 250000250000\n",
            };
            assert_eq!(program.end(), (true, stdout.to_owned()), "{role}");
        }
        assert_eq!(
            named.remove().status.code(),
            Some(1),
            "the receiver has removed it"
        );
    }
}

/// The item type of both programs, declared again here as a third program would declare it.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
struct Reading {
    number: u64,
    value: f64,
}

/// The sender fills the buffer and is killed. A later receiver gets all sent items, then the end of
/// the stream.
#[test]
fn items_of_killed_sender_are_received() {
    type Readings = RobustMonitorBuffer<Reading, [Slot<Reading>]>;
    let named = Named::new("killed");
    let name = RegionName::posix(&named.0).expect("a name");
    let sender = named.start("send");
    let is_full = || {
        let region = RegionOptions::attach(&name).ok()?;
        let readings: &Readings = region.attach("readings").ok()?;
        (readings.len() == readings.capacity()).then_some(())
    };
    wait_until("the buffer is full", || is_full().is_some());
    drop(sender);
    let stdout = "received 256 readings, sum 16448\n".to_owned();
    let mut receiver = named.start("receive");
    let ended = receiver.end();
    assert_eq!(
        ended,
        (false, stdout),
        "the sender ended before its last reading"
    );
    let stderr = "Error: the sender ended before its last reading\n";
    assert_eq!(receiver.stderr(), stderr);
}

/// A buffer's item type differs in one field between two versions of a program.
#[test]
fn attach_with_other_layout_names_both_layouts() {
    mod newer {
        use super::{FromBytes, Immutable, IntoBytes, ShmType};

        #[repr(C)]
        #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
        pub struct Reading {
            number: u64,
            value: f64,
            error: f64,
        }
    }
    type Older = RobustMonitorBuffer<Reading, [Slot<Reading>]>;
    type Newer = RobustMonitorBuffer<newer::Reading, [Slot<newer::Reading>]>;
    const CAPACITY: usize = 256;
    let named = Named::new("newer");
    let name = RegionName::posix(&named.0).expect("a name");
    let region = RegionOptions::new(1 << 16)
        .create(&name)
        .expect("the region can be created");
    let newer: &Newer = region
        .create("readings", CAPACITY)
        .expect("the region has room");
    let size = |layout: Result<Layout, ConfigError>| layout.expect("a valid layout").size();
    let (found, expected) = (size(Newer::layout(CAPACITY)), size(Older::layout(CAPACITY)));
    for role in ["send", "receive"] {
        let mut older = named.start(role);
        assert_eq!(older.end(), (false, String::new()), "{role}");
        let buffer = "RobustMonitorBuffer<Reading, MAX_ENDPOINTS = 8>";
        let stderr = format!(
            "Error: region {name}: object \"readings\" holds {buffer} ({found} bytes), expected \
             {buffer} ({expected} bytes); the layouts differ: \
             found RobustMonitorBuffer<Reading {{ number: u64 at 0, value: f64 at 8, \
             error: f64 at 16 }}, MAX_ENDPOINTS = 8>, \
             expected RobustMonitorBuffer<Reading {{ number: u64 at 0, value: f64 at 8 }}, \
             MAX_ENDPOINTS = 8>\n"
        );
        assert_eq!(older.stderr(), stderr, "{role}");
    }
    assert!(newer.is_empty(), "the buffer is unchanged");
}

#[test]
fn named_programs_report_invalid_names() {
    for (name, message) in [
        ("named_send", "Error: the name of a region is empty"),
        ("named_receive", "Error: expected NAME, or NAME --remove"),
    ] {
        let output = run(name, &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
        assert!(stderr.starts_with(message), "{name}: {stderr}");
    }
    let absent = run("named_receive", &["interlatch-absent", "--remove"]);
    let stdout = "Error: region posix:interlatch-absent does not exist\n";
    assert_eq!(text(&absent.stderr), stdout);
}

#[test]
fn two_processes_share_a_descriptor() {
    let output = run("two_processes", &[]);
    assert_eq!(text(&output.stdout), "received 1 to 1000, sum 500500\n");
}
