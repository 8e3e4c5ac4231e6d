//! Programs that must not compile: types that cannot be in shared memory, and references that
//! outlive the memory.
//!
//! The test compares the messages of the compiler with the file beside each program.
//! `TRYBUILD=overwrite` writes these files.

/// The test runs with one compiler version only, because the messages differ between versions.
#[rustversion::attr(
    not(stable(1.95)),
    ignore = "the expected messages are those of Rust 1.95"
)]
#[test]
fn unsound_sharing_does_not_compile() {
    let programs = trybuild::TestCases::new();
    programs.compile_fail("tests/compile_fail/*.rs");
}
