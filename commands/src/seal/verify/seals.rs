//! The seals themselves: their numbers, ranges, links and signatures, and those kept elsewhere.

use std::collections::BTreeMap;

use domain::Position;

use super::{Difference, Evidence, Finding};
use crate::seal::{PublicKeys, Seal};

/// The seals that the journal is to be compared with, in order, and what is wrong with any. Where a
/// seal was kept elsewhere, that one counts.
pub(super) fn judged(evidence: Evidence) -> (Vec<Seal>, Vec<Finding>) {
    let unreadable = evidence.unreadable.into_iter();
    let mut findings: Vec<Finding> = unreadable
        .map(|(number, reason)| finding(number, Difference::NoSeal { reason }))
        .collect();
    let mut by_number = BTreeMap::new();
    for (seal, expected) in evidence.seals.into_iter().zip(1..) {
        if seal.number != expected {
            findings.push(finding(seal.number, Difference::SealOrder { expected }));
        }
        by_number.insert(seal.number, seal);
    }
    for outside in evidence.outside {
        match by_number.get(&outside.number) {
            Some(kept) if *kept == outside => {}
            Some(_) => findings.push(finding(outside.number, Difference::SealDiffers)),
            None => findings.push(finding(outside.number, Difference::SealGone)),
        }
        by_number.insert(outside.number, outside);
    }
    let seals: Vec<Seal> = by_number.into_values().collect();
    let mut previous = None;
    for seal in &seals {
        findings.extend(
            of_one(seal, previous, &evidence.keys).map(|wrong| finding(seal.number, wrong)),
        );
        previous = Some(seal);
    }
    (seals, findings)
}

fn of_one(
    seal: &Seal,
    previous: Option<&Seal>,
    keys: &PublicKeys,
) -> impl Iterator<Item = Difference> {
    let is_next = seal.number == previous.map_or(1, |previous| previous.number + 1);
    let begins = previous.map_or(Position(1), |previous| previous.last.next());
    let link = previous.map(Seal::hash).unwrap_or_default();
    let positions = (seal.last.0 + 1).checked_sub(seal.first.0);
    let has_marks = positions == Some(seal.marks.len() as u64) && !seal.marks.is_empty();
    // Between seals that do not follow one another nothing is known.
    let range = (!has_marks || is_next && seal.first != begins).then_some(Difference::SealRange);
    let link = (is_next && seal.previous != link).then_some(Difference::SealLink);
    let signature = keys.check(seal).err().map(Difference::SealSignature);
    range.into_iter().chain(link).chain(signature)
}

fn finding(seal: u64, difference: Difference) -> Finding {
    Finding {
        position: None,
        stream: None,
        seal: Some(seal),
        difference,
    }
}
