//! The directory of a region: the names, types and offsets of its objects.
//!
//! | file | contents |
//! | --- | --- |
//! | `table` | [`Directory`]: creating and finding objects; [`Mark`] |
//! | `entry` | [`Object`], and the words of an entry |
//! | `name` | [`ObjectName`] |
//! | `object_type` | [`ObjectType`]: the type of an object, as recorded in its entry |
//! | `text` | bytes and text in atomic words |

mod entry;
mod name;
mod object_type;
mod table;
pub(crate) mod text;

pub use entry::{NewObject, Object};
pub use name::{InvalidObjectName, ObjectName};
pub use object_type::ObjectType;
pub use table::{Directory, DirectoryError, MAX_OBJECTS, Mark};
