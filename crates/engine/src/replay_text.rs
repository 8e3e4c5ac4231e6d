//! Executions as text, from which they can be run again.
//!
//! The text has a part for each process and a part for each location that was written, separated by
//! semicolons. A part of a process lists its events: a letter for the kind, the number of the
//! location, and after `<` the source or after `=` the result of a choice. If there are rechecks,
//! the order in which the events were added matters, and each event has its stamp after `@`. A
//! part of a location begins with its number and a colon, and lists the writes in modification
//! order. An event is written as its process, a dot and its index, and the initial write as `i`.
//! For example: `w0 r2<i;w2 r0<0.0;0:0.0;2:1.0`.

use crate::event::{EventId, INITIAL, Kind, Label, UNDECIDED};
use crate::graph::Outline;
use core::fmt::Write as _;
use std::collections::HashMap;

const KINDS: [(char, Kind); 9] = [
    ('r', Kind::Read),
    ('u', Kind::UpdateRead),
    ('w', Kind::Write),
    ('x', Kind::UpdateWrite),
    ('f', Kind::Fence),
    ('c', Kind::Choice),
    ('d', Kind::Death),
    ('a', Kind::Awake),
    ('t', Kind::Recheck),
];

/// Returns the text of an outline.
pub fn print(outline: &Outline) -> String {
    let mut labels = outline.labels.iter().flatten();
    let has_stamps = labels.any(|label| label.kind == Kind::Recheck);
    let processes = outline.labels.iter().map(|labels| {
        let labels = labels.iter().map(|label| print_label(label, has_stamps));
        labels.collect::<Vec<_>>().join(" ")
    });
    let orders = outline.orders.iter().enumerate();
    let written = orders.filter(|(_, order)| order.len() > 1);
    let orders = written.map(|(location, order)| {
        let writes: Vec<String> = order[1..].iter().map(|id| print_id(*id)).collect();
        format!("{location}:{}", writes.join(" "))
    });
    let parts: Vec<String> = processes.chain(orders).collect();
    parts.join(";")
}

fn print_label(label: &Label, has_stamp: bool) -> String {
    let kinds = KINDS.iter().find(|(_, kind)| *kind == label.kind);
    let (letter, _) = kinds.expect("each kind has a letter");
    let mut text = format!("{letter}{}", label.location);
    if label.kind.is_read() || label.kind == Kind::Awake {
        let _ = write!(text, "<{}", print_id(label.source));
    }
    if label.choice != 0 && label.choice != UNDECIDED {
        let _ = write!(text, "={}", label.choice);
    }
    if has_stamp {
        let _ = write!(text, "@{}", label.stamp);
    }
    text
}

fn print_id(id: EventId) -> String {
    if id == INITIAL {
        "i".into()
    } else {
        format!("{}.{}", id.process(), id.index())
    }
}

/// Returns the outline that has this text, or `None` if the text is not one of [`print`].
pub fn parse(text: &str) -> Option<Outline> {
    let mut outline = Outline::default();
    for part in text.split(';') {
        match part.split_once(':') {
            Some((location, writes)) => {
                let location: usize = location.parse().ok()?;
                if location > usize::from(u16::MAX) {
                    return None;
                }
                let count = outline.orders.len().max(location + 1);
                outline.orders.resize(count, vec![INITIAL]);
                let writes: Option<Vec<EventId>> = writes.split(' ').map(parse_id).collect();
                outline.orders[location].extend(writes?);
            }
            None => {
                let labels = part.split(' ').filter(|label| !label.is_empty());
                outline
                    .labels
                    .push(labels.map(parse_label).collect::<Option<_>>()?);
            }
        }
    }
    is_closed(&outline).then_some(outline)
}

fn parse_label(text: &str) -> Option<Label> {
    let mut letters = text.chars();
    let letter = letters.next()?;
    let (_, kind) = KINDS.iter().find(|(known, _)| *known == letter)?;
    let (rest, stamp) = match letters.as_str().split_once('@') {
        Some((rest, stamp)) => (rest, stamp.parse().ok()?),
        None => (letters.as_str(), 0),
    };
    let (rest, choice) = match rest.split_once('=') {
        Some((rest, choice)) => (rest, choice.parse().ok()?),
        None => (rest, 0),
    };
    let (location, source) = match rest.split_once('<') {
        Some((location, source)) => (location, parse_id(source)?),
        None => (rest, INITIAL),
    };
    Some(Label {
        kind: *kind,
        location: location.parse().ok()?,
        source,
        choice,
        stamp,
    })
}

fn parse_id(text: &str) -> Option<EventId> {
    if text == "i" {
        return Some(INITIAL);
    }
    let (process, index) = text.split_once('.')?;
    let (process, index) = (process.parse().ok()?, index.parse().ok()?);
    let is_valid = process < crate::MAX_PROCESSES && index < usize::from(u16::MAX);
    is_valid.then(|| EventId::new(process, index))
}

/// Whether each source is a write in the modification order of its location, each write is there
/// once, and the write of an update follows its read.
fn is_closed(outline: &Outline) -> bool {
    let labels = outline
        .labels
        .iter()
        .enumerate()
        .flat_map(|(process, labels)| {
            let labels = labels.iter().enumerate();
            labels.map(move |(index, label)| (EventId::new(process, index), *label))
        });
    let labels: HashMap<EventId, Label> = labels.collect();
    let count = |id: EventId, location: u32| {
        let order = outline.orders.get(location as usize);
        let order = order.into_iter().flatten();
        order.filter(|other| **other == id).count()
    };
    let is_source = |id, location| id == INITIAL || count(id, location) == 1;
    let is_write = |location: usize, id: &EventId| {
        let label = labels.get(id);
        let is_write = |label: &Label| label.kind.is_write() && label.location as usize == location;
        *id == INITIAL || label.is_some_and(is_write)
    };
    let mut orders = outline.orders.iter().enumerate();
    orders.all(|(location, order)| order.iter().all(|id| is_write(location, id)))
        && labels.iter().all(|(id, label)| match label.kind {
            Kind::Read | Kind::UpdateRead => is_source(label.source, label.location),
            Kind::Awake => label.source != INITIAL && is_source(label.source, label.location),
            Kind::Write => count(*id, label.location) == 1,
            Kind::UpdateWrite => {
                let read = id.previous().and_then(|read| labels.get(&read));
                let read = read.map(|read| (read.kind, read.location));
                read == Some((Kind::UpdateRead, label.location)) && count(*id, label.location) == 1
            }
            Kind::Fence | Kind::Choice | Kind::Death | Kind::Recheck => true,
        })
}

#[cfg(test)]
mod tests {
    use super::{parse, print};

    #[test]
    fn text_is_read_as_it_was_printed() {
        for text in [
            "",
            "w0 r2<i;w2 r0<0.0;0:0.0;2:1.0",
            "u1<i=2 x1;a1<0.1 f0 c0=3 d0=1;1:0.1",
            "w0@0;t1=1@3;0:0.0",
        ] {
            let outline = parse(text);
            assert_eq!(
                outline.map(|outline| print(&outline)).as_deref(),
                Some(text)
            );
        }
    }
}
