//! `inspect` of pipes, rendezvous, message queues, and queues that grow.

use super::harness::Test;
use super::looking::{line, now};
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
        Test::new("inspect_shows_who_waits_at_a_rendezvous", rendezvous),
        Test::new("inspect_counts_messages_and_their_bytes", messages),
        Test::new("inspect_shows_a_queue_that_grows", growing),
    ]
}

/// A region, and what the tool calls it.
fn region(scratch: &Scratch) -> (Region, String) {
    let name = &scratch.names[0];
    let region = RegionOptions::new(1 << 16).create(name).expect("a region");
    (region, name.to_string())
}

/// Looks until it is so; the rest of the scenario waits meanwhile.
fn comes_to(name: &str, object: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let state = now(name, object);
        if is_so(&state) {
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
    let writer = inside.writer().expect("the first");
    assert_eq!(writer.try_write(b"123456"), Ok(6));
    let text = line(&name, "inside");
    assert!(text.contains("[######----] 6/10 bytes"), "{text}");
}

fn write_and_read<const ENDS: usize>(name: &str, object: &str, pipe: &BytePipe<[Slot<u8>], ENDS>) {
    let (writer, reader) = (pipe.writer(), pipe.reader());
    let (writer, reader) = (writer.expect("the first"), reader.expect("the first"));
    assert_eq!(writer.try_write(b"1234567"), Ok(7));
    assert_eq!(reader.try_read(&mut [0]), Ok(1));
    is_six_of_ten(name, object);
    drop(writer);
    let state = now(name, object);
    assert_eq!(state["writers"]["state"], "closed");
    assert_eq!(state["readers"]["state"], "open");
    drop(reader);
}

fn is_six_of_ten(name: &str, object: &str) {
    let state = now(name, object);
    assert_eq!(state["is"], "byte_pipe");
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
    meet::<u8, 8>(&region, &name, "byte", 7);
    meet::<[u8; 3], 8>(&region, &name, "bytes", [7; 3]);
    meet::<u64, 3>(&region, &name, "few", 7);
    meet::<u128, 8>(&region, &name, "wide", 7);
    meet::<Line, 2>(&region, &name, "line", Line([7; 64]));
}

/// Who offers, who accepts and who asks is seen, whatever the items.
fn meet<T: interlatch::Pod + Send + Sync, const ENDS: usize>(
    region: &Region,
    name: &str,
    object: &str,
    item: T,
) where
    Rendezvous<T, ENDS>: ShmSafe,
{
    let place: &Rendezvous<T, ENDS> = region.create(object, ()).expect("room");
    let receiver = place.receiver().expect("the first");
    let state = now(name, object);
    assert_eq!(state["is"], "rendezvous", "{object}");
    for who in ["offered", "asked", "accepted"] {
        assert_eq!(state[who], json!({"state": "no", "thread": null}));
    }
    let me = std::process::id();
    std::thread::scope(|scope| {
        scope.spawn(|| place.recv_unregistered(Timeout::Infinite));
        let state = comes_to(name, object, |state| state["asked"]["state"] == "yes");
        assert_eq!(state["asked"]["thread"]["process"], me, "{object}");
        assert!(line(name, object).contains("awaited by thread"));
        assert!(place.send_unregistered(item, Timeout::NonBlocking).is_ok());
    });
    std::thread::scope(|scope| {
        scope.spawn(|| place.sender().expect("the first").send(item));
        let state = comes_to(name, object, |state| state["offered"]["state"] == "yes");
        let thread = &state["offered"]["thread"];
        assert_eq!(
            (&thread["process"], &thread["lives"]),
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
        assert_eq!(now(name, object)["accepted"]["thread"]["thread"], me);
        assert!(line(name, object).contains(&format!("accepted by thread {me}")));
        assert!(delivery.acknowledge().is_ok());
    });
    assert_eq!(now(name, object)["offered"]["state"], "no");
    assert_eq!(now(name, object)["senders"]["state"], "closed");
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
        now(&name, "queue"),
        json!({
            "is": "message_queue", "lock": free, "messages": 2, "most_messages": 10, "bytes": 400,
            "most_bytes": 500, "receivers_wait": false, "senders_wait": false,
        })
    );
    let text = line(&name, "queue");
    assert!(
        text.ends_with("[##--------] 2/10 messages, 400/500 bytes"),
        "{text}"
    );
    std::thread::scope(|scope| {
        scope.spawn(|| queue.send(MessageType::LOWEST, &[2; 200]));
        comes_to(&name, "queue", |state| state["senders_wait"] == true);
        assert!(line(&name, "queue").contains(", senders wait"));
        scope.spawn(|| queue.receive(Select::Type(MessageType::HIGHEST)));
        comes_to(&name, "queue", |state| state["receivers_wait"] == true);
        queue.receive(Select::First).expect("100 bytes");
        queue.send(MessageType::HIGHEST, &[]).expect("room");
    });
    let inside: &MessageQueue<[MessageCell; 5]> = region.create("inside", ()).expect("room");
    inside.try_send(MessageType::LOWEST, b"four").expect("room");
    let state = now(&name, "inside");
    assert_eq!(
        (&state["messages"], &state["bytes"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(
        (&state["most_messages"], &state["most_bytes"]),
        (&json!(3), &json!(287))
    );
}

/// As files: should this fail, their directory goes with them.
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
    let state = now(&name, "chain");
    let me = std::process::id();
    for (field, number) in [
        ("segments", 2),
        ("most_segments", 5),
        ("ever", 3),
        ("items", 10),
    ] {
        assert_eq!(state[field], number, "{field}: {state}");
    }
    assert_eq!(
        (&state["is"], &state["waiters"]),
        (&json!("segment_list"), &json!(false))
    );
    assert_eq!(state["senders"]["threads"][0]["thread"], me, "{state}");
    assert_eq!(state["receivers"]["handles"], 1, "{state}");
    let text = line(&name, "chain");
    assert!(
        text.contains("[####------] 2/5 segments, 3 ever, of 10 items, senders: 1"),
        "{text}"
    );
    let (second, items) = second_segment(&name);
    assert_eq!(
        now(&second, &items),
        json!({"is": "segment", "fill": 8, "capacity": 10})
    );
    let text = line(&second, &items);
    assert!(text.ends_with("[########--] 8/10 items"), "{text}");
    drop(sender);
    assert_eq!(now(&name, "chain")["senders"]["state"], "closed");
    drop(receiver);
    drop(queue);
    UnboundedBuffer::<u64>::remove(&scratch.names[1]).expect("it is there");
}

/// The region of the second segment of this queue, and what its object is called there.
fn second_segment(queue: &str) -> (String, String) {
    let path = Path::new(queue.strip_prefix("file:").expect("it is a file"));
    let (folder, name) = (path.parent(), path.file_name().expect("it has a name"));
    let begin = format!("{}.", name.to_str().expect("readable"));
    let files = std::fs::read_dir(folder.expect("it is in one")).expect("it is there");
    let number = files.flatten().find_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let number = name.strip_prefix(&begin)?.strip_suffix(".2")?.to_owned();
        number.parse::<u64>().ok()
    });
    let number = number.expect("it was made");
    (
        format!("{queue}.{number}.2"),
        format!("items {number:016x}"),
    )
}
