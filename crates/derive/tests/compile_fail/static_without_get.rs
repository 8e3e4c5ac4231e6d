//! The methods of a robust type are methods of the object, not of its `Static`.

use interlatch::RobustMutex;
use interlatch::sync::Static;

static TOTAL: Static<RobustMutex<u64>> = RobustMutex::new(0);

fn main() {
    drop(TOTAL.lock());
}
