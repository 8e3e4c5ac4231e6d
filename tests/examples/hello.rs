//! Runs the two programs of the README.

use super::support::{Program, example};
use interlatch::RegionName;
use std::fs;

#[test]
fn readme_contains_the_hello_programs() {
    let readme = include_str!("../../README.md");
    for program in [
        include_str!("../../examples/hello_sender.rs"),
        include_str!("../../examples/hello_receiver.rs"),
    ] {
        assert!(readme.contains(program), "README.md lacks:\n{program}");
    }
}

/// The programs use a fixed name, so a lock file prevents concurrent runs of this test.
#[test]
fn hello_programs_meet_in_either_order() {
    let path = std::env::temp_dir().join("interlatch-hello.lock");
    let file = fs::File::create(path).expect("a lock file");
    file.lock().expect("no other run of this test");
    let name = RegionName::posix("hello").expect("a valid name");
    // An earlier run that was killed may have left the region.
    let _ = name.remove();
    for [first, second] in [
        ["hello_sender", "hello_receiver"],
        ["hello_receiver", "hello_sender"],
    ] {
        let programs =
            [first, second].map(|program| (program, Program::start(&mut example(program))));
        for (program, mut program_handle) in programs {
            let lines = (1..=5).map(|number| format!("received {number}\n"));
            let expected = match program {
                "hello_receiver" => lines.collect(),
                _ => String::new(),
            };
            assert_eq!(program_handle.end(), (true, expected), "{program}");
        }
        assert!(name.remove().is_err(), "the receiver removes the name");
    }
}
