//! What does not compile: types that cannot lie in shared memory, and references that would outlive it.
//!
//! The compiler's words are compared with those beside each program; `TRYBUILD=overwrite` writes them.

/// Each version of the compiler has words of its own.
#[rustversion::attr(
    not(stable(1.95)),
    ignore = "the compiler's words are those of Rust 1.95"
)]
#[test]
fn what_cannot_be_shared_does_not_compile() {
    let programs = trybuild::TestCases::new();
    programs.compile_fail("tests/compile_fail/*.rs");
    programs.pass("tests/compile_pass/*.rs");
}
