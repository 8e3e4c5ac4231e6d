//! `inspect` of byte pipes, rendezvous, message queues and unbounded queues.

use super::harness::Test;
use super::inspecting::{line, object_state};
use super::scratch::Scratch;
use interlatch::channel::Unregistered;
use interlatch::channel::message_queue::{
    MessageCell, MessageQueueExt, MessageType, QueueLimits, Select,
};
use interlatch::channel::{GrowthLimit, Slot};
use interlatch::sync::Timeout;
use interlatch::{
    BytePipe, Channel, MessageQueue, Region, RegionOptions, Rendezvous, ShmSafe, UnboundedBuffer,
};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("inspect_shows_the_bytes_of_a_pipe", pipes),
        Test::new("inspect_shows_the_threads_at_a_rendezvous", rendezvous),
        Test::new("inspect_counts_messages_and_their_bytes", messages),
        Test::new("inspect_shows_an_unbounded_queue", growing),
    ]
}

/// Creates a region and returns the name by which the tool finds it.
fn region(scratch: &Scratch) -> (Region, String) {
    let name = &scratch.names[0];
    let region = RegionOptions::new(1 << 16)
        .create(name)
        .expect("a region arrives");
    (region, name.to_string())
}

/// Polls until the state of the object satisfies the condition; returns the state.
fn wait_for_state(name: &str, object: &str, is_expected: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let state = object_state(name, object);
        if is_expected(&state) {
            return state;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{state}");
    }
}

fn pipes() {
    let scratch = Scratch::new();
    let (region, name) = region(&scratch);
    let behind: &BytePipe<[Slot<u8>]> = region.create("behind", 10).expect("room");
    let few: &BytePipe<[Slot<u8>], 3> = region.create("few", 10).expect("room");
    let inside: &BytePipe<[Slot<u8>; 10], 2> = region.create("inside", ()).expect("room");
    write_and_read(&name, "behind", behind);
    write_and_read(&name, "few", few);
    let writer = inside.sender().expect("the first");
    assert_eq!(writer.try_write(b"123456"), Ok(6));
    let text = line(&name, "inside");
    assert!(text.contains("[######----] 6/10 bytes"), "{text}");
}

fn write_and_read<const ENDS: usize>(name: &str, object: &str, pipe: &BytePipe<[Slot<u8>], ENDS>) {
    let (writer, reader) = (pipe.sender(), pipe.receiver());
    let (writer, reader) = (writer.expect("the first"), reader.expect("the first"));
    assert_eq!(writer.try_write(b"1234567"), Ok(7));
    assert_eq!(reader.try_read(&mut [0]), Ok(1));
    check_six_of_ten(name, object);
    drop(writer);
    let state = object_state(name, object);
    assert_eq!(state["writers"]["state"], "closed");
    assert_eq!(state["readers"]["state"], "open");
    drop(reader);
}

fn check_six_of_ten(name: &str, object: &str) {
    let state = object_state(name, object);
    assert_eq!(state["kind"], "byte_pipe");
    assert_eq!(
        (&state["fill"], &state["capacity"]),
        (&json!(6), &json!(10)),
        "{state}"
    );
    let me = std::process::id();
    for end in ["writers", "readers"] {
        assert_eq!(state[end]["threads"][0]["thread"], me, "{state}");
        assert_eq!(state[end]["handles"], 1, "{state}");
    }
    assert_eq!(state["lock"]["state"], "free");
    let text = line(name, object);
    let expected = format!("[######----] 6/10 bytes, writers: 1 (thread {me})");
    assert!(text.contains(&expected), "{text}");
}

#[repr(C, align(64))]
#[derive(
    Clone, Copy, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, interlatch::ShmType,
)]
struct Line([u8; 64]);

fn rendezvous() {
    let scratch = Scratch::new();
    let (region, name) = region(&scratch);
    check_rendezvous::<u8, 8>(&region, &name, "byte", 7);
    check_rendezvous::<[u8; 3], 8>(&region, &name, "bytes", [7; 3]);
    check_rendezvous::<u64, 3>(&region, &name, "few", 7);
    check_rendezvous::<u128, 8>(&region, &name, "wide", 7);
    check_rendezvous::<Line, 2>(&region, &name, "line", Line([7; 64]));
}

/// `inspect` shows the offering, the waiting and the accepting thread for each item type.
fn check_rendezvous<T: interlatch::Pod + Send + Sync, const ENDS: usize>(
    region: &Region,
    name: &str,
    object: &str,
    item: T,
) where
    Rendezvous<T, ENDS>: ShmSafe,
{
    let rendezvous: &Rendezvous<T, ENDS> = region.create(object, ()).expect("room");
    let receiver = rendezvous.receiver().expect("the first");
    let state = object_state(name, object);
    assert_eq!(state["kind"], "rendezvous", "{object}");
    for role in ["offered", "awaited", "accepted"] {
        assert_eq!(state[role], json!({"state": "no", "thread": null}));
    }
    let me = std::process::id();
    std::thread::scope(|scope| {
        scope.spawn(|| rendezvous.recv_unregistered(Timeout::Infinite));
        let state = wait_for_state(name, object, |state| state["awaited"]["state"] == "yes");
        assert_eq!(state["awaited"]["thread"]["process"], me, "{object}");
        assert!(line(name, object).contains("awaited by thread"));
        assert!(
            rendezvous
                .send_unregistered(item, Timeout::NonBlocking)
                .is_ok()
        );
    });
    std::thread::scope(|scope| {
        scope.spawn(|| rendezvous.sender().expect("the first").send(item));
        let state = wait_for_state(name, object, |state| state["offered"]["state"] == "yes");
        let thread = &state["offered"]["thread"];
        assert_eq!(
            (&thread["process"], &thread["alive"]),
            (&json!(me), &json!(true))
        );
        assert_eq!(state["senders"]["threads"][0], *thread, "{object}");
        assert_eq!(state["receivers"]["threads"][0]["thread"], me, "{object}");
        let text = line(name, object);
        assert!(
            text.contains(&format!("offered by thread {}", thread["thread"])),
            "{text}"
        );
        let delivery = receiver.accept().expect("it is offered");
        assert_eq!(
            object_state(name, object)["accepted"]["thread"]["thread"],
            me
        );
        assert!(line(name, object).contains(&format!("accepted by thread {me}")));
        assert!(delivery.acknowledge().is_ok());
    });
    assert_eq!(object_state(name, object)["offered"]["state"], "no");
    assert_eq!(object_state(name, object)["senders"]["state"], "closed");
}

