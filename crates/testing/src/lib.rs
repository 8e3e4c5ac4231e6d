//! What the tests of the workspace share.
//!
//! Programs that start processes must have one thread, so they have a `main` of their own:
//! [`harness`] runs their tests and [`process`] runs the program again as an actor.

pub mod chance;
pub mod harness;
pub mod process;
pub mod property;
pub mod scratch;
