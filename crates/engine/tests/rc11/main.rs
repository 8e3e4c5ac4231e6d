//! Compares the engine with an independent definition of the memory model RC11.
//!
//! `oracle` lists the consistent executions of a small program, from the axioms of the paper alone.
//! It shares no code with the engine. `classic` and `counts` check the oracle against the
//! literature, `properties` against theorems and against plain interleaving. `random` generates
//! programs, and compares an engine with the oracle.

mod axioms;
mod classic;
mod counts;
mod engine;
mod events;
mod execution;
mod interleaving;
mod oracle;
mod program;
mod properties;
mod random;
mod relation;
