//! The bench keeps what it measures: a soak of a few seconds on a program of its own, its files, its
//! record, and a page made of it.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::Context as _;
use serde_json::{Value, json};
use support::TestResult;
use support::program::{Folder, run, text};

fn bench(folder: &Path, arguments: &[&str]) -> TestResult<Output> {
    run(&folder.join("none"), &[&["bench"], arguments].concat())
}

/// A path as an argument.
fn below(folder: &Path, name: &str) -> TestResult<String> {
    let path = folder.join(name).into_os_string().into_string();
    path.map_err(|path| anyhow::anyhow!("{path:?} is no text"))
}

#[test]
fn a_soak_leaves_its_samples_its_picture_and_its_figures() -> TestResult {
    let folder = Folder::new("soak")?;
    let folder = folder.path();
    let (out, record) = (below(folder, "out")?, below(folder, "record.json")?);
    let older = json!({"schema": 1, "runs": [], "peers": [{
        "at": "2026-01-01T00:00:00Z", "peer": "somebody", "mode": "bulk", "jobs": 10, "per_second": 5,
    }]});
    fs::write(&record, older.to_string())?;
    let scratch = below(folder, "scratch")?;
    let arguments = [
        "soak",
        "--minutes",
        "0.1",
        "--events",
        "1000",
        "--out",
        &out,
        "--record",
        &record,
    ];
    let soaked = bench(
        folder,
        &[&arguments[..], &["--scratch", &scratch, "-o", "json"]].concat(),
    )?;
    anyhow::ensure!(soaked.status.success(), "{}", text(&soaked.stderr));
    assert!(
        fs::read_dir(&scratch)?.next().is_none(),
        "nothing is left of the run"
    );

    let samples = fs::read_to_string(folder.join("out/soak.csv"))?;
    let mut lines = samples
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().context("a header")?;
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 6, "{samples}");
    for column in ["program_bytes", "nats_server_bytes", "postgres_bytes"] {
        let column = header
            .iter()
            .position(|name| *name == column)
            .context("a column")?;
        for line in &lines {
            assert!(line[column].parse::<u64>()? > 1 << 20, "{samples}");
        }
    }
    let picture = fs::read_to_string(folder.join("out/soak.svg"))?;
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));

    let told: Vec<Value> = serde_json::from_slice(&soaked.stdout)?;
    let kept: Value = serde_json::from_slice(&fs::read(&record)?)?;
    assert_eq!(kept["peers"], older["peers"]);
    let run = &kept["runs"][0];
    assert_eq!(
        run["options"],
        json!({"quick": false, "events": 1000, "minutes": 0.1})
    );
    for (figure, name) in told.iter().zip(["soak_memory_growth", "soak_lag_p99"]) {
        assert_eq!(figure["name"], name);
    }
    let names = |figures: &[Value]| {
        figures
            .iter()
            .map(|figure| figure["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(run["figures"].as_array().context("figures")?),
        names(&told)
    );

    let page = below(folder, "page.md")?;
    let (begin, end) = (
        ledgerline::bench::report::BEGIN,
        ledgerline::bench::report::END,
    );
    fs::write(&page, format!("prose\n{begin}\n{end}\nmore\n"))?;
    let reported = bench(folder, &["report", "--record", &record, "--page", &page])?;
    anyhow::ensure!(reported.status.success(), "{}", text(&reported.stderr));
    let page = fs::read_to_string(&page)?;
    for part in [
        "prose\n",
        "| `soak_lag_p99` | ",
        "| somebody |  | 5 |",
        "\nmore\n",
    ] {
        assert!(page.contains(part), "{page}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_kept_is_refused_before_anything_is_measured() -> TestResult {
    let folder = Folder::new("refused")?;
    let folder = folder.path();
    fs::write(folder.join("file"), "text")?;
    fs::write(folder.join("later.json"), "{\"schema\": 2}")?;
    let [file, in_file, later] = ["file", "file/in", "later.json"].map(|name| below(folder, name));
    let (file, in_file, later) = (file?, in_file?, later?);
    let cases: [(&[&str], i32, &str); 7] = [
        (
            &["soak", "--minutes", "0"],
            2,
            "must be minutes from 0.05 to 1440",
        ),
        (&["soak", "--minutes", "NaN"], 2, "must be minutes"),
        (&["soak", "--out", &in_file], 1, "write into `"),
        (&["commands", "--record", &in_file], 1, "read record `"),
        (
            &["commands", "--record", &file],
            2,
            "is no record of benchmarks",
        ),
        (
            &["commands", "--record", &later],
            2,
            "has schema `2`, this program knows `1`",
        ),
        (
            &["report", "--record", &later],
            2,
            "has schema `2`, this program knows `1`",
        ),
    ];
    for (arguments, code, said) in cases {
        let output = bench(folder, arguments)?;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    assert_eq!(fs::read_to_string(folder.join("file"))?, "text");
    Ok(())
}
