//! The bench keeps what it measures: a soak of a few seconds on a program of its own, its files, its
//! record, and a page made of it.

#[path = "support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::Context as _;
use ledgerline::bench::report::{BEGIN, END};
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

/// Each sample by the names of its columns.
fn samples(folder: &Path) -> TestResult<Vec<HashMap<String, f64>>> {
    let text = fs::read_to_string(folder.join("soak.csv"))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().context("a header")?.split(',').collect();
    let sample = |line: &str| {
        let values = line.split(',').map(str::parse::<f64>);
        let pairs = header.iter().zip(values);
        let pairs = pairs.map(|(name, value)| Ok(((*name).to_owned(), value?)));
        pairs.collect()
    };
    lines.map(sample).collect()
}

#[test]
fn a_soak_leaves_its_samples_its_picture_and_its_figures() -> TestResult {
    let folder = Folder::new("soak")?;
    let folder = folder.path();
    let [out, record, scratch, page] =
        ["out", "record.json", "scratch", "page.md"].map(|name| below(folder, name));
    let (out, record, scratch, page) = (out?, record?, scratch?, page?);
    let older = json!({"schema": 1, "runs": [], "peers": [{
        "at": "2026-01-01T00:00:00Z", "peer": "somebody", "mode": "bulk", "jobs": 10, "per_second": 5000,
    }]});
    fs::write(&record, older.to_string())?;
    let load = [
        "soak",
        "--minutes",
        "0.1",
        "--rate",
        "20",
        "--events",
        "1000",
    ];
    let places = ["--out", &out, "--record", &record, "--scratch", &scratch];
    let soaked = bench(folder, &[&load[..], &places, &["-o", "json"]].concat())?;
    anyhow::ensure!(soaked.status.success(), "{}", text(&soaked.stderr));
    assert!(
        fs::read_dir(&scratch)?.next().is_none(),
        "the run is removed"
    );

    let samples = samples(&folder.join("out"))?;
    assert!((3..=6).contains(&samples.len()), "{samples:?}");
    for sample in &samples {
        for process in ["program", "nats_server", "postgres"] {
            assert!(sample[&format!("{process}_bytes")] > 1e6, "{sample:?}");
        }
    }
    let picture = fs::read_to_string(folder.join("out/soak.svg"))?;
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));

    let told: Vec<Value> = serde_json::from_slice(&soaked.stdout)?;
    let names = |figures: &[Value]| -> Vec<Value> {
        figures
            .iter()
            .map(|figure| figure["name"].clone())
            .collect()
    };
    assert_eq!(names(&told), ["soak_memory_growth", "soak_lag_p99"]);
    let kept: Value = serde_json::from_slice(&fs::read(&record)?)?;
    assert_eq!(kept["peers"], older["peers"]);
    let run = &kept["runs"][0];
    let asked = json!({"quick": false, "events": 1000, "minutes": 0.1, "rate": 20});
    assert_eq!(run["options"], asked);
    let figures = run["figures"].as_array().context("figures")?;
    assert_eq!(names(figures), names(&told));

    fs::write(&page, format!("prose\n{BEGIN}\n{END}\nmore\n"))?;
    let reported = bench(folder, &["report", "--record", &record, "--page", &page])?;
    anyhow::ensure!(reported.status.success(), "{}", text(&reported.stderr));
    let page = fs::read_to_string(&page)?;
    for part in [
        "prose\n",
        "| `soak_lag_p99` | ",
        "| somebody |  | 5,000 |",
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
    let cases: [(&[&str], i32, &str); 8] = [
        (
            &["soak", "--minutes", "0"],
            2,
            "must be minutes from 0.05 to 1440",
        ),
        (&["soak", "--minutes", "NaN"], 2, "must be minutes"),
        (&["soak", "--rate", "0"], 2, "must be commands a second"),
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
