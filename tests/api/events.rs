//! `GET /v1/events`: what has happened, as it happens, and from where one has read.

use serde_json::json;

use crate::support::http::Receipt;
use crate::support::sse::Events;
use crate::support::{Api, TestResult, Up, fresh_tenant};

/// Two assignments: `requested, assigned, started` and `requested, noted`. The receipts of each.
async fn two(api: &Api) -> TestResult<[Vec<Receipt>; 2]> {
    let one = api.any().await?;
    let two = api.any().await?;
    let started = api
        .act(&one.id, "start", &json!({"assignee": "anne"}))
        .await?;
    let noted = api.act(&two.id, "note", &json!({"text": "seen"})).await?;
    Ok([vec![one, started], vec![two, noted]])
}

fn ids(receipts: &[&Receipt]) -> Vec<String> {
    let events = receipts.iter().flat_map(|receipt| {
        (0..receipt.events.len()).map(|index| format!("{}.{index}", receipt.position))
    });
    events.collect()
}

async fn read(api: &Api, query: &str, last: Option<&str>, count: usize) -> TestResult<Vec<String>> {
    let events = Events::follow(api, query, last).await?.take(count).await?;
    Ok(events.into_iter().map(|event| event.id).collect())
}

#[tokio::test]
async fn events_come_once_in_order_from_the_start_or_from_where_one_was() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "viewer,member")?;
    let [one, two] = two(&api).await?;
    let all = ids(&[&one[0], &two[0], &one[1], &two[1]]);
    assert_eq!(all.len(), 5);
    assert_eq!(read(&api, "?from=start", None, 5).await?, all);
    for (seen, last) in all.iter().enumerate().take(4) {
        let rest = all.len() - seen - 1;
        assert_eq!(
            read(&api, "", Some(last), rest).await?,
            all[seen + 1..],
            "behind {last}"
        );
        let query = format!("?after={last}");
        assert_eq!(
            read(&api, &query, None, rest).await?,
            all[seen + 1..],
            "after {last}"
        );
    }
    // Behind a commit is behind all of its events.
    let query = format!("?after={}", one[1].position);
    assert_eq!(read(&api, &query, None, 1).await?, all[4..]);
    Ok(())
}

#[tokio::test]
async fn what_was_sent_in_many_lines_comes_in_one() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let job = "{\"queue\":\"q\",\"kind\":\"noop\",\"payload\":{\r\n\r\n\t\"text\":\n\"a\\nb\"\r}}";
    let sent = api.call(reqwest::Method::POST, "/v1/jobs");
    let sent = sent.header("Content-Type", "application/json").body(job);
    assert_eq!(sent.send().await?.status(), 201);
    let later = api.any().await?;
    let read = Events::follow(&api, "?from=start", None)
        .await?
        .take(2)
        .await?;
    assert_eq!(read[0].data["data"]["payload"], json!({"text": "a\nb"}));
    assert_eq!(read[1].id, format!("{}.0", later.position));
    Ok(())
}

#[tokio::test]
async fn filters_leave_only_what_was_asked_for() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let [one, two] = two(&api).await?;
    let (first, second) = (&one[0].id, &two[0].id);
    let query = format!("?from=start&id={first}");
    assert_eq!(read(&api, &query, None, 3).await?, ids(&[&one[0], &one[1]]));
    let query = format!("?from=start&id={second}&event=noted");
    assert_eq!(read(&api, &query, None, 1).await?, ids(&[&two[1]]));
    let query = "?from=start&category=assignment&event=requested";
    assert_eq!(read(&api, query, None, 2).await?, ids(&[&one[0], &two[0]]));
    // What follows shows that nothing else came before it.
    let mut nothing = Events::follow(&api, "?from=start&category=other", None).await?;
    let mut noted = Events::follow(&api, "?event=noted", None).await?;
    let last = api.act(first, "note", &json!({"text": "later"})).await?;
    assert_eq!(noted.next().await?.id, format!("{}.0", last.position));
    let silent = tokio::time::timeout(std::time::Duration::from_millis(50), nothing.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    for query in ["?event=a.b", "?after=x", "?from=then", "?colour=red"] {
        api.get(&format!("/v1/events{query}"))
            .await?
            .refused(400, "malformed");
    }
    Ok(())
}

#[tokio::test]
async fn a_follower_meets_what_happens_now_as_cloud_events_of_its_tenant_only() -> TestResult {
    let (tenant, other) = (fresh_tenant(), fresh_tenant());
    let api = Up::shared().api(&tenant, "member")?;
    let stranger = Up::shared().api(&other, "member")?;
    let old = api.any().await?;
    // The feed has the old one by now: "now" is behind it.
    Events::follow(&api, "?from=start", None)
        .await?
        .next()
        .await?;
    let mut events = Events::follow(&api, "", None).await?;
    stranger.any().await?;
    let body = json!({"text": "now", "occurred_at": "2026-01-01T00:00:00Z"});
    let note = api.act(&old.id, "note", &body).await?;
    let event = events.next().await?;
    assert_eq!(event.id, format!("{}.0", note.position));
    assert_eq!(event.event, "ledgerline.assignment.noted.v1");
    let data = &event.data;
    assert_eq!(
        (&data["specversion"], &data["id"]),
        (&json!("1.0"), &json!(event.id))
    );
    assert_eq!(
        (&data["type"], &data["subject"]),
        (&json!(event.event), &json!(old.id))
    );
    assert_eq!(
        (&data["tenant"], &data["principal"]),
        (&json!(tenant), &json!("tester"))
    );
    assert_eq!(
        (&data["data"]["text"], &data["version"]),
        (&json!("now"), &json!(2))
    );
    assert_eq!(
        (&data["command"], &data["time"]),
        (&json!(note.command), &json!("2026-01-01T00:00:00Z"))
    );
    assert!(data["source"].is_string() && data["recordedat"].is_string());
    Ok(())
}
