//! One assignment on its whole way, receipts, versions and positions.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::{Api, TestResult, Up, fresh_tenant};

/// One step: the verb, its body, the events that it brings, and how the assignment stands then.
type Step = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    Option<&'static str>,
);

const ME: Option<&str> = Some("tester");

#[rustfmt::skip]
const STEPS: [Step; 14] = [
    ("assign", r#"{"assignee": "anne"}"#, &["assigned"], "assigned", Some("anne")),
    ("assign", r#"{"assignee": "ben"}"#, &["handed_over"], "assigned", Some("ben")),
    ("requeue", "{}", &["requeued"], "queued", None),
    ("requeue", r#"{"group": "depot"}"#, &["requeued"], "queued", None),
    ("start", "{}", &["assigned", "started"], "in_progress", ME),
    ("note", r#"{"text": "two\nlines"}"#, &["noted"], "in_progress", ME),
    ("hold", r#"{"reason": "spare part"}"#, &["put_on_hold"], "on_hold", ME),
    ("resume", "{}", &["resumed"], "in_progress", ME),
    ("complete", r#"{"outcome": "fixed"}"#, &["completed"], "completed", ME),
    ("reopen", r#"{"reason": "still loud"}"#, &["reopened"], "assigned", ME),
    ("complete", r#"{"outcome": "replaced"}"#, &["completed"], "completed", ME),
    ("close", "{}", &["closed"], "closed", ME),
    ("reopen", "{}", &["reopened"], "assigned", ME),
    ("cancel", r#"{"reason": "no longer needed"}"#, &["cancelled"], "cancelled", ME),
];

#[tokio::test]
async fn an_assignment_goes_the_whole_way_and_every_answer_says_how_far() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let body = json!({"title": "Fan", "kind": "repair", "group": "workshop"});
    let answer = api.post("/v1/assignments", &body).await?.is(201);
    let mut last = answer.receipt()?;
    let path = format!("/v1/assignments/{}", last.id);
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert_eq!((last.version, last.unchanged), (1, false));
    assert_eq!(last.events, ["requested"]);
    for (verb, body, events, status, assignee) in STEPS {
        let body: Value = serde_json::from_str(body)?;
        let answer = api.post(&format!("{path}/{verb}"), &body).await?.is(200);
        let receipt = answer.receipt()?;
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{}\"", receipt.version).as_str())
        );
        assert_eq!(answer.position()?, receipt.position);
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(receipt.events, events, "{verb}");
        assert_eq!(
            receipt.version,
            last.version + events.len() as u64,
            "{verb}"
        );
        assert!(receipt.position > last.position && !receipt.unchanged && receipt.id == last.id);
        let seen = api.assignment(&receipt.id, receipt.position).await?;
        assert_eq!(seen["status"], status, "{verb}");
        assert_eq!(seen["assignee"], json!(assignee), "{verb}");
        assert_eq!(seen["version"], receipt.version, "{verb}");
        assert_eq!(seen["position"], receipt.position, "{verb}");
        last = receipt;
    }
    let seen = api.assignment(&last.id, last.position).await?;
    assert_eq!(
        (&seen["group"], &seen["notes"]),
        (&json!("depot"), &json!(1))
    );
    assert_eq!(seen["hand_overs"], 1);
    Ok(())
}

#[tokio::test]
async fn a_command_with_nothing_to_change_leaves_the_last_position() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = api.any().await?.id;
    let done = api
        .act(&id, "complete", &json!({"outcome": "fixed"}))
        .await?;
    let again = api
        .act(&id, "complete", &json!({"outcome": "fixed again"}))
        .await?;
    assert!(again.unchanged && again.events.is_empty());
    assert_eq!(
        (again.version, again.position),
        (done.version, done.position)
    );
    Ok(())
}

#[tokio::test]
async fn a_rule_that_says_no_is_named_and_changes_nothing() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = api.any().await?.id;
    let path = |verb: &str| format!("/v1/assignments/{id}/{verb}");
    api.post(&path("resume"), &json!({}))
        .await?
        .refused(409, "not-on-hold");
    api.post(&path("close"), &json!({}))
        .await?
        .refused(409, "not-completed");
    api.post(&path("reopen"), &json!({}))
        .await?
        .refused(409, "not-ended");
    let cancelled = api.act(&id, "cancel", &json!({})).await?;
    api.post(&path("start"), &json!({}))
        .await?
        .refused(409, "ended");
    let same_id = json!({"id": id, "title": "Fan", "kind": "repair", "group": "workshop"});
    api.post("/v1/assignments", &same_id)
        .await?
        .refused(409, "already-requested");
    let seen = api.assignment(&id, cancelled.position).await?;
    assert_eq!(seen["version"], cancelled.version);
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_not_the_newest_fails_with_412_and_changes_nothing() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = api.any().await?.id;
    let path = format!("/v1/assignments/{id}/note");
    let note = json!({"text": "seen"});
    let second = api
        .post_with(&path, &note, &[("If-Match", "\"1\"")])
        .await?
        .is(200)
        .receipt()?;
    assert_eq!(second.version, 2);
    let late = api
        .post_with(&path, &note, &[("If-Match", "\"1\"")])
        .await?;
    let late = late.refused(412, "version-mismatch").json()?;
    assert_eq!(late["version"], 2);
    let in_body = json!({"text": "seen", "expected_version": 1});
    api.post(&path, &in_body)
        .await?
        .refused(412, "version-mismatch");
    let both = api
        .post_with(&path, &in_body, &[("If-Match", "\"2\"")])
        .await?;
    both.refused(400, "malformed");
    api.post_with(&path, &note, &[("If-Match", "2")])
        .await?
        .refused(400, "malformed");
    let any = api
        .post_with(&path, &note, &[("If-Match", "*")])
        .await?
        .is(200)
        .receipt()?;
    let in_body = json!({"text": "seen", "expected_version": 3});
    assert_eq!(any.version, 3);
    assert_eq!(
        api.post(&path, &in_body).await?.is(200).receipt()?.version,
        4
    );
    Ok(())
}

#[tokio::test]
async fn a_read_at_a_receipts_position_never_shows_an_older_state() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = api.any().await?.id;
    for round in 0..40 {
        let receipt = api
            .act(&id, "note", &json!({"text": format!("round {round}")}))
            .await?;
        let answer = match round % 2 {
            0 => {
                api.get_at(&format!("/v1/assignments/{id}"), receipt.position)
                    .await?
            }
            _ => {
                let position = receipt.position;
                api.get(&format!("/v1/assignments/{id}?min_position={position}"))
                    .await?
            }
        };
        assert!(answer.position()? >= receipt.position);
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{}\"", receipt.version).as_str())
        );
        assert_eq!(answer.is(200).json()?["version"], receipt.version);
        let list = api
            .get_at(&format!("/v1/assignments?id={id}"), receipt.position)
            .await?;
        assert_eq!(list.json()?["items"][0]["version"], receipt.version);
        let history = format!("/v1/assignments/{id}/history?limit=500");
        let history = api.get_at(&history, receipt.position).await?.json()?;
        let events = history["items"].as_array().map_or(0, Vec::len);
        assert_eq!(events as u64, receipt.version);
    }
    Ok(())
}

