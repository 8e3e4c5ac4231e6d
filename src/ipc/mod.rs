//! What the kernel has for processes that share a name, or nothing: on the parts below only.

mod fifo;

pub use fifo::{Fifo, FifoError};
