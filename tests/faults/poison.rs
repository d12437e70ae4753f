//! Fault 9: a commit that some read models cannot take.

use std::str::FromStr as _;

use async_nats::{HeaderMap, jetstream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::{Api, TestResult, Up, fresh_id, nats, until};

/// The models that look into the events of assignments. The audit trail writes down what it is given.
const FOLDING: [&str; 2] = ["assignment", "workload"];
/// The models that do not.
const PASSING: [&str; 2] = ["assignment_event", "command"];

/// Writes a commit by hand, past the program: an event of a type that it does not know.
async fn poison(up: &Up, id: &str) -> TestResult<u64> {
    let client = nats::connect(&up.endpoints.nats).await?;
    let commit = json!({
        "commit": fresh_id(), "at": "2026-11-21T10:00:00Z", "actor": {"principal": "nobody"},
        "request": "00000000000000000000000000000000", "version": 0,
        "events": [{"type": "teleported", "v": 1, "data": {"to": "the moon"}}],
    });
    let mut headers = HeaderMap::new();
    headers.insert("Ledgerline-Chain", "0".repeat(64).as_str());
    let subject = format!("journal.default.assignment.{id}");
    let jetstream = jetstream::new(client);
    let sent = jetstream.publish_with_headers(subject, headers, commit.to_string().into());
    Ok(sent.await?.await?.sequence)
}

async fn models(api: &Api) -> TestResult<Vec<Value>> {
    let positions = api.get("/v1/positions").await?.is(200).json()?;
    Ok(positions["models"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_a_model_cannot_take_stops_that_model_visibly_and_no_other() -> TestResult {
    let up = Up::start("poison")?;
    let api = up.api("default", "admin,member")?;
    let before = api.any().await?;
    api.assignment(&before.id, before.position).await?;
    let poisoned_id = fresh_id();
    let poisoned = poison(&up, &poisoned_id).await?;
    for model in FOLDING {
        let stopped = api
            .model_until(model, |model| model["status"] == "stopped")
            .await?;
        assert_eq!(stopped["position"], poisoned - 1, "{stopped}");
        let error = stopped["error"].as_str().unwrap_or_default();
        assert!(error.contains("teleported"), "{stopped}");
    }
    // Writing goes on, and so do the models that do not look inside.
    let after = api.any().await?;
    let key = [("Idempotency-Key", "k")];
    let path = format!("/v1/assignments/{}/note", after.id);
    let note = json!({"text": "after"});
    let noted = api.post_with(&path, &note, &key).await?.is(200).receipt()?;
    let live = |model: &Value| model["position"].as_u64() >= Some(noted.position);
    for model in PASSING {
        let passing = api.model_until(model, live).await?;
        assert_eq!(
            (&passing["status"], &passing["lag"]),
            (&json!("live"), &json!(0))
        );
    }
    let history = format!("/v1/assignments/{poisoned_id}/history");
    let history = api.get_at(&history, poisoned).await?.is(200).json()?;
    assert_eq!(history["items"][0]["type"], "teleported");
    assert_eq!(
        api.post_with(&path, &note, &key).await?.is(200).receipt()?,
        noted
    );
    // What a stopped model shows is as old as it says, and whoever wants newer is told.
    let old = api
        .get(&format!("/v1/assignments/{}", before.id))
        .await?
        .is(200);
    assert_eq!(old.position()?, poisoned - 1);
    let newer = api
        .get_at(&format!("/v1/assignments/{}", after.id), after.position)
        .await?;
    let newer = newer.refused(504, "read-side-behind").json()?;
    assert_eq!(newer["position"], poisoned - 1);
    visible_outside(&up, &api).await?;
    // The aggregate itself cannot be decided upon; it is not decided upon half read.
    let path = format!("/v1/assignments/{poisoned_id}/note");
    assert_eq!(api.post(&path, &note).await?.status, 503);
    // The feed has it: subscribers may know more than this program.
    let ends = format!("{}.0", noted.position);
    until("the feed goes on", async || {
        let positions = api.get("/v1/positions").await?.json()?;
        Ok((positions["feed"] == ends.as_str()).then_some(()))
    })
    .await?;
    rebuilding_and_restarting_pass_over_nothing(up, &api, poisoned).await
}

/// In health and in the metrics.
async fn visible_outside(up: &Up, api: &Api) -> TestResult {
    let health = until("health tells of it", async || {
        let health = Answer::read(api.bare(Method::GET, "/health").send().await?).await?;
        let health = health.is(200).json()?;
        Ok((health["status"] == "degraded").then_some(health))
    })
    .await?;
    assert!(
        FOLDING
            .iter()
            .all(|model| health.to_string().contains(model)),
        "{health}"
    );
    let metrics = Answer::read(api.bare(Method::GET, "/metrics").send().await?)
        .await?
        .text();
    let stopped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("ledgerline_projection_stopped_models "));
    assert_eq!(stopped.map(f64::from_str), Some(Ok(2.0)), "{metrics}");
    assert!(up.log()?.contains("teleported"));
    // What stands is the fold of the journal up to where the model stands.
    up.verify()
}

async fn rebuilding_and_restarting_pass_over_nothing(up: Up, api: &Api, at: u64) -> TestResult {
    api.post("/v1/models/assignment/rebuild", &json!({}))
        .await?
        .is(202);
    let log = || up.log().map(|log| log.matches("rebuild ended").count());
    until("the rebuild has met it too", async || {
        Ok((log()? > 0).then_some(()))
    })
    .await?;
    let listen = up.listen().to_owned();
    let up = Up::on_address(up.kill()?, &listen)?;
    until("the read side has begun again", async || {
        let models = models(api).await?;
        let stopped = models.iter().filter(|model| model["status"] == "stopped");
        Ok((stopped.count() == FOLDING.len()).then_some(()))
    })
    .await?;
    for model in models(api).await? {
        let stopped = FOLDING.iter().any(|name| model["name"] == *name);
        assert_eq!(model["position"] == at - 1, stopped, "{model}");
    }
    drop(up);
    Ok(())
}
