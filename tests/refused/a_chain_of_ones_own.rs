//! Two chains over one segment would be two locks for it.

use interlatch::buffer::{Chain, Segment, Segments};

fn main() {}
