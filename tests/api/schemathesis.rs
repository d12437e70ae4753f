//! What `/openapi.json` says against what the program does, by a fuzzer that is not ours: schemathesis.
//!
//! `schemathesis.toml` in the root of the repository and `schemathesis.py` beside this file say what it
//! must know beyond the description, and why. Deliberately absent: `/v1/events` and what is watched,
//! whose answers have no end, and which tests of their own read.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::program::text;
use crate::support::{TestResult, Up, fresh_id, fresh_tenant, say};

/// Where `make setup` puts it.
const FUZZER: &str = ".tools/venv/bin/schemathesis";

/// The same requests in every run: a finding is one of the commit that it is found in.
const SEED: &str = "1";

/// Requests a route while fuzzing. The coverage phase, which finds the most, has its own number.
const EXAMPLES: &str = "8";

/// How much of the report is shown: the findings stand at its end.
const REPORT_BYTES_MAX: usize = 20_000;

#[test]
fn the_program_does_what_its_description_says() -> TestResult {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(FUZZER).exists() {
        say("schemathesis is not installed (`make setup`): the description is not fuzzed");
        return Ok(());
    }
    let up = Up::shared();
    // It takes the subject of the token that it was given for the id of an assignment.
    let token = up.token(&fresh_id(), &fresh_tenant(), "admin")?;
    let report = Command::new(root.join(FUZZER))
        // Its configuration lies here.
        .current_dir(root)
        .args(["run", &format!("{}/openapi.json", up.endpoints.http)])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--exclude-path-regex", "^/v1/events$|/watch$"])
        .args(["--checks", "all"])
        .args(["--seed", SEED, "--max-examples", EXAMPLES])
        .args(["--generation-database", "none", "--no-color"])
        .stdin(Stdio::null())
        .output()?;
    let said = text(&report.stdout) + &text(&report.stderr);
    let tail = said.ceil_char_boundary(said.len().saturating_sub(REPORT_BYTES_MAX));
    anyhow::ensure!(
        report.status.success(),
        "schemathesis: {}\n{}",
        report.status,
        &said[tail..]
    );
    Ok(())
}
