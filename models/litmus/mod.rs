//! Litmus tests of the engine, which pin what loom explores and what loom misses.
//!
//! A verdict is reliable only if the limits of the engine are known. Each test runs small programs
//! and compares the outcomes with the outcomes of the memory model. Where loom is known to miss
//! outcomes, the test pins the outcomes that loom 0.7.2 reaches. If such a test fails, loom has
//! changed, and so has the meaning of a verdict.

mod asymmetric;
mod classic;
mod crosscheck;
mod death;
mod execute;
mod futex;
mod limits;
mod outcomes;
mod program;

use interlatch_check::runner::Litmus;
pub use limits::abort_if_asked;

pub fn all() -> Vec<Litmus> {
    [
        limits::all(),
        futex::all(),
        classic::all(),
        crosscheck::all(),
        death::all(),
        asymmetric::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
