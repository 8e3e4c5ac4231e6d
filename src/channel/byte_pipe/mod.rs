//! A pipe in shared memory: a stream of bytes that survives the death of its users.
//!
//! | file | contents |
//! | --- | --- |
//! | `object` | the pipe: a ring of bytes under a lock |
//! | `handles` | the operations of its handles, including `std::io::Write` and `std::io::Read` |

mod handles;
mod object;

pub use object::BytePipe;
