//! The reference pages are what the program says of itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use ledgerline::bench::record::Record;
use ledgerline::bench::report;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn page(name: &str) -> String {
    let path = docs().join("reference").join(name);
    std::fs::read_to_string(path).expect("the page is checked in")
}

#[test]
fn the_reference_page_is_up_to_date() {
    assert!(
        page("cli.md") == ledgerline::cli::reference_page(),
        "run `cargo run -- reference > docs/reference/cli.md`"
    );
}

/// A second program in the workspace left `make run` with "could not determine which binary to run".
#[test]
fn cargo_run_means_the_program() {
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("it is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let means: Vec<_> = packages
        .iter()
        .filter_map(|package| package["default_run"].as_str())
        .collect();
    assert_eq!(means, ["ledgerline"]);
}

#[test]
fn the_worker_protocol_is_up_to_date() {
    assert!(
        page("worker-protocol.json").trim_end() == api::gateway::document(),
        "run `cargo run -- worker-protocol > docs/reference/worker-protocol.json`"
    );
}

#[test]
fn the_figures_on_the_page_are_those_of_the_record_and_each_is_explained() {
    let record = Record::read(&docs().join("benchmarks.json")).expect("the record is checked in");
    let page = std::fs::read_to_string(docs().join("performance.md"));
    let page = page.expect("the page is checked in");
    let filled = report::filled(&page, &record).expect("the page has a place for figures");
    assert!(page == filled, "run `cargo run -- bench report`");
    let (explained, _) = page.split_once("## Results").expect("a heading");
    for figure in record.runs.iter().flat_map(|run| &run.figures) {
        let row = format!("| `{}` | ", figure.name);
        assert!(
            explained.contains(&row),
            "`{}` is not explained",
            figure.name
        );
    }
}
