//! What else may lie where regions are.

use super::command::interlatch;
use super::harness::Test;
use super::looking::region;
use super::scratch::Scratch;
use interlatch::inspect::{RegionState, RegionView};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::Path;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("ls_passes_by_what_is_no_region", passed_by),
        Test::new("ls_shows_regions_that_are_cut_or_grown", cut_or_grown),
        Test::new(
            "a_file_that_is_cut_while_it_is_looked_at_harms_nobody",
            cut_meanwhile,
        ),
        Test::new("nothing_that_a_terminal_obeys_is_printed", escapes),
    ]
}

fn listed_in(directory: &Path) -> Vec<Value> {
    let directory = directory.to_str().expect("text");
    let listing = interlatch(&["--json", "ls", "--directory", directory]).document();
    let regions = listing["regions"].as_array().expect("a list").iter();
    let inside = |name: &str| {
        name.strip_prefix("file:")
            .is_some_and(|p| p.starts_with(directory))
    };
    let own = regions.filter(|region| inside(region["name"].as_str().expect("text")));
    own.cloned().collect()
}

/// All that is no region, beside one that is.
fn passed_by() {
    let scratch = Scratch::new();
    let directory = scratch.directory.path();
    let _region = region(&scratch.names[1]);
    let whole = fs::read(directory.join("region")).expect("a region");
    fs::write(directory.join("empty"), "").expect("room");
    fs::write(directory.join("ten bytes"), "0123456789").expect("room");
    fs::write(directory.join("seven bytes of it"), &whole[..7]).expect("room");
    fs::write(
        directory.join("other version"),
        [b"\x01", &whole[1..]].concat(),
    )
    .expect("room");
    mkfifo(&directory.join("pipe"), Mode::S_IRWXU).expect("a pipe");
    symlink(directory.join("region"), directory.join("link")).expect("a link");
    symlink(
        directory.join("link to itself"),
        directory.join("link to itself"),
    )
    .expect("a link");
    fs::create_dir(directory.join("folder")).expect("a folder");
    let names: Vec<Value> = listed_in(directory)
        .iter()
        .map(|found| found["name"].clone())
        .collect();
    assert_eq!(names, [json!(scratch.names[1].to_string())]);
    for (name, sentence) in [
        ("empty", "is not a region of this version"),
        ("ten bytes", "is not a region of this version"),
        ("seven bytes of it", "is not a region of this version"),
        ("pipe", "is not a regular file"),
        ("link", "is not a regular file"),
        ("folder", "is not a regular file"),
    ] {
        let path = directory.join(name);
        let said = interlatch(&["inspect", path.to_str().expect("text")]);
        assert_eq!(said.code, Some(1), "{name}: {}", said.err);
        assert!(said.err.contains(sentence), "{name}: {}", said.err);
    }
}

fn cut_or_grown() {
    let scratch = Scratch::new();
    let directory = scratch.directory.path();
    drop(region(&scratch.names[1]));
    let whole = fs::read(directory.join("region")).expect("a region");
    for (name, length) in [
        ("8", 8),
        ("100", 100),
        ("4096", 4096),
        ("9000", 9000),
        ("huge", 1 << 42),
    ] {
        let path = directory.join(name);
        fs::write(&path, &whole).expect("room");
        let file = OpenOptions::new()
            .write(true)
            .open(path)
            .expect("it is there");
        file.set_len(length).expect("a sparse file");
    }
    let found = listed_in(directory);
    let state = |name: &str| {
        let name = format!("file:{}", directory.join(name).display());
        let found = found.iter().find(|region| region["name"] == name);
        found.map(|region| region["state"].as_str().expect("text"))
    };
    assert_eq!(state("region"), Some("ok"));
    for name in ["8", "100", "4096", "9000"] {
        assert_eq!(state(name), Some("cut short"), "{name}");
    }
    assert_eq!(state("huge"), Some("damaged"));
    for region in &found {
        interlatch(&["inspect", region["name"].as_str().expect("text")]).well();
    }
}

fn cut_meanwhile() {
    let scratch = Scratch::new();
    let directory = scratch.directory.path();
    drop(region(&scratch.names[1]));
    let whole = fs::read(directory.join("region")).expect("a region");
    let file = File::options()
        .write(true)
        .open(directory.join("region"))
        .expect("it is there");
    let mut cut = 0;
    let mut looked = |view: Result<RegionView, _>| {
        let Ok(view) = view else { return };
        cut += usize::from(matches!(view.state(), RegionState::Truncated { .. }));
        for object in view.objects() {
            std::hint::black_box(view.inspect(&object));
        }
    };
    for length in (0..whole.len()).step_by(397) {
        let view = RegionView::attach(&scratch.names[1]);
        file.set_len(length as u64).expect("cut");
        // One that was whole when it was attached, and one that is cut already.
        looked(view);
        looked(RegionView::attach(&scratch.names[1]));
        fs::write(directory.join("region"), &whole).expect("whole again");
    }
    assert!(cut > 100, "the states were seen: {cut}");
}

/// Names and types are whatever a peer has written.
fn escapes() {
    let scratch = Scratch::new();
    let directory = scratch.directory.path();
    let created = region(&scratch.names[1]);
    let hostile = "\x1b]0;a\x07\u{9b}2J\u{202e}\n";
    created
        .create::<interlatch::Semaphore>(hostile, ())
        .expect("any name will do");
    let path = directory.join("region");
    let hostile_path = directory.join(format!("b{hostile}"));
    fs::copy(&path, &hostile_path).expect("any name will do");
    let directory = directory.to_str().expect("text");
    for arguments in [
        &["ls", "--directory", directory][..],
        &["ls", "--directory", directory, "--json"],
        &["inspect", path.to_str().expect("text")],
        &["inspect", path.to_str().expect("text"), "--json"],
        &["inspect", hostile_path.to_str().expect("text")],
        &["inspect", &format!("{directory}/c{hostile}")],
        &["rm", &format!("{directory}/c{hostile}")],
        &["gc", "--prefix", "b", "--force", "--directory", directory],
    ] {
        let said = interlatch(arguments);
        let text = said.out + &said.err;
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(obeyed), "{arguments:?}: {text:?}");
        assert!(text.contains("2J"), "{arguments:?}: {text}");
    }
}
