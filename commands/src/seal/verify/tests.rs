//! What is found, what is not, and where. (500 seeded changes of a real journal: `infra/tests`.)

use domain::Sha256;

use super::super::testing::{History, keys};
use super::*;

fn places(report: &Report) -> Vec<(Option<u64>, Difference)> {
    let findings = report.findings.iter();
    findings
        .map(|finding| {
            (
                finding.position.map(|position| position.0),
                finding.difference.clone(),
            )
        })
        .collect()
}

/// 100 commits, of which 96 are sealed.
fn history() -> History {
    History::of(100, 16)
}

#[test]
fn an_untouched_journal_has_no_differences_and_the_report_says_how_far_it_is_sealed() {
    let history = history();
    let report = history.verified(&history.seals);
    assert_eq!(places(&report), []);
    let Report {
        head,
        commits,
        seals,
        sealed_to,
        ..
    } = report;
    assert_eq!((head.0, commits, seals, sealed_to.0), (100, 100, 6, 96));
}

#[test]
fn an_edit_under_a_chain_that_was_computed_anew_is_found_at_its_place() {
    for position in [1, 16, 17, 40, 96] {
        let mut history = history();
        let commit = &mut history.commits[position - 1];
        let edited = String::from_utf8(commit.payload.to_vec()).expect("text");
        commit.payload = edited.replace("ann", "bob").into();
        let report = history.rechained().verified(&[]);
        let first = report.findings.first().expect("it is found");
        assert_eq!(first.position, Some(Position(position as u64)));
        assert_eq!(first.difference, Difference::Altered);
    }
}

#[test]
fn a_trace_or_a_command_that_was_changed_is_found() {
    let mut changed = history();
    changed.commits[4].trace.push('x');
    assert_eq!(
        places(&changed.verified(&[])),
        [(Some(5), Difference::Altered)]
    );
    let another = history().commits[3].command.clone();
    for (at, command) in [(4, another.clone()), (4, String::new()), (5, another)] {
        let mut changed = history();
        assert_ne!(changed.commits[at].command, command);
        changed.commits[at].command = command;
        let report = changed.verified(&[]);
        let finding = report.findings.first().expect("it is found");
        assert_eq!(finding.position, Some(Position(at as u64 + 1)));
        assert!(
            matches!(finding.difference, Difference::NoCommit { .. }),
            "{finding:?}"
        );
    }
}

#[test]
fn a_missing_commit_is_told_with_its_range_and_what_it_broke() {
    let mut history = history();
    history.commits.drain(30..33);
    let report = history.verified(&[]);
    assert_eq!(
        places(&report)[0],
        (Some(31), Difference::Missing { last: Position(33) })
    );
}

#[test]
fn a_journal_cut_off_before_its_last_seal_is_found_with_where_it_ends() {
    for end in [0, 1, 80, 90, 95] {
        let mut history = history();
        history.commits.truncate(end);
        let cut = Difference::Truncated { last: Position(96) };
        assert_eq!(
            places(&history.verified(&[])),
            [(Some(end as u64 + 1), cut)]
        );
    }
}

#[test]
fn a_journal_cut_off_with_its_seals_is_found_only_by_seals_that_were_kept_elsewhere() {
    let whole = history();
    let mut cut = whole.clone();
    cut.commits.truncate(40);
    cut.seals.truncate(2);
    assert_eq!(places(&cut.verified(&[])), []);
    let report = cut.verified(&whole.seals[..4]);
    let truncated = Difference::Truncated { last: Position(64) };
    assert_eq!(
        places(&report),
        [
            (None, Difference::SealGone),
            (None, Difference::SealGone),
            (Some(41), truncated)
        ]
    );
}

#[test]
fn what_was_never_sealed_can_be_cut_off_unseen() {
    let mut history = history();
    history.commits.truncate(97);
    assert_eq!(places(&history.verified(&history.seals)), []);
}

#[test]
fn whoever_seals_a_changed_history_anew_is_found_by_seals_that_were_kept_elsewhere() {
    let whole = history();
    let mut forged = whole.clone();
    forged.commits[20].payload = forged.commits[20].payload.to_ascii_lowercase().into();
    let text = String::from_utf8(forged.commits[20].payload.to_vec()).expect("text");
    forged.commits[20].payload = text.replace("ann", "bob").into();
    let mut forged = forged.rechained();
    let (key, _) = keys("k1");
    forged.seals.clear();
    for range in forged.commits.chunks_exact(16) {
        let fingerprints: Vec<Sha256> = range.iter().map(tree::fingerprint).collect();
        let seal = Seal::make(
            forged.seals.last(),
            &fingerprints,
            domain::Timestamp::UNIX_EPOCH,
            &key,
        );
        forged.seals.push(seal);
    }
    assert_eq!(places(&forged.verified(&[])), []);
    let report = forged.verified(&whole.seals);
    assert!(
        places(&report).contains(&(Some(21), Difference::Altered)),
        "{report:?}"
    );
    assert!(
        places(&report).contains(&(None, Difference::SealDiffers)),
        "{report:?}"
    );
}

#[test]
fn every_field_of_a_seal_is_held_by_its_signature() {
    let edits: [fn(&mut Seal); 6] = [
        |seal| seal.root = Sha256([1; 32]),
        |seal| seal.marks[3] ^= 1,
        |seal| seal.previous = Sha256([1; 32]),
        |seal| seal.at = domain::Timestamp::MAX,
        |seal| seal.signature.0[9] ^= 1,
        |seal| seal.last = Position(seal.last.0 - 1),
    ];
    for edit in edits {
        let mut history = history();
        edit(&mut history.seals[2]);
        let report = history.verified(&[]);
        let wrong = Difference::SealSignature(SignatureFault::Wrong);
        let found = report.findings.iter();
        let mut of_seal = found.filter(|finding| finding.seal == Some(3));
        assert!(
            of_seal.any(|finding| finding.difference == wrong),
            "{report:?}"
        );
    }
}

#[test]
fn a_seal_that_was_taken_out_doubled_or_moved_is_found() {
    let edits: [fn(&mut Vec<Seal>); 4] = [
        |seals| drop(seals.remove(0)),
        |seals| drop(seals.remove(3)),
        |seals| seals.swap(1, 2),
        |seals| seals.insert(2, seals[1].clone()),
    ];
    for edit in edits {
        let mut history = history();
        edit(&mut history.seals);
        let report = history.verified(&[]);
        let orders = |finding: &Finding| matches!(finding.difference, Difference::SealOrder { .. });
        assert!(report.findings.iter().any(orders), "{report:?}");
    }
}

#[test]
fn a_seal_of_a_key_that_nobody_knows_counts_for_nothing() {
    let history = history();
    let (other, _) = keys("k2");
    let mut forged = history.clone();
    let fingerprints: Vec<Sha256> = history.commits[..16]
        .iter()
        .map(tree::fingerprint)
        .collect();
    forged.seals = vec![Seal::make(
        None,
        &fingerprints,
        domain::Timestamp::UNIX_EPOCH,
        &other,
    )];
    let unknown = Difference::SealSignature(SignatureFault::UnknownKey);
    assert_eq!(places(&forged.verified(&[])), [(None, unknown)]);
}
