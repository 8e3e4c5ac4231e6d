//! What the engine finds in small programs.

mod asymmetric;
mod awaited;
mod counts;
mod deaths;
mod failures;
mod locks;
mod parts;
mod sampling;
mod specified;
mod waits;
