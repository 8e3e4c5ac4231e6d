//! Two chains over one segment would be two locks for it.

use interlatch::buffer::Segments;

fn main() {}
