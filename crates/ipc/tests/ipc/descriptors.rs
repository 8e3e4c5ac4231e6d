//! What the processes of a pipeline inherit.

use super::harness::Test;
use super::pipeline::{run, text};
use super::process::{descriptors, playing, test, tool};
use interlatch_ipc::Pipeline;
use std::fs::File;
use std::process::ExitCode;

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "descriptors::each_process_has_its_three",
            each_process_has_its_three,
        ),
        test(
            "descriptors::each_process_has_its_three_at_a_file",
            each_has_three_at_a_file,
        ),
    ]
}

/// Copies its input, and adds a line with the descriptors that it has.
pub fn play() -> ExitCode {
    let numbers = descriptors();
    std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).expect("both are there");
    println!("{numbers:?}");
    ExitCode::SUCCESS
}

fn lister() -> Pipeline {
    let commands = (0..4).map(|_| playing("descriptors", &[]));
    commands.fold(Pipeline::new(), Pipeline::command)
}

fn each_process_has_its_three() {
    let finished = run(lister().input_bytes(*b"").capture());
    assert_eq!(text(&finished.output), "{0, 1, 2}\n".repeat(4));
}

fn each_has_three_at_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("output");
    let (input, output) = (File::open("/dev/null"), File::create(&path));
    let (input, output) = (input.expect("it is there"), output.expect("a new one"));
    let pipeline = lister()
        .command(tool("cat", &[]))
        .input(input)
        .output(output);
    run(pipeline);
    let written = std::fs::read_to_string(&path).expect("text");
    assert_eq!(written, "{0, 1, 2}\n".repeat(4));
}
