//! Binary relations over at most 64 events, as boolean matrices.

/// A set of events: bit `i` stands for event `i`.
pub type Set = u64;

/// A binary relation: bit `j` of row `i` says that event `i` is related to event `j`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    rows: Vec<u64>,
}

impl Relation {
    pub fn empty(events: usize) -> Self {
        assert!(
            events <= 64,
            "{events} events do not fit into a row of 64 bits"
        );
        Self {
            rows: vec![0; events],
        }
    }

    /// `[set]`: relates each event of the set to itself.
    pub fn identity(events: usize, set: Set) -> Self {
        let rows = (0..events).map(|event| set & (1 << event));
        Self {
            rows: rows.collect(),
        }
    }

    pub fn insert(&mut self, from: usize, to: usize) {
        self.rows[from] |= 1 << to;
    }

    pub fn contains(&self, from: usize, to: usize) -> bool {
        self.rows[from] & (1 << to) != 0
    }

    fn zip(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let rows = self.rows.iter().zip(&other.rows);
        Self {
            rows: rows.map(|(&a, &b)| combine(a, b)).collect(),
        }
    }

    /// `self ∪ other`
    pub fn or(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// `self ∩ other`
    pub fn and(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// `self \ other`
    pub fn without(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// `self ; other`
    pub fn then(&self, other: &Self) -> Self {
        let row = |&row: &u64| bits(row).fold(0, |sum, middle| sum | other.rows[middle]);
        Self {
            rows: self.rows.iter().map(row).collect(),
        }
    }

    /// `self⁻¹`
    pub fn inverse(&self) -> Self {
        let mut inverse = Self::empty(self.rows.len());
        for (from, &row) in self.rows.iter().enumerate() {
            bits(row).for_each(|to| inverse.insert(to, from));
        }
        inverse
    }

    /// `self?`: the reflexive closure.
    pub fn optional(&self) -> Self {
        self.or(&Self::identity(self.rows.len(), !0))
    }

    /// `self⁺`: the transitive closure (Warshall's algorithm).
    pub fn plus(&self) -> Self {
        let mut rows = self.rows.clone();
        for middle in 0..rows.len() {
            let reached = rows[middle];
            for row in &mut rows {
                if *row & (1 << middle) != 0 {
                    *row |= reached;
                }
            }
        }
        Self { rows }
    }

    /// `self*`: the reflexive and transitive closure.
    pub fn star(&self) -> Self {
        self.plus().optional()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(|&row| row == 0)
    }

    pub fn is_irreflexive(&self) -> bool {
        (0..self.rows.len()).all(|event| !self.contains(event, event))
    }

    pub fn is_acyclic(&self) -> bool {
        self.plus().is_irreflexive()
    }
}

/// The positions of the bits that are set.
pub fn bits(mut set: Set) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

#[cfg(test)]
fn relation(events: usize, pairs: &[(usize, usize)]) -> Relation {
    let mut relation = Relation::empty(events);
    pairs
        .iter()
        .for_each(|&(from, to)| relation.insert(from, to));
    relation
}

#[test]
fn operators_agree_with_their_definitions() {
    let path = relation(4, &[(0, 1), (1, 2), (2, 3)]);
    assert_eq!(path.then(&path), relation(4, &[(0, 2), (1, 3)]));
    let closure = relation(4, &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
    assert_eq!(path.plus(), closure);
    assert_eq!(path.inverse(), relation(4, &[(1, 0), (2, 1), (3, 2)]));
    assert_eq!(
        closure.without(&path),
        relation(4, &[(0, 2), (0, 3), (1, 3)])
    );
    assert_eq!(closure.and(&path), path);
    assert!(path.is_acyclic() && path.is_irreflexive() && !path.is_empty());
    assert!(!path.optional().is_irreflexive());
    assert!(!path.or(&relation(4, &[(3, 0)])).is_acyclic());
    let first = Relation::identity(4, 0b0001);
    assert_eq!(first.then(&path), relation(4, &[(0, 1)]));
    assert_eq!(path.star(), closure.optional());
}
