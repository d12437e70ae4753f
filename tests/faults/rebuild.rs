//! Fault 10: a read model is rebuilt while others write, and the program is killed in the middle.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::support::{Api, TestResult, Up, asked, nats, now, say, until};

/// Enough that a rebuild takes a while.
const ASSIGNMENTS: usize = 9_000;

/// `LEDGERLINE_REBUILD_KILLS` asks for more.
const KILLS: usize = 2;

async fn fill(api: &Api) -> TestResult<u64> {
    let data = json!({"title": "T", "kind": "k", "group": "g", "assignee": "anne"});
    let line = json!({"command": "assignment.request", "data": data}).to_string();
    let answers = api.batch(vec![line; ASSIGNMENTS].join("\n")).await?;
    assert!(answers.iter().all(|answer| answer["status"] == 201));
    let positions = answers
        .iter()
        .filter_map(|answer| answer["receipt"]["position"].as_u64());
    Ok(positions.max().unwrap_or_default())
}

/// How many assignments there are, and at which position that was said.
async fn total(api: &Api) -> TestResult<Option<(u64, u64)>> {
    // While the program is away there is no answer; what matters is what is answered.
    match api.get("/v1/assignments?limit=1&count=true").await {
        Ok(answer) if answer.status == 200 => {
            let total = answer.json()?["total"]
                .as_u64()
                .context("a counted list has a total")?;
            Ok(Some((total, answer.position()?)))
        }
        Ok(answer) if answer.status == 503 => Ok(None),
        Ok(answer) => anyhow::bail!("{}: {}", answer.status, answer.text()),
        Err(_) => Ok(None),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_see_a_partial_table_while_a_model_is_rebuilt_and_killed_midway() -> TestResult
{
    let up = Up::start("rebuild")?;
    let listen = up.listen().to_owned();
    let api = up.api("default", "admin,member")?;
    let head = fill(&api).await?;
    api.get_at("/v1/assignments?limit=1", head).await?.is(200);
    let stop = AtomicBool::new(false);
    let (most, looks) = (AtomicU64::new(0), AtomicU64::new(0));
    let reading = async {
        while !stop.load(Ordering::SeqCst) {
            if let Some((total, position)) = total(&api).await? {
                // Every commit of this test is a request: a table is whole at a position when it has
                // as many rows. (A crash may set the read side back by what it then folds again.)
                anyhow::ensure!(
                    total == position,
                    "{total} assignments at position {position}"
                );
                most.fetch_max(total, Ordering::SeqCst);
                looks.fetch_add(1, Ordering::SeqCst);
            }
        }
        TestResult::Ok(())
    };
    let writing = async {
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            number += 1;
            let body = json!({"title": format!("{number}"), "kind": "k", "group": "g"});
            // Calls that are cut off by the kill are none of this test's.
            if api.post("/v1/assignments", &body).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
        TestResult::Ok(())
    };
    let disturbing = async {
        let rebuilt = rebuild_killed_midway(up, &listen, &api).await;
        stop.store(true, Ordering::SeqCst);
        rebuilt
    };
    let (read, written, up) = tokio::join!(reading, writing, disturbing);
    read?;
    written?;
    let up = up?;
    assert!(most.load(Ordering::SeqCst) > ASSIGNMENTS as u64 && looks.load(Ordering::SeqCst) > 10);
    let head = api.get("/v1/positions").await?.is(200).json()?["journal"].as_u64();
    api.get_at("/v1/assignments?limit=1", head.unwrap_or_default())
        .await?
        .is(200);
    up.verify()
}

/// Rebuilds once undisturbed, then kills the program while it rebuilds, each time another model.
async fn rebuild_killed_midway(mut up: Up, listen: &str, api: &Api) -> TestResult<Up> {
    let began = now();
    let old = table(&up, "assignment").await?;
    api.post("/v1/models/assignment/rebuild", &json!({}))
        .await?
        .is(202);
    until_another(&up, "assignment", old).await?;
    let took = now().duration_since(began);
    say(&format!(
        "an undisturbed rebuild took {} ms",
        took.as_millis()
    ));
    let begun = |up: &Up| up.log().map(|log| log.matches("rebuild begins").count());
    let kills = asked("LEDGERLINE_REBUILD_KILLS", KILLS);
    let models = ["assignment", "workload"].into_iter().cycle();
    for model in models.take(kills) {
        let (old, before) = (table(&up, model).await?, begun(&up)?);
        let path = format!("/v1/models/{model}/rebuild");
        api.post(&path, &json!({})).await?.is(202);
        until("the rebuild begins", async || {
            Ok((begun(&up)? > before).then_some(()))
        })
        .await?;
        let folder = up.kill()?;
        up = Up::on_address(folder, listen)?;
        // It is begun again by itself.
        until_another(&up, model, old).await?;
        api.model_until(model, |model| model["status"] == "live")
            .await?;
    }
    let done = up.log()?.matches("rebuild is done").count();
    let cut = begun(&up)? - done;
    say(&format!("{cut} of {kills} rebuilds were cut by the kill"));
    Ok(up)
}

/// Which table serves a model: a rebuild puts another one in its place.
async fn table(up: &Up, model: &str) -> TestResult<i64> {
    let mut database = PgConnection::connect(&up.endpoints.postgres).await?;
    let found = sqlx::query_scalar("select $1::regclass::oid::bigint").bind(model);
    Ok(found.fetch_one(&mut database).await?)
}

async fn until_another(up: &Up, model: &str, old: i64) -> TestResult {
    until(&format!("another table serves `{model}`"), async || {
        Ok((table(up, model).await? != old).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_changes_no_answer_and_sends_nothing_twice() -> TestResult {
    let up = Up::start("again")?;
    let api = up.api("default", "admin,member")?;
    let mut last = 0;
    for number in 0..20 {
        let receipt = api.any().await?;
        last = api
            .act(&receipt.id, "note", &json!({"text": format!("{number}")}))
            .await?
            .position;
    }
    let answers = async || -> TestResult<Vec<Value>> {
        let mut answers = Vec::new();
        for path in ["/v1/assignments?sort=position", "/v1/workload"] {
            answers.push(api.get_at(path, last).await?.is(200).json()?);
        }
        Ok(answers)
    };
    let before = answers().await?;
    for model in [
        "assignment",
        "assignment_event",
        "workload",
        "command",
        "job",
        "queue",
    ] {
        let old = table(&up, model).await?;
        api.post(&format!("/v1/models/{model}/rebuild"), &json!({}))
            .await?
            .is(202);
        until_another(&up, model, old).await?;
    }
    assert_eq!(answers().await?, before);
    let feed = nats::read_all(&up.endpoints.nats_feed, "FEED").await?;
    assert_eq!(feed.len(), 40);
    api.post("/v1/models/nothing/rebuild", &json!({}))
        .await?
        .refused(404, "not-found");
    up.verify()
}
