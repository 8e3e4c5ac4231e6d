//! Test support that the crates of the workspace share.
//!
//! A test binary that starts processes must have one thread, so it sets `harness = false` and has a
//! `main` of its own: [`harness`] runs its tests, and [`process`] runs the binary again as an
//! actor.

pub mod dying;
pub mod harness;
pub mod library;
pub mod process;
pub mod property;
pub mod random;
pub mod scratch;
