//! Litmus tests of the engine: what loom does and does not explore, pinned as it is today.
//!
//! A verdict is only as true as what is known of the engine. Each test here runs small programs
//! and compares the outcomes that were reached with those that it should reach, or, where loom is
//! known to fall short, with those that it reached when this was written. When one fails, loom has
//! changed, and with it the meaning of a verdict.

mod classic;
mod crosscheck;
mod death;
mod futex;
mod limits;
mod perform;
mod program;
mod reach;

use interlatch_check::runner::Litmus;
pub use limits::abort_if_asked;

/// All of them.
pub fn all() -> Vec<Litmus> {
    [
        limits::all(),
        futex::all(),
        classic::all(),
        crosscheck::all(),
        death::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
