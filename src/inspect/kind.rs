//! What the text says that a type is called.

/// The name of a type, as the directory keeps it: it may be cut, and a hostile peer may have written it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypeText<'a>(pub(super) &'a str);

impl<'a> TypeText<'a> {
    /// What comes before the parameters.
    pub(super) fn base(self) -> &'a str {
        self.0.split('<').next().unwrap_or(self.0)
    }

    /// The number that the type has as its last parameter, which is not written where it is this one.
    pub(super) fn last_number(self, unwritten: usize) -> Option<u64> {
        let written = self.whole()?.rsplit_once([',', '<']);
        let number = written.and_then(|(_, last)| last.strip_suffix('>')?.trim().parse().ok());
        Some(number.unwrap_or(unwritten as u64))
    }

    /// The length of the last array among its parameters.
    pub(super) fn array_length(self) -> Option<u64> {
        let (_, length) = self.whole()?.rsplit_once(';')?;
        length.split(']').next()?.trim().parse().ok()
    }

    /// The text, unless it was cut.
    fn whole(self) -> Option<&'a str> {
        let count = |bracket: char| self.0.matches(bracket).count();
        let is_closed = |(open, close)| count(open) == count(close);
        [('<', '>'), ('[', ']'), ('{', '}')]
            .into_iter()
            .all(is_closed)
            .then_some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::TypeText;

    #[test]
    fn numbers_are_told_from_the_whole_name_only() {
        let whole = TypeText("RobustBoundedBuffer<[u8; 3], [PairSlot<Slot<[u8; 3]>>], 12>");
        assert_eq!(whole.base(), "RobustBoundedBuffer");
        assert_eq!(whole.last_number(8), Some(12));
        let usual = TypeText("RobustMonitorBuffer<u64, [Slot<u64>]>");
        assert_eq!(usual.last_number(8), Some(8));
        let cut = TypeText("RobustBoundedBuffer<[u8; 3], [PairSlot<Slot<[u8; 3]>>], 1");
        assert_eq!(cut.base(), "RobustBoundedBuffer");
        assert_eq!((cut.last_number(8), cut.array_length()), (None, None));
        for (text, number) in [
            ("SegmentList", 8),
            ("SegmentList<3>", 3),
            ("BytePipe<[Slot<u8>; 5]>", 8),
            ("BytePipe<[Slot<u8>], 3>", 3),
            ("Rendezvous<Item<3>>", 8),
        ] {
            assert_eq!(TypeText(text).last_number(8), Some(number), "{text}");
        }
    }

    #[test]
    fn an_array_of_places_is_the_last_one() {
        let inside = TypeText("MonitorBuffer<[u8; 3], [Slot<[u8; 3]>; 7], Condvar, RawMutex>");
        assert_eq!(inside.array_length(), Some(7));
        assert_eq!(TypeText("Semaphore").array_length(), None);
    }
}
