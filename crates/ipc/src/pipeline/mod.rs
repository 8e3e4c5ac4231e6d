//! Commands connected by pipes, as one process group.
//!
//! | file | content |
//! | --- | --- |
//! | `builder` | the commands, the pipeline's input and output, and how the processes start |
//! | `running` | the running processes: statuses, signals to all of them, termination |
//! | `terminal` | job control: the process group, and the foreground of the terminal |

mod builder;
mod error;
mod running;
mod terminal;

pub use builder::{Pipeline, PipelineOutput};
pub use error::PipelineError;
pub use running::RunningPipeline;
