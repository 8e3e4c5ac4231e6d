//! `ls` and `inspect`.

use super::actor;
use super::command::{RunningTool, ToolOutput, interlatch};
use super::harness::Test;
use super::scratch::Scratch;
use interlatch::channel::{Slot, TurnSlot};
use interlatch::sync::{PairSlot, RawMutex, RobustSemaphorePair, SemaphorePair};
use interlatch::{
    BoundedBuffer, Buffer, Channel, MonitorBuffer, Mutex, Region, RegionName, RegionOptions,
    RingBuffer, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, RobustSemaphore, Semaphore,
};
use serde_json::{Value, json};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("ls_shows_kind_objects_and_attached_processes", ls),
        Test::new("ls_shows_memory_without_a_name", memfd),
        Test::new("ls_text_matches_its_json", ls_text),
        Test::new("inspect_shows_the_holder_of_a_lock", holder),
        Test::new("inspect_distinguishes_a_thread_from_its_process", thread),
        Test::new("inspect_shows_the_death_of_a_holder", killed),
        Test::new("inspect_counts_permits", permits),
        Test::new("inspect_shows_fill_levels_of_buffers", buffers),
        Test::new("inspect_shows_both_sides_of_a_ring", ring),
        Test::new("inspect_reads_buffers_of_any_alignment", alignments),
        Test::new("json_has_the_documented_fields", fields),
        Test::new("failures_have_their_exit_status", exit_codes),
        Test::new("closed_output_is_not_a_failure", broken_pipe),
    ]
}

/// Creates a region with this name that contains locks and a semaphore.
pub fn region(name: &RegionName) -> Region {
    let region = RegionOptions::new(1 << 16)
        .create(name)
        .expect("a region arrives");
    region
        .create::<RobustMutex<u64>>("robust", ())
        .expect("room");
    region.create::<RawMutex>("raw", ()).expect("room");
    region.create::<Semaphore>("permits", ()).expect("room");
    region
}

/// Returns the state of an object as `inspect` reports it.
pub fn object_state(name: &str, object: &str) -> Value {
    let document = interlatch(&["--json", "inspect", name]).document();
    let objects = document["objects"].as_array().expect("a list");
    let found = objects.iter().find(|entry| entry["name"] == object);
    found.expect("it exists")["state"].clone()
}

/// Returns the line of `inspect` about an object.
pub fn line(name: &str, object: &str) -> String {
    let text = interlatch(&["inspect", name]).success();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(object));
    line.unwrap_or_else(|| panic!("no {object} in {text}"))
        .to_owned()
}

fn listed<'a>(listing: &'a Value, name: &str) -> Option<&'a Value> {
    let regions = listing["regions"].as_array().expect("a list");
    regions.iter().find(|region| region["name"] == name)
}

fn ls() {
    let scratch = Scratch::new();
    let me = json!(std::process::id());
    for (name, kind) in scratch.names.iter().zip(["posix", "file", "sysv"]) {
        let _region = region(name);
        let directory = scratch.directory.path().to_str().expect("UTF-8 text");
        let listing = interlatch(&["--json", "ls", "--directory", directory]).document();
        let found = listed(&listing, &name.to_string()).expect("it is listed");
        assert_eq!(
            (&found["kind"], &found["state"]),
            (&json!(kind), &json!("ok"))
        );
        assert_eq!(found["size"], 1 << 16);
        assert_eq!(
            (&found["creator"], &found["creator_alive"]),
            (&me, &json!(true))
        );
        assert!(
            found["attached"].as_array().expect("a list").contains(&me),
            "{found}"
        );
        let objects = found["objects"].as_array().expect("a list");
        let names: Vec<&str> = objects
            .iter()
            .filter_map(|entry| entry["name"].as_str())
            .collect();
        assert_eq!(names, ["robust", "raw", "permits"]);
        assert_eq!(objects[0]["type"], "RobustMutex<u64>");
    }
}

/// A mapped file is found by its path, and a memfd by the descriptor of a process that has the
/// memfd open.
fn memfd() {
    let scratch = Scratch::new();
    let _file = region(&scratch.names[1]);
    let memfd = Region::memfd("looked at", 4096).expect("a memfd");
    memfd.create::<Semaphore>("inside", ()).expect("room");
    let number = memfd
        .descriptor()
        .expect("the socket has an address")
        .as_raw_fd();
    let name = format!("fd:{}/{number}", std::process::id());
    let listing = interlatch(&["--json", "ls"]).document();
    let file = listed(&listing, &scratch.names[1].to_string());
    assert!(file.is_some(), "without the directory: {listing}");
    let found = listed(&listing, &name).unwrap_or_else(|| panic!("no {name} in {listing}"));
    assert_eq!(found["kind"], "memfd");
    assert_eq!(object_state(&name, "inside")["kind"], "semaphore");
    let path = format!("/proc/{}/fd/{number}", std::process::id());
    assert_eq!(object_state(&path, "inside")["kind"], "semaphore");
    removed(&scratch);
}

