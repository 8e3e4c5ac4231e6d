//! The descriptors that the commands of a pipeline inherit.

use super::harness::Test;
use super::pipeline::{run, text};
use super::process::{command_for_role, descriptors, test, tool};
use interlatch_ipc::Pipeline;
use std::fs::File;
use std::process::ExitCode;

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "descriptors::each_process_has_three_descriptors",
            each_process_has_three_descriptors,
        ),
        test(
            "descriptors::each_process_has_three_descriptors_with_files",
            each_process_has_three_descriptors_with_files,
        ),
    ]
}

/// Copies its input and appends a line with its open descriptors.
pub fn run_role() -> ExitCode {
    let numbers = descriptors();
    std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).expect("both are open");
    println!("{numbers:?}");
    ExitCode::SUCCESS
}

fn lister() -> Pipeline {
    let commands = (0..4).map(|_| command_for_role("descriptors", &[]));
    commands.fold(Pipeline::new(), Pipeline::command)
}

fn each_process_has_three_descriptors() {
    let finished = run(lister().input_bytes(*b"").capture());
    assert_eq!(text(&finished.output), "{0, 1, 2}\n".repeat(4));
}

fn each_process_has_three_descriptors_with_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("output");
    let (input, output) = (File::open("/dev/null"), File::create(&path));
    let (input, output) = (
        input.expect("it exists"),
        output.expect("the file is created"),
    );
    let pipeline = lister()
        .command(tool("cat", &[]))
        .input(input)
        .output(output);
    run(pipeline);
    let written = std::fs::read_to_string(&path).expect("UTF-8 text");
    assert_eq!(written, "{0, 1, 2}\n".repeat(4));
}
