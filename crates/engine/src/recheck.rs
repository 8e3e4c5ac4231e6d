//! Rechecks: what happens after some time in which no process could run.
//!
//! A process that dies may take a wake with it. So sleepers look again after a while. A recheck
//! ends the sleep of each process of which a watched word has changed. From then on, the process
//! observes everything that was written before: time makes writes visible. But it orders no
//! memory: nothing that was written before happens before the end of the sleep.

use crate::event::{EventId, INITIAL, Kind, LocationId};
use crate::execution::{Execution, Status};
use crate::operation::{Watched, new_event};
use crate::wait_queue::is_queue;

impl Execution {
    /// Ends the sleeps that a recheck ends, if a process has died and a word was written since the
    /// last recheck. Returns whether there are some.
    pub fn recheck(&mut self) -> bool {
        if !self.rechecks || !self.may_recheck() || self.has_outdated_wait() {
            return false;
        }
        let sleepers = (0..self.status.len()).filter_map(|process| match self.status[process] {
            Status::Asleep(queue) if self.ends_sleep(process) => Some((process, queue)),
            _ => None,
        });
        let awake: Vec<(usize, LocationId)> = sleepers.collect();
        if awake.is_empty() {
            return false;
        }
        self.take_back_blocking_reads();
        let before = self.graph.next_stamp;
        for (process, queue) in &awake {
            let last = self.graph.events[*process].last();
            let site = last.expect("a sleeper has joined a queue").site;
            let mut label = self.graph.new_label(Kind::Recheck, *queue, INITIAL);
            label.choice = before;
            self.graph.push(*process, new_event(label, site));
            self.status[*process] = Status::Ready;
            self.has_rechecked[*process] = true;
            self.note_change(*process);
        }
        true
    }

    /// Takes back the last read of each process that waits for another value. The process reads
    /// again after the next write.
    ///
    /// A recheck observes everything that was written and read before, so a write after it could
    /// not revisit the read.
    fn take_back_blocking_reads(&mut self) {
        for process in 0..self.status.len() {
            if self.status[process] != Status::Blocked {
                continue;
            }
            let read = self.graph.events[process].pop();
            let read = read.expect("a blocked process has read a value");
            let count = self.graph.events[process].len();
            let location = read.label.location;
            let id = EventId::new(process, count);
            let readers = &mut self.graph.variable_mut(location).readers;
            readers.retain(|reader| *reader != id);
            self.outline.labels[process].truncate(count);
            self.status[process] = Status::Disabled(location, read.site);
        }
    }

    fn may_recheck(&self) -> bool {
        let events = || self.graph.events.iter().flatten();
        let mut deaths = events().filter(|event| event.label.kind == Kind::Death);
        let rechecks = events().filter(|event| event.label.kind == Kind::Recheck);
        let last = rechecks.map(|event| event.label.choice).max();
        let mut writes =
            events().filter(|event| event.label.kind.is_write() && !is_queue(event.label.location));
        deaths.any(|death| death.label.choice == 1)
            && last.is_none_or(|last| writes.any(|write| write.label.stamp >= last))
    }

    fn ends_sleep(&self, process: usize) -> bool {
        let watched = &self.watched[process];
        let has_changed = |word: &Watched| {
            let last = self.graph.last_write(word.location);
            let value = self.graph.value(word.location, last);
            (value ^ word.value) & word.mask != 0
        };
        watched.is_empty() || watched.iter().any(has_changed)
    }
}