/// A region whose name has been removed.
fn removed(scratch: &Scratch) {
    let region = region(&scratch.names[0]);
    scratch.names[0].remove().expect("it exists");
    let number = region
        .descriptor()
        .expect("the socket has an address")
        .as_raw_fd();
    let name = format!("fd:{}/{number}", std::process::id());
    let listing = interlatch(&["--json", "ls"]).document();
    let found = listed(&listing, &name).unwrap_or_else(|| panic!("no {name} in {listing}"));
    assert_eq!(found["kind"], "removed");
}

fn ls_text() {
    let scratch = Scratch::new();
    let _region = region(&scratch.names[0]);
    let text = interlatch(&["ls"]).success();
    let head: Vec<&str> = text
        .lines()
        .next()
        .expect("a head")
        .split_whitespace()
        .collect();
    assert_eq!(
        head,
        [
            "NAME", "KIND", "OBJECTS", "SIZE", "ATTACHED", "AGE", "STATE"
        ]
    );
    let name = scratch.names[0].to_string();
    let line = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    for part in ["posix", "3: robust, raw, permits", "65536", "ok"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(line.contains(&std::process::id().to_string()), "{line}");
}

fn holder() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let region = region(name);
        let name = name.to_string();
        let robust: &RobustMutex<u64> = region.attach("robust").expect("it exists");
        let raw: &RawMutex = region.attach("raw").expect("it exists");
        for lock in ["robust", "raw"] {
            let free = json!({"kind": "lock", "state": "free", "holder": null, "waiters": false});
            assert_eq!(object_state(&name, lock), free, "{name}");
        }
        let guard = robust.lock().expect("the name is free");
        raw.raw_lock();
        let me = std::process::id();
        let holder = json!({"thread": me, "process": me, "alive": true});
        assert_eq!(object_state(&name, "robust")["holder"], holder);
        assert!(line(&name, "robust").ends_with(&format!("held by thread {me}")));
        assert!(line(&name, "raw").ends_with("held"));
        drop(guard);
        // SAFETY: this thread acquired the lock above.
        unsafe { raw.unlock() };
        assert_eq!(object_state(&name, "robust")["state"], "free");
        assert_eq!(object_state(&name, "raw")["state"], "free");
    }
    mutex_with_data(&scratch);
}

/// In a `Mutex`, the lock precedes the data, so the tool finds the lock word.
fn mutex_with_data(scratch: &Scratch) {
    let region = RegionOptions::attach(&scratch.names[0]).expect("it exists");
    let mutex: &Mutex<u64> = region.create("data", ()).expect("room");
    let name = scratch.names[0].to_string();
    *mutex.lock() = 1 << 32 | 2;
    assert_eq!(object_state(&name, "data")["state"], "free");
    let _guard = mutex.lock();
    assert_eq!(object_state(&name, "data")["state"], "held");
}

fn thread() {
    let scratch = Scratch::new();
    let region = region(&scratch.names[0]);
    let robust: &RobustMutex<u64> = region.attach("robust").expect("it exists");
    let (is_held, held) = channel();
    let (may_end, end) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _guard = robust.lock().expect("the name is free");
            is_held
                .send(nix::unistd::gettid().as_raw())
                .expect("awaited");
            let _ = end.recv();
        });
        let thread = held.recv().expect("it holds");
        let me = std::process::id();
        let line = line(&scratch.names[0].to_string(), "robust");
        drop(may_end);
        assert!(
            line.ends_with(&format!("held by thread {thread} of process {me}")),
            "{line}"
        );
    });
}

