//! What the processes of a model observe: the numbers that they read from and write to the
//! [`RaceCell`](crate::RaceCell)s of a scenario.

use core::cell::RefCell;
use core::panic::Location;
use interlatch::platform::model::world;

/// The numbers of each process in program order, each with the source line of the access. The first
/// entry is that of the setup and the verification.
pub type Outcome = Vec<Vec<(&'static Location<'static>, u64)>>;

thread_local! {
    /// `None` outside of [`outcomes`](crate::outcomes).
    static OBSERVED: RefCell<Option<Outcome>> = const { RefCell::new(None) };
}

/// Begins to note what the processes of an execution observe.
pub(crate) fn begin() {
    OBSERVED.set(Some(Vec::new()));
}

/// Returns what the processes of the execution have observed.
pub(crate) fn take() -> Outcome {
    OBSERVED.take().unwrap_or_default()
}

/// Notes that the running process observes a number.
#[track_caller]
pub(crate) fn note(number: u64) {
    let site = Location::caller();
    let process = world::current();
    let index = if process == world::KERNEL {
        0
    } else {
        process + 1
    };
    OBSERVED.with_borrow_mut(|observed| {
        let Some(observed) = observed else {
            return;
        };
        if observed.len() <= index {
            observed.resize(index + 1, Vec::new());
        }
        observed[index].push((site, number));
    });
}
