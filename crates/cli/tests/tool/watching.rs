//! `watch`.

use super::command::{Running, interlatch, until};
use super::harness::Test;
use super::looking::region;
use super::scratch::Scratch;
use interlatch::Semaphore;
use serde_json::Value;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("watch_looks_as_often_as_it_is_told_to", counted),
        Test::new("watch_sees_what_changes", changes),
        Test::new("watch_ends_with_its_region", ends),
    ]
}

fn counted() {
    let scratch = Scratch::new();
    let _region = region(&scratch.names[0]);
    let name = scratch.names[0].to_string();
    let arguments = ["watch", &name, "--count", "2", "--interval", "1ms"];
    let text = interlatch(&arguments).well();
    assert_eq!(text.matches(&format!("{name}: ok\n")).count(), 2, "{text}");
    assert!(!text.contains('\x1b'), "not on a terminal: {text}");
    let text = interlatch(&[&arguments[..], &["--json"]].concat()).well();
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let document: Value = serde_json::from_str(line).expect("a document on each line");
        assert_eq!(document["name"], name);
    }
    let none = interlatch(&["watch", &name, "--count", "0"]).well();
    assert_eq!(none, "");
}

fn changes() {
    let scratch = Scratch::new();
    let region = region(&scratch.names[0]);
    let semaphore: &Semaphore = region.attach("permits").expect("it is there");
    let name = scratch.names[0].to_string();
    let watching = Running::start(&["watch", &name, "--interval", "1ms", "--json"]);
    for permits in 0..3 {
        let text = format!("\"permits\":{permits},");
        until("it is seen", || watching.line().contains(&text));
        semaphore.release(1).expect("room");
    }
}

fn ends() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let region = region(name);
        let watching = Running::start(&["watch", &name.to_string(), "--interval", "1ms"]);
        assert_eq!(watching.line(), format!("{name}: ok\n"));
        name.remove().expect("it is there");
        drop(region);
        let said = watching.end();
        assert_eq!(said.code, Some(3), "{}", said.err);
        assert!(said.err.contains("there is no region"), "{}", said.err);
    }
}
