//! The README and the guides do what they say: their `sh` and `python` examples are run from top to
//! bottom against a running `up`, and every `text` block under an example is what it prints.
//!
//! In such a block `…` stands for anything. An example that needs a tool that is not on this machine
//! is left out, and the test says so.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use support::program::{PROGRAM, text};
use support::{TestResult, Up, say};

/// A fenced block of a page.
struct Block {
    language: String,
    lines: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    lines: Vec::new(),
                });
            }
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    blocks
}

/// Whether `line` is what `pattern` says, in which `…` stands for anything.
fn fits(pattern: &str, line: &str) -> bool {
    let mut rest = line.trim();
    let mut parts = pattern.trim().split('…');
    let Some(first) = parts.next() else {
        return rest.is_empty();
    };
    let Some(behind) = rest.strip_prefix(first) else {
        return false;
    };
    rest = behind;
    let mut last = None;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

/// All `sh` examples of a page as one script, each telling where its output begins.
fn script(blocks: &[Block]) -> String {
    let examples = blocks.iter().filter(|block| block.language == "sh");
    let marked = examples
        .enumerate()
        .map(|(number, block)| format!("echo '@@example {number}'\n{}\n", block.lines.join("\n")));
    format!("set -euo pipefail\n{}", marked.collect::<String>())
}

/// The output of each example.
fn outputs(output: &str) -> Vec<Vec<&str>> {
    let examples = output.split("@@example ").skip(1);
    examples
        .map(|example| example.lines().skip(1).collect())
        .collect()
}

fn missing(tool: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {tool}")])
        .output();
    !found.is_ok_and(|found| found.status.success())
}

/// Runs the page's examples against `up`.
fn follow(up: &Up, page: &str) -> TestResult {
    let page_text = fs::read_to_string(page).with_context(|| format!("read `{page}`"))?;
    // The two commands of the README start a server, or every test: they are run by CI itself.
    let page_text = page_text
        .replace("make run ", "true ")
        .replace("make test ", "true ")
        .replace("/tmp/", &format!("{}/", up.folder().path().display()))
        .replace(".ledgerline/", &format!("{}/", up.data().display()))
        .replace("http://127.0.0.1:8080", &up.endpoints.http);
    for tool in ["curl", "python3", "bash"] {
        if page_text.contains(tool) && missing(tool) {
            say(&format!(
                "`{page}` is not followed: there is no `{tool}` here"
            ));
            return Ok(());
        }
    }
    let blocks = blocks(&page_text);
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = Path::new(PROGRAM)
        .parent()
        .context("the program lies in a folder")?;
    let run = Command::new("bash")
        .arg("-c")
        .arg(script(&blocks))
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("LEDGERLINE_DATA_DIR", up.data())
        .output()?;
    let (stdout, stderr) = (text(&run.stdout), text(&run.stderr));
    anyhow::ensure!(run.status.success(), "`{page}`: {stdout}\n{stderr}");
    let outputs = outputs(&stdout);
    let mut example = 0;
    for block in &blocks {
        match block.language.as_str() {
            "sh" => example += 1,
            "text" => {
                let printed = outputs
                    .get(example - 1)
                    .context("output under an example")?;
                for pattern in block.lines.iter().filter(|line| !line.trim().is_empty()) {
                    let there = printed.iter().any(|line| fits(pattern, line));
                    anyhow::ensure!(there, "`{page}`: no line `{pattern}` in {printed:#?}");
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn the_guides_do_what_they_say() -> TestResult {
    let up = Up::shared();
    for guide in [
        "commands",
        "jobs",
        "workers",
        "schedules",
        "audit",
        "import",
        "subscribe",
        "backup",
    ] {
        follow(up, &format!("docs/guides/{guide}.md"))?;
    }
    Ok(())
}

#[test]
fn the_readme_does_what_it_says() -> TestResult {
    let log = "../shared/data/bpi2013-closed-problems.xes.gz";
    if !Path::new(log).exists() {
        say(&format!(
            "the README's example is not followed: `{log}` is not there"
        ));
        return Ok(());
    }
    let up = Up::start("readme")?;
    follow(&up, "README.md")
}

#[test]
fn the_subscriber_in_python_reads_events() -> TestResult {
    let python = Path::new(".tools/venv/bin/python");
    if !python.exists() {
        say("the subscriber in Python is not run: `make setup` has not fetched nats-py");
        return Ok(());
    }
    let up = Up::shared();
    follow(up, "docs/guides/audit.md")?;
    let page = fs::read_to_string("docs/guides/subscribe.md")?;
    let blocks = blocks(&page.replace(".ledgerline/", &format!("{}/", up.data().display())));
    let example = blocks
        .iter()
        .find(|block| block.language == "python")
        .context("an example")?;
    let run = Command::new(python)
        .arg("-c")
        .arg(example.lines.join("\n"))
        .env("EVENTS", "3")
        .output()?;
    anyhow::ensure!(run.status.success(), "{}", text(&run.stderr));
    let printed = text(&run.stdout);
    anyhow::ensure!(printed.lines().count() == 3, "{printed}");
    anyhow::ensure!(
        printed.contains("ledgerline.assignment.requested.v1"),
        "{printed}"
    );
    Ok(())
}

#[test]
fn the_page_in_the_guide_watches_a_job() -> TestResult {
    const FLAG: &str = "--experimental-websocket";
    let node = Command::new("node")
        .args([FLAG, "-e", "WebSocket"])
        .output();
    if !node.is_ok_and(|node| node.status.success()) {
        say("the page is not run: there is no `node` with WebSockets here");
        return Ok(());
    }
    let up = Up::shared();
    let job = r#"{"queue":"page","kind":"noop","id":"0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10"}"#;
    let token = up.token("page", "page", "member")?;
    let page = fs::read_to_string("docs/guides/jobs.md")?;
    let blocks = blocks(&page);
    let example = blocks.iter().find(|block| block.language == "js");
    let example = example.context("an example")?.lines.join("\n");
    // What a page has of itself, and one that ends its job when it has seen it.
    let around = format!(
        r#"const location = {{ origin: "{base}" }};
        const token = async () => "{token}";
        const post = async (path, body) => fetch(location.origin + path, {{
          method: "POST", body,
          headers: {{ "Authorization": "Bearer " + await token(), "Content-Type": "application/json" }},
        }});
        {example}
        post("/v1/jobs", '{job}').then(async (answer) => {{
          const path = answer.headers.get("Location");
          await watch(path + "/watch", (event) => {{
            console.log(event.type);
            if (event.type.includes("snapshot")) post(path + "/cancel", "{{}}");
          }});
        }});"#,
        base = up.endpoints.http,
    );
    let run = Command::new("node").args([FLAG, "-e", &around]).output()?;
    anyhow::ensure!(run.status.success(), "{}", text(&run.stderr));
    let printed = text(&run.stdout);
    let expected = "ledgerline.job.snapshot.v1\nledgerline.job.cancelled.v1\n";
    anyhow::ensure!(printed == expected, "{printed}{}", text(&run.stderr));
    Ok(())
}

#[test]
fn a_pattern_fits_what_it_says_and_nothing_else() {
    assert!(fits(
        r#"{"id":"…","version":1}"#,
        r#"{"id":"abc","version":1}"#
    ));
    assert!(fits("a …", "a b c"));
    assert!(!fits("a", "a b"));
    assert!(!fits(r#"{"version":1}"#, r#"{"version":2}"#));
}
