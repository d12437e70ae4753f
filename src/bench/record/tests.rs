//! The record is read as it was written, and a later figure replaces its own name alone.

use super::*;

/// A run at a second of the year's first day, with figures of these names.
pub(crate) fn run(second: u32, commit: &str, names: &[&'static str]) -> Run {
    let figure = |name: &&'static str| Figure {
        name: (*name).into(),
        value: 1_753.531_529_756_16,
        ceiling: 3_294.287_053,
        ratio: 0.532_294_697,
        unit: "commands/s".into(),
        floor: 0.5,
        ok: true,
        spread: 0.248_783,
        ceiling_spread: 0.0,
        note: "p50 33.97 ms".to_owned(),
    };
    Run {
        at: format!("2026-01-01T00:00:{second:02}Z")
            .parse()
            .expect("a time"),
        build: Build {
            commit: Some(commit.to_owned()),
            dirty: false,
            version: "0.1.0".to_owned(),
            profile: "release".to_owned(),
        },
        machine: Machine {
            cpu: "AMD EPYC".to_owned(),
            cores: 2,
            memory_bytes: 24 << 30,
            kernel: "6.18".to_owned(),
            os: "Debian 12".to_owned(),
            file_system: "ext4".to_owned(),
        },
        servers: Servers {
            nats_server: "2.15.1".to_owned(),
            postgres: "15".to_owned(),
        },
        options: Asked {
            quick: false,
            events: 1_000_000,
            minutes: None,
            rate: None,
        },
        load_before: Some(0.16),
        figures: names.iter().map(figure).collect(),
    }
}

/// A record of these runs.
pub(crate) fn record(runs: &[Run]) -> Record {
    let mut record = Record::empty();
    for run in runs {
        for figure in &run.figures {
            record.put(run, figure);
        }
    }
    record
}

/// Which figures each run has.
fn names(record: &Record) -> Vec<Vec<&str>> {
    record
        .runs
        .iter()
        .map(|run| run.figures.iter().map(|figure| &*figure.name).collect())
        .collect()
}

/// A file that no other test uses.
fn file(name: &str, text: Option<&str>) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ledgerline-record-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for temporary files");
    let path = folder.join(name);
    match text {
        Some(text) => fs::write(&path, text).expect("it is written"),
        None => drop(fs::remove_file(&path)),
    }
    path
}

#[test]
fn a_later_run_replaces_its_own_figures_alone() {
    let all = run(1, "aaa", &["commands_64", "memory", "visible_p99"]);
    let one = run(2, "bbb", &["memory"]);
    let record = record(&[all, one]);
    assert_eq!(
        names(&record),
        [vec!["commands_64", "visible_p99"], vec!["memory"]]
    );
    assert_eq!(record.runs[1].build.commit.as_deref(), Some("bbb"));
}

#[test]
fn a_run_without_figures_goes() {
    let record = record(&[run(1, "aaa", &["memory"]), run(2, "bbb", &["memory"])]);
    assert_eq!(names(&record), [vec!["memory"]]);
    assert_eq!(record.runs[0].build.commit.as_deref(), Some("bbb"));
}

#[test]
fn a_record_is_read_as_it_was_written_and_written_as_it_was_read() {
    let path = file("round-trip.json", None);
    let run = run(1, "aaa", &["commands_64", "memory"]);
    let mut recording = Recording::open(&path).expect("a new file");
    for figure in &run.figures {
        recording.put(&run, figure).expect("it is written");
    }
    let text = fs::read(&path).expect("it is there");
    assert_eq!(Record::read(&path).expect("a record"), recording.record);
    Recording::open(&path).expect("a record");
    assert_eq!(fs::read(&path).expect("it is there"), text);
}

#[test]
fn what_is_no_record_is_refused_and_stays_as_it_is() {
    let path = file("other.json", Some("{\"schema\": 2, \"runs\": {}}"));
    let error = Recording::open(&path).expect_err("another schema");
    assert!(matches!(error, Error::Schema { found: 2, .. }), "{error}");
    for text in [
        "",
        "[]",
        "{}",
        "{\"schema\": 1, \"runs\": [{}]}",
        "{\"schema\": 1, \"runs\": [], \"x\": 1}",
    ] {
        let path = file("none.json", Some(text));
        let error = Recording::open(&path).expect_err(text);
        assert!(matches!(error, Error::Form { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_known_before_anything_is_measured() {
    let path = file("a-file", Some("")).join("record.json");
    let error = Recording::open(&path).expect_err("a file is no folder");
    assert!(matches!(error, Error::Io { .. }), "{error}");
}
