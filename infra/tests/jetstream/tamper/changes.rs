//! Changes that somebody could make to a journal, each with the place where it has to be found.

use std::collections::HashMap;

use bytes::Bytes;
use commands::chain;
use commands::seal::{RawCommit, Seal};
use domain::{Chain, Position};

use super::{Copy, SEALED};

/// A changed copy, and where that has to be found.
pub(super) struct Change {
    what: String,
    copy: Copy,
    outside: Vec<Seal>,
    /// Where the changed journal says that it ends.
    head: Position,
    place: u64,
}

/// Numbers that can be had again from their seed: splitmix64, Vigna 2015.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

impl Change {
    pub(super) fn of(seed: u64, whole: &Copy) -> Self {
        let mut dice = Dice(seed);
        let mut change = Self {
            what: String::new(),
            copy: whole.clone(),
            outside: Vec::new(),
            head: whole.head(),
            place: 0,
        };
        let all = whole.commits.len();
        // Indices; positions are one more.
        let (any, sealed) = (dice.below(all), dice.below(SEALED - 1));
        match seed % 13 {
            0 => change.flip_payload(any, &mut dice),
            1 => change.flip_header(any, sealed, &mut dice),
            2 => change.drop(any, "left a hole", false),
            3 => change.drop(sealed, "closed the hole", true),
            4 => change.drop_unsealed(&mut dice),
            5 => change.swap(sealed, sealed + 1 + dice.below(all - sealed - 1)),
            6 => change.rotate(sealed, 2 + dice.below(SEALED - sealed)),
            7 => change.truncate(dice.below(SEALED), 12),
            8 => change.truncate_with_seals(dice.below(SEALED), whole),
            9 => change.truncate_behind_the_last_seal(SEALED + dice.below(all - SEALED), whole),
            10 => change.insert_copy(sealed, dice.below(all)),
            11 => change.insert_forged(sealed),
            _ => change.edit_and_rechain(sealed, &mut dice),
        }
        change
    }

    /// Whether the first difference is where the change was made.
    pub(super) fn is_found(&self) -> Result<(), String> {
        let report = self.copy.verified(&self.outside, self.head);
        let first = report.findings.iter().find_map(|finding| finding.position);
        match first {
            Some(Position(place)) if place == self.place => Ok(()),
            first => Err(format!(
                "{}: at {first:?} instead of {}: {:?}",
                self.what,
                self.place,
                report.findings.iter().take(3).collect::<Vec<_>>()
            )),
        }
    }

    fn at(&mut self, index: usize, what: impl Into<String>) {
        self.place = index as u64 + 1;
        self.what = what.into();
    }

    fn flip_payload(&mut self, index: usize, dice: &mut Dice) {
        let commit = &mut self.copy.commits[index];
        let mut payload = commit.payload.to_vec();
        let byte = dice.below(payload.len());
        payload[byte] ^= 1 << dice.below(8);
        commit.payload = payload.into();
        self.at(index, "flipped a bit of a payload");
    }

    /// Chain and command are held everywhere, stream and trace where they are sealed.
    fn flip_header(&mut self, any: usize, sealed: usize, dice: &mut Dice) {
        let which = dice.below(4);
        let index = if which < 2 { any } else { sealed };
        let commit = &mut self.copy.commits[index];
        let header = [
            &mut commit.chain,
            &mut commit.command,
            &mut commit.stream,
            &mut commit.trace,
        ];
        let header = header.into_iter().nth(which).expect("one of four");
        // A command that was drawn stands in the payload alone: a header is put beside it. Of the others some are taken away.
        if header.is_empty() {
            header.push('0');
        } else if which == 1 && dice.below(2) == 0 {
            header.clear();
            return self.at(index, "took the command away");
        }
        let mut bytes = header.clone().into_bytes();
        let byte = dice.below(bytes.len());
        // The lower bits, so that it stays text as headers and subjects are.
        bytes[byte] ^= 1 << dice.below(6);
        *header = String::from_utf8(bytes).expect("ASCII stays ASCII");
        self.at(index, format!("flipped a bit of header {which}"));
    }

