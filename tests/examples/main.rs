//! Runs the examples like a user, and checks their output, exit status, and cleanup after a kill.

mod chat;
mod deaths;
mod hello;
mod ipc;
mod jobs;
mod mailbox;
mod named;
mod pipeline;
mod producer_consumer;
mod support;
mod sync;
mod unbounded;