fn killed() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let _region = region(name);
        let mut actor = actor::start(name);
        let text = name.to_string();
        let pid = json!(actor.child.id());
        let holder = json!({"thread": pid, "process": pid, "alive": true});
        assert_eq!(
            object_state(&text, "robust")["holder"],
            holder,
            "while the actor runs"
        );
        assert_eq!(object_state(&text, "raw")["state"], "held");
        let document = interlatch(&["--json", "inspect", &text]).document();
        assert!(
            document["attached"]
                .as_array()
                .expect("a list")
                .contains(&pid),
            "{document}"
        );
        actor.child.kill().expect("the process runs");
        actor.wait();
        assert_eq!(object_state(&text, "robust")["state"], "owner died");
        assert!(line(&text, "robust").ends_with("owner died"));
        assert_eq!(
            object_state(&text, "raw")["state"],
            "held",
            "a raw lock does not record its holder"
        );
        let document = interlatch(&["--json", "inspect", &text]).document();
        assert!(
            !document["attached"]
                .as_array()
                .expect("a list")
                .contains(&pid),
            "{document}"
        );
    }
}

fn permits() {
    let scratch = Scratch::new();
    let region = region(&scratch.names[0]);
    let name = scratch.names[0].to_string();
    let semaphore: &Semaphore = region.attach("permits").expect("it exists");
    semaphore.release(7).expect("room");
    assert_eq!(
        object_state(&name, "permits"),
        json!({"kind": "semaphore", "permits": 7, "waiters": false})
    );
    assert!(line(&name, "permits").ends_with("7 permits"));

    region.create::<SemaphorePair>("pair", ()).expect("room");
    assert!(line(&name, "pair").ends_with("writer: 1 permit; reader: 0 permits"));

    let recoverable: &RobustSemaphore<3> = region.create("three", ()).expect("room");
    let me = std::process::id();
    let permit = recoverable.acquire().expect("there are three");
    assert!(line(&name, "three").ends_with(&format!("2 of 3 permits, held by thread {me}")));
    drop(permit);
    assert_eq!(object_state(&name, "three")["permits"], 3);

    let pair: &RobustSemaphorePair<[PairSlot; 3]> = region.create("turns", ()).expect("room");
    pair.write().and_then(|turn| turn.finish()).expect("a turn");
    let turn = pair.write().expect("a turn");
    let state = object_state(&name, "turns");
    assert_eq!(
        (&state["writable"], &state["readable"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(state["holders"][0]["thread"], me);
    drop(turn);
}

type Bounded<T> = BoundedBuffer<T, [Slot<T>]>;
type Monitor<T> = MonitorBuffer<T, [Slot<T>]>;
type RobustBounded<T> = RobustBoundedBuffer<T, [TurnSlot<T>], 3>;
type RobustMonitor<T> = RobustMonitorBuffer<T, [Slot<T>], 3>;

fn buffers() {
    let scratch = Scratch::new();
    let region = RegionOptions::new(1 << 19)
        .create(&scratch.names[0])
        .expect("a region arrives");
    let name = scratch.names[0].to_string();
    fill(
        &name,
        "bounded",
        region.create::<Bounded<u64>>("bounded", 10).expect("room"),
    );
    fill(
        &name,
        "monitor",
        region.create::<Monitor<u64>>("monitor", 10).expect("room"),
    );
    let robust: &RobustBounded<u64> = region.create("robust bounded", 10).expect("room");
    fill(&name, "robust bounded", robust);
    let robust: &RobustMonitor<u64> = region.create("robust monitor", 10).expect("room");
    fill(&name, "robust monitor", robust);
    usual_ends(&region, &name);
    let most: &RobustMonitorBuffer<u64, [Slot<u64>], 4096> =
        region.create("robust most ends", 10).expect("room");
    fill(&name, "robust most ends", most);
    let inside: &MonitorBuffer<u64, [Slot<u64>; 4]> = region.create("inside", ()).expect("room");
    let sender = inside.sender().expect("the first");
    sender.send(1).expect("a receiver may come");
    assert!(
        line(&name, "inside").contains("[###-------] 1/4"),
        "{}",
        line(&name, "inside")
    );
}

/// Type names omit default const parameters: the inspector must assume the default.
fn usual_ends(region: &Region, name: &str) {
    type Bounded = RobustBoundedBuffer<u64, [TurnSlot<u64>]>;
    type Monitor = RobustMonitorBuffer<u64, [Slot<u64>]>;
    let bounded: &Bounded = region.create("robust usual bounded", 10).expect("room");
    fill(name, "robust usual bounded", bounded);
    let monitor: &Monitor = region.create("robust usual monitor", 10).expect("room");
    fill(name, "robust usual monitor", monitor);
}

/// Sends seven items and receives one.
fn fill<B: Buffer<Item = u64> + ?Sized>(name: &str, object: &str, buffer: &B) {
    assert!(
        line(name, object).contains("[----------] 0/10"),
        "{}",
        line(name, object)
    );
    for end in ["senders", "receivers"] {
        assert_eq!(object_state(name, object)[end]["state"], "open");
    }
    let sender = buffer.sender().expect("the first");
    let receiver = buffer.receiver().expect("the first");
    (0..7).for_each(|item| sender.send(item).expect("the buffer has room"));
    assert_eq!(receiver.recv(), Ok(0));
    let state = object_state(name, object);
    assert_eq!(
        (&state["fill"], &state["capacity"]),
        (&json!(6), &json!(10)),
        "{object}: {state}"
    );
    for end in ["senders", "receivers"] {
        assert_eq!(
            (&state[end]["state"], &state[end]["handles"]),
            (&json!("open"), &json!(1))
        );
        if object.starts_with("robust") {
            assert_eq!(state[end]["threads"][0]["thread"], std::process::id());
        }
    }
    assert!(
        line(name, object).contains("[######----] 6/10"),
        "{}",
        line(name, object)
    );
    sender.close();
    let state = object_state(name, object);
    assert_eq!(state["senders"]["state"], "closed");
    assert_eq!(state["receivers"]["handles"], 1, "{object}: {state}");
    while receiver.recv().is_ok() {}
    drop(receiver);
}

fn ring() {
    let scratch = Scratch::new();
    let region = RegionOptions::new(1 << 16)
        .create(&scratch.names[0])
        .expect("a region arrives");
    let name = scratch.names[0].to_string();
    let ring: &RingBuffer<Line> = region.create("ring", 10).expect("room");
    let bar = |expected: &str| {
        let line = line(&name, "ring");
        assert!(line.contains(expected), "{line}");
    };
    bar("[----------] 0/10");
    assert_eq!(object_state(&name, "ring")["senders"]["state"], "open");
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (sender, receiver) = (sender.expect("one"), receiver.expect("one"));
    let sent = sender.try_send_slice(&[Line([1; 64]); 7]);
    assert_eq!(sent, Ok(7), "the buffer has room");
    receiver.try_recv().expect("they were sent");
    bar("[######----] 6/10");
    let state = object_state(&name, "ring");
    assert_eq!(state["capacity"], 10);
    for end in ["senders", "receivers"] {
        assert_eq!(state[end]["handles"], 1, "{state}");
        assert_eq!(state[end]["threads"][0]["thread"], std::process::id());
    }
    drop(sender);
    assert_eq!(object_state(&name, "ring")["senders"]["state"], "closed");
    assert_eq!(object_state(&name, "ring")["receivers"]["handles"], 1);
    drop(receiver);
    let dead: &RingBuffer<u64> = region.create("dead", 10).expect("room");
    interlatch_testing::dying::in_dying_thread(|| {
        std::mem::forget(dead.sender().expect("the first"));
    });
    let state = object_state(&name, "dead");
    assert_eq!(state["senders"]["state"], "closed", "its owner died");
    assert_eq!(state["receivers"]["state"], "open");
}

#[repr(C, align(64))]
#[derive(
    Clone, Copy, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, interlatch::ShmType,
)]
struct Line([u8; 64]);

/// In the unsized buffer types, the ring's offset depends only on the alignment of the items.
fn alignments() {
    let scratch = Scratch::new();
    let region = RegionOptions::new(1 << 16)
        .create(&scratch.names[0])
        .expect("a region arrives");
    let name = scratch.names[0].to_string();
    two_of_three(
        &name,
        "a",
        region.create::<Bounded<Line>>("a", 3).expect("room"),
        Line([1; 64]),
    );
    two_of_three(
        &name,
        "b",
        region.create::<Monitor<Line>>("b", 3).expect("room"),
        Line([1; 64]),
    );
    two_of_three(
        &name,
        "c",
        region.create::<RobustBounded<Line>>("c", 3).expect("room"),
        Line([1; 64]),
    );
    two_of_three(
        &name,
        "d",
        region.create::<RobustMonitor<Line>>("d", 3).expect("room"),
        Line([1; 64]),
    );
    two_of_three(
        &name,
        "e",
        region.create::<RobustBounded<u8>>("e", 3).expect("room"),
        1,
    );
    two_of_three(
        &name,
        "f",
        region.create::<Bounded<u8>>("f", 3).expect("room"),
        1,
    );
    two_of_three(
        &name,
        "g",
        region.create::<RobustBounded<u128>>("g", 3).expect("room"),
        1,
    );
}

fn two_of_three<B: Buffer<Item: Copy> + ?Sized>(
    name: &str,
    object: &str,
    buffer: &B,
    item: B::Item,
) {
    let sender = buffer.sender().expect("the first");
    for _ in 0..2 {
        assert!(sender.try_send(item).is_ok());
    }
    let state = object_state(name, object);
    assert_eq!(
        (&state["fill"], &state["capacity"]),
        (&json!(2), &json!(3)),
        "{object}: {state}"
    );
    assert_eq!(state["senders"]["handles"], 1, "{object}: {state}");
    assert_eq!(state["lock"]["state"], "free", "{object}: {state}");
}

fn fields() {
    let scratch = Scratch::new();
    let _region = region(&scratch.names[0]);
    let name = scratch.names[0].to_string();
    let listing = interlatch(&["ls", "--json"]).document();
    assert_eq!(
        keys(&listing),
        ["inaccessible_processes", "regions", "unreadable"]
    );
    let region = [
        "age",
        "attached",
        "created",
        "creator",
        "creator_alive",
        "inaccessible_processes",
        "kind",
        "mappings",
        "mode",
        "name",
        "namespace",
        "objects",
        "owner",
        "size",
        "state",
    ];
    let listed = listed(&listing, &name).expect("it is listed");
    assert_eq!(keys(listed), region);
    assert_eq!(
        keys(&listed["objects"][0]),
        ["config", "name", "offset", "size", "type"]
    );
    let document = interlatch(&["inspect", &name, "--json"]).document();
    assert_eq!(keys(&document), region);
    let user = nix::unistd::geteuid().as_raw();
    assert_eq!(
        (&document["owner"], &document["mode"]),
        (&json!(user), &json!("0600"))
    );
    let text = interlatch(&["inspect", &name]).success();
    assert!(
        text.contains(&format!("\n  owner     user {user}, mode 0600\n")),
        "{text}"
    );
    let object = &document["objects"][0];
    assert_eq!(
        keys(object),
        ["config", "name", "offset", "size", "state", "type"]
    );
    assert_eq!(
        keys(&object["state"]),
        ["holder", "kind", "state", "waiters"]
    );
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn exit_codes() {
    let scratch = Scratch::new();
    let name = scratch.names[0].to_string();
    let file = scratch.directory.path().join("no region");
    std::fs::write(&file, "nothing of ours, and longer than a word").expect("room");
    let file = file.to_str().expect("UTF-8 text");
    let none = format!("fd:{}/4000000", std::process::id());
    for (arguments, code, sentence) in [
        (&["inspect", &name][..], 3, "there is no region posix:"),
        (&["watch", &name], 3, "there is no region"),
        (&["rm", &name], 3, "there is no region"),
        (&["gc", &name], 3, "there is no region"),
        (&["inspect", &none], 3, "there is no region fd:"),
        (
            &["inspect", "shmid:2147483647"],
            3,
            "there is no region shmid:2147483647",
        ),
        (&["inspect", file], 1, "is not a region of this version"),
        (&["rm", file], 1, "is not a region of this version"),
        (&["rm", "fd:1/2"], 1, "has no name to remove"),
        (&["gc", "shmid:1"], 1, "has no name to remove"),
        (&["inspect", "/dev/zero"], 1, "is not a regular file"),
        (&["ls", "--directory", "/nonexistent"], 1, "/nonexistent"),
        (&[], 2, "Usage"),
        (&["inspect"], 2, "NAME"),
        (&["inspect", "fd:x"], 2, "expected fd:PID/NUMBER"),
        (&["inspect", "sysv:x"], 2, "the key \"x\""),
        (&["watch", &name, "--interval", "soon"], 2, "--interval"),
        (
            &["ls", "--directory", "/", "--frobnicate"],
            2,
            "--frobnicate",
        ),
    ] {
        let ToolOutput {
            err, code: found, ..
        } = interlatch(arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {err}");
        assert!(err.contains(sentence), "{arguments:?}: {err}");
    }
    let help = interlatch(&["--help"]).success();
    assert!(help.contains("Exit status:\n  0  success"), "{help}");
    assert_eq!(
        std::fs::read(file).expect("it exists").len(),
        39,
        "untouched"
    );
}

/// Covers `interlatch watch NAME | head -1`.
fn broken_pipe() {
    let scratch = Scratch::new();
    let _region = region(&scratch.names[0]);
    let name = scratch.names[0].to_string();
    let mut running = Command::new(env!("CARGO_BIN_EXE_interlatch"));
    let running = running.args(["watch", "--interval", "1ms", &name]);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = running.spawn().expect("the process starts");
    drop(child.stdout.take());
    let output = RunningTool::from_child(child).finish();
    assert_eq!((output.code, &*output.err), (Some(0), ""));
}