    fn drop(&mut self, index: usize, what: &str, close: bool) {
        self.copy.commits.remove(index);
        self.at(index, format!("dropped a commit and {what}"));
        if close {
            self.renumber();
        }
    }

    /// Behind the last seal the next commit of the same stream tells; here all are the last of theirs,
    /// but for one that is put behind first.
    fn drop_unsealed(&mut self, dice: &mut Dice) {
        let index = SEALED + dice.below(self.copy.commits.len() - SEALED);
        let dropped = self.copy.commits.remove(index);
        self.renumber();
        let mut next = dropped.clone();
        let payload = String::from_utf8_lossy(&dropped.payload).into_owned();
        let version = payload
            .split("\"version\":")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let version: u64 = version
            .and_then(|text| text.parse().ok())
            .expect("commits have one");
        let counted = format!("\"version\":{version}");
        let payload = payload.replace(&counted, &format!("\"version\":{}", version + 1));
        next.payload = payload.into();
        let chain: Chain = dropped.chain.parse().expect("it was written by us");
        next.chain = chain::extend(chain, &next.payload).to_string();
        next.position = Position(self.copy.commits.len() as u64 + 1);
        self.head = next.position;
        self.copy.commits.push(next);
        let last = self.copy.commits.len() - 1;
        self.at(
            last,
            "dropped a commit behind the last seal, with one of its stream behind it",
        );
    }

    fn swap(&mut self, first: usize, second: usize) {
        self.copy.commits.swap(first, second);
        self.at(first, format!("swapped two, the other at {}", second + 1));
        self.renumber();
    }

    fn rotate(&mut self, first: usize, count: usize) {
        let end = (first + count).min(self.copy.commits.len());
        self.copy.commits[first..end].rotate_left(1);
        self.at(first, format!("put {count} into another order"));
        self.renumber();
    }

    fn truncate(&mut self, end: usize, seals: usize) {
        self.copy.commits.truncate(end);
        self.copy.seals.truncate(seals);
        self.head = self.copy.head();
        self.at(end, "cut off before the last seal");
    }

    fn truncate_with_seals(&mut self, end: usize, whole: &Copy) {
        let seals = whole.seals.iter().filter(|seal| seal.last.0 <= end as u64);
        let seals = seals.count();
        self.truncate(end, seals);
        self.outside = whole.seals.clone();
        self.what = "cut off before the last seal, and the seals with it".to_owned();
    }

    fn truncate_behind_the_last_seal(&mut self, end: usize, whole: &Copy) {
        self.truncate(end, 12);
        self.outside = whole.outside.clone();
        self.what = "cut off behind the last seal that is beside the journal".to_owned();
    }

    fn insert_copy(&mut self, index: usize, of: usize) {
        // A copy of what stands there would move on what stands there.
        let of = if of == index { of + 1 } else { of };
        let copied = self.copy.commits[of].clone();
        self.copy.commits.insert(index, copied);
        self.at(index, format!("inserted a copy of {}", of + 1));
        self.renumber();
    }

    fn insert_forged(&mut self, index: usize) {
        let mut forged = self.copy.commits[0].clone();
        forged.stream = "tamper.queue.forged".to_owned();
        self.copy.commits.insert(index, forged);
        self.at(
            index,
            "inserted a first commit of another stream, with a chain that holds",
        );
        self.renumber();
    }

    fn edit_and_rechain(&mut self, index: usize, dice: &mut Dice) {
        let commit = &mut self.copy.commits[index];
        let digit = dice.below(10);
        let edited =
            String::from_utf8_lossy(&commit.payload).replace("tester", &format!("t{digit}"));
        commit.payload = Bytes::from(edited);
        self.at(index, "edited a payload and computed every chain anew");
        let mut tails: HashMap<String, Chain> = HashMap::new();
        for commit in &mut self.copy.commits {
            let tail = tails.entry(commit.stream.clone()).or_default();
            *tail = chain::extend(*tail, &commit.payload);
            commit.chain = tail.to_string();
        }
    }

    fn renumber(&mut self) {
        for (commit, position) in self.copy.commits.iter_mut().zip(1..) {
            let commit: &mut RawCommit = commit;
            commit.position = Position(position);
        }
        self.head = self.copy.head();
    }
}