#[tokio::test]
async fn a_position_that_the_read_side_does_not_reach_is_answered_with_504_and_where_it_is()
-> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "viewer")?;
    let far = u64::MAX / 4;
    let lists = ["/v1/assignments", "/v1/workload"];
    for path in lists {
        let answer = api
            .get_at(path, far)
            .await?
            .refused(504, "read-side-behind");
        let reached = answer.json()?["position"].as_u64();
        assert!(
            reached.is_some_and(|reached| reached < far),
            "{}",
            answer.text()
        );
        assert!(answer.header("retry-after").is_some());
    }
    api.get("/v1/assignments?min_position=soon")
        .await?
        .refused(400, "malformed");
    Ok(())
}

#[tokio::test]
async fn an_entity_tag_that_still_fits_is_answered_with_304() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let receipt = api.any().await?;
    let path = format!("/v1/assignments/{}", receipt.id);
    assert_eq!(
        if_none_match(&api, &path, receipt.position, "\"1\"")
            .await?
            .status,
        304
    );
    let note = api
        .act(&receipt.id, "note", &json!({"text": "more"}))
        .await?;
    let changed = if_none_match(&api, &path, note.position, "\"1\"")
        .await?
        .is(200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    Ok(())
}

async fn if_none_match(api: &Api, path: &str, position: u64, tag: &str) -> TestResult<Answer> {
    let call = api.call(Method::GET, path).header("If-None-Match", tag);
    Answer::read(
        call.header("Ledgerline-Min-Position", position)
            .send()
            .await?,
    )
    .await
}
