//! The axioms of RC11 over a candidate execution.
//!
//! From Lahav, Vafeiadis, Kang, Hur, Dreyer: *Repairing Sequential Consistency in C/C++11*, PLDI
//! 2017, section 3 and figure 1, with the release sequences of C++20: a relaxed store by the thread
//! of the release store does not continue its sequence. The names are those of the paper, `;` is
//! composition, `[S]` the identity on a set:
//!
//! ```text
//! rb       = rf⁻¹ ; mo
//! eco      = (rf ∪ mo ∪ rb)⁺
//! rs       = [W] ; (rf ; rmw)*
//! sw       = [E⊒rel] ; ([F] ; sb)? ; rs ; rf ; [R] ; (sb ; [F])? ; [E⊒acq]
//! hb       = (sb ∪ sw)⁺
//! scb      = sb ∪ sb|≠loc ; hb ; sb|≠loc ∪ hb|loc ∪ mo ∪ rb
//! psc_base = ([E^sc] ∪ [F^sc] ; hb?) ; scb ; ([E^sc] ∪ hb? ; [F^sc])
//! psc_F    = [F^sc] ; (hb ∪ hb ; eco ; hb) ; [F^sc]
//!
//! COHERENCE    hb ; eco? is irreflexive
//! ATOMICITY    rmw ∩ (rb ; mo) is empty
//! SC           psc_base ∪ psc_F is acyclic
//! NO-THIN-AIR  sb ∪ rf is acyclic
//! ```
//!
//! All locations are atomic, so there are no data races.

use crate::events::Events;
use crate::relation::Relation;

/// A part of the model that a test can leave out, to show that the litmus tests need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Coherence,
    Atomicity,
    NoThinAir,
    /// The axiom SC as a whole.
    Sc,
    /// `(rf ; rmw)*` in rs: a release sequence is its head.
    ReleaseSequence,
    /// `([F] ; sb)?` in sw.
    ReleaseFence,
    /// `(sb ; [F])?` in sw.
    AcquireFence,
    /// `sb` in scb.
    ScbProgramOrder,
    /// `sb|≠loc ; hb ; sb|≠loc` in scb.
    ScbHappensBefore,
    /// `|≠loc` in `sb|≠loc ; hb ; sb|≠loc`. Without it, more is ordered: C++20 has `sb ; hb ; sb`
    /// (P0668).
    ScbOtherLocation,
    /// `hb|loc` in scb.
    ScbHappensBeforeSameLocation,
    /// `mo` in scb.
    ScbModificationOrder,
    /// `rb` in scb.
    ScbReadsBefore,
    /// `[F^sc] ; hb?` and `hb? ; [F^sc]` in psc_base.
    PscBaseFences,
    /// `psc_F`.
    PscFences,
    /// `hb ; eco ; hb` in psc_F.
    PscFencesCoherence,
}

impl Part {
    pub const ALL: [Self; 16] = [
        Self::Coherence,
        Self::Atomicity,
        Self::NoThinAir,
        Self::Sc,
        Self::ReleaseSequence,
        Self::ReleaseFence,
        Self::AcquireFence,
        Self::ScbProgramOrder,
        Self::ScbHappensBefore,
        Self::ScbOtherLocation,
        Self::ScbHappensBeforeSameLocation,
        Self::ScbModificationOrder,
        Self::ScbReadsBefore,
        Self::PscBaseFences,
        Self::PscFences,
        Self::PscFencesCoherence,
    ];
}

/// RC11, or RC11 without one part.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub without: Option<Part>,
}

pub const RC11: Model = Model { without: None };

/// What an execution adds to the events of its program.
pub struct Choice {
    /// rf: from a write to the reads that read from it.
    pub reads_from: Relation,
    /// mo: a total order of the writes to each location.
    pub modification_order: Relation,
}

impl Model {
    pub fn has(self, part: Part) -> bool {
        self.without != Some(part)
    }

    /// `relation`, or the empty relation if the model lacks the part.
    fn part(self, part: Part, relation: Relation) -> Relation {
        if self.has(part) {
            return relation;
        }
        relation.without(&relation)
    }

    /// Whether the axioms hold.
    ///
    /// Every relation above grows with rf and mo, so if an axiom is violated by a part of rf and
    /// mo, it is violated by the whole.
    pub fn allows(self, events: &Events, choice: &Choice) -> bool {
        let (sb, rf) = (&events.sequenced_before, &choice.reads_from);
        if self.has(Part::NoThinAir) && !sb.or(rf).is_acyclic() {
            return false;
        }
        let mo = &choice.modification_order;
        let rb = &rf.inverse().then(mo);
        if self.has(Part::Atomicity) && !events.rmw.and(&rb.then(mo)).is_empty() {
            return false;
        }
        let eco = &rf.or(mo).or(rb).plus();
        let hb = &sb.or(&self.synchronizes_with(events, rf)).plus();
        if self.has(Part::Coherence) && !hb.then(&eco.optional()).is_irreflexive() {
            return false;
        }
        let trivial = !self.has(Part::Sc) || events.sets.seq_cst == 0;
        trivial || self.psc(events, [hb, mo, rb, eco]).is_acyclic()
    }

    /// sw
    fn synchronizes_with(self, events: &Events, rf: &Relation) -> Relation {
        let identity = |set| Relation::identity(events.count(), set);
        let (sets, sb) = (&events.sets, &events.sequenced_before);
        let fence_before = self.part(Part::ReleaseFence, identity(sets.fences).then(sb));
        let fence_after = self.part(Part::AcquireFence, sb.then(&identity(sets.fences)));
        let chain = self.part(Part::ReleaseSequence, rf.then(&events.rmw));
        identity(sets.release)
            .then(&fence_before.optional())
            .then(&identity(sets.writes))
            .then(&chain.star())
            .then(rf)
            .then(&identity(sets.reads))
            .then(&fence_after.optional())
            .then(&identity(sets.acquire))
    }

    /// scb
    fn sc_before(self, events: &Events, [hb, mo, rb]: [&Relation; 3]) -> Relation {
        let (sb, same) = (&events.sequenced_before, &events.same_location);
        let sb_other = &if self.has(Part::ScbOtherLocation) {
            sb.without(same)
        } else {
            sb.clone()
        };
        self.part(Part::ScbProgramOrder, sb.clone())
            .or(&self.part(Part::ScbHappensBefore, sb_other.then(hb).then(sb_other)))
            .or(&self.part(Part::ScbHappensBeforeSameLocation, hb.and(same)))
            .or(&self.part(Part::ScbModificationOrder, mo.clone()))
            .or(&self.part(Part::ScbReadsBefore, rb.clone()))
    }

    /// psc_base ∪ psc_F: a relation between SeqCst events.
    fn psc(self, events: &Events, [hb, mo, rb, eco]: [&Relation; 4]) -> Relation {
        let sets = &events.sets;
        let event = Relation::identity(events.count(), sets.seq_cst);
        let fence = Relation::identity(events.count(), sets.seq_cst & sets.fences);
        let before = self.part(Part::PscBaseFences, fence.then(&hb.optional()));
        let after = self.part(Part::PscBaseFences, hb.optional().then(&fence));
        let scb = self.sc_before(events, [hb, mo, rb]);
        let base = event.or(&before).then(&scb).then(&event.or(&after));

        let coherence = self.part(Part::PscFencesCoherence, hb.then(eco).then(hb));
        let fences = fence.then(&hb.or(&coherence)).then(&fence);
        base.or(&self.part(Part::PscFences, fences))
    }
}
