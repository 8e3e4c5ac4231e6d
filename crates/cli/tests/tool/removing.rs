//! `rm` and `gc`.

use super::actor;
use super::command::{interlatch, until};
use super::harness::Test;
use super::looking::region;
use super::scratch::Scratch;
use interlatch::RegionName;
use interlatch::inspect::RegionView;
use serde_json::{Value, json};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("rm_removes_a_region_of_each_kind", rm),
        Test::new("gc_removes_what_nobody_has_attached", goes),
        Test::new(
            "gc_leaves_what_a_process_has_attached_until_it_is_killed",
            stays,
        ),
        Test::new("gc_looks_at_files_only_where_it_is_told_to", directories),
        Test::new("gc_of_nothing_is_well_done", nothing),
    ]
}

fn is_there(name: &RegionName) -> bool {
    RegionView::attach(name).is_ok()
}

fn rm() {
    let scratch = Scratch::new();
    for (name, json) in scratch.names.iter().zip([false, true, false]) {
        let region = region(name);
        let text = name.to_string();
        match json {
            true => {
                let said = interlatch(&["rm", &text, "--json"]).document();
                assert_eq!(said, json!({"removed": text}));
            }
            false => assert_eq!(
                interlatch(&["rm", &text]).well(),
                format!("removed {text}\n")
            ),
        }
        assert!(!is_there(name), "{text}");
        assert_eq!(
            interlatch(&["rm", &text]).code,
            Some(3),
            "there is none any more"
        );
        assert!(
            region.objects().count() == 3,
            "who has it attached keeps it"
        );
    }
}

/// There may be processes that whoever runs the tests cannot look at: the kernel says what they have.
fn gc(arguments: &[&str]) -> Value {
    let mut all = vec!["--json", "gc"];
    all.extend(arguments);
    interlatch(&all).document()
}

fn goes() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        drop(region(name));
        let text = name.to_string();
        let removed =
            |dry_run| json!({"dry_run": dry_run, "removed": [text], "kept": [], "failed": []});
        // Somebody may have a segment mapped for a moment, to look at it.
        until("nobody has it attached", || {
            gc(&[&text, "--dry-run"]) == removed(true)
        });
        assert!(is_there(name), "it was only said");
        until("nobody has it attached", || gc(&[&text]) == removed(false));
        assert!(!is_there(name), "{text}");
    }
}

fn stays() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        drop(region(name));
        let mut actor = actor::start(name);
        let text = name.to_string();
        let said = gc(&[&text]);
        let kept = json!({"name": text, "reason": format!("attached by {}", actor.child.id())});
        assert_eq!(
            (&said["removed"], &said["kept"]),
            (&json!([]), &json!([kept]))
        );
        let line = interlatch(&["gc", "--force", &text]).well();
        assert_eq!(
            line,
            format!("kept {text}: attached by {}\n", actor.child.id())
        );
        assert!(is_there(name), "{text}");
        actor.child.kill().expect("it runs");
        actor.wait();
        until("it goes", || gc(&[&text])["removed"] == json!([text]));
        assert!(!is_there(name), "{text}");
    }
}

fn directories() {
    let scratch = Scratch::new();
    scratch.names.iter().for_each(|name| drop(region(name)));
    let [posix, file, _] = &scratch.names;
    let prefix = posix.to_string();
    let prefix = prefix.strip_prefix("posix:").expect("it is");
    let said = gc(&["--prefix", prefix]);
    assert_eq!(said["removed"], json!([posix.to_string()]));
    let directory = scratch.directory.path().to_str().expect("text");
    let said = gc(&["--prefix", "reg", "--directory", directory]);
    assert_eq!(said["removed"], json!([file.to_string()]));
    assert!(!is_there(file) && !is_there(posix) && is_there(&scratch.names[2]));
}

fn nothing() {
    let said = interlatch(&["gc", "--prefix", "interlatch-no-region-has-this-name"]);
    assert_eq!(said.well(), "");
}
