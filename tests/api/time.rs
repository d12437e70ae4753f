//! The past: as it was at a time, as it was known at a position, and every event of it.

use serde_json::{Value, json};

use crate::support::{Api, TestResult, Up, fresh_tenant, now};

fn on(day: u32) -> String {
    format!("2026-01-{day:02}T12:00:00Z")
}

/// Requested on the 1st, given to Anne on the 3rd, and known late: a note of the 2nd.
async fn history(api: &Api) -> TestResult<(String, Vec<u64>)> {
    let request = json!({"title": "Old", "kind": "k", "group": "g", "occurred_at": on(1)});
    let first = api.request(&request).await?;
    let mut positions = vec![first.position];
    for (verb, body) in [
        ("assign", json!({"assignee": "anne", "occurred_at": on(3)})),
        ("note", json!({"text": "late news", "occurred_at": on(2)})),
        ("complete", json!({"outcome": "done", "occurred_at": on(5)})),
    ] {
        positions.push(api.act(&first.id, verb, &body).await?.position);
    }
    Ok((first.id, positions))
}

#[tokio::test]
async fn an_assignment_is_shown_as_it_was_at_a_time_and_as_it_was_known_at_a_position() -> TestResult
{
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let (id, at) = history(&api).await?;
    let show = async |query: String| {
        let answer = api
            .get(&format!("/v1/assignments/{id}?{query}"))
            .await?
            .is(200);
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{}\"", answer.json()?["version"]).as_str())
        );
        answer.json()
    };
    let stands = |seen: &Value| {
        (
            seen["status"].clone(),
            seen["version"].clone(),
            seen["notes"].clone(),
        )
    };
    let known = [
        ("queued", 1, 0),
        ("assigned", 2, 0),
        ("assigned", 3, 1),
        ("completed", 4, 1),
    ];
    for (position, (status, version, notes)) in at.iter().zip(known) {
        let seen = show(format!("position={position}")).await?;
        assert_eq!(
            stands(&seen),
            (json!(status), json!(version), json!(notes)),
            "{position}"
        );
        assert_eq!(seen["position"], *position);
    }
    // By time of happening. An assignment has one order of its own: the note of the 2nd, which came in
    // behind the assignment of the 3rd, is never without it.
    for (day, status, notes) in [
        (1, "queued", 0),
        (2, "queued", 0),
        (3, "assigned", 1),
        (4, "assigned", 1),
        (6, "completed", 1),
    ] {
        let seen = show(format!("at={}", on(day))).await?;
        assert_eq!(
            (&seen["status"], &seen["notes"]),
            (&json!(status), &json!(notes)),
            "on {day}"
        );
    }
    // On the 4th, as it was known before the note came in.
    let seen = show(format!("at={}&position={}", on(4), at[1])).await?;
    assert_eq!(
        (&seen["status"], &seen["notes"]),
        (&json!("assigned"), &json!(0))
    );
    let path = format!("/v1/assignments/{id}?at=2025-12-31T00:00:00Z");
    api.get(&path).await?.refused(404, "not-found");
    let path = format!("/v1/assignments/{id}?position={}", at[0] - 1);
    api.get(&path).await?.refused(404, "not-found");
    Ok(())
}

#[tokio::test]
async fn the_history_names_who_did_what_when_and_pages_through_it() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "member")?;
    let before = now();
    let (id, at) = history(&api).await?;
    let started = up.api_as("carl", &tenant, "member")?;
    let path = format!("/v1/assignments/{id}");
    let reopened = started
        .post_with(
            &format!("{path}/start"),
            &json!({}),
            &[("X-Correlation-Id", "errand 7")],
        )
        .await?;
    reopened.refused(409, "ended");
    let reopened = started
        .post_with(
            &format!("{path}/reopen"),
            &json!({}),
            &[("X-Correlation-Id", "errand 7")],
        )
        .await?
        .is(200)
        .receipt()?;
    let events = api
        .get_at(&format!("{path}/history"), reopened.position)
        .await?
        .json()?;
    let events = events["items"].as_array().cloned().unwrap_or_default();
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        types,
        ["requested", "assigned", "noted", "completed", "reopened"]
    );
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["version"], number + 1);
        assert_eq!(event["v"], 1);
        let recorded: domain::Timestamp = event["at"].as_str().unwrap_or_default().parse()?;
        assert!(
            recorded
                >= before.round(jiff::Unit::Microsecond)? - jiff::SignedDuration::from_millis(1)
        );
        assert!(event["command"].is_string() && event["data"].is_object());
    }
    assert_eq!(events[0]["position"], format!("{}.0", at[0]));
    assert_eq!(events[2]["data"]["text"], "late news");
    let happened: domain::Timestamp = events[2]["occurred_at"]
        .as_str()
        .unwrap_or_default()
        .parse()?;
    assert_eq!(happened, on(2).parse()?);
    assert_eq!(
        (&events[3]["principal"], &events[4]["principal"]),
        (&json!("tester"), &json!("carl"))
    );
    assert_eq!(events[4]["correlation"], "errand 7");
    assert_eq!(api.all(&format!("{path}/history?limit=2")).await?, events);
    Ok(())
}
