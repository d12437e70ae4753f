//! Fault 15: a backup that is made under load is restored elsewhere, and nothing is missing, doubled or
//! anywhere else than it was.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use support::nats::read_all;
use support::program::{Folder, run, text};
use support::{Api, TestResult, Up, say, until};

/// The tables of the read models.
const TABLES: [&str; 6] = [
    "assignment",
    "assignment_event",
    "workload",
    "command",
    "job",
    "queue",
];

fn sealing(name: &str) -> TestResult<Up> {
    let folder = Folder::new(name)?;
    Up::with_arguments(folder, &["--seal-commits", "50", "--seal-wait", "1"])
}

/// Runs a subcommand that gives JSON and must succeed.
fn done(data: &Path, arguments: &[&str]) -> TestResult<Value> {
    let output = run(data, &[arguments, &["-o", "json"]].concat())?;
    anyhow::ensure!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Every assignment and every answer, until told to stop.
async fn work(api: Api, stop: Arc<AtomicBool>) -> TestResult<u64> {
    let mut position = 0;
    while !stop.load(Ordering::Relaxed) {
        let requested = api.any().await?;
        let noted = api
            .act(&requested.id, "note", &json!({"text": "seen"}))
            .await?;
        // With a key, so that its receipt is restored as well.
        let job = json!({"queue": "mail", "kind": "noop"});
        let key = [("idempotency-key", requested.id.as_str())];
        api.post_with("/v1/jobs", &job, &key).await?.is(201);
        position = noted.position;
    }
    Ok(position)
}

/// What every row of every read model comes to, at the read side's position.
async fn digests(up: &Up, position: u64) -> TestResult<Vec<(String, i64, String)>> {
    until("the read side is there", async || {
        let positions = up
            .api("default", "viewer")?
            .get("/v1/positions")
            .await?
            .is(200)
            .json()?;
        Ok((positions["read_side"].as_u64() >= Some(position)).then_some(()))
    })
    .await?;
    let mut database = PgConnection::connect(&up.endpoints.postgres).await?;
    let mut digests = Vec::new();
    for table in TABLES {
        let sql = format!(
            "select count(*), coalesce(md5(string_agg(t::text, chr(10) order by t::text)), '') from {table} t"
        );
        let (rows, digest) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut database)
            .await?;
        digests.push((table.to_owned(), rows, digest));
    }
    Ok(digests)
}

