//! Several senders and receivers: each item arrives once, and items of one sender arrive in order.

use super::harness::Test;
use super::item::{Item, Large, numbered_item};
use super::process::{Actor, TIMEOUT};
use super::shared::{PassedEnds, Shared};
use std::collections::BTreeMap;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("small_items_arrive_once_and_in_order", || {
            items_arrive_once_and_in_order::<u64>(3, 3, 5_000);
        }),
        Test::new("large_items_arrive_once_and_in_order", || {
            items_arrive_once_and_in_order::<Large>(3, 3, 150);
        }),
        Test::new("one_sender_and_one_receiver_keep_total_order", || {
            items_arrive_once_and_in_order::<u64>(1, 1, 20_000);
            items_arrive_once_and_in_order::<Large>(1, 1, 300);
        }),
    ]
}

fn items_arrive_once_and_in_order<T: Item>(senders: u64, receivers: usize, count: u64) {
    let mut shared = Shared::new(4096);
    let receive = |_| shared.start(PassedEnds::Reader, &["receive", T::NAME]);
    let receivers: Vec<Actor> = (0..receivers).map(receive).collect();
    let send = |producer: u64| {
        let (producer, count) = (producer.to_string(), count.to_string());
        shared.start(PassedEnds::Writer, &["send", T::NAME, &producer, &count])
    };
    let actors: Vec<Actor> = (0..senders).map(send).collect();
    shared.close();
    let deadline = Instant::now() + TIMEOUT;
    for (producer, mut actor) in actors.into_iter().enumerate() {
        let sent = actor.reply(deadline);
        assert_eq!(sent.as_deref(), Ok("sent"), "sender {producer}");
        actor.tell("go");
        actor
            .end(deadline)
            .unwrap_or_else(|problem| panic!("sender {producer}: {problem}"));
    }
    let mut all = Vec::new();
    for (index, mut actor) in receivers.into_iter().enumerate() {
        let items = actor.reply(deadline);
        let items = items.unwrap_or_else(|problem| panic!("receiver {index}: {problem}"));
        let items = numbers(&items);
        assert_in_order(&items);
        all.extend(items);
    }
    all.sort_unstable();
    let sent =
        (0..senders).flat_map(|producer| (0..count).map(move |item| numbered_item(producer, item)));
    assert!(
        all.iter().copied().eq(sent),
        "each item arrives once: {} items",
        all.len()
    );
}

/// Parses a line of items.
pub fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(',').filter(|word| !word.is_empty());
    words.map(|word| word.parse().expect("a number")).collect()
}

fn assert_in_order(items: &[u64]) {
    let mut last = BTreeMap::new();
    for item in items {
        let before = last.insert(item >> 32, *item);
        assert!(before < Some(*item), "{item:#x} comes after {before:x?}");
    }
}
