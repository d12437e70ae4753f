//! Tamper evidence, end to end: the program seals what it does, and whoever changes the journal below
//! it is found out. What is changed, and that each of 500 ways is found, stands in `infra/tests`.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context as _;
use async_nats::{Client, HeaderMap};
use serde_json::{Value, json};
use support::nats::{Stored, connect, read_all};
use support::program::{Folder, text};
use support::{Api, TestResult, Up, say, until};

/// An `up` that seals every `commits`, or what there is after a second.
fn sealing(name: &str, commits: u32) -> TestResult<Up> {
    let folder = Folder::new(name)?;
    Up::with_arguments(
        folder,
        &["--seal-commits", &commits.to_string(), "--seal-wait", "1"],
    )
}

/// The report of `audit verify`, and its exit code.
fn verified(up: &Up, more: &[&str]) -> TestResult<(Value, Option<i32>)> {
    let output = up.run(&[&["audit", "verify", "-o", "json"], more].concat())?;
    let report = serde_json::from_slice(&output.stdout);
    let report = report.with_context(|| text(&output.stderr))?;
    Ok((report, output.status.code()))
}

async fn until_sealed_to(up: &Up, position: u64) -> TestResult {
    until("the journal is sealed", async || {
        let (report, _) = verified(up, &[])?;
        Ok((report["sealed_to"].as_u64() >= Some(position)).then_some(()))
    })
    .await
}

async fn write(api: &Api, count: usize) -> TestResult<u64> {
    let mut position = 0;
    for _ in 0..count {
        let requested = api.any().await?;
        position = api
            .act(&requested.id, "note", &json!({"text": "seen"}))
            .await?
            .position;
    }
    Ok(position)
}

fn seal_key(up: &Up) -> TestResult<PathBuf> {
    let folder = up.data().join("keys/seals");
    let mut keys: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<TestResult<_>>()?;
    keys.retain(|path| path.to_string_lossy().ends_with(".public.pem"));
    keys.sort();
    keys.pop().context("there is a key")
}

#[tokio::test]
async fn what_is_done_is_sealed_and_every_commit_can_be_proved_to_a_stranger() -> TestResult {
    let up = sealing("sealed", 7)?;
    let api = up.api("default", "member")?;
    let head = write(&api, 10).await?;
    until_sealed_to(&up, head).await?;
    let (report, code) = verified(&up, &[])?;
    assert_eq!(
        (code, &report["clean"]),
        (Some(0), &json!(true)),
        "{report}"
    );
    assert_eq!(
        (report["commits"].as_u64(), report["unsealed"].as_u64()),
        (Some(head), Some(0))
    );

    // The files are the stream's seals, and can stand for seals that were kept elsewhere.
    let listed = up.run(&["audit", "seals", "-o", "json"])?;
    let elsewhere = up.folder().path().join("seals.ndjson");
    fs::write(&elsewhere, &listed.stdout)?;
    let files = fs::read_dir(up.data().join("seals"))?;
    let files: Vec<String> = files
        .map(|file| Ok(fs::read_to_string(file?.path())?))
        .collect::<TestResult<_>>()?;
    assert_eq!(files.concat(), text(&listed.stdout));
    let (report, code) = verified(&up, &["--against", &elsewhere.to_string_lossy()])?;
    assert_eq!(code, Some(0), "{report}");

    // A stranger, with a script of the standard library and the public key.
    if Command::new("python3").arg("--version").output().is_err() {
        say("no proof is checked by a stranger: there is no `python3` here");
        return Ok(());
    }
    let proof = up.folder().path().join("proof.json");
    for position in [1, 2, head / 2, head] {
        let position = position.to_string();
        let proved = up.run(&[
            "audit",
            "prove",
            &position,
            "--out",
            &proof.to_string_lossy(),
        ])?;
        assert_eq!(proved.status.code(), Some(0), "{}", text(&proved.stderr));
        let checked = check_proof(&seal_key(&up)?, &proof)?;
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        assert!(
            text(&checked.stdout)
                .starts_with(&format!("position {position} of `default.assignment."))
        );
    }
    let mut altered: Value = serde_json::from_slice(&fs::read(&proof)?)?;
    for (pointer, value) in [
        ("/commit/trace", json!("another")),
        ("/commit/position", json!(head - 1)),
        ("/seal/at", json!("2026-01-01T00:00:00Z")),
        ("/path/0", json!("00".repeat(32))),
    ] {
        let Some(there) = altered.pointer_mut(pointer) else {
            continue;
        };
        let was = std::mem::replace(there, value);
        fs::write(&proof, altered.to_string())?;
        let checked = check_proof(&seal_key(&up)?, &proof)?;
        assert_eq!(
            checked.status.code(),
            Some(1),
            "{pointer}: {}",
            text(&checked.stdout)
        );
        *altered.pointer_mut(pointer).context("it was there")? = was;
    }
    let absent = up.run(&["audit", "prove", "1000000"])?;
    assert_eq!(absent.status.code(), Some(4), "{}", text(&absent.stderr));
    Ok(())
}