/// The same commits at the same positions, and the same answers of what was true at `position`.
async fn compare(up: &Up, copy: &Up, position: u64) -> TestResult {
    let (was, is) = (
        read_all(&up.endpoints.nats, "JOURNAL").await?,
        read_all(&copy.endpoints.nats, "JOURNAL").await?,
    );
    assert_eq!(is.len() as u64, position);
    for (was, is) in was.iter().zip(&is) {
        assert_eq!(
            (was.sequence, &was.subject, &was.payload),
            (is.sequence, &is.subject, &is.payload)
        );
        for header in ["Nats-Msg-Id", "Ledgerline-Chain", "Ledgerline-Trace"] {
            assert_eq!(was.header(header), is.header(header));
        }
    }
    let ids = was
        .iter()
        .filter_map(|stored| stored.subject.strip_prefix("journal.default.assignment."));
    for id in ids.step_by(40).take(10) {
        let path = format!("/v1/assignments/{id}?position={position}");
        let (then, now) = (up.api("default", "viewer")?, copy.api("default", "viewer")?);
        let (then, now) = (then.get(&path).await?, now.get(&path).await?);
        // What was made behind the backup is not there at its position, in either of them.
        assert_eq!(then.status, now.status);
        if then.status == 200 {
            assert_eq!(then.text(), now.text());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_restored_elsewhere_as_it_was() -> TestResult {
    let up = sealing("backup")?;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            Ok(tokio::spawn(work(
                up.api("default", "member")?,
                stop.clone(),
            )))
        })
        .collect::<TestResult<_>>()?;
    until("there is something to lose", async || {
        let positions = up
            .api("default", "viewer")?
            .get("/v1/positions")
            .await?
            .is(200)
            .json()?;
        Ok((positions["journal"].as_u64() >= Some(300)).then_some(()))
    })
    .await?;
    let file = up.folder().path().join("under-load.backup");
    let file = file.to_string_lossy();
    let made = done(&up.data(), &["backup", &file])?;
    stop.store(true, Ordering::Relaxed);
    let mut last = 0;
    for worker in workers {
        last = last.max(worker.await??);
    }
    let position = made["position"].as_u64().context("a position")?;
    assert!(
        (300..last).contains(&position),
        "writes went on: {position}, {last}"
    );
    assert!(made["seals"].as_u64() > Some(0), "{made}");

    let elsewhere = Folder::new("restored")?;
    let began = Instant::now();
    let restored = done(&elsewhere.data(), &["restore", &file])?;
    assert_eq!(restored["digest"], made["digest"]);
    let copy = Up::with_arguments(elsewhere, &["--seal-commits", "50", "--seal-wait", "1"])?;
    let rows = digests(&copy, position).await?;
    let seconds = began.elapsed().as_secs_f64();
    say(&format!(
        "restored {position} commits and folded them in {seconds:.1} s"
    ));
    copy.verify()?;
    assert!(
        rows.iter().filter(|(_, rows, _)| *rows > 0).count() >= 5,
        "{rows:?}"
    );

    compare(&up, &copy, position).await?;

    // The copy goes on: with its own key, behind the seals of the first.
    let receipt = copy.api("default", "member")?.any().await?;
    assert_eq!(receipt.position, position + 1);
    until("what is new is sealed", async || {
        let audited = done(&copy.data(), &["audit", "verify"])?;
        Ok((audited["sealed_to"].as_u64() > Some(position)).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_folded_from_a_backup_have_the_rows_that_they_had() -> TestResult {
    let up = sealing("at-rest")?;
    let stop = Arc::new(AtomicBool::new(false));
    let worker = tokio::spawn(work(up.api("default", "member")?, stop.clone()));
    until("there are rows", async || {
        let rows = up
            .api("default", "viewer")?
            .get("/v1/positions")
            .await?
            .is(200)
            .json()?;
        Ok((rows["read_side"].as_u64() >= Some(100)).then_some(()))
    })
    .await?;
    stop.store(true, Ordering::Relaxed);
    worker.await??;
    let file = up.folder().path().join("at-rest.backup");
    let file = file.to_string_lossy();
    let made = done(&up.data(), &["backup", &file])?;
    let position = made["position"].as_u64().context("a position")?;
    let was = digests(&up, position).await?;
    let folder = up.kill()?;

    // Over data only when told to, and the old journal stays beside it.
    let refused = run(&folder.data(), &["restore", &file])?;
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    let restored = done(&folder.data(), &["restore", &file, "--force"])?;
    assert_eq!(restored["digest"], made["digest"]);
    let names = fs::read_dir(folder.data())?.map(|entry| Ok(entry?.file_name()));
    let names: Vec<String> = names
        .map(|name: TestResult<_>| Ok(name?.to_string_lossy().into_owned()))
        .collect::<TestResult<_>>()?;
    assert!(
        names.iter().any(|name| name.starts_with("nats.replaced-")),
        "{names:?}"
    );
    let up = Up::on(folder)?;
    assert_eq!(digests(&up, position).await?, was);
    up.verify()?;

    // A running one is not restored over, and a damaged file is nowhere.
    let refused = run(&up.data(), &["restore", &file, "--force"])?;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    let whole = fs::read(&*file)?;
    let damaged = up.folder().path().join("damaged.backup");
    fs::write(&damaged, &whole[..whole.len() / 2])?;
    let elsewhere = Folder::new("nowhere")?;
    let refused = run(&elsewhere.data(), &["restore", &damaged.to_string_lossy()])?;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(!elsewhere.data().exists(), "nothing was touched");
    up.api("default", "member")?.any().await?;
    Ok(())
}
