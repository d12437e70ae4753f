//! `ledgerline import xes` on real logs: every event accounted for, nothing twice, and figures that a
//! separate script computes from the same file.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};
use support::program::text;
use support::{Api, TestResult, Up, fresh_tenant, say};

const MAPPING: &str = "examples/bpi2013-mapping.yaml";

/// A small log of our own.
const SMALL: &str = "examples/tickets.xes";

/// The real one, which is not ours to copy.
const REAL: &str = "../shared/data/bpi2013-closed-problems.xes.gz";

/// The summary of an import of `log` by `api`, and its exit code.
fn import(up: &Up, token: &str, log: &str) -> TestResult<(Value, Option<i32>)> {
    let rejects = up.folder().path().join("rejects.ndjson");
    let rejects = rejects.to_string_lossy().into_owned();
    let output = up.run(&[
        "import",
        "xes",
        log,
        "--mapping",
        MAPPING,
        "--rejects",
        &rejects,
        "--token",
        token,
        "-q",
        "-o",
        "json",
    ])?;
    let summary = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{}{}", text(&output.stdout), text(&output.stderr)))?;
    Ok((summary, output.status.code()))
}

/// What the script computes from the file.
fn figures(log: &str) -> TestResult<Value> {
    let output = Command::new("scripts/xes-figures").arg(log).output()?;
    anyhow::ensure!(output.status.success(), "{}", text(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What is compared of one person or group: counts, and seconds to the millisecond.
fn comparable(row: &Value, hand_overs: &str) -> Vec<(String, i64)> {
    let counts = ["open", "in_progress", "on_hold", "completed", "cancelled"];
    let states = [
        "queued",
        "assigned",
        "in_progress",
        "on_hold",
        "completed",
        "closed",
        "cancelled",
    ];
    let count = |name: &str| (name.to_owned(), row[name].as_i64().unwrap_or_default());
    let milliseconds = |state: &str| {
        let seconds = row["seconds"][state].as_f64().unwrap_or_default();
        (format!("{state} for"), (seconds * 1_000.0).round() as i64)
    };
    let mut all: Vec<_> = counts.into_iter().map(count).collect();
    all.extend(states.into_iter().map(milliseconds));
    all.push((
        "hand-overs".to_owned(),
        row[hand_overs].as_i64().unwrap_or_default(),
    ));
    all
}

type Rows = BTreeMap<String, Vec<(String, i64)>>;

async fn assert_workload(api: &Api, figures: &Value) -> TestResult {
    for (dimension, part) in [("person", "people"), ("group", "groups")] {
        let wanted: Rows = figures[part]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, row)| (name.clone(), comparable(row, "handovers_given")))
            .collect();
        let rows = api
            .all(&format!("/v1/workload?dimension={dimension}&limit=500"))
            .await?;
        let found: Rows = rows
            .iter()
            .map(|row| {
                let name = row["name"].as_str().unwrap_or_default().to_owned();
                (name, comparable(row, "hand_overs"))
            })
            .collect();
        for (name, row) in &wanted {
            let nothing = row.iter().all(|(_, value)| *value == 0);
            assert!(
                found.get(name).is_some_and(|found| found == row) || nothing,
                "{dimension} `{name}`: {:?}, by the script {row:?}",
                found.get(name)
            );
        }
        for (name, row) in &found {
            let nothing = row.iter().all(|(_, value)| *value == 0);
            assert!(
                nothing || wanted.contains_key(name),
                "{dimension} `{name}` is not in the log"
            );
        }
    }
    Ok(())
}

/// Imports a log twice and compares everything with the figures of the script.
async fn imported_twice(log: &str) -> TestResult<Value> {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let token = up.token("importer", &tenant, "operator")?;
    let api = up.api(&tenant, "operator")?;
    let figures = figures(log)?;
    let (first, exit) = import(up, &token, log)?;
    let rejected = first["rejected"].as_u64().unwrap_or_default();
    assert_eq!(exit, Some(if rejected == 0 { 0 } else { 8 }), "{first}");
    let sum: u64 = ["recorded", "already_there", "unchanged", "rejected"]
        .iter()
        .filter_map(|part| first[part].as_u64())
        .sum();
    assert_eq!(
        (&first["events"], json!(sum)),
        (&figures["events"], figures["events"].clone())
    );
    assert_eq!(first["already_there"], 0, "{first}");
    let by_script: u64 = figures["rejected"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, n)| n.as_u64())
        .sum();
    assert_eq!(rejected, by_script, "{first}");
    let count = api
        .get("/v1/assignments?count=true&limit=1")
        .await?
        .is(200)
        .json()?;
    assert_eq!(count["total"], figures["cases"]);
    assert_workload(&api, &figures).await?;
    let head = api.get("/v1/positions").await?.json()?["journal"].clone();
    let (second, exit_again) = import(up, &token, log)?;
    assert_eq!(exit_again, exit);
    assert_eq!(
        (&second["recorded"], &second["rejected"]),
        (&json!(0), &first["rejected"]),
        "{second}"
    );
    assert_eq!(second["already_there"], first["recorded"], "{second}");
    assert_eq!(
        api.get("/v1/positions").await?.json()?["journal"],
        head,
        "it added something"
    );
    Ok(first)
}

