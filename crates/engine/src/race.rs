//! Detection of data races on memory that is not atomic.

use crate::clock::{Clock, MAX_PROCESSES};
use crate::event::Site;

/// The latest access of each process to a cell.
#[derive(Clone, Debug, Default)]
struct Cell {
    reads: [Option<Access>; MAX_PROCESSES],
    writes: [Option<Access>; MAX_PROCESSES],
}

#[derive(Clone, Copy, Debug)]
struct Access {
    /// The number of events that the process had performed. The access happens before each later
    /// event of the process.
    events: usize,
    site: Site,
}

/// The accesses to all cells.
#[derive(Debug, Default)]
pub struct Races(Vec<Cell>);

impl Races {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Records an access to a cell. Returns the site of a racing access, if there is one: an access
    /// of another process, at least one of the two a write, and neither happens before the other.
    ///
    /// The clock is that of the latest event of the process, which has performed `events` events.
    pub fn access(
        &mut self,
        cell: usize,
        is_write: bool,
        (process, clock, events): (usize, &Clock, usize),
        site: Site,
    ) -> Option<Site> {
        let count = self.0.len().max(cell + 1);
        self.0.resize_with(count, Cell::default);
        let cell = &mut self.0[cell];
        let is_unordered = |(other, access): (usize, &Option<Access>)| {
            let access = (*access)?;
            (other != process && clock.count(other) <= access.events).then_some(access.site)
        };
        let race = cell.writes.iter().enumerate().find_map(is_unordered);
        let race = race.or_else(|| {
            let mut reads = cell.reads.iter().enumerate();
            reads.find_map(is_unordered).filter(|_| is_write)
        });
        let accesses = if is_write {
            &mut cell.writes
        } else {
            &mut cell.reads
        };
        accesses[process] = Some(Access { events, site });
        race
    }
}
