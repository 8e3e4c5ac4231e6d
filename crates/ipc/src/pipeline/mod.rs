//! Commands connected by pipes, as one process group.
//!
//! | file | what it is |
//! | --- | --- |
//! | `builder` | which commands, where the first reads and the last writes, and how they are started |
//! | `running` | the processes: their statuses, signals to all of them, and their end |
//! | `terminal` | who gets what is typed |

mod builder;
mod error;
mod running;
mod terminal;

pub use builder::{Finished, Pipeline};
pub use error::PipelineError;
pub use running::Running;
