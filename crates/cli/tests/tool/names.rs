//! Parsing and displaying the names of regions.

use super::harness::Test;
use interlatch::region::InvalidRegionName;
use interlatch::{RegionError, RegionName};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("displayed_names_parse_again", round_trip),
        Test::new("bare_words_are_posix_names_and_paths_are_files", guesses),
        Test::new("invalid_names_are_rejected_with_the_reason", refused),
        Test::new("parsing_arbitrary_text_does_not_panic", any_text),
    ]
}

fn names() -> impl Strategy<Value = RegionName> {
    prop_oneof![
        "[^/\0]{1,60}".prop_filter_map("dots, or too long", |name| RegionName::posix(&name).ok()),
        "/[^\0]{0,60}".prop_map(RegionName::file),
        "[^\0]{1,60}".prop_map(RegionName::file),
        any::<i32>().prop_filter_map("IPC_PRIVATE", |key| RegionName::sysv(key).ok()),
    ]
}

/// Failing cases are printed and not saved.
fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

fn round_trip() {
    let read_again = |name: RegionName| {
        let text = name.to_string();
        prop_assert_eq!(text.parse::<RegionName>().ok(), Some(name), "{}", text);
        Ok(())
    };
    runner().run(&names(), read_again).expect("all");
}

fn guesses() {
    let name = |text: &str| text.parse::<RegionName>().expect(text).to_string();
    assert_eq!(name("queue"), "posix:queue");
    assert_eq!(name("other:queue"), "posix:other:queue");
    assert_eq!(name("posix:file:x"), "posix:file:x");
    assert_eq!(name("/a/b"), "file:/a/b");
    let here = std::env::current_dir().expect("a directory");
    assert_eq!(name("./b"), format!("file:{}/b", here.display()));
    assert_eq!(name("sysv:1234"), "sysv:0x000004d2");
    assert_eq!(name("sysv:-1"), "sysv:0xffffffff");
    assert_eq!(name("sysv:0xffffffff"), "sysv:0xffffffff");
}

fn refused() {
    for (text, expected) in [
        ("", InvalidRegionName::Empty),
        ("posix:", InvalidRegionName::Empty),
        ("file:", InvalidRegionName::Empty),
        ("posix:a/b", InvalidRegionName::Character("a/b".into())),
        ("sysv:0", InvalidRegionName::PrivateKey),
        ("sysv:0x", InvalidRegionName::Key("0x".into())),
        (
            "sysv:0x100000000",
            InvalidRegionName::Key("0x100000000".into()),
        ),
        (
            "sysv:4294967296",
            InvalidRegionName::Key("4294967296".into()),
        ),
        ("sysv:x", InvalidRegionName::Key("x".into())),
    ] {
        match text.parse::<RegionName>() {
            Err(RegionError::RegionName(found)) => assert_eq!(found, expected, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

fn any_text() {
    let read = |text: String| {
        let _ = text.parse::<RegionName>();
        Ok(())
    };
    runner().run(&any::<String>(), read).expect("all");
}
