//! `rm` and `gc`.

use super::actor;
use super::command::{interlatch, wait_until};
use super::harness::Test;
use super::inspecting::region;
use super::scratch::Scratch;
use interlatch::RegionName;
use interlatch::inspect::RegionView;
use serde_json::{Value, json};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("rm_removes_a_region_of_each_kind", rm),
        Test::new("gc_removes_unattached_regions", removes_unattached),
        Test::new(
            "gc_keeps_attached_regions_until_the_process_dies",
            keeps_attached,
        ),
        Test::new("gc_considers_files_only_in_given_directories", directories),
        Test::new("gc_without_regions_succeeds", nothing),
    ]
}

fn exists(name: &RegionName) -> bool {
    RegionView::attach(name).is_ok()
}

fn rm() {
    let scratch = Scratch::new();
    for (name, json) in scratch.names.iter().zip([false, true, false]) {
        let region = region(name);
        let text = name.to_string();
        match json {
            true => {
                let output = interlatch(&["rm", &text, "--json"]).document();
                assert_eq!(output, json!({"removed": text}));
            }
            false => assert_eq!(
                interlatch(&["rm", &text]).success(),
                format!("removed {text}\n")
            ),
        }
        assert!(!exists(name), "{text}");
        assert_eq!(
            interlatch(&["rm", &text]).code,
            Some(3),
            "the region no longer exists"
        );
        assert!(
            region.objects().count() == 3,
            "an attached process keeps the memory"
        );
    }
}

/// The kernel's counts include processes that are invisible to the user who runs the tests.
fn gc(arguments: &[&str]) -> Value {
    let mut all = vec!["--json", "gc"];
    all.extend(arguments);
    interlatch(&all).document()
}

fn removes_unattached() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        drop(region(name));
        let text = name.to_string();
        let removed =
            |dry_run| json!({"dry_run": dry_run, "removed": [text], "kept": [], "failed": []});
        // Another test process may have the segment mapped for a moment in order to inspect it.
        wait_until("no process has the region attached", || {
            gc(&[&text, "--dry-run"]) == removed(true)
        });
        assert!(exists(name), "a dry run removes nothing");
        wait_until("no process has the region attached", || {
            gc(&[&text]) == removed(false)
        });
        assert!(!exists(name), "{text}");
    }
}

fn keeps_attached() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        drop(region(name));
        let mut actor = actor::start(name);
        let text = name.to_string();
        let output = gc(&[&text]);
        let kept = json!({"name": text, "reason": format!("attached by {}", actor.child.id())});
        assert_eq!(
            (&output["removed"], &output["kept"]),
            (&json!([]), &json!([kept]))
        );
        let line = interlatch(&["gc", "--force", &text]).success();
        assert_eq!(
            line,
            format!("kept {text}: attached by {}\n", actor.child.id())
        );
        assert!(exists(name), "{text}");
        actor.child.kill().expect("the process runs");
        actor.wait();
        wait_until("the region is removed", || {
            gc(&[&text])["removed"] == json!([text])
        });
        assert!(!exists(name), "{text}");
    }
}

fn directories() {
    let scratch = Scratch::new();
    scratch.names.iter().for_each(|name| drop(region(name)));
    let [posix, file, _] = &scratch.names;
    let prefix = posix.to_string();
    let prefix = prefix.strip_prefix("posix:").expect("it is");
    let output = gc(&["--prefix", prefix]);
    assert_eq!(output["removed"], json!([posix.to_string()]));
    let directory = scratch.directory.path().to_str().expect("UTF-8 text");
    let output = gc(&["--prefix", "reg", "--directory", directory]);
    assert_eq!(output["removed"], json!([file.to_string()]));
    assert!(!exists(file) && !exists(posix) && exists(&scratch.names[2]));
}

fn nothing() {
    let output = interlatch(&["gc", "--prefix", "interlatch-no-region-has-this-name"]);
    assert_eq!(output.success(), "");
}
