//! `watch`.

use super::command::{RunningTool, interlatch, wait_until};
use super::harness::Test;
use super::inspecting::region;
use super::scratch::Scratch;
use interlatch::Semaphore;
use serde_json::Value;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("watch_stops_after_the_given_count", counted),
        Test::new("watch_shows_changes", changes),
        Test::new("watch_ends_with_its_region", ends),
    ]
}

fn counted() {
    let scratch = Scratch::new();
    let _region = region(&scratch.names[0]);
    let name = scratch.names[0].to_string();
    let arguments = ["watch", &name, "--count", "2", "--interval", "1ms"];
    let text = interlatch(&arguments).success();
    assert_eq!(text.matches(&format!("{name}: ok\n")).count(), 2, "{text}");
    assert!(!text.contains('\x1b'), "not on a terminal: {text}");
    let text = interlatch(&[&arguments[..], &["--json"]].concat()).success();
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let document: Value = serde_json::from_str(line).expect("a document on each line");
        assert_eq!(document["name"], name);
    }
    let none = interlatch(&["watch", &name, "--count", "0"]).success();
    assert_eq!(none, "");
}

fn changes() {
    let scratch = Scratch::new();
    let region = region(&scratch.names[0]);
    let semaphore: &Semaphore = region.attach("permits").expect("it exists");
    let name = scratch.names[0].to_string();
    let watching = RunningTool::start(&["watch", &name, "--interval", "1ms", "--json"]);
    for permits in 0..3 {
        let text = format!("\"permits\":{permits},");
        wait_until("it is seen", || watching.line().contains(&text));
        semaphore.release(1).expect("room");
    }
}

fn ends() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let region = region(name);
        let watching = RunningTool::start(&["watch", &name.to_string(), "--interval", "1ms"]);
        assert_eq!(watching.line(), format!("{name}: ok\n"));
        name.remove().expect("it exists");
        drop(region);
        let output = watching.finish();
        assert_eq!(output.code, Some(3), "{}", output.err);
        assert!(output.err.contains("there is no region"), "{}", output.err);
    }
}