/// One after the other: each compares where the journal ends.
#[tokio::test]
async fn every_event_of_a_log_is_accounted_for_and_a_second_run_adds_nothing() -> TestResult {
    let small = imported_twice(SMALL).await?;
    assert_eq!(small["cases"], 8, "{small}");
    if Path::new(REAL).exists() {
        let real = imported_twice(REAL).await?;
        assert_eq!(
            (&real["cases"], &real["events"]),
            (&json!(1_487), &json!(6_660)),
            "{real}"
        );
        let told = ["recorded", "unchanged", "rejected", "commands", "seconds"];
        let told = told.map(|part| format!("{part} {}", real[part]));
        say(&format!(
            "1,487 cases and 6,660 events of the real log: {}",
            told.join(", ")
        ));
    } else {
        say(&format!(
            "`{REAL}` is not there: only the small log was imported"
        ));
    }
    Up::shared().verify()
}

#[tokio::test]
async fn what_cannot_be_taken_is_counted_by_reason_and_written_down_with_its_place() -> TestResult {
    let up = Up::start("rejects")?;
    let token = up.token("importer", "default", "operator")?;
    let log = up.folder().path().join("bad.xes");
    let event = |name: &str, transition: &str, time: &str| {
        format!(
            r#"<event><string key="concept:name" value="{name}"/>
            <string key="lifecycle:transition" value="{transition}"/>
            <date key="time:timestamp" value="{time}"/><string key="org:resource" value="Anna"/>
            <string key="org:group" value="Desk"/></event>"#
        )
    };
    let events = [
        event("Queued", "Awaiting Assignment", "2025-01-01T08:00:00Z"),
        event("Dancing", "Wildly", "2025-01-01T09:00:00Z"),
        event("Accepted", "In Progress", "not a time"),
        event("Completed", "Cancelled", "2025-01-01T10:00:00Z"),
        event("Completed", "Resolved", "2025-01-01T11:00:00Z"),
    ];
    let trace = format!(
        r#"<trace><string key="concept:name" value="C-1"/>{}</trace>"#,
        events.concat()
    );
    std::fs::write(&log, format!(r#"<log xes.version="1.0">{trace}</log>"#))?;
    let (summary, exit) = import(&up, &token, &log.to_string_lossy())?;
    assert_eq!(exit, Some(8), "{summary}");
    assert_eq!(
        (&summary["events"], &summary["rejected"]),
        (&json!(5), &json!(3)),
        "{summary}"
    );
    let rejects = std::fs::read_to_string(up.folder().path().join("rejects.ndjson"))?;
    let rejects = rejects
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    assert_eq!(rejects.len(), 3, "{rejects:?}");
    assert!(
        rejects
            .iter()
            .all(|line| line["case"] == "C-1" && line["reason"].is_string()),
        "{rejects:?}"
    );
    let places: Vec<_> = rejects
        .iter()
        .filter_map(|line| line["event"].as_u64())
        .collect();
    assert_eq!(places.len(), 3, "{rejects:?}");
    Ok(())
}