fn messages() {
    let scratch = Scratch::new();
    let (region, name) = region(&scratch);
    let limits = QueueLimits {
        messages: 10,
        bytes: 500,
    };
    let queue: &MessageQueue = region.create("queue", limits).expect("room");
    for length in [0, 100, 300] {
        let sent = queue.try_send(MessageType::LOWEST, &vec![1; length]);
        sent.expect("room");
    }
    queue.try_receive(Select::First).expect("three of them");
    let free = json!({"state": "free", "holder": null, "waiters": false});
    assert_eq!(
        object_state(&name, "queue"),
        json!({
            "kind": "message_queue", "lock": free, "messages": 2, "max_messages": 10, "bytes": 400,
            "max_bytes": 500, "receivers_waiting": false, "senders_waiting": false,
        })
    );
    let text = line(&name, "queue");
    assert!(
        text.ends_with("[##--------] 2/10 messages, 400/500 bytes"),
        "{text}"
    );
    std::thread::scope(|scope| {
        scope.spawn(|| queue.send(MessageType::LOWEST, &[2; 200]));
        wait_for_state(&name, "queue", |state| state["senders_waiting"] == true);
        assert!(line(&name, "queue").contains(", senders wait"));
        scope.spawn(|| queue.receive(Select::Type(MessageType::HIGHEST)));
        wait_for_state(&name, "queue", |state| state["receivers_waiting"] == true);
        queue.receive(Select::First).expect("100 bytes");
        queue.send(MessageType::HIGHEST, &[]).expect("room");
    });
    let inside: &MessageQueue<[MessageCell; 5]> = region.create("inside", ()).expect("room");
    inside.try_send(MessageType::LOWEST, b"four").expect("room");
    let state = object_state(&name, "inside");
    assert_eq!(
        (&state["messages"], &state["bytes"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(
        (&state["max_messages"], &state["max_bytes"]),
        (&json!(3), &json!(287))
    );
}

/// If the test fails, dropping the temporary directory removes the queue's files.
fn growing() {
    let scratch = Scratch::new();
    let growth = GrowthLimit {
        items: 10,
        segments: 5,
    };
    let queue = UnboundedBuffer::<u64>::create(&scratch.names[1], growth).expect("a queue");
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (sender.expect("the first"), receiver.expect("the first"));
    (0..25).for_each(|item| sender.send(item).expect("room"));
    (0..12).for_each(|item| assert_eq!(receiver.recv().expect("an item"), item));
    let name = scratch.names[1].to_string();
    let state = object_state(&name, "chain");
    let me = std::process::id();
    for (field, number) in [
        ("segments", 2),
        ("max_segments", 5),
        ("created", 3),
        ("items_per_segment", 10),
    ] {
        assert_eq!(state[field], number, "{field}: {state}");
    }
    assert_eq!(
        (&state["kind"], &state["waiters"]),
        (&json!("segment_list"), &json!(false))
    );
    assert_eq!(state["senders"]["threads"][0]["thread"], me, "{state}");
    assert_eq!(state["receivers"]["handles"], 1, "{state}");
    let text = line(&name, "chain");
    assert!(
        text.contains("[####------] 2/5 segments of 10 items, 3 created, senders: 1"),
        "{text}"
    );
    let (second, items) = second_segment(&name);
    assert_eq!(
        object_state(&second, &items),
        json!({"kind": "segment", "fill": 8, "capacity": 10})
    );
    let text = line(&second, &items);
    assert!(text.ends_with("[########--] 8/10 items"), "{text}");
    drop(sender);
    assert_eq!(object_state(&name, "chain")["senders"]["state"], "closed");
    drop(receiver);
    drop(queue);
    UnboundedBuffer::<u64>::remove(&scratch.names[1]).expect("it exists");
}

/// Returns the region of the queue's second segment and the name of its object.
fn second_segment(queue: &str) -> (String, String) {
    let path = Path::new(queue.strip_prefix("file:").expect("it is a file"));
    let (folder, name) = (path.parent(), path.file_name().expect("it has a name"));
    let begin = format!("{}.", name.to_str().expect("readable"));
    let files = std::fs::read_dir(folder.expect("it is in one")).expect("it exists");
    let number = files.flatten().find_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let number = name.strip_prefix(&begin)?.strip_suffix(".2")?.to_owned();
        number.parse::<u64>().ok()
    });
    let number = number.expect("it was created");
    (
        format!("{queue}.{number}.2"),
        format!("items {number:016x}"),
    )
}