fn check_proof(key: &Path, proof: &Path) -> TestResult<Output> {
    let mut command = Command::new("scripts/check-proof");
    Ok(command.arg("--key").arg(key).arg(proof).output()?)
}

#[tokio::test]
async fn seals_go_on_over_a_crash_and_over_a_new_key() -> TestResult {
    let up = sealing("rotated", 5)?;
    let head = write(&up.api("default", "member")?, 6).await?;
    until_sealed_to(&up, head).await?;
    let first_key = seal_key(&up)?;
    let folder = up.kill()?;
    let up = Up::with_arguments(folder, &["--seal-commits", "5", "--seal-wait", "1"])?;
    let made = up.run(&["audit", "new-key"])?;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    // The older private key is not needed any more.
    fs::remove_file(first_key.to_string_lossy().replace(".public.", ".private."))?;
    let head = write(&up.api("default", "member")?, 6).await?;
    until_sealed_to(&up, head).await?;
    let (report, code) = verified(&up, &[])?;
    assert_eq!(code, Some(0), "{report}");
    let listed = up.run(&["audit", "seals", "-o", "json"])?;
    let seals: Vec<Value> = text(&listed.stdout)
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let keys: Vec<&Value> = seals.iter().map(|seal| &seal["key"]).collect();
    assert_ne!(keys.first(), keys.last());
    assert_eq!(
        keys.last().and_then(|key| key.as_str()),
        Some(text(&made.stdout).trim())
    );
    // Without its key an older seal proves nothing.
    fs::remove_file(&first_key)?;
    let (report, code) = verified(&up, &[])?;
    assert_eq!(code, Some(7));
    assert_eq!(
        report["differences"][0]["difference"],
        json!("its key is not known")
    );
    Ok(())
}

/// Puts `messages` in the place of what stands in `stream`.
async fn replace(client: &Client, stream: &str, messages: &[Stored]) -> TestResult {
    let ask = async |path: &str, body: Value| {
        let answer = client.request(format!("$JS.API.{path}.{stream}"), body.to_string().into());
        TestResult::Ok(serde_json::from_slice::<Value>(&answer.await?.payload)?)
    };
    let mut config = ask("STREAM.INFO", json!({})).await?["config"].take();
    config["duplicate_window"] = json!(100_000_000);
    ask("STREAM.DELETE", json!({})).await?;
    let made = ask("STREAM.CREATE", config).await?;
    anyhow::ensure!(made["error"].is_null(), "{made}");
    for message in messages {
        let mut headers = HeaderMap::new();
        for name in ["Nats-Msg-Id", "Ledgerline-Chain", "Ledgerline-Trace"] {
            if !message.header(name).is_empty() {
                headers.insert(name, message.header(name));
            }
        }
        let subject = message.subject.clone();
        let sent = client.request_with_headers(subject, headers, message.payload.clone());
        let ack: Value = serde_json::from_slice(&sent.await?.payload)?;
        anyhow::ensure!(ack["error"].is_null(), "{ack}");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_changes_the_journal_below_the_program_is_found_out_with_the_place() -> TestResult {
    let up = sealing("tampered", 8)?;
    let head = write(&up.api("default", "member")?, 12).await?;
    until_sealed_to(&up, head).await?;
    let journal = read_all(&up.endpoints.nats, "JOURNAL").await?;
    let seals = read_all(&up.endpoints.nats, "SEALS").await?;
    let client = connect(&up.endpoints.nats).await?;

    // A note that says something else.
    let mut edited = journal.clone();
    let payload = text(&edited[9].payload);
    assert!(payload.contains("seen"), "{payload}");
    edited[9].payload = payload.replace("seen", "done").into();
    replace(&client, "JOURNAL", &edited).await?;
    let (report, code) = verified(&up, &[])?;
    assert_eq!(code, Some(7));
    let first = &report["differences"][0];
    let stream = edited[9].subject.trim_start_matches("journal.");
    assert_eq!(
        (&first["position"], &first["stream"]),
        (&json!(10), &json!(stream)),
        "{report}"
    );

    // A shorter history, with its seals: the files in the data folder tell.
    replace(&client, "JOURNAL", &journal[..8]).await?;
    replace(&client, "SEALS", &seals[..1]).await?;
    let (report, code) = verified(&up, &[])?;
    assert_eq!(code, Some(7));
    let differences = report["differences"].as_array().context("a list")?;
    let cut = differences
        .iter()
        .any(|difference| difference["position"] == json!(9));
    assert!(cut, "{report}");
    // Without them it looks like a history that never went further: the guide says so.
    fs::remove_dir_all(up.data().join("seals"))?;
    let (report, code) = verified(&up, &[])?;
    assert_eq!(code, Some(0), "{report}");
    Ok(())
}
