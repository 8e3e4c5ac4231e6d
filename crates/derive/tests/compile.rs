//! Programs that must not compile: types unfit for shared memory, and references that outlive it.
//!
//! The test compares the messages of the compiler with the file beside each program.
//! `TRYBUILD=overwrite` writes these files.

/// The messages differ between versions of the compiler.
#[rustversion::attr(
    not(stable(1.95)),
    ignore = "the expected messages are those of Rust 1.95"
)]
#[test]
fn unsound_sharing_does_not_compile() {
    let programs = trybuild::TestCases::new();
    programs.compile_fail("tests/compile_fail/*.rs");
    programs.pass("tests/compile_pass/*.rs");
}
