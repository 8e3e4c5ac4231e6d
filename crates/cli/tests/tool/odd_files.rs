//! Files that are not regions, and regions that are no longer complete.

use super::command::interlatch;
use super::harness::Test;
use super::inspecting::region;
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
        Test::new("ls_ignores_other_files", passed_by),
        Test::new("ls_shows_truncated_and_grown_regions", cut_or_grown),
        Test::new("truncation_during_inspection_is_harmless", cut_meanwhile),
        Test::new("output_escapes_control_characters", escapes),
    ]
}

fn listed_in(directory: &Path) -> Vec<Value> {
    let directory = directory.to_str().expect("UTF-8 text");
    let listing = interlatch(&["--json", "ls", "--directory", directory]).document();
    let regions = listing["regions"].as_array().expect("a list").iter();
    let inside = |name: &str| {
        name.strip_prefix("file:")
            .is_some_and(|p| p.starts_with(directory))
    };
    let own = regions.filter(|region| inside(region["name"].as_str().expect("UTF-8 text")));
    own.cloned().collect()
}

/// Lists a directory with one region and many other objects.
fn passed_by() {
    let scratch = Scratch::new();
    let directory = scratch.directory.path();
    let _region = region(&scratch.names[1]);
    let whole = fs::read(directory.join("region")).expect("a region arrives");
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
        ("other version", "has format version 1, expected"),
        ("pipe", "is not a regular file"),
        ("link", "is not a regular file"),
        ("folder", "is not a regular file"),
    ] {
        let path = directory.join(name);
        let output = interlatch(&["inspect", path.to_str().expect("UTF-8 text")]);
        assert_eq!(output.code, Some(1), "{name}: {}", output.err);
        assert!(output.err.contains(sentence), "{name}: {}", output.err);
    }
    let other = directory.join("other version");
    let other = other.to_str().expect("UTF-8 text");
    let listing = interlatch(&["ls", "--directory", directory.to_str().expect("UTF-8 text")]);
    let text = listing.success();
    assert!(text.contains("has format version 1, expected"), "{text}");
    interlatch(&["rm", other]).success();
    assert!(
        !Path::new(other).exists(),
        "a region of another version is removed"
    );
}

fn cut_or_grown() {
    let scratch = Scratch::new();
    let directory = scratch.directory.path();
    drop(region(&scratch.names[1]));
    let whole = fs::read(directory.join("region")).expect("a region arrives");
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
            .expect("it exists");
        file.set_len(length).expect("a sparse file");
    }
    let found = listed_in(directory);
    let state = |name: &str| {
        let name = format!("file:{}", directory.join(name).display());
        let found = found.iter().find(|region| region["name"] == name);
        found.map(|region| region["state"].as_str().expect("UTF-8 text"))
    };
    assert_eq!(state("region"), Some("ok"));
    for name in ["8", "100", "4096", "9000"] {
        assert_eq!(state(name), Some("truncated"), "{name}");
    }
    assert_eq!(state("huge"), Some("damaged"));
    for region in &found {
        interlatch(&["inspect", region["name"].as_str().expect("UTF-8 text")]).success();
    }
}

fn cut_meanwhile() {
    let scratch = Scratch::new();
    let directory = scratch.directory.path();
    drop(region(&scratch.names[1]));
    let whole = fs::read(directory.join("region")).expect("a region arrives");
    let file = File::options()
        .write(true)
        .open(directory.join("region"))
        .expect("it exists");
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
        // One view shows a complete region, and the other view shows a truncated region.
        looked(view);
        looked(RegionView::attach(&scratch.names[1]));
        fs::write(directory.join("region"), &whole).expect("whole again");
    }
    assert!(cut > 100, "the states were seen: {cut}");
}

/// A hostile process may choose any names.
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
    let directory = directory.to_str().expect("UTF-8 text");
    for arguments in [
        &["ls", "--directory", directory][..],
        &["ls", "--directory", directory, "--json"],
        &["inspect", path.to_str().expect("UTF-8 text")],
        &["inspect", path.to_str().expect("UTF-8 text"), "--json"],
        &["inspect", hostile_path.to_str().expect("UTF-8 text")],
        &["inspect", &format!("{directory}/c{hostile}")],
        &["rm", &format!("{directory}/c{hostile}")],
        &["gc", "--prefix", "b", "--force", "--directory", directory],
    ] {
        let output = interlatch(arguments);
        let text = output.out + &output.err;
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(obeyed), "{arguments:?}: {text:?}");
        assert!(text.contains("2J"), "{arguments:?}: {text}");
    }
}
