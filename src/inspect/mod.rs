//! What the objects of a region are, to one who only looks: on `directory` and what it keeps.
//!
//! | file | what it is |
//! | --- | --- |
//! | `state` | what an object is |
//! | `kind` | what the name of its type says |

mod kind;
mod state;

pub use state::ObjectState;
