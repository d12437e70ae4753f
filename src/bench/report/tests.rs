//! The page keeps its prose, and says of each figure where it comes from.

use super::super::record::tests::{record, run};
use super::*;

const PAGE: &str = "# Performance\nprose | above\n";

fn page(record: &Record) -> String {
    let empty = format!("{PAGE}{BEGIN}\nold\n{END}\nprose below\n");
    filled(&empty, record).expect("the page has a place")
}

#[test]
fn only_what_stands_between_the_marks_is_made_anew() {
    let page = page(&record(&[run(1, "0123456789abcdef", &["memory"])]));
    assert!(
        page.starts_with(PAGE) && page.ends_with("\nprose below\n"),
        "{page}"
    );
    assert!(!page.contains("old"), "{page}");
    let again = filled(&page, &record(&[run(1, "0123456789abcdef", &["memory"])]));
    assert_eq!(again, Ok(page));
}

#[test]
fn a_page_without_a_place_is_refused() {
    for page in ["", BEGIN, END, &format!("{END}\n{BEGIN}\n")] {
        assert_eq!(filled(page, &Record::empty()), Err(NoPlace), "{page}");
    }
}

#[test]
fn a_figure_stands_with_its_run_and_a_run_with_its_origin() {
    let mut old = run(1, "0123456789abcdef", &["memory", "commands_64"]);
    old.options.quick = true;
    let mut new = run(2, "fedcba9876543210", &["memory"]);
    new.build.dirty = true;
    new.build.profile = "dev".to_owned();
    new.build.version = "0.2.0".to_owned();
    let page = page(&record(&[old, new]));
    for line in [
        "| `commands_64` | 1,754 ± 25 % | 3,294 | commands/s | 0.53 | 0.5 | yes | 1 | p50 33.97 ms |",
        "| `memory` | 1,754 ± 25 % | 3,294 | commands/s | 0.53 | 0.5 | yes | 2 | p50 33.97 ms |",
        "1. 2026-01-01 00:00 UTC, commit `012345678`, version 0.1.0, **`--quick`**, machine A, load 0.16 before",
        "2. 2026-01-01 00:00 UTC, commit `fedcba987` with changes, version 0.2.0, **`dev` build**, machine A, \
         load 0.16 before",
        "Machine A: AMD EPYC, 2 processors, 24 GiB, ext4, Debian 12, Linux 6.18; nats-server 2.15.1, \
         Postgres 15.",
    ] {
        assert!(
            page.contains(&format!("\n{line}\n")),
            "{line}\nis not in\n{page}"
        );
    }
    assert!(!page.contains("Machine B"), "{page}");
}

#[test]
fn another_machine_has_another_letter() {
    let mut other = run(2, "bbb", &["memory"]);
    other.machine.cores = 16;
    other.build.commit = None;
    other.load_before = None;
    let page = page(&record(&[run(1, "aaa", &["commands_64"]), other]));
    assert!(
        page.contains("2. 2026-01-01 00:00 UTC, commit not known, version 0.1.0, machine B\n"),
        "{page}"
    );
    assert!(
        page.contains("\nMachine B: AMD EPYC, 16 processors"),
        "{page}"
    );
}

#[test]
fn peers_stand_beside_our_own_jobs() {
    let mut record = record(&[run(1, "aaa", &["jobs_single"])]);
    let peer = |mode: &str, per_second| Peer {
        at: "2026-01-01T00:00:00Z".parse().expect("a time"),
        peer: "BullMQ".to_owned(),
        mode: mode.to_owned(),
        jobs: 2_000,
        per_second,
    };
    record.peers = vec![peer("single", 2_828), peer("bulk", 2_985)];
    let page = page(&record);
    assert!(
        page.contains("\n| Ledgerline | 1,754 |  | as above |\n"),
        "{page}"
    );
    assert!(
        page.contains("\n| BullMQ | 2,828 | 2,985 | 2026-01-01, 2000 jobs |\n"),
        "{page}"
    );
}

#[test]
fn a_number_has_the_digits_that_mean_something() {
    assert_eq!(number(0.2345), "0.234");
    assert_eq!(number(12.345), "12.35");
    assert_eq!(number(170_000.4), "170,000");
    assert_eq!(number(999.6), "1,000");
    assert_eq!(number(-123_456.0), "-123,456");
    assert_eq!(number(-100.0), "-100");
}
